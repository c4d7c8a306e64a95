"""Handlers of tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ....errors import ConfigurationError
from ....http import Response
from ....models import DeleteTaskResponse, TaskTurnList, TaskWithTurns
from ....operations import CreateTask, DeleteTask, ListTaskTurns, RetrieveTask, RetrieveWorkerFile
from ....transports.memory import StreamingResponse
from ..documents import json_response
from ..errors import invalid, missing
from ..service import Call, Service
from ..tasks import TaskState
from ..views import View
from ..workers import WorkerState
from .workers import settings_of

__all__ = ["HANDLERS", "store_files"]


def _create(service: Service, operation: CreateTask, call: Call) -> Response | StreamingResponse | Awaitable[Response]:
    """Start or continue a task. What follows is the service's: the run goes on when the client does not wait for it."""
    worker, task = _task_of(service, operation, call)
    now = worker.advance()
    store_files(worker, getattr(operation, "files", ()), at=now)
    if task is None:
        task = worker.start_task(operation.input, at=now, task_id=operation.task_id, user_id=call.user_id)
    place = worker.run(task, operation.input, operation.budget, due=now)
    view = service.view_of(worker, call, newer=True)
    if operation.streams:
        return service.stream(worker, task, place, view)
    return _finish(worker, task, len(task.runs) - 1, view)


async def _finish(worker: WorkerState, task: TaskState, run: int, view: View) -> Response:
    end = await worker.wait_for_end(task, run)
    return json_response(view.worker(worker, task, end, at=end.at))


def _task_of(service: Service, operation: CreateTask, call: Call) -> tuple[WorkerState, TaskState | None]:
    """Return the worker and the task to continue, or the worker for a new task: a new one if none is named."""
    task = service.context.tasks.get(operation.task_id or "")
    if task is not None:
        if operation.worker_id not in (None, task.worker_id):
            raise missing("task of this worker", task.id)
        return service.worker(task.worker_id, call.user_id), task
    if operation.worker_id is not None:
        return service.worker(operation.worker_id, call.user_id, run=False), None
    settings = settings_of(service, operation.input)
    return service.add(service.context.short_ids.new_short("wrk"), settings, call.user_id), None


def store_files(worker: WorkerState, files: Any, *, at: float) -> None:
    """Put uploaded files into the space of a worker.

    Args:
        worker: The worker.
        files: The files, each with ``filename``, ``media_type`` and ``read()``.
        at: The current moment, in seconds of the service's clock.

    Raises:
        ServiceError: A name is not a path (422).
    """
    for file in files:
        try:
            RetrieveWorkerFile(file_path=file.filename, worker_id=worker.id)
        except ConfigurationError as error:
            raise invalid(f"files: {error}") from None
    for file in files:
        worker.files.publish(file.filename, file.read(), at=at, media_type=file.media_type)


def _retrieve(service: Service, operation: RetrieveTask, call: Call) -> Response:
    worker, task = service.task(operation.task_id, call.user_id)
    view = service.view_of(worker, call, newer=True)
    now = worker.advance()
    turns = view.turns(worker, task, now) if service.turns else None
    return json_response(TaskWithTurns(task=view.task(task, now), turns=turns))


def _list_turns(service: Service, operation: ListTaskTurns, call: Call) -> Response:
    worker, task = service.task(operation.task_id, call.user_id)
    view = service.view_of(worker, call, newer=True)
    return json_response(TaskTurnList(items=view.turns(worker, task, worker.advance()), task_id=task.id))


def _delete(service: Service, operation: DeleteTask, call: Call) -> Response:
    _, task = service.task(operation.task_id, call.user_id, own=True)
    task.archived = True
    return json_response(DeleteTaskResponse(archived=True))


HANDLERS: dict[type, Callable[..., Any]] = {
    CreateTask: _create,
    RetrieveTask: _retrieve,
    ListTaskTurns: _list_turns,
    DeleteTask: _delete,
}
