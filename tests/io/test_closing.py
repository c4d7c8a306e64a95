"""Closing of sessions, streams and files, also by the garbage collector."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from yarl import URL

from handinger_async import APIConnectionError, ConfigurationError, Session
from handinger_async.http import Headers, Request, Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

from .service import SSE, Service, ok
from .wire import WireRequest, WireServer, forever, response, wire_server


def test_closing_a_view_does_not_close_the_session() -> None:
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
def test_closed_session_refuses_calls(call: Callable[[Session], Any]) -> None:
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


def test_closing_the_session_ends_calls_in_flight() -> None:
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


def test_dropped_session_warns_and_closes_its_connections() -> None:

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


async def test_leaving_a_stream_closes_its_connection_without_garbage_collection(
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


async def test_dropped_stream_warns_and_closes_its_connection(
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


def test_memory_transport_forgets_dropped_responses() -> None:
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
            assert not transport._loops[asyncio.get_running_loop()].responses

    run(main())


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_response_that_arrives_while_closing_is_closed_too(kind: str) -> None:
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
            assert not transport._loops[asyncio.get_running_loop()].responses
            with pytest.raises(StopAsyncIteration if kind == "stream" else APIConnectionError):
                await anext(body)

    run(main())


class Momentary:
    """A transport whose chunk is the result of ``moment``, which the reader awaits itself, without a task between."""

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


def test_event_that_arrives_while_closing_is_not_delivered() -> None:
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
