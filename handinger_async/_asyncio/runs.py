"""The runs of a session: on services of either generation, and what their results have in common."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from typing import Any, overload

import attrs

from ..errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    RunError,
    RunTimeoutError,
    RunUnknownError,
)
from ..http import JSON, Request
from ..models import TaskWithTurns, Worker
from ..models.outcomes import Outcome, worker_outcome
from ..operations import ContinueWorker, CreateTask, CreateWorker, CreateWorkerTemplate, RetrieveTask, RetrieveWorker
from ..schema import decode, make_schema
from ..uploads import FileInput, to_uploads
from .calls import Call, Settings, send
from .polling import StartFunction, UpdateFunction, announce, check_arguments, run_deadline
from .starting import is_template
from .task_runs import NO_TASK, TaskRun, make_task_id
from .worker_runs import WorkerRun

__all__ = [
    "INTERRUPTED",
    "Job",
    "decode_output",
    "find_run",
    "is_older",
    "make_template",
    "run",
    "run_task",
    "run_worker",
    "wait_for_task",
    "wait_for_worker",
]

#: Statuses of a path that a service does not have, and of one that it has, for a request without an input.
_ABSENT = (404, 405)
_KNOWN = (400, 422)
#: Seconds to retrieve the worker of an outcome whose response was lost: only for its files and costs.
_EXTRA_TIME = 10.0
INTERRUPTED = "the program ended before the response"
_TOO_OLD = "this service is of the older generation, without files, output_schema, task_id and new_task_id"


def _check_schema(job: object, field: object, output_schema: type[Any] | Mapping[str, Any] | None) -> None:
    """Refuse what is no schema before anything is sent."""
    if output_schema is not None:
        make_schema(output_schema)


@attrs.frozen(kw_only=True)
class Job:
    """The arguments of a run.

    Args:
        input: The message.
        worker_id: The id of the worker; None for a new one.
        task_id: The id of the task to continue.
        new_task_id: An id for a new task. If the service knows it already, it is waited for and nothing is sent.
        budget: The cost limit.
        files: The files to upload.
        deadline: The time limit in seconds; None for that of the session.
        on_start: Called with the ids as soon as one is known.
        on_update: Called with each new state.
        output_schema: The class or the JSON Schema of the structured output.

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
    output_schema: Any = attrs.field(default=None, validator=_check_schema)
    operation: CreateTask = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        check_arguments(self.deadline, on_start=self.on_start, on_update=self.on_update)
        if self.task_id is not None and self.new_task_id is not None:
            raise ConfigurationError("task_id continues a task and new_task_id names a new one: pass one of them")
        task_id = self.task_id if self.task_id is not None else self.new_task_id
        operation = CreateTask(
            input=self.input,
            worker_id=self.worker_id,
            task_id=make_task_id() if task_id is None else task_id,
            budget=self.budget,
            files=to_uploads(self.files),
        )
        RetrieveTask(task_id=operation.task_id or "")  # refuses an id that cannot be part of a URL
        object.__setattr__(self, "operation", operation)


async def run_task(settings: Settings, job: Job) -> TaskWithTurns:
    """Run a task once; see `handinger_async.resources.Tasks.run`."""
    task_run = _task_run(settings, job)
    state = None
    try:
        async with run_deadline(settings, job.deadline, lambda: task_run):
            state = await _perform(settings, task_run, job)
    except RunTimeoutError:
        if not task_run.is_over:
            raise
        state = task_run.result()
    if state is None:
        raise RunUnknownError(NO_TASK, **task_run.ids(), outcome=task_run.outcome(None))
    return state


async def wait_for_task(settings: Settings, task_run: TaskRun, deadline: float | None) -> TaskWithTurns:
    """Wait for a task; see `handinger_async.resources.Tasks.wait`."""
    async with run_deadline(settings, deadline, lambda: task_run):
        return await task_run.wait()


async def run_worker(settings: Settings, job: Job) -> Worker:
    """Run a worker of the older generation; see `handinger_async.resources.Workers.run`."""
    worker_run = WorkerRun(settings, job.worker_id, job.on_update)
    async with run_deadline(settings, job.deadline, lambda: worker_run):
        return await _perform_on_older(worker_run, job)


async def wait_for_worker(settings: Settings, worker_run: WorkerRun, deadline: float | None) -> Worker:
    """Wait for a worker; see `handinger_async.resources.Workers.wait`."""
    async with run_deadline(settings, deadline, lambda: worker_run):
        return await worker_run.wait()


async def run(settings: Settings, job: Job, ends: float | None = None) -> Outcome[Any]:
    """Run a job on a service of either generation; see `handinger_async.Session.run`.

    Args:
        settings: The settings of the session.
        job: The arguments.
        ends: The time of the event loop at which to give up, if that is before the deadline.
    """
    left = _Left(settings, job.deadline, ends)
    task_run = _task_run(settings, job)
    current: TaskRun | WorkerRun = task_run
    state = None
    try:
        async with run_deadline(settings, left.seconds(), lambda: current):
            older = settings.generation.older
            if not older:
                try:
                    state = await _perform(settings, task_run, job)
                except APIStatusError as error:
                    if error.status_code not in _ABSENT or not await is_older(settings):
                        raise
                    older = True
            if older:
                if job.output_schema is not None or job.operation.files or job.task_id or job.new_task_id:
                    raise ConfigurationError(_TOO_OLD)
                current = worker_run = WorkerRun(settings, job.worker_id, job.on_update)
                return worker_outcome(await _perform_on_older(worker_run, job))
    except RunTimeoutError:
        if not task_run.is_over:
            raise
        state = task_run.result()
    except APIResponseValidationError as error:
        if is_template(error):  # it was of the newer generation after all
            settings.generation.older = None
        raise
    return await _finish(settings, task_run, state, job, left.seconds(_EXTRA_TIME))


async def find_run(
    settings: Settings,
    *,
    worker_id: str | None,
    task_id: str | None,
    grace: float,
    ends: float | None = None,
    on_update: UpdateFunction | None = None,
) -> Outcome[Any]:
    """Wait for a run that another process has started, or may have.

    Args:
        settings: The settings of the session.
        worker_id: The id of the worker; of a task, if it is known.
        task_id: The id of the task; None for a run on a service of the older generation.
        grace: Seconds for which the service may not know the task.
        ends: The time of the event loop at which to give up, if that is before the deadline of the session.
        on_update: Called with each new state.

    Raises:
        RunFailedError: The run ended in failure.
        RunTimeoutError: It had not ended in time.
        RunUnknownError: The service does not know the task.
        APIError: The service does not know the worker, or refuses the question.
    """
    left = _Left(settings, None, ends)
    if task_id is None:
        worker_run = WorkerRun(settings, worker_id, on_update)
        async with run_deadline(settings, left.seconds(), lambda: worker_run):
            return worker_outcome(await worker_run.wait())
    task_run = TaskRun(settings, task_id, worker_id, on_update)
    async with run_deadline(settings, left.seconds(), lambda: task_run):
        state = await task_run.settle(APIConnectionError(INTERRUPTED), grace)
    outcome = task_run.outcome(state)
    worker = await _final_worker(settings, outcome, left.seconds(_EXTRA_TIME))
    return outcome if worker is None else task_run.outcome(state, worker)


class _Left:
    """The time that is left of a run.

    Args:
        settings: The settings of the session.
        deadline: The time limit in seconds; None for that of the session.
        ends: The time of the event loop at which it ends at the latest.
    """

    def __init__(self, settings: Settings, deadline: float | None, ends: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        limit = settings.options.timeouts.deadline if deadline is None else deadline
        self._end = min(math.inf if limit is None else self._loop.time() + limit, math.inf if ends is None else ends)

    @overload
    def seconds(self) -> float | None: ...

    @overload
    def seconds(self, most: float) -> float: ...

    def seconds(self, most: float = math.inf) -> float | None:
        """Return the seconds that are left, and no more than ``most``; None for no limit."""
        left = min(most, max(0.0, self._end - self._loop.time()))
        return None if left == math.inf else left


def _task_run(settings: Settings, job: Job) -> TaskRun:
    return TaskRun(settings, str(job.operation.task_id), job.worker_id, job.on_update)


async def _perform(settings: Settings, task_run: TaskRun, job: Job) -> TaskWithTurns | None:
    """Perform a job as a task; see `TaskRun.post`."""
    operation = job.operation
    await announce(job.on_start, job.worker_id, operation.task_id)
    if job.new_task_id is not None and await task_run.find():
        return await task_run.wait()
    if job.task_id is not None:
        await task_run.continue_from_here()
    elif job.output_schema is not None and job.worker_id is None:
        worker_id = await make_template(settings, make_schema(job.output_schema))
        operation = attrs.evolve(operation, worker_id=worker_id)  # type: ignore[misc]
    return await task_run.post(operation)


async def _finish(
    settings: Settings, task_run: TaskRun, state: TaskWithTurns | None, job: Job, extra_time: float
) -> Outcome[Any]:
    """Return the outcome, with the structured output decoded."""
    worker = None
    if state is not None and task_run.worker is None:
        worker = await _final_worker(settings, task_run.outcome(state), extra_time)
    return decode_output(task_run.outcome(state, worker), job.output_schema)


def decode_output(outcome: Outcome[Any], output_schema: Any) -> Outcome[Any]:
    """Return an outcome with its structured output decoded.

    Args:
        outcome: The outcome, with the structured output as JSON.
        output_schema: The class or the JSON Schema; None for none.

    Raises:
        APIResponseValidationError: It does not fit.
    """
    if output_schema is None:
        return outcome
    try:
        if outcome.structured_output is None:
            raise APIResponseValidationError("$.structured_output is null", path="$.structured_output")
        output = decode(outcome.structured_output, output_schema, path="$.structured_output")
    except Exception as error:
        raise _mismatch(error, outcome) from error
    return attrs.evolve(outcome, structured_output=output)


def _mismatch(error: Exception, outcome: Outcome[Any]) -> APIResponseValidationError:
    """Return the error for a structured output that does not fit its class, or that a validator of it refuses."""
    path, reason = "$.structured_output", f"$.structured_output is refused: {error!r}"
    if isinstance(error, APIResponseValidationError):
        path, reason = error.path, error.message
    mismatch = APIResponseValidationError(f"{reason} (task {outcome.task_id})", path=path)
    mismatch.outcome = outcome
    return mismatch


async def _perform_on_older(worker_run: WorkerRun, job: Job) -> Worker:
    operation: CreateWorker | ContinueWorker = CreateWorker(input=job.input, budget=job.budget)
    if job.worker_id is not None:
        operation = ContinueWorker(worker_id=job.worker_id, input=job.input, budget=job.budget)
    await worker_run.start(operation)
    await announce(job.on_start, worker_run.worker_id, None)
    try:
        return await worker_run.wait()
    except RunError:
        raise
    except Exception as error:
        raise RunUnknownError(f"the run may go on: {error}", **worker_run.ids()) from error


async def make_template(settings: Settings, output_schema: dict[str, Any]) -> str:
    """Return the id of a new private template with an output schema, which tasks themselves do not have.

    Raises:
        ConfigurationError: The service is of the older generation.
    """
    if await is_older(settings):
        raise ConfigurationError(_TOO_OLD)
    template = CreateWorkerTemplate(visibility="private", output_schema=output_schema)
    return (await send(settings.without_additions(), template)).id


async def _final_worker(settings: Settings, outcome: Outcome[Any], extra_time: float) -> Worker | None:
    """Return the worker in the state after a task whose response was lost, if the service still shows that."""
    try:
        async with asyncio.timeout(extra_time):
            operation = RetrieveWorker(worker_id=str(outcome.worker_id), task_id=outcome.task_id)
            worker = await send(settings, operation)
    except Exception:  # also of a function for the key: the run is over
        return None
    shown = (worker.output_text, worker.structured_output)
    same = any(shown) and shown == (outcome.output_text, outcome.structured_output)
    return worker if same and not worker.running else None


async def is_older(settings: Settings) -> bool:
    """Return True if the service has no tasks: it does not know the path, also without an input that it could run.

    Raises:
        APIError: The service does not say.
    """
    if settings.generation.older is None:
        request = Request("POST", "/api/tasks", {"Accept": JSON, "Content-Type": JSON}, b"{}")
        try:
            await Call(settings.without_additions(), request).fetch()
        except APIStatusError as error:
            if error.status_code not in (*_ABSENT, *_KNOWN):
                raise
            settings.generation.older = error.status_code in _ABSENT
        else:
            settings.generation.older = False
    return settings.generation.older
