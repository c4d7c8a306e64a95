"""Handlers of workers: their runs in the older generation, their settings in the newer one, their files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from ....codec import encode_response
from ....http import Response
from ....models import UNSET, DeleteWorkerResponse
from ....operations import (
    ContinueWorker,
    CreateWorker,
    CreateWorkerTemplate,
    DeleteWorker,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
    UpdateWorker,
)
from ....transports.memory import StreamingResponse
from ..documents import json_response
from ..errors import invalid, missing
from ..files import serve_file
from ..schemas import check_schema
from ..service import Call, Service
from ..tasks import TaskState
from ..workers import Settings, WorkerState

__all__ = ["HANDLERS", "settings_of"]

#: The longest settings, in characters.
_LIMITS = {"instructions": 20_000, "prompt": 10_000, "title": 200, "summary": 80}

#: Names of workers that nobody named.
_NAMES = ("Biscuit", "Waffles", "Pretzel", "Rufus", "Mochi", "Noodle", "Barkley", "Pepper", "Truffle", "Scout")


def _create(service: Service, operation: CreateWorker, call: Call) -> Response | StreamingResponse:
    def create() -> tuple[WorkerState, TaskState]:
        settings = settings_of(service, operation.input)
        worker_id = service.context.ids.new("t_org_123_w")
        state = service.add(worker_id, settings, call.user_id, conversation=True)
        return state, service.start(state, operation.input, call.user_id, budget=operation.budget)

    state, task = service.once(call, create)
    view = service.view_of(state, call)
    return service.stream(state, task, 0, view) if operation.streams else service.show(state, task, view)


def _continue(service: Service, operation: ContinueWorker, call: Call) -> Response | StreamingResponse:
    state = service.worker(operation.worker_id, call.user_id)

    def continue_() -> tuple[TaskState, int]:
        now = state.advance()
        task = state.latest or state.start_task(operation.input, at=now, user_id=call.user_id)
        return task, state.run(task, operation.input, operation.budget, due=now)

    task, place = service.once(call, continue_)
    view = service.view_of(state, call)
    return service.stream(state, task, place, view) if operation.streams else service.show(state, task, view)


def _retrieve(
    service: Service, operation: RetrieveWorker | StreamWorkerUpdates, call: Call
) -> Response | StreamingResponse:
    state = service.worker(operation.worker_id, call.user_id)
    state.advance()
    task = state.latest
    if isinstance(operation, RetrieveWorker) and operation.task_id is not None:
        _, task = service.task(operation.task_id, call.user_id)
        if task.worker_id != state.id:
            raise missing("task", operation.task_id)
    view = service.view_of(state, call)
    if not operation.streams:
        return service.show(state, task, view)
    last = call.request.headers.get("last-event-id", "")
    known = len(task.updates) if task else 0
    # Resume after the client's last event, if that is one of ours.
    place = int(last) if last.isascii() and last.isdecimal() and int(last) <= known else 0
    return service.stream(state, task, place, view)


def _retrieve_email(service: Service, operation: RetrieveWorkerEmail, call: Call) -> Response:
    state = service.worker(operation.worker_id, call.user_id)
    address = f"{state.id.lower()}@workers.handinger.example"
    return json_response({"email": address}) if service.api == "today" else encode_response(operation, address)


def _retrieve_file(service: Service, operation: RetrieveWorkerFile, call: Call) -> Response:
    state = service.worker(operation.worker_id, call.user_id)
    version = state.files.version(operation.file_path, state.advance())
    if version is None:
        raise missing("file", operation.file_path)
    return serve_file(version, call.request.headers)


def settings_of(service: Service, text: str, **given: Any) -> Settings:
    """Return settings with these instructions, and a made-up title unless there is one.

    Args:
        service: The service.
        text: The instructions.
        given: Other settings; those that are None have their default.
    """
    given = {name: value for name, value in given.items() if value is not None}
    name = _NAMES[len(service.workers) % len(_NAMES)]
    return Settings(**{"instructions": text, "title": name, **given})


def _create_template(service: Service, operation: CreateWorkerTemplate, call: Call) -> Response:
    _check_settings(operation)
    settings = settings_of(
        service,
        operation.instructions or operation.prompt or "",
        title=operation.title,
        summary=(operation.prompt or "")[:80] if operation.summary is None else operation.summary,
        visibility=operation.visibility,
        output_schema=operation.output_schema,
    )
    state = service.add(service.context.short_ids.new_short("wrk"), settings, call.user_id)
    return json_response(service.view_of(state, call).template(state))


def _update(service: Service, operation: UpdateWorker, call: Call) -> Response:
    state = service.worker(operation.worker_id, call.user_id, own=True)
    _check_settings(operation)
    given = {name: getattr(operation, name) for name in ("instructions", "title", "summary", "visibility")}
    changes = {name: value for name, value in given.items() if value is not None}
    if operation.output_schema is not UNSET:
        changes["output_schema"] = operation.output_schema
    state.settings = attrs.evolve(state.settings, **changes)
    state.updated = service.clock.now()
    return json_response(service.view_of(state, call).template(state))


def _check_settings(operation: CreateWorkerTemplate | UpdateWorker) -> None:
    """Check the length of the texts, the visibility and the schema."""
    for name, limit in _LIMITS.items():
        if len(getattr(operation, name, None) or "") > limit:
            raise invalid(f"{name} must have at most {limit} characters")
    if operation.title == "":
        raise invalid("title is empty")
    if operation.visibility not in (None, "public", "private"):
        raise invalid("visibility must be public or private")
    if operation.output_schema is not UNSET and operation.output_schema is not None:
        try:
            check_schema(operation.output_schema)
        except ValueError as error:
            raise invalid(str(error)) from None


def _delete(service: Service, operation: DeleteWorker, call: Call) -> Response:
    state = service.worker(operation.worker_id, call.user_id, own=True)
    state.deleted = True
    return json_response(DeleteWorkerResponse(deleted=True))


HANDLERS: dict[type, Callable[..., Any]] = {
    CreateWorker: _create,
    ContinueWorker: _continue,
    RetrieveWorker: _retrieve,
    StreamWorkerUpdates: _retrieve,
    RetrieveWorkerEmail: _retrieve_email,
    RetrieveWorkerFile: _retrieve_file,
    CreateWorkerTemplate: _create_template,
    UpdateWorker: _update,
    DeleteWorker: _delete,
}
