"""One session in threads with an event loop each, and in forked processes."""

import asyncio
import multiprocessing
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest

from handinger_async import APIConnectionError, ConfigurationError, RetryPolicy, Session
from handinger_async.transports import _aiohttp_sessions
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import HANG_GUARD, WireRequest, WireServer, chunked, forever, response, wire_server

once = RetryPolicy(max_retries=0)


async def in_thread(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function in an event loop of its own, in a thread of its own."""
    return await asyncio.to_thread(asyncio.run, main())  # type: ignore[arg-type]


async def test_threads_share_a_session_with_connections_per_loop(server: WireServer) -> None:
    session = Session(api_key="key", base_url=server.url)

    async def use() -> None:
        for _ in range(20):
            assert (await session.request("GET", "/x")).body == b"{}"

    await asyncio.gather(*(in_thread(use) for _ in range(8)))
    await use()
    assert server.connections == 9
    await session.aclose()
    await server.empty()


async def test_sessions_in_many_threads_begin_and_end_at_once(server: WireServer) -> None:
    """The register of open sessions belongs to the module."""

    async def use() -> None:
        async with Session(api_key="key", base_url=server.url) as session:
            await session.request("GET", "/x")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        await asyncio.gather(*(in_thread(use) for _ in range(60)))
    finally:
        sys.setswitchinterval(interval)
    await server.empty()


def test_register_of_open_sessions_may_change_while_it_is_read() -> None:
    class Loop:
        def is_closed(self) -> bool:
            register.pop(("other",), None)  # as another thread does
            return True

    register: dict[Any, Any] = {("some",): Loop(), ("other",): Loop()}

    async def main() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_aiohttp_sessions, "_OPEN_SESSIONS", register)
            await (await _aiohttp_sessions.LoopState.create(1)).aclose()

    asyncio.run(main())
    assert not register


async def test_closing_in_one_loop_closes_the_responses_of_another_in_its_thread(server: WireServer) -> None:
    session = Session(api_key="key", base_url=server.url)
    reading, ended = threading.Event(), threading.Event()
    closed_in: list[int] = []

    async def watch() -> int:
        async with session.workers.stream_updates("w") as events:
            await anext(events)
            stream: Any = events._stream
            close = stream._response.close

            def observed() -> None:
                closed_in.append(threading.get_ident())
                close()

            stream._response.close = observed
            reading.set()
            with pytest.raises(APIConnectionError):
                async for _ in events:
                    pass
        ended.set()
        return threading.get_ident()

    watching = asyncio.create_task(in_thread(watch))
    assert await asyncio.to_thread(reading.wait, HANG_GUARD)
    await session.aclose()
    assert set(closed_in) <= {await watching}
    assert closed_in
    await server.empty()


async def test_closing_leaves_alone_loops_that_are_closed_or_do_not_run(server: WireServer) -> None:
    session = Session(api_key="key", base_url=server.url)

    async def use() -> None:
        await session.request("GET", "/x")

    def prepare() -> asyncio.Runner:
        with asyncio.Runner() as first:
            first.run(use())
        second = asyncio.Runner()
        second.run(use())
        return second

    with ThreadPoolExecutor(1) as threads:
        loop = asyncio.get_running_loop()
        second = await loop.run_in_executor(threads, prepare)
        await session.aclose()
        assert len(server.open) == 1
        await loop.run_in_executor(threads, second.close)
    await server.empty()


async def test_given_session_is_refused_in_another_thread(server: WireServer) -> None:
    async with aiohttp.ClientSession() as given:
        session = Session(api_key="key", base_url=server.url, transport=AiohttpTransport(given))

        async def use() -> None:
            with pytest.raises(ConfigurationError, match="another event loop"):
                await session.request("GET", "/x")

        await session.request("GET", "/x")
        await in_thread(use)
        await session.request("GET", "/x")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("how", ["session", "stream"])
async def test_forked_child_that_closes_leaves_the_connections_of_its_parent_alone(how: str) -> None:
    resume = asyncio.Event()

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("/stream"):
            writer.write(chunked(b"data: a\n\n", end=False))
            await resume.wait()
            writer.write(b"9\r\ndata: b\n\n\r\n0\r\n\r\n")
            await forever()
        writer.write(response(b"{}"))

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        await session.request("GET", "/x")
        async with session.workers.stream_updates("w") as events:
            assert str(await anext(events)) == "a"

            async def close() -> None:
                await (session if how == "session" else events).aclose()

            def child() -> None:
                asyncio.run(close())

            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            await asyncio.to_thread(process.join, HANG_GUARD)
            assert process.exitcode == 0
            resume.set()
            assert [str(event) async for event in events] == ["b"]
        await session.request("GET", "/x")
        assert server.connections == 2


async def test_transport_of_a_parent_is_refused_in_its_event_loop(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Session(api_key="key", base_url=server.url, retry=once) as session:
        await session.request("GET", "/x")
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: -1)
            with pytest.raises(ConfigurationError, match="belong to the parent of this process"):
                await session.request("GET", "/x")
        await session.request("GET", "/x")
    assert server.connections == 1


@pytest.mark.parametrize("kind", ["stream", "download"])
async def test_body_that_is_closed_in_another_thread_wakes_its_reader(kind: str) -> None:
    """In debug mode, asyncio refuses to schedule anything from another thread."""

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(chunked(b"data: a\n\n", end=False))
        await forever()

    asyncio.get_running_loop().set_debug(True)
    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        body: Any = session.workers.stream_updates("w")
        if kind == "download":
            body = session.workers.retrieve_file("f", worker_id="w")
        async with body:
            await anext(body)
            reading = asyncio.ensure_future(anext(body))
            await asyncio.sleep(0)
            await in_thread(body.aclose)
            with pytest.raises((StopAsyncIteration, APIConnectionError)):
                await reading
        await server.empty()


def test_child_does_not_warn_of_a_session_of_its_parent() -> None:
    state: Any = _aiohttp_sessions.LoopState.__new__(_aiohttp_sessions.LoopState)
    loop = asyncio.new_event_loop()
    state.loop, state._generator, state._pid = loop, object(), os.getpid()
    assert state.needs_closing
    state._pid = -1
    assert not state.needs_closing
    loop.close()
