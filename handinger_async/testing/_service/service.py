"""The state of the in-memory service, and the parts that its handlers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs

from ...http import DEFAULT_BASE_URL, EVENT_STREAM, Headers, Request, Response
from ...models import TaskWithTurns, Worker
from ...operations import Operation
from ...sse import ServerSentEvent, encode_event
from ...transports.memory import StreamingResponse
from .documents import json_response, to_text
from .errors import ServiceError, missing
from .requests import FILES, Api
from .tasks import TaskState
from .views import View
from .webhooks import Deliver, Deliveries
from .workers import Context, Settings, WorkerState

__all__ = ["Call", "Service"]


@attrs.frozen
class Call:
    """The circumstances of an operation.

    Args:
        request: The request.
        user_id: The user to whom the API key belongs.
    """

    request: Request
    user_id: str


class Service:
    """Workers, tasks and webhooks, and the users who may see them.

    Args:
        api: The generation of the service.
        context: The parts that the workers share.
        lenient: Accept ids that nobody has made.
        turns: Show the turns of a task with it.
        deliver: Receives the deliveries of webhooks.
    """

    def __init__(self, api: Api, context: Context, *, lenient: bool, turns: bool, deliver: Deliver | None) -> None:
        self.api = api
        self.context = context
        self.clock = context.clock
        self.lenient = lenient
        self.turns = turns
        self.workers: dict[str, WorkerState] = {}
        self._organization_id = context.short_ids.new_short("org")
        self._users: dict[str, str] = {}
        self._performed: dict[str, tuple[Request, Any]] = {}
        self.deliveries = Deliveries(self.clock, context.ids, self.view(newer=True), deliver)

    # Users ############################################################################################################

    def user(self, key: str) -> str:
        """Return the id of the user with an API key."""
        if key not in self._users:
            self._users[key] = self.context.short_ids.new_short("usr")
        return self._users[key]

    # Workers and tasks ################################################################################################

    def add(self, worker_id: str, settings: Settings, user_id: str, *, conversation: bool = False) -> WorkerState:
        """Add a worker without tasks."""
        state = WorkerState(worker_id, self.context, settings, user_id=user_id, conversation=conversation)
        self.workers[worker_id] = state
        return state

    def start(
        self,
        worker: WorkerState,
        text: str,
        user_id: str | None,
        *,
        budget: str | None = None,
        task_id: str | None = None,
    ) -> TaskState:
        """Start a new task of a worker."""
        now = worker.advance()
        task = worker.start_task(text, at=now, task_id=task_id, user_id=user_id)
        worker.run(task, text, budget, due=now)
        return task

    def worker_of(self, operation: Operation[Any]) -> WorkerState | None:
        """Return the worker that an operation names, by itself or by its task; None for none."""
        task = self.context.tasks.get(getattr(operation, "task_id", None) or "")
        worker_id = getattr(operation, "worker_id", None) or (task.worker_id if task else "")
        return self.workers.get(worker_id)

    def worker(self, worker_id: str, user_id: str | None, *, own: bool = False, run: bool = True) -> WorkerState:
        """Return a worker.

        Args:
            worker_id: Its id.
            user_id: The user who asks for it; None for one who may see everything.
            own: Only its creator may do this.
            run: Let a worker that a lenient service makes on the spot run.

        Raises:
            ServiceError: There is none (404), or the user has no access to it (403).
        """
        state = self.workers.get(worker_id)
        if state is None and self.lenient:
            settings = Settings(instructions="Made on the spot.", title="Made on the spot")
            state = self.add(worker_id, settings, user_id or "", conversation=self.api != "today")
            if run:
                self.start(state, "Made on the spot.", user_id)
        if state is not None and self.lenient:
            state.deleted = False
        if state is None or state.deleted:
            raise missing("worker", worker_id)
        _check_access(state, user_id, own=own)
        return state

    def task(self, task_id: str, user_id: str, *, own: bool = False) -> tuple[WorkerState, TaskState]:
        """Return a task, also an archived one or one of a deleted worker, and its worker.

        Raises:
            ServiceError: There is none (404), or the user has no access to it (403).
        """
        task = self.context.tasks.get(task_id)
        if task is None and self.lenient:
            state = self.worker(self.context.short_ids.new_short("wrk"), user_id, run=False)
            task = self.start(state, "Made on the spot.", user_id, task_id=task_id)
        if task is None:
            raise missing("task", task_id)
        state = self.workers[task.worker_id]
        _check_access(state, user_id, own=own)
        return state, task

    def once(self, call: Call, effect: Callable[[], Any]) -> Any:
        """Return the result of ``effect``; for an idempotency key seen before, the result of the first time."""
        key = call.request.headers.get("idempotency-key")
        if key is None:
            return effect()
        if key not in self._performed:
            self._performed[key] = call.request, effect()
        before, result = self._performed[key]
        if (before.target, before.body) != (call.request.target, call.request.body):
            raise ServiceError(422, "idempotency_key_reused", "The Idempotency-Key was used for another request.")
        return result

    # Responses ########################################################################################################

    def view(self, *, newer: bool, base_url: str = DEFAULT_BASE_URL) -> View:
        """Return the rendering of workers."""
        return View(
            clock=self.clock,
            base_url=base_url,
            organization_id=self._organization_id,
            newer=newer,
            files=FILES[self.api],
        )

    def view_of(self, worker: WorkerState, call: Call, *, newer: bool = False) -> View:
        """Return the rendering of a worker in the response to a request: by the generation that made it, or newer."""
        headers = call.request.headers
        base_url = f"http://{headers['host']}" if "host" in headers else DEFAULT_BASE_URL
        return self.view(newer=newer or self._is_newer(worker), base_url=base_url)

    def worker_now(self, worker: WorkerState) -> Worker:
        """Return a worker as it is now, in the form of the generation that made it."""
        now = worker.advance()
        task = worker.latest
        view = self.view(newer=self._is_newer(worker))
        return view.worker(worker, task, task.current(now) if task else None, at=now)

    def task_now(self, task: TaskState) -> TaskWithTurns:
        """Return a task with its turns as it is now."""
        worker = self.workers[task.worker_id]
        now = worker.advance()
        view = self.view(newer=True)
        return TaskWithTurns(task=view.task(task, now), turns=view.turns(worker, task, now))

    def _is_newer(self, worker: WorkerState) -> bool:
        return self.api == "today" or (self.api == "both" and not worker.conversation)

    def show(self, worker: WorkerState, task: TaskState | None, view: View) -> Response:
        """Return the response with a worker as it is now."""
        now = worker.advance()
        shown = view.worker(worker, task, task.current(now) if task else None, at=now)
        return json_response(shown, newer=view.newer)

    def stream(self, worker: WorkerState, task: TaskState | None, place: int, view: View) -> StreamingResponse:
        """Return the response with the updates of a task, from index ``place`` on."""
        headers = Headers({"Content-Type": EVENT_STREAM, "Cache-Control": "no-cache"})
        return StreamingResponse(200, headers, _events(worker, task, place, view) if task else [])


def _check_access(worker: WorkerState, user_id: str | None, *, own: bool) -> None:
    """Refuse the private workers of other users, and all others where only the creator may do something."""
    if user_id is None or user_id == worker.user_id:
        return
    if worker.settings.visibility == "private":
        raise ServiceError(403, "forbidden", "The worker is private.")
    if own:
        raise ServiceError(403, "forbidden", "Only the creator of the worker may do this.")


async def _events(worker: WorkerState, task: TaskState, place: int, view: View) -> AsyncIterator[bytes]:
    while (found := await worker.wait_for(task, place)) is not None:
        place, update = found
        place += 1
        data = update.data
        if data is None:
            data = to_text(view.worker(worker, task, update, at=update.at), newer=view.newer)
        yield encode_event(ServerSentEvent(data, id=str(place)))
