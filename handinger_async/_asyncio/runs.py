"""The runs of a session: on services of either generation, and what their results have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from ..errors import APIError, APIResponseValidationError, APIStatusError, ConfigurationError, RunUnknownError
from ..http import JSON, Request
from ..models import TaskWithTurns, Worker
from ..models.outcomes import Outcome, last_turn, task_outcome, worker_outcome
from ..operations import ContinueWorker, CreateTask, CreateWorker, CreateWorkerTemplate, RetrieveTask, RetrieveWorker
from ..schema import decode, make_schema
from ..uploads import FileInput, to_uploads
from .calls import Call, Settings, send
from .polling import StartFunction, UpdateFunction, announce, check_arguments, run_deadline
from .task_runs import TaskRun, new_task_id
from .worker_runs import WorkerRun

__all__ = ["Job", "OutputSchema", "run", "run_task", "run_worker", "wait_for_task", "wait_for_worker"]

#: Statuses of a path that a service of the older generation does not have.
_ABSENT = (404, 405)
_NO_TASK = "the run is over, but its task cannot be retrieved"
_TOO_OLD = "this service is of the older generation, without files, output_schema, task_id and new_task_id"

OutputSchema: TypeAlias = "type[Any] | Mapping[str, Any] | None"


@attrs.frozen(kw_only=True)
class Job:
    """The arguments of a run.

    Args:
        input: The message.
        worker_id: The id of the worker; None for a new one.
        task_id: The id of the task to continue.
        new_task_id: The id of a task that is waited for if it is there, and started else.
        budget: The cost limit.
        files: The files to upload.
        deadline: The time limit in seconds; None for that of the session.
        on_start: Called with the ids as soon as one is known.
        on_update: Called with each new state.

    Raises:
        ConfigurationError: An argument is malformed.
        OSError: A file does not exist or cannot be opened.
    """

    input: str
    worker_id: str | None = None
    task_id: str | None = None
    new_task_id: str | None = None
    budget: Any = None
    files: Iterable[FileInput] = ()
    deadline: float | None = None
    on_start: StartFunction | None = None
    on_update: UpdateFunction | None = None
    operation: CreateTask = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        check_arguments(self.deadline, on_start=self.on_start, on_update=self.on_update)
        if self.task_id is not None and self.new_task_id is not None:
            raise ConfigurationError("task_id continues a task and new_task_id names a new one: pass one of them")
        task_id = self.task_id if self.task_id is not None else self.new_task_id
        operation = CreateTask(
            input=self.input,
            worker_id=self.worker_id,
            task_id=new_task_id() if task_id is None else task_id,
            budget=self.budget,
            files=to_uploads(self.files),
        )
        RetrieveTask(task_id=operation.task_id or "")  # refuses an id that cannot be part of a URL
        object.__setattr__(self, "operation", operation)


async def run_task(settings: Settings, job: Job) -> TaskWithTurns:
    """Run a task once; see `handinger_async.resources.Tasks.run`."""
    task_run = _task_run(settings, job)
    async with run_deadline(settings, job.deadline, task_run.ids):
        state = await _perform(settings, task_run, job)
    if state is None:
        raise RunUnknownError(_NO_TASK, **task_run.ids())
    return state


async def wait_for_task(settings: Settings, task_run: TaskRun, deadline: float | None) -> TaskWithTurns:
    """Wait for a task; see `handinger_async.resources.Tasks.wait`."""
    async with run_deadline(settings, deadline, task_run.ids):
        return await task_run.wait()


async def run_worker(settings: Settings, job: Job) -> Worker:
    """Run a worker of the older generation; see `handinger_async.resources.Workers.run`."""
    worker_run = WorkerRun(settings, job.worker_id, job.on_update)
    async with run_deadline(settings, job.deadline, worker_run.ids):
        return await _perform_on_older(worker_run, job)


async def wait_for_worker(settings: Settings, worker_run: WorkerRun, deadline: float | None) -> Worker:
    """Wait for a worker; see `handinger_async.resources.Workers.wait`."""
    async with run_deadline(settings, deadline, worker_run.ids):
        return await worker_run.wait()


async def run(settings: Settings, job: Job, output_schema: OutputSchema) -> Outcome[Any]:
    """Run a job on a service of either generation; see `handinger_async.Session.run`."""
    task_run, worker_run = _task_run(settings, job), WorkerRun(settings, job.worker_id, job.on_update)
    ids = task_run.ids
    async with run_deadline(settings, job.deadline, lambda: ids()):
        if not settings.generation.older:
            try:
                return await _run_on_newer(settings, task_run, job, output_schema)
            except APIStatusError as error:
                if error.status_code not in _ABSENT or not await _is_older(settings):
                    raise
        if output_schema is not None or job.operation.files or job.task_id or job.new_task_id:
            raise ConfigurationError(_TOO_OLD)
        ids = worker_run.ids
        return worker_outcome(await _perform_on_older(worker_run, job))


async def _run_on_newer(settings: Settings, task_run: TaskRun, job: Job, output_schema: OutputSchema) -> Outcome[Any]:
    state = await _perform(settings, task_run, job, output_schema)
    worker = task_run.worker
    if state is not None:
        outcome = task_outcome(state, worker or await _final_worker(settings, state))
    elif worker is not None:
        outcome = worker_outcome(worker, task_id=job.operation.task_id)
    else:
        raise RunUnknownError(_NO_TASK, **task_run.ids())
    if output_schema is None:
        return outcome
    try:
        output = decode(outcome.structured_output, output_schema, path="$.structured_output")
    except APIResponseValidationError as error:
        raise APIResponseValidationError(f"{error.message} (task {outcome.task_id})", path=error.path) from None
    return attrs.evolve(outcome, structured_output=output)


def _task_run(settings: Settings, job: Job) -> TaskRun:
    return TaskRun(settings, str(job.operation.task_id), job.worker_id, job.on_update)


async def _perform(
    settings: Settings, task_run: TaskRun, job: Job, output_schema: OutputSchema = None
) -> TaskWithTurns | None:
    """Perform a job as a task; see `TaskRun.post`."""
    operation = job.operation
    await announce(job.on_start, job.worker_id, operation.task_id)
    if job.new_task_id is not None and await task_run.find() is not None:
        return await task_run.wait()
    if job.task_id is not None:
        await task_run.continue_from_here()
    elif output_schema is not None and job.worker_id is None:
        operation = attrs.evolve(operation, worker_id=await _make_template(settings, output_schema))  # type: ignore[misc]
    return await task_run.post(operation)


async def _perform_on_older(worker_run: WorkerRun, job: Job) -> Worker:
    operation: CreateWorker | ContinueWorker = CreateWorker(input=job.input, budget=job.budget)
    if job.worker_id is not None:
        operation = ContinueWorker(worker_id=job.worker_id, input=job.input, budget=job.budget)
    await worker_run.start(operation)
    await announce(job.on_start, worker_run.worker_id, None)
    return await worker_run.wait()


async def _make_template(settings: Settings, output_schema: type[Any] | Mapping[str, Any]) -> str:
    """Return the id of a new private template with an output schema, which tasks themselves do not have.

    Raises:
        ConfigurationError: The service is of the older generation.
    """
    if await _is_older(settings):
        raise ConfigurationError(_TOO_OLD)
    template = CreateWorkerTemplate(visibility="private", output_schema=make_schema(output_schema))
    return (await send(settings, template)).id


async def _final_worker(settings: Settings, state: TaskWithTurns) -> Worker | None:
    """Return the worker in the state after a task whose response was lost, if the service still shows that."""
    try:
        worker = await send(settings, RetrieveWorker(worker_id=state.task.worker_id, task_id=state.task.id))
    except APIError:
        return None
    turn = last_turn(state)
    return worker if turn is not None and worker.output_text == turn.output_text else None


async def _is_older(settings: Settings) -> bool:
    """Return True if the service has no tasks: it does not know the path, also without an input that it could run."""
    if settings.generation.older is None:
        request = Request("POST", "/api/tasks", {"Accept": JSON, "Content-Type": JSON}, b"{}")
        try:
            await Call(settings, request).fetch()
        except APIStatusError as error:
            settings.generation.older = error.status_code in _ABSENT
        else:
            settings.generation.older = False
    return settings.generation.older
