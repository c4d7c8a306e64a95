"""Cancellation at every await of every method, once and twice, at once and an iteration later: nothing is left over."""

import asyncio
import itertools
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from handinger_async import APIConnectionError, RetryPolicy, Session
from handinger_async.http import Request, Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import HandlerResult, MemoryTransport, StreamingResponse

from .service import JSON, SSE, WORKER, json_response
from .wire import WireRequest, WireServer, chunked, response, wire_server

KEY = "sk-canary-1234567890"


class CancelledAt:
    """Awaits ``work``, and cancels the task at its ``step``-th suspension and the ``times - 1`` next.

    With ``late`` it cancels an iteration of the event loop later, when the result may have arrived.
    """

    def __init__(self, work: Awaitable[Any], step: int, times: int, *, late: bool) -> None:
        self._work = work
        self._steps = range(step, step + times)
        self._late = late
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task
        inner = self._work.__await__()
        advance: Callable[[], Any] = lambda: inner.send(None)  # noqa: E731
        for step in itertools.count(1):
            try:
                future = advance()
            except StopIteration as stop:
                return stop.value
            if step in self._steps:
                self.reached = True
                if self._late:
                    asyncio.get_running_loop().call_soon(task.cancel)
                else:
                    task.cancel()
            try:
                value = yield future
                advance = lambda value=value: inner.send(value)  # noqa: E731
            except BaseException as error:
                advance = lambda error=error: inner.throw(error)  # noqa: E731
        return None


async def cancel_everywhere(case: Callable[[int], Awaitable[Any]], check: Callable[[], None]) -> int:
    """Cancel ``case`` at its first suspension, at its second, and so on; return how many there are."""
    most = 0
    for times, late in itertools.product((1, 2), (False, True)):
        for step in itertools.count(1):

            async def alone(step: int = step, times: int = times, late: bool = late) -> bool:
                cancelled = CancelledAt(case(step), step, times, late=late)
                try:
                    await cancelled
                except asyncio.CancelledError as error:
                    assert cancelled.reached
                    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
                    assert KEY not in "".join(shown.format())
                return cancelled.reached

            task = asyncio.ensure_future(alone())
            await asyncio.wait((task,))
            check()
            if not task.cancelled() and not task.result():
                break
            most = max(most, step)
            assert step < 200
    return most


# The calls ############################################################################################################


async def retrieve(session: Session, path: Path) -> None:
    await session.workers.retrieve("w")


async def create(session: Session, path: Path) -> None:
    await session.workers.create(input="x")


async def retried(session: Session, path: Path) -> None:
    await session.request("GET", "/flaky")


async def watch(session: Session, path: Path) -> None:
    async with session.workers.stream_updates("w") as events:
        assert [str(event) async for event in events] == ["a", "b"]


async def resume(session: Session, path: Path) -> None:
    async with session.workers.stream_updates("interrupted") as events:
        assert [str(event) async for event in events] == ["a", "b"]


async def leave(session: Session, path: Path) -> None:
    async with session.workers.stream_updates("w") as events:
        async for _ in events:
            break


async def iterate(session: Session, path: Path) -> None:
    async with session.workers.retrieve_file("f", worker_id="w") as file:
        assert b"".join([chunk async for chunk in file]) == b"a file"


async def read(session: Session, path: Path) -> None:
    assert await session.workers.retrieve_file("f", worker_id="w").read() == b"a file"


async def save(session: Session, path: Path) -> None:
    await session.workers.retrieve_file("f", worker_id="w").save(path)


async def use_and_close(session: Session, path: Path) -> None:
    async with session:
        await session.workers.retrieve("w")
        async with session.workers.stream_updates("w") as events:
            await anext(events)
            await session.aclose()


CASES = [retrieve, create, retried, watch, resume, leave, iterate, read, save, use_and_close]


class Bodies:
    """A service whose every step takes a second, and that counts its open bodies."""

    def __init__(self) -> None:
        self.open = 0
        self.flaky = itertools.count()

    async def __call__(self, request: Request) -> HandlerResult:
        await asyncio.sleep(1)
        if request.path == "/flaky":
            return Response(500) if next(self.flaky) % 2 == 0 else Response(200, JSON, b"{}")
        if request.path.endswith("/stream"):
            resumed = request.headers.get("last-event-id")
            interrupted = "interrupted" in request.path and resumed is None
            events = [b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n\n"][1 if resumed else 0 : 1 if interrupted else 2]
            return StreamingResponse(200, SSE, self.chunks(events, interrupted=interrupted))
        if "/files/" in request.path:
            return StreamingResponse(200, {"Content-Length": "6"}, self.chunks([b"a f", b"ile"]))
        return StreamingResponse(200, JSON, self.chunks([json_response(WORKER).body]))

    async def chunks(self, chunks: list[bytes], *, interrupted: bool = False) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            for chunk in chunks:
                await asyncio.sleep(1)
                yield chunk
            if interrupted:
                raise APIConnectionError("lost")
        finally:
            self.open -= 1


@pytest.mark.parametrize("case", CASES)
def test_cancellation_in_memory_leaves_nothing_behind(
    case: Callable[[Session, Path], Awaitable[None]], tmp_path: Path
) -> None:
    path = tmp_path / "file"

    async def main() -> int:
        service = Bodies()
        sessions: list[Session] = []

        def begin(step: int) -> Awaitable[Any]:
            path.write_bytes(b"before")
            service.flaky = itertools.count()
            sessions.append(Session(api_key=KEY, transport=MemoryTransport(service)))
            return case(sessions[-1], path)

        def check() -> None:
            assert service.open == 0
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert path.read_bytes() in (b"before", b"a file")
            assert list(tmp_path.iterdir()) == [path]

        steps = await cancel_everywhere(begin, check)
        for session in sessions:
            await session.aclose()
        return steps

    assert run(main()) >= (2 if case is not leave else 1)


@pytest.mark.parametrize("case", CASES)
async def test_cancellation_on_the_wire_leaves_nothing_behind(
    case: Callable[[Session, Path], Awaitable[None]], tmp_path: Path, make_transport: Callable[[], Any]
) -> None:
    path = tmp_path / "file"
    flaky = itertools.count()

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target == "/flaky":
            writer.write(response(b"{}", status="500 No" if next(flaky) % 2 == 0 else "200 OK"))
        elif request.target.endswith("/stream"):
            resumed = bool(request.header("last-event-id"))
            interrupted = "interrupted" in request.target and not resumed
            events = [b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n\n"][1 if resumed else 0 : 1 if interrupted else 2]
            writer.write(chunked(*events, end=not interrupted))
            if interrupted:
                writer.close()
        elif "/files/" in request.target:
            writer.write(response(b"a file"))
        else:
            writer.write(response(json_response(WORKER).body))

    tasks = asyncio.all_tasks()
    async with wire_server(reply) as server:
        sessions: list[tuple[Session, Any]] = []

        def begin(step: int) -> Awaitable[Any]:
            nonlocal flaky
            flaky = itertools.count()
            path.write_bytes(b"before")
            transport = make_transport()
            retry = RetryPolicy(initial_delay=0)
            sessions.append((Session(api_key=KEY, base_url=server.url, transport=transport, retry=retry), transport))
            return case(sessions[-1][0], path)

        def check() -> None:
            _, transport = sessions[-1]
            for state in transport._states.values():
                assert not state.open_responses
                if isinstance(transport, AiohttpTransport):
                    assert not state.plain.connector._acquired
                    assert not state.streams.connector._acquired
                else:
                    assert state.slots._value == transport._limit
            assert list(tmp_path.iterdir()) == [path]
            assert path.read_bytes() in (b"before", b"a file")

        least = 3 if isinstance(make_transport(), AiohttpTransport) else 1  # what has arrived is read without a pause
        assert await cancel_everywhere(begin, check) >= least
        for made, _ in sessions:
            await made.aclose()
        await server.empty()
    assert asyncio.all_tasks() == tasks


async def test_cancellation_from_before_the_first_await_is_not_lost(
    make_transport: Callable[..., Any], server: WireServer
) -> None:
    """As after Ctrl+C while the task runs. A connection exists already, so the first await is in the transport."""

    async def call(session: Session) -> None:
        current = asyncio.current_task()
        assert current
        current.cancel()
        await session.request("GET", "/x")

    transport = make_transport()
    async with Session(api_key=KEY, base_url=server.url, transport=transport) as session:
        await session.request("GET", "/x")
        cancelled = asyncio.ensure_future(call(session))
        await asyncio.wait((cancelled,))
        assert cancelled.cancelled()
        await session.request("GET", "/last")
    targets = [request.target for request in server.requests]
    assert targets.count("/x") <= 2  # it may have been sent, once


# Cancellation by others ###############################################################################################


WAITING = [retrieve, create, watch, iterate, read, save]


@pytest.mark.parametrize("case", WAITING)
def test_closing_ends_waiting_calls_with_a_connection_error(
    case: Callable[[Session, Path], Awaitable[None]], tmp_path: Path
) -> None:
    async def main() -> None:
        service = Bodies()
        session = Session(api_key=KEY, transport=MemoryTransport(service))
        calls = [asyncio.ensure_future(case(session, tmp_path / str(number))) for number in range(10)]
        await asyncio.sleep(0.5)  # each waits for the handler
        await session.aclose()
        await asyncio.wait(calls)
        assert asyncio.get_running_loop().time() == 0.5
        for call in calls:
            with pytest.raises(APIConnectionError, match="closed") as caught:
                await call
            assert caught.value.request_sent
        assert service.open == 0
        assert not list(tmp_path.iterdir())  # noqa: ASYNC240

    run(main())


def test_timeout_error_of_a_handler_propagates_unchanged() -> None:
    own = TimeoutError("its own")

    async def main() -> None:
        async def handler(request: Request) -> Response:
            await asyncio.sleep(1)
            raise own

        async with Session(api_key=KEY, transport=MemoryTransport(handler)) as session:
            with pytest.raises(TimeoutError) as caught:
                await session.request("GET", "/x")
        assert caught.value is own

    run(main())


def test_handler_that_outlasts_the_transport_gets_its_body_closed() -> None:
    async def main() -> None:
        closed = 0

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal closed
            try:
                yield b"x"
            finally:
                closed += 1

        async def handler(request: Request) -> HandlerResult:
            body = chunks()
            await anext(body)
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            return StreamingResponse(200, SSE, body)

        session = Session(api_key=KEY, transport=MemoryTransport(handler))
        call = asyncio.ensure_future(session.request("GET", "/x"))
        await asyncio.sleep(0.5)
        await session.aclose()
        await asyncio.sleep(0.1)
        await session.aclose()
        with pytest.raises(APIConnectionError, match="closed"):
            await call
        assert closed == 1

    run(main())
