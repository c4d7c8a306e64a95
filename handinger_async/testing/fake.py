"""`FakeHandinger`: the whole service in memory."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Collection
from datetime import UTC, datetime
from random import Random
from typing import Any

import attrs

from ..codec import accepts_events
from ..errors import ConfigurationError, shorten
from ..http import DEFAULT_BASE_URL, Request, Response
from ..models import TaskWithTurns, Worker
from ..operations import Operation, RetrieveWorkerFile
from ..session import Session
from ..transports.memory import MemoryTransport, StreamingResponse
from ._faulty import KEPT, FaultyHandler
from ._service.clock import Clock, Ids
from ._service.errors import ServiceError
from ._service.handlers import HANDLERS
from ._service.requests import APIS, Api, is_newer, read
from ._service.service import Call, Service
from ._service.webhooks import Deliver
from ._service.workers import Context, WorkerState
from .faults import Fault
from .scripts import Matcher, Script, Step, improvise

__all__ = ["FakeHandinger"]

#: The instant at which the service's clock starts.
START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeHandinger:
    """An in-memory Handinger service: a handler for `MemoryTransport`, for `serve`, or to call directly.

    ::

        async with FakeHandinger().session() as session:
            outcome = await session.run("Compare three tents.")

    Runs go from pending through running to completed within one to two seconds. They produce made-up text, or the
    steps of a `script`. Time is the event loop's, ids derive from the seed: the same calls give the same responses, and
    in a loop of `handinger_async.testing.virtual_time` hours pass immediately.

    A stream begins with the stored updates (those after ``Last-Event-ID``, if that is given), goes on with live ones,
    and ends when the run has completed. Of a long past, the last 1,500 runs of a task, tasks of a worker's schedules
    and deliveries are stored, and the updates of the last 200 runs: a stream goes on with the first one stored.

    Schedules run when they are due; a recurring one skips a run while its worker is still running. An operation of the
    older generation whose ``Idempotency-Key`` was seen before is not performed again.

    The response to `CreateTask` comes when the run is over. The run is the service's: it goes on when the request is
    cancelled. A worker with an output schema makes up an object that fits it, if no script gives one.

    Args:
        seed: Determines ids and delays.
        api_keys: The keys that authenticate; None for any. Each key is another user.
        start: The instant of the first request on the service's clock; aware of its time zone.
        lenient: Accept ids that nobody has made. That of a worker or a task names one that is made on the spot, that of
            a schedule one that can be cancelled. A deleted worker comes back when it is asked for.
        json_streams: Respond to ``stream: true`` with JSON, unless the request has ``Accept: text/event-stream``.
        api: The operations to perform. ``"seed"``: those of the older generation. ``"today"``: those of the newer one;
            creating a worker starts no run. ``"both"``: all; each operation, and each worker by the way it was made,
            has the form of its own generation.
        turns: Send the turns of a task with the task. The latest services list them separately.
        deliver: Receives the requests to webhooks: a handler as for `MemoryTransport`, which may also return None for
            status 204; `handinger_async.testing.post_to_loopback` sends them to servers of this machine. Without it,
            deliveries fail. Their log shows each.

    Attributes:
        requests: The requests received, in order; of more than 10,000, the last ones.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        api_keys: Collection[str] | None = None,
        start: datetime = START,
        lenient: bool = False,
        json_streams: bool = False,
        api: Api = "both",
        turns: bool = True,
        deliver: Deliver | None = None,
    ) -> None:
        if isinstance(api_keys, str):
            raise ConfigurationError("api_keys must be a collection of keys, not one string")
        if api not in APIS:
            raise ConfigurationError(f"api must be one of {', '.join(APIS)}, not {shorten(repr(api), 40)}")
        self.requests: list[Request] = []
        self._runs: Counter[str] = Counter()
        self._api: Api = api
        self._api_keys = None if api_keys is None else frozenset(api_keys)
        self._json_streams = json_streams
        self._clock = Clock(start)
        self._random = Random(seed)  # noqa: S311 - deterministic on purpose
        self._request_ids = Ids(Random(seed))  # noqa: S311 - separate, so that a retried request changes no other id
        short_ids = Ids(Random(seed))  # noqa: S311
        context = Context(clock=self._clock, ids=Ids(self._random), short_ids=short_ids, direct=self._direct)
        self._service = Service(api, context, lenient=lenient, turns=turns, deliver=deliver)
        self._scripts: list[Script] = []

    # For tests ########################################################################################################

    @property
    def workers(self) -> dict[str, Worker]:
        """All workers in their current state, by id, in the order of their creation. Deleted ones are left out.

        Runs of schedules that are due begin at once: many of them hold the event loop, unlike in a request.
        """
        workers = self._service.workers.values()
        return {worker.id: self._service.worker_now(worker) for worker in workers if not worker.deleted}

    @property
    def tasks(self) -> dict[str, TaskWithTurns]:
        """All tasks in their current state, by id, in the order of their creation, as far as they are stored."""
        self._advance()
        return {task.id: self._service.task_now(task) for task in self._service.context.tasks.values()}

    @property
    def runs(self) -> Counter[str]:
        """The number of runs started with each instruction, those of schedules that are due by now among them."""
        self._advance()
        return self._runs

    def _advance(self) -> None:
        for worker in self._service.workers.values():
            worker.advance()

    def script(self, *steps: Step | str, match: Matcher = None, times: int | None = None) -> None:
        """Set the steps of matching runs.

        Scripts are tried in the order in which they were added; the first that matches a run is used for it.

        Args:
            steps: The steps, or just their texts. Without any, the worker completes immediately.
            match: Selects runs: by a part of their instruction, or by a function of it that returns True; None for all.
            times: The number of runs that use the script; None for no limit.
        """
        taken = tuple(Step(step) if isinstance(step, str) else step for step in steps)
        self._scripts.append(Script(taken, match, times))

    def session(self, *faults: Fault, **options: Any) -> Session:
        """Return a new session with this service.

        ::

            async with FakeHandinger().session(Status(429, times=2)) as session:
                await session.workers.create(input="x")  # is retried twice

        Args:
            faults: Faults to inject; see `handinger_async.testing.faults`.
            options: Arguments of `Session`, except ``base_url`` and ``transport``.
        """
        handler = FaultyHandler(self, *faults) if faults else self
        key = "test" if self._api_keys is None else min(self._api_keys, default="test")
        return Session(**{"api_key": key, **options}, base_url=DEFAULT_BASE_URL, transport=MemoryTransport(handler))

    def publish(self, worker_id: str, path: str, data: bytes, *, media_type: str | None = None) -> None:
        """Publish a file of a worker, or a new version of one.

        Args:
            worker_id: The worker.
            path: The file's path, such as ``"scratchpad/plan.md"``.
            data: The content.
            media_type: The media type; None to guess it from the path.

        Raises:
            ConfigurationError: There is no such worker, or the path is not valid in a request.
        """
        operation = RetrieveWorkerFile(file_path=path, worker_id=worker_id)
        try:
            state = self._service.worker(operation.worker_id, None)
        except ServiceError:
            raise ConfigurationError(f"there is no worker {shorten(worker_id)!r} to publish a file of") from None
        state.files.publish(path, data, at=self._clock.now(), media_type=media_type)

    # The service ######################################################################################################

    def __call__(self, request: Request) -> Response | StreamingResponse | Awaitable[Response | StreamingResponse]:
        """Respond to a request. What it starts, it has started when this returns.

        Args:
            request: The request.

        Returns:
            The response; a `StreamingResponse` for a stream of events. For `CreateTask`, and while many scheduled
            runs are overdue, it is an awaitable of the response.
        """
        self.requests.append(request)
        del self.requests[:-KEPT]
        self._clock.now()  # the first reading starts the clock
        try:
            call = Call(request, self._authenticate(request))
            operation = read(request, self._api)
        except ServiceError as error:
            return self._refuse(error, request)
        accepts = accepts_events(request)
        if getattr(operation, "stream", None) and (accepts is False or (self._json_streams and not accepts)):
            operation = attrs.evolve(operation, stream=False)  # type: ignore[misc]
        state = self._service.worker_of(operation)
        if state is not None and not state.start_due():
            return self._catch_up(state, operation, call)
        return self._respond(operation, call)

    async def _catch_up(
        self, state: WorkerState, operation: Operation[Any], call: Call
    ) -> Response | StreamingResponse:
        await state.catch_up()
        response = self._respond(operation, call)
        return await response if inspect.isawaitable(response) else response

    def _respond(
        self, operation: Operation[Any], call: Call
    ) -> Response | StreamingResponse | Awaitable[Response | StreamingResponse]:
        handler = HANDLERS.get(type(operation))
        try:
            if handler is None:
                name = type(operation).__name__
                message = f"FakeHandinger has no handler for {name}: add one to a module of testing/_service/handlers"
                raise ServiceError(501, "not_implemented", message)
            response = handler(self._service, operation, call)
        except ServiceError as error:
            return self._refuse(error, call.request)
        state = self._service.worker_of(operation)
        if state is not None:
            self._service.deliveries.start(state)
        return self._label_later(response) if inspect.isawaitable(response) else self._label(response)

    def _refuse(self, error: ServiceError, request: Request) -> Response | StreamingResponse:
        return self._label(error.response(plain=is_newer(request, self._api)))

    def _label(self, response: Response | StreamingResponse) -> Response | StreamingResponse:
        return attrs.evolve(response, headers=response.headers | {"X-Request-Id": self._request_ids.new("req")})

    async def _label_later(self, response: Awaitable[Response]) -> Response | StreamingResponse:
        return self._label(await response)

    def _authenticate(self, request: Request) -> str:
        """Return the id of the user."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key or (self._api_keys is not None and key not in self._api_keys):
            message = "The API key is missing or unknown."
            raise ServiceError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})
        return self._service.user(key)

    def _direct(self, text: str) -> tuple[tuple[Step, ...], bool]:
        """Return the steps of a run with this instruction, and True if they are made up."""
        self._runs[text] += 1
        for script in self._scripts:
            if script.take(text):
                return script.steps, False
        return improvise(text, self._random), True
