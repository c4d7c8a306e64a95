"""Retries over sockets: the attempts reported are the requests that the server received."""

import asyncio
from typing import Any

import aiohttp
import pytest

from handinger_async import (
    APIConnectionError,
    Attempt,
    RetryPolicy,
    Session,
)
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import WireRequest, reset, response, wire_server, write_and_close


async def drop(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def abort(writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def half_a_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-")
    writer.close()


@pytest.mark.parametrize("fault", [drop, abort, half_a_head])
@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize(("method", "requests"), [("GET", 3), ("DELETE", 3), ("PUT", 3), ("POST", 1)])
async def test_dropped_connection_is_retried_by_the_session_alone(
    fault: Any, reused: bool, method: str, requests: int
) -> None:
    healthy = 1 if reused else 0

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) <= healthy:
            writer.write(response(b"{}"))
        else:
            await fault(writer)

    attempts: list[Attempt] = []
    retry = RetryPolicy(initial_delay=0)
    async with (
        wire_server(reply) as server,
        Session(api_key="key", base_url=server.url, retry=retry, observe=attempts.append) as session,
    ):
        if reused:
            await session.request("GET", "/healthy")
        with pytest.raises(APIConnectionError) as caught:
            await session.request(method, "/x")
    assert caught.value.attempts == requests
    assert sum(attempt.request_sent for attempt in attempts) == len(server.requests) == healthy + requests
    assert server.connections == requests  # the healthy one is used again by the first attempt


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("own", [True, False])
async def test_unannounced_close_after_a_response_breaks_no_request(method: str, own: bool) -> None:
    """Even where the next request follows at once: a request that is not sent cannot be doubled, nor fail."""

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        write_and_close(writer, response(b"{}"))

    attempts: list[Attempt] = []
    async with (
        wire_server(reply) as server,
        aiohttp.ClientSession() as given,
        Session(
            api_key="key",
            base_url=server.url,
            transport=None if own else AiohttpTransport(given),
            observe=attempts.append,
        ) as session,
    ):
        for _ in range(20):
            await session.request(method, "/x")
    assert len(attempts) == len(server.requests) == 20


async def test_refused_connection_means_the_request_was_not_sent(refusing_url: str) -> None:
    attempts: list[Attempt] = []
    async with Session(
        api_key="key",
        base_url=refusing_url,
        retry=RetryPolicy(initial_delay=0),
        observe=attempts.append,
    ) as session:
        with pytest.raises(APIConnectionError) as caught:
            await session.workers.create(input="x")
    assert not caught.value.request_sent
    assert [attempt.request_sent for attempt in attempts] == [False] * 3
