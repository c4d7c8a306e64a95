"""`FakeHandinger`: the whole service in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from random import Random
from typing import Any

import attrs

from .._forms import is_form
from .._json import loads
from ..codec import accepts_events, decode_request, encode_response, to_json
from ..errors import ConfigurationError, shorten
from ..http import DEFAULT_BASE_URL, EVENT_STREAM, Headers, Request, Response
from ..models import ScheduleCancelResponse, ScheduleListResponse, Worker
from ..operations import (
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateWorker,
    ListSchedules,
    Operation,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from ..session import Session
from ..sse import ServerSentEvent, encode_event
from ..transports.memory import MemoryTransport, StreamingResponse
from ._service.clock import Clock, Ids
from ._service.errors import ServiceError
from ._service.files import serve_file
from ._service.schedules import KnownSchedule, plan
from ._service.state import WorkerState
from ._service.usage import BUDGETS
from .faults import KEPT, Fault, FaultyHandler
from .scripts import Matcher, Script, Step, improvise

__all__ = ["FakeHandinger"]

#: The instant at which the service's clock starts.
START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeHandinger:
    """An in-memory Handinger service: a handler for `MemoryTransport`, for `serve`, or to call directly.

    ::

        async with FakeHandinger().session() as session:
            worker = await session.workers.create(input="What's the weather today in Barcelona?")

    Workers go from pending through running to completed within one to two seconds. They produce made-up text, or the
    steps of a `script`. Time is the event loop's, ids derive from the seed: the same calls give the same responses, and
    in a loop of `handinger_async.testing.virtual_time` hours pass immediately.

    A stream begins with the stored updates (those after ``Last-Event-ID``, if that is given), goes on with live ones,
    and ends when the worker has completed. Schedules run when they are due; a recurring one skips a run while its
    worker is still running. A request whose ``Idempotency-Key`` was seen before is not performed again.

    Args:
        seed: Determines ids and delays.
        api_keys: The keys that authenticate; None for any.
        start: The instant of the first request on the service's clock; aware of its time zone.
        lenient: Accept ids that nobody has made. That of a worker names one that is made on the spot, that of a
            schedule one that can be cancelled.
        json_streams: Respond to ``stream: true`` with JSON, unless the request has ``Accept: text/event-stream``.

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
    ) -> None:
        if isinstance(api_keys, str):
            raise ConfigurationError("api_keys must be a collection of keys, not one string")
        self.requests: list[Request] = []
        self._api_keys = None if api_keys is None else frozenset(api_keys)
        self._lenient = lenient
        self._json_streams = json_streams
        self._clock = Clock(start)
        self._random = Random(seed)  # noqa: S311 - deterministic on purpose
        self._ids = Ids(self._random)
        self._request_ids = Ids(Random(seed))  # noqa: S311 - separate, so that a retried request changes no other id
        self._workers: dict[str, WorkerState] = {}
        self._scripts: list[Script] = []
        self._performed: dict[str, tuple[Request, Any]] = {}

    # For tests ########################################################################################################

    @property
    def workers(self) -> dict[str, Worker]:
        """All workers in their current state, by id, in the order of their creation."""
        return {state.id: state.current(DEFAULT_BASE_URL) for state in self._workers.values()}

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
            state = self._find(operation.worker_id)
        except ServiceError:
            raise ConfigurationError(f"there is no worker {shorten(worker_id)!r} to publish a file of") from None
        state.publish(path, data, at=self._clock.now(), media_type=media_type)

    # The service ######################################################################################################

    def __call__(self, request: Request) -> Response | StreamingResponse:
        """Respond to a request.

        Args:
            request: The request.

        Returns:
            The response; a `StreamingResponse` for a stream of events. While hundreds of scheduled runs are overdue,
            it is an awaitable of the response, so that the event loop is not blocked.
        """
        self.requests.append(request)
        del self.requests[:-KEPT]
        self._clock.now()  # the first reading starts the clock
        try:
            self._authenticate(request)
            operation = self._read(request)
        except ServiceError as error:
            return self._label(error.response)
        state = self._workers.get(getattr(operation, "worker_id", ""))
        if state is not None and not state.start_due():
            return self._catch_up(state, operation, request)  # type: ignore[return-value]
        return self._respond(operation, request)

    async def _catch_up(
        self, state: WorkerState, operation: Operation[Any], request: Request
    ) -> Response | StreamingResponse:
        await state.catch_up()
        return self._respond(operation, request)

    def _respond(self, operation: Operation[Any], request: Request) -> Response | StreamingResponse:
        try:
            return self._label(self._perform(operation, request))
        except ServiceError as error:
            return self._label(error.response)

    def _label(self, response: Response | StreamingResponse) -> Response | StreamingResponse:
        return attrs.evolve(response, headers=response.headers | {"X-Request-Id": self._request_ids.new("req")})

    def _authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key or (self._api_keys is not None and key not in self._api_keys):
            message = "The API key is missing or unknown."
            raise ServiceError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})

    def _read(self, request: Request) -> Operation[Any]:
        """Return the operation of a request, with its arguments checked."""
        try:
            operation = decode_request(request)
        except LookupError as error:
            raise ServiceError(404, "not_found", str(error.args[0])) from None
        except ValueError as error:
            if request.method not in ("POST", "PUT", "PATCH"):
                raise ServiceError(400, "bad_request", str(error)) from None
            if not is_form(request) and not _is_json(request.read_body()):
                raise ServiceError(400, "malformed_json", f"The body is not JSON: {shorten(str(error), 120)}") from None
            raise ServiceError(422, "validation_error", str(error)) from None
        if not getattr(operation, "input", "x").strip():
            raise ServiceError(422, "validation_error", "input is empty")
        budget = getattr(operation, "budget", None)
        if budget is not None and budget not in BUDGETS:
            message = f"budget must be one of {', '.join(BUDGETS)}, not {shorten(repr(budget), 80)}"
            raise ServiceError(422, "validation_error", message)
        if self._json_streams and getattr(operation, "stream", None) and not accepts_events(request):
            operation = attrs.evolve(operation, stream=False)  # type: ignore[misc]
        return operation

    def _perform(self, operation: Operation[Any], request: Request) -> Response | StreamingResponse:
        match operation:
            case CreateWorker():
                state, _ = self._once(request, lambda: self._create(operation))
                return self._worker(operation, state, 0, request)
            case RetrieveWorker() | StreamWorkerUpdates():
                state = self._find(operation.worker_id)
                return self._worker(operation, state, _resume_at(request, len(state.updates)), request)
            case ContinueWorker():
                self._find(operation.worker_id)
                state, place = self._once(request, lambda: self._continue(operation))
                return self._worker(operation, state, place, request)
            case RetrieveWorkerEmail():
                state = self._find(operation.worker_id)
                return encode_response(operation, f"{state.id.lower()}@workers.handinger.example")
            case RetrieveWorkerFile():
                return self._file(operation, request)
            case ListSchedules():
                state = self._find(operation.worker_id)
                state.advance()
                schedules = [planned.schedule for planned in state.schedules.values()]
                return encode_response(operation, ScheduleListResponse(schedules=[*schedules], worker_id=state.id))
            case CreateSchedule():
                return encode_response(operation, self._once(request, lambda: self._schedule(operation)))
            case CancelSchedule():
                return encode_response(operation, self._once(request, lambda: self._cancel(operation)))
        name = type(operation).__name__
        raise ServiceError(
            501, "not_implemented", f"FakeHandinger has no case for {name}: add one to _perform in testing/fake.py"
        )

    def _once(self, request: Request, effect: Callable[[], Any]) -> Any:
        """Return the result of ``effect``; for an idempotency key seen before, the result of the first time."""
        key = request.headers.get("idempotency-key")
        if key is None:
            return effect()
        if key not in self._performed:
            self._performed[key] = request, effect()
        before, result = self._performed[key]
        if (before.target, before.body) != (request.target, request.body):
            raise ServiceError(422, "idempotency_key_reused", "The Idempotency-Key was used for another request.")
        return result

    def _find(self, worker_id: str) -> WorkerState:
        if worker_id not in self._workers:
            if not self._lenient:
                raise ServiceError(404, "not_found", f"There is no worker {shorten(worker_id, 120)}.")
            self._add(worker_id).run("Made on the spot.", None, due=self._clock.now())
        return self._workers[worker_id]

    def _add(self, worker_id: str) -> WorkerState:
        state = self._workers[worker_id] = WorkerState(worker_id, self._clock, self._ids, self._direct)
        return state

    def _create(self, operation: CreateWorker) -> tuple[WorkerState, int]:
        state = self._add(self._ids.new("t_org_123_w"))
        return state, state.run(operation.input, operation.budget, due=self._clock.now())

    def _continue(self, operation: ContinueWorker) -> tuple[WorkerState, int]:
        state = self._workers[operation.worker_id]
        return state, state.run(operation.input, operation.budget, due=state.advance())

    def _cancel(self, operation: CancelSchedule) -> ScheduleCancelResponse:
        state = self._find(operation.worker_id)
        state.advance()
        if state.schedules.pop(operation.schedule_id, None) is None and not self._lenient:
            raise ServiceError(404, "not_found", f"There is no schedule {shorten(operation.schedule_id, 120)}.")
        return ScheduleCancelResponse(cancelled=True)

    def _direct(self, text: str) -> tuple[tuple[Step, ...], bool]:
        """Return the steps of a run with this instruction, and True if they are made up."""
        for script in self._scripts:
            if script.take(text):
                return script.steps, False
        return improvise(text, self._random), True

    def _worker(
        self, operation: Operation[Any], state: WorkerState, place: int, request: Request
    ) -> Response | StreamingResponse:
        """Return the worker, or the stream of its updates from index ``place`` on."""
        base_url = f"http://{request.headers['host']}" if "host" in request.headers else DEFAULT_BASE_URL
        if operation.accept != EVENT_STREAM:
            return encode_response(operation, state.current(base_url))
        headers = Headers({"Content-Type": EVENT_STREAM, "Cache-Control": "no-cache"})
        return StreamingResponse(200, headers, _events(state, place, base_url))

    def _file(self, operation: RetrieveWorkerFile, request: Request) -> Response:
        state = self._find(operation.worker_id)
        version = state.file(operation.file_path, state.advance())
        if version is None:
            raise ServiceError(404, "not_found", f"There is no file {shorten(operation.file_path, 120)}.")
        return serve_file(version, request.headers)

    def _schedule(self, operation: CreateSchedule) -> KnownSchedule:
        state = self._find(operation.worker_id)
        planned = plan(operation, self._ids.new("sch"), self._clock, state.advance())
        state.schedules[planned.schedule.id] = planned
        return planned.schedule


async def _events(state: WorkerState, place: int, base_url: str) -> AsyncIterator[bytes]:
    while (update := await state.wait_for(place)) is not None:
        place += 1
        data = to_json(state.show(update, base_url, at=update.at)) if update.data is None else update.data
        yield encode_event(ServerSentEvent(data, id=str(place)))


def _resume_at(request: Request, known: int) -> int:
    """Return the index of the first update to stream: after the client's last event, if that is one of ours."""
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isascii() and last.isdecimal() and int(last) <= known else 0


def _is_json(body: bytes) -> bool:
    try:
        loads(body)
    except ValueError:
        return False
    return True
