"""Connections: shared by tasks, limited in number, used again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from handinger_async import ConfigurationError, Session, Timeouts
from handinger_async.transports.aiohttp import AiohttpTransport

from .service import WORKER, json_response
from .wire import WireRequest, chunked, forever, response, wire_server


def new_session(url: str, transport: Any) -> Session:
    return Session(api_key="key", base_url=url, transport=transport)


async def test_1000_tasks_share_a_session_and_get_their_own_results(make_transport: Callable[[], Any]) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        worker_id = request.target.rpartition("/")[2]
        writer.write(response(json_response(WORKER | {"id": worker_id}).body))

    options: dict[str, Any] = {"transport": make_transport(), "timeouts": Timeouts(connect=None, attempt=None)}
    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, **options) as session:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(session.workers.retrieve(f"w{number}")) for number in range(1000)]
        assert [task.result().id for task in tasks] == [f"w{number}" for number in range(1000)]
        assert len(server.requests) == 1000
        assert server.connections <= 100


async def test_connection_limit_applies_to_requests_but_not_to_streams(make_transport: Callable[..., Any]) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("/stream"):
            writer.write(chunked(b"data: a\n\n", end=False))
            await forever()
        writer.write(response(b"{}"))

    async with wire_server(reply) as server:
        transport = make_transport(limit=1)
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
def test_invalid_connection_limit_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        AiohttpTransport(limit=limit)


@pytest.mark.parametrize("body", [chunked(b"data: a\n\n"), response(b"data: a\n\n", content_type="text/event-stream")])
async def test_100_consecutive_streams_use_one_connection(body: bytes, make_transport: Callable[[], Any]) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(body)

    async with wire_server(reply) as server, new_session(server.url, make_transport()) as session:
        for _ in range(100):
            async with session.workers.stream_updates("w") as events:
                assert [str(event) async for event in events] == ["a"]
        assert server.connections == 1


async def test_100_consecutive_requests_and_downloads_use_one_connection(make_transport: Callable[[], Any]) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}", status="404 Not Found" if request.target == "/x" else "200 OK"))

    async with wire_server(reply) as server, new_session(server.url, make_transport()) as session:
        for _ in range(50):
            with pytest.raises(Exception, match="404"):
                await session.request("GET", "/x")
            assert await session.workers.retrieve_file("f", worker_id="w").read() == b"{}"
        assert server.connections == 1
