"""Sessions in several threads, each with an event loop of its own: one session for all, or one for each."""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from handinger_async import APITimeoutError, InternalServerError, RetryPolicy, Session, Timeouts, models
from handinger_async._asyncio import attempts
from handinger_async._asyncio.pool import Pool
from handinger_async._asyncio.timers import CancelScope, Timers
from handinger_async._converter import _make_converter
from handinger_async.http import Request, Response
from handinger_async.transports import aiohttp
from handinger_async.transports.memory import HandlerResult, MemoryTransport, StreamingResponse

from .service import LIST, SSE, WORKER, ok, read_events
from .wire import HANG_GUARD, forever


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_threads(number: int, work: Callable[[int], Any]) -> list[Any]:
    """Return the results, or exceptions, of ``work`` in threads that begin together."""
    outcomes: list[Any] = [None] * number
    barrier = threading.Barrier(number)

    def run(index: int) -> None:
        barrier.wait(HANG_GUARD)
        try:
            outcomes[index] = work(index)
        except BaseException as error:
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_GUARD)
    return outcomes


class Meeting:
    """Lets threads meet that do the same at the same time; one that is alone goes on after a moment."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)

    def __call__(self) -> None:
        with suppress(threading.BrokenBarrierError):
            self._barrier.wait(0.1)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("shared", [True, False])
def test_calls_in_many_threads_get_their_own_results(*, shared: bool) -> None:
    async def handler(request: Request) -> HandlerResult:
        await asyncio.sleep(0)
        if request.path.endswith("/stream"):
            return StreamingResponse(200, SSE, [b"data: ", request.path.encode(), b"\n\n"])
        return Response(200, {"Content-Type": "application/json"}, b'{"path": "%s"}' % request.path.encode())

    def make() -> Session:
        return Session(api_key="key", transport=MemoryTransport(handler))

    one = make()

    async def use(index: int) -> list[Any]:
        session = one if shared else make()
        results: list[Any] = []
        for number in range(20):
            view = session.with_options(timeouts=Timeouts(attempt=100 + number % 3 + index / 10))
            path = f"/{index}-{number}"
            results.append((await view.request("GET", path)).body.decode() == f'{{"path": "{path}"}}')
            results.append((await session.request("GET", f"/{number}")).body.decode() == f'{{"path": "/{number}"}}')
            worker = f"w{index}-{number}"
            results.append(
                await read_events(session.workers.stream_updates(worker)) == [f"/api/workers/{worker}/stream"]
            )
        if not shared:
            await session.aclose()
        return results

    outcomes = in_threads(6, lambda index: asyncio.run(use(index)))
    assert outcomes == [[True] * 60] * 6
    asyncio.run(one.aclose())


@pytest.mark.usefixtures("quick_switches")
def test_first_use_of_a_type_in_two_threads_at_once() -> None:
    for detailed in (True, False):
        converter = _make_converter(detailed_validation=detailed)
        for document, cls in ((WORKER, models.Worker), (LIST, models.ScheduleListResponse)):
            outcomes = in_threads(4, lambda _, args=(document, cls), to=converter: to.structure(*args))
            assert [type(outcome) for outcome in outcomes] == [cls] * 4
            assert all(outcome == outcomes[0] for outcome in outcomes)


def test_transport_is_created_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    meet = Meeting()

    class Slow(aiohttp.AiohttpTransport):
        def __init__(self) -> None:
            super().__init__()
            meet()

    monkeypatch.setattr(aiohttp, "AiohttpTransport", Slow)
    pool = Pool(None)
    first, second = in_threads(2, lambda _: pool.transport())
    assert isinstance(first, Slow)
    assert second is first


def test_log_is_configured_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    meet = Meeting()
    monkeypatch.setenv("HANDINGER_LOG", "info")
    monkeypatch.setattr(attempts, "logger", logger := logging.Logger("alone"))  # noqa: LOG001 - for this test only
    monkeypatch.setattr(logger, "hasHandlers", lambda: (bool(logger.handlers), meet())[0])
    in_threads(2, lambda _: Session(api_key="key"))
    assert len(logger.handlers) == 1


def test_scope_is_cancelled_from_another_thread() -> None:
    async def main() -> None:
        scope = CancelScope(Timers(), 1000, None, "thing")

        async def cancel() -> None:
            scope.cancel()
            scope.cancel()

        thread = threading.Thread(target=lambda: asyncio.run(cancel()))

        async def wait() -> None:
            with scope:
                thread.start()
                await forever()

        with pytest.raises(APITimeoutError):
            await wait()
        thread.join()

    asyncio.run(main())


def test_scope_of_a_closed_loop_can_be_cancelled() -> None:
    scopes: list[CancelScope] = []

    async def wait() -> None:
        scopes.append(CancelScope(Timers(), 1000, None, "thing"))
        scopes[0].__enter__()  # and never left

    async def cancel() -> None:
        scopes[0].cancel()

    asyncio.run(wait())
    asyncio.run(cancel())


def test_closing_in_one_thread_ends_the_pauses_of_another() -> None:
    paused = threading.Event()
    transport = MemoryTransport(lambda request: Response(503))
    session = Session(
        api_key="key",
        transport=transport,
        retry=RetryPolicy(initial_delay=HANG_GUARD, max_delay=HANG_GUARD),
        timeouts=Timeouts(attempt=None),
        observe=lambda _: paused.set(),
    )

    def close() -> None:
        paused.wait(HANG_GUARD)
        asyncio.run(session.aclose())

    thread = threading.Thread(target=close)
    start = time.monotonic()
    thread.start()
    with pytest.raises(InternalServerError) as caught:
        asyncio.run(session.workers.retrieve("w"))
    thread.join()
    assert caught.value.attempts == 1
    assert time.monotonic() - start < HANG_GUARD / 2


def test_closing_leaves_the_calls_of_other_threads_alone() -> None:
    waiting, closed = threading.Event(), threading.Event()

    async def handler(request: Request) -> Response:
        waiting.set()
        await asyncio.get_running_loop().run_in_executor(None, closed.wait, HANG_GUARD)
        return ok

    session = Session(api_key="key", transport=MemoryTransport(handler))

    def close() -> None:
        waiting.wait(HANG_GUARD)
        asyncio.run(session.aclose())
        closed.set()

    thread = threading.Thread(target=close)
    thread.start()
    worker = asyncio.run(session.workers.retrieve("w"))
    thread.join()
    assert worker.id == "id"
