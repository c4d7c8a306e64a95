"""Sessions, streams and connections: where they may be made, used and closed, and that nothing is left behind."""

import asyncio
import gc
import subprocess
import sys
import textwrap
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from handinger_async import APIConnectionError, ConfigurationError, RetryPolicy, Session, Timeouts
from handinger_async.http import Headers, Request, Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

from .service import SSE, WORKER, Service, document, ok
from .wire import HANG_GUARD, WireRequest, WireServer, chunked, forever, response, wire_server

# Event loops ##########################################################################################################

PREAMBLE = """
import asyncio, gc, logging
# Development mode also logs callbacks that take longer than 0.1 s, which depends on the machine.
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))
from handinger_async import Session
from handinger_async.transports.aiohttp import AiohttpTransport
"""

PROGRAMS = {
    "made outside a loop, used and closed inside": """
        session = Session(api_key="key", base_url=server_url)
        async def main():
            await session.request("GET", "/x")
            await session.aclose()
        asyncio.run(main())
    """,
    "used in three loops, closed in the last": """
        session = Session(api_key="key", base_url=server_url)
        async def main():
            for _ in range(3):
                await session.request("GET", "/x")
        asyncio.run(main())
        asyncio.run(main())
        async def last():
            await main()
            await session.aclose()
        asyncio.run(last())
    """,
    "never closed, the loop is": """
        session = Session(api_key="key", base_url=server_url)
        async def main():
            await session.request("GET", "/x")
        asyncio.run(main())
        asyncio.run(main())
        del session
        gc.collect()
    """,
    "closed in a loop that never saw it": """
        session = Session(api_key="key", base_url=server_url)
        async def main():
            await session.request("GET", "/x")
        asyncio.run(main())
        asyncio.run(session.aclose())
        asyncio.run(session.aclose())
    """,
    "closed without having been used": """
        session = Session(api_key="key", base_url=server_url)
        asyncio.run(session.aclose())
    """,
    "left with an open stream, closed by the session": """
        async def main():
            async with Session(api_key="key", base_url=server_url) as session:
                events = session.workers.stream_updates("w")
                assert str(await anext(events)) == "a"
                await session.aclose()
                await events.aclose()
        asyncio.run(main())
    """,
    "ended by an exception in mid-stream": """
        async def main():
            async with Session(api_key="key", base_url=server_url) as session:
                async with session.workers.stream_updates("w") as events:
                    async for event in events:
                        raise ZeroDivisionError
        try:
            asyncio.run(main())
        except ZeroDivisionError:
            pass
    """,
    "ended by a cancellation of everything": """
        async def watch(session, watching):
            async with session.workers.stream_updates("w") as events:
                async for event in events:
                    watching.set()
        session = Session(api_key="key", base_url=server_url)
        async def main():
            watching = [asyncio.Event() for _ in range(5)]
            tasks = [asyncio.create_task(watch(session, event)) for event in watching]
            for event in watching:
                await event.wait()
        asyncio.run(main())
        del session
        gc.collect()
    """,
    "asked for more by what the loop closes beside its connections": """
        from handinger_async import APIConnectionError
        async def generate():
            try:
                yield
            finally:
                for _ in range(100):  # turns of the loop, in which it closes the connections
                    await asyncio.sleep(0)
                try:
                    await session.request("GET", "/y")
                except APIConnectionError as error:
                    assert not error.request_sent
                else:
                    raise AssertionError("sent")
        session = Session(api_key="key", base_url=server_url)
        generating = generate()
        async def main():
            await session.request("GET", "/x")
            await anext(generating)
        asyncio.run(main())
    """,
    "a session of the caller's": """
        import aiohttp
        async def main():
            async with aiohttp.ClientSession() as own:
                async with Session(api_key="key", base_url=server_url, transport=AiohttpTransport(own)) as session:
                    await session.request("GET", "/x")
                assert not own.closed
                assert (await own.get(server_url + "/y")).status == 200
        asyncio.run(main())
    """,
}


@pytest.fixture
async def server() -> Any:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("/stream"):
            writer.write(chunked(b"data: a\n\n", end=False))
            await forever()
        writer.write(response(b"{}"))

    async with wire_server(reply) as server:
        yield server


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_program_leaves_nothing_behind_and_hears_no_warning(server: WireServer, program: str) -> None:
    source = f"{PREAMBLE}server_url = {server.url!r}\n"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-c", source + textwrap.dedent(PROGRAMS[program])),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), HANG_GUARD)
    assert (process.returncode, output.decode()) == (0, "")
    await server.empty()


async def test_a_transport_that_is_closed_sends_nothing_over_a_session_that_is_not(server: WireServer) -> None:
    async with aiohttp.ClientSession() as given:
        session = Session(api_key="key", base_url=server.url, transport=(transport := AiohttpTransport(given)))
        await transport.aclose()
        with pytest.raises(APIConnectionError, match="The transport is closed") as caught:
            await session.with_options(retry=RetryPolicy(max_retries=0)).request("GET", "/x")
    assert not caught.value.request_sent
    assert not server.requests


def test_a_given_aiohttp_session_in_another_loop_is_a_clear_error(refusing_url: str) -> None:
    async def make() -> Session:
        transport = AiohttpTransport(aiohttp.ClientSession())
        session = Session(api_key="key", base_url=refusing_url, transport=transport)
        with pytest.raises(APIConnectionError):
            await session.with_options().request("POST", "/x")
        assert transport._given is not None
        await transport._given.close()
        transport._given = aiohttp.ClientSession()
        return session

    async def use(session: Session) -> None:
        with pytest.raises(ConfigurationError, match="another event loop"):
            await session.request("GET", "/x")

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(make())
        second.run(use(session))
        transport: Any = session._caller.pool._transport
        first.run(transport._given.close())


# Closing ##############################################################################################################


def test_closing_a_view_closes_nothing() -> None:
    async def main() -> None:
        async with Service(ok).session() as session:
            async with session.with_options(headers={"X-A": "b"}) as view:
                await view.workers.retrieve("w")
            await view.aclose()
            await view.workers.retrieve("w")
            await session.workers.retrieve("w")

    run(main())


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.workers.retrieve("w"),
        lambda s: s.request("GET", "/x"),
        lambda s: anext(s.workers.stream_updates("w")),
        lambda s: s.workers.stream_updates("w").__aenter__(),
        lambda s: s.workers.retrieve_file("f", worker_id="w").read(),
        lambda s: anext(s.workers.retrieve_file("f", worker_id="w")),
        lambda s: s.with_options().workers.retrieve("w"),
    ],
)
def test_use_after_close_is_a_clear_error(call: Callable[[Session], Any]) -> None:
    async def main() -> None:
        service = Service(ok)
        session = service.session()
        await session.aclose()
        await session.aclose()
        with pytest.raises(ConfigurationError, match="session is closed"):
            await call(session)
        assert not service.requests
        assert not service.attempts

    run(main())


def test_a_call_in_flight_ends_when_its_session_is_closed() -> None:
    async def main() -> None:
        async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
            await forever()

        async with wire_server(reply) as server:
            session = Session(api_key="key", base_url=server.url)
            calls = [asyncio.ensure_future(session.workers.create(input="x")) for _ in range(3)]
            await server.saw(3)
            await session.aclose()
            for result in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(result, APIConnectionError)
            await server.empty()

    asyncio.run(main())


def test_a_session_that_is_dropped_warns_and_its_event_loop_closes_its_connections() -> None:

    async def main() -> None:
        async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(response(b"{}"))

        async with wire_server(reply) as server:
            session = Session(api_key="key", base_url=server.url)
            await session.request("GET", "/x")
            with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031
                del session
                gc.collect()
            await server.empty()

    asyncio.run(main())


# Sharing ##############################################################################################################


async def test_a_session_shared_by_1000_tasks_gives_each_its_own() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        worker_id = request.target.rpartition("/")[2]
        writer.write(response(document(WORKER | {"id": worker_id}).body))

    timeouts = Timeouts(connect=None, attempt=None)
    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, timeouts=timeouts) as session:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(session.workers.retrieve(f"w{number}")) for number in range(1000)]
        assert [task.result().id for task in tasks] == [f"w{number}" for number in range(1000)]
        assert len(server.requests) == 1000
        assert server.connections <= 100


async def test_the_limit_holds_for_requests_and_not_for_streams() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("/stream"):
            writer.write(chunked(b"data: a\n\n", end=False))
            await forever()
        writer.write(response(b"{}"))

    async with wire_server(reply) as server:
        transport = AiohttpTransport(limit=1)
        timeouts = Timeouts(connect=None, attempt=None)
        async with Session(api_key="key", base_url=server.url, transport=transport, timeouts=timeouts) as session:
            streams = [session.workers.stream_updates(f"w{number}") for number in range(100)]
            await asyncio.gather(*(anext(events) for events in streams))
            assert len(server.open) == 100
            await asyncio.gather(*(session.request("GET", "/x") for _ in range(5)))
            assert len(server.open) == 101
            await asyncio.gather(*(events.aclose() for events in streams))
        await server.empty()


@pytest.mark.parametrize("limit", [-1, 1.5, "5"])
def test_a_limit_that_makes_no_sense_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        AiohttpTransport(limit=limit)


# Connections ##########################################################################################################


@pytest.mark.parametrize("body", [chunked(b"data: a\n\n"), response(b"data: a\n\n", content_type="text/event-stream")])
async def test_100_streams_in_a_row_use_one_connection(body: bytes) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(body)

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url) as session:
        for _ in range(100):
            async with session.workers.stream_updates("w") as events:
                assert [str(event) async for event in events] == ["a"]
        assert server.connections == 1


async def test_100_requests_and_downloads_in_a_row_use_one_connection() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}", status="404 Not Found" if request.target == "/x" else "200 OK"))

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url) as session:
        for _ in range(50):
            with pytest.raises(Exception, match="404"):
                await session.request("GET", "/x")
            assert await session.workers.retrieve_file("f", worker_id="w").read() == b"{}"
        assert server.connections == 1


async def test_the_connection_of_a_stream_that_was_left_is_closed_at_once_without_the_garbage_collector(
    server: WireServer,
) -> None:
    gc.disable()
    try:
        async with Session(api_key="key", base_url=server.url) as session:
            async with session.workers.stream_updates("w") as events:
                async for _ in events:
                    break
            await server.empty()
            events = session.workers.stream_updates("w")
            async for _ in events:
                break
            await events.aclose()
            await server.empty()
    finally:
        gc.enable()


async def test_a_stream_that_is_dropped_warns_and_gives_its_connection_back_when_it_is_collected(
    server: WireServer,
) -> None:
    async with Session(api_key="key", base_url=server.url) as session:
        events = session.workers.stream_updates("w")
        await anext(events)
        reference = weakref.ref(events)
        with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031
            del events
            gc.collect()
        assert reference() is None
        await server.empty()


def test_answers_of_a_memory_transport_that_are_dropped_are_let_go() -> None:
    async def main() -> None:
        async def handler(request: Request) -> Response:
            return Response(200, SSE, b"data: a\n\n")

        transport = MemoryTransport(handler)
        async with Session(api_key="key", transport=transport) as session:
            events = session.workers.stream_updates("w")
            await anext(events)
            with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031
                del events
                gc.collect()
            assert not transport._open

    run(main())


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_an_answer_that_comes_in_the_moment_when_it_is_closed_is_closed_too(kind: str) -> None:
    async def main() -> None:
        moment = asyncio.get_running_loop().create_future()
        opened = 0

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal opened
            opened += 1
            try:
                yield b"data: a\n\n"
                await moment
                yield b"data: b\n\n"
            finally:
                opened -= 1

        async def handler(request: Request) -> StreamingResponse:
            await moment
            return StreamingResponse(200, SSE, chunks())

        transport = MemoryTransport(handler)
        async with Session(api_key="key", transport=transport) as session:
            download = session.workers.retrieve_file("f", worker_id="w")
            body: Any = session.workers.stream_updates("w") if kind == "stream" else download
            opening = asyncio.ensure_future(body.__aenter__())
            await asyncio.sleep(1)
            moment.set_result(None)
            await body.aclose()
            await opening
            assert opened == 0
            assert not transport._open
            with pytest.raises(StopAsyncIteration if kind == "stream" else APIConnectionError):
                await anext(body)

    run(main())


class Momentary:
    """A transport whose one answer comes when ``moment`` does, to the reader itself: no task stands between them."""

    status = 200
    headers = Headers(SSE)

    def __init__(self, moment: asyncio.Future[bytes]) -> None:
        self.moment = moment

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> "Momentary":
        return self

    async def read_chunk(self) -> bytes:
        return await self.moment

    async def aclose(self) -> None:
        pass


def test_an_event_that_comes_in_the_moment_when_its_stream_is_closed_is_not_delivered() -> None:
    async def main() -> None:
        moment: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        session = Session(api_key="key", transport=Momentary(moment))
        async with session, session.workers.stream_updates("w") as events:
            reading = asyncio.ensure_future(anext(events, None))
            await asyncio.sleep(1)
            moment.set_result(b"data: a\n\n")
            await events.aclose()
            assert await reading is None

    run(main())
