"""Clauses on using connections again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ...errors import APIConnectionError
from ...http import Response
from ...transports.memory import StreamingResponse
from .._harness import Harness, check, expect
from .._scripted import Connection
from ._clauses import network_clause

#: Seconds for the threads of a transport to notice the data, unless they close the connection before that.
#: Sockets in the event loop need none.
_THREADS = 0.1


@network_clause
async def connections_are_reused(harness: Harness) -> None:
    """A connection is used again after its response was read to its end and closed."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(0)
        yield b"two"

    async with harness.serving(
        lambda request: Response(200, {}, b"body") if request.method == "POST" else StreamingResponse(200, {}, chunks())
    ) as setup:
        for number in range(6):
            await setup.fetch(method="POST" if number % 2 else "GET", body=b"x" * (number % 2))
        connections = setup.server.connections
    check(connections == 1, f"six requests, one after the other, took {connections} connections")


@network_clause
async def a_connection_with_idle_data_is_not_reused(harness: Harness) -> None:
    """A connection on which data arrives between two requests is not used again (RFC 9112, section 9.2)."""
    await _push(harness, "GET", _response(b"stray"))
    await _push(harness, "POST", _response(b"stray"))
    await _push(harness, "POST", b"HTTP/1.1 2")
    await _push(harness, "POST", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", closes=True)


@network_clause
async def a_connection_with_surplus_data_is_not_reused(harness: Harness) -> None:
    """A connection on which more arrives than the response is not used again, though it arrives with the response."""
    await _push(harness, "GET", _response(b"stray"), surplus=True)
    await _push(harness, "POST", _response(b"stray"), surplus=True)
    await _push(harness, "POST", b"HTTP/1.1 2", surplus=True)


async def _push(harness: Harness, method: str, stray: bytes, *, surplus: bool = False, closes: bool = False) -> None:
    """Send stray data after a response, and check that the next request gets its own response.

    Args:
        harness: Sets up the transport.
        method: The method of the next request.
        stray: The data.
        surplus: Send it in one segment with the response, else after the response was closed.
        closes: Close the connection behind it.
    """
    released, pushed, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    reused = False

    async def script(connection: Connection) -> None:
        nonlocal reused
        await connection.read_head()
        if connection.number > 1:
            return await connection.send(_response(b"right"))
        try:
            await connection.send(_response(b"first") + (stray if surplus else b""))
            await released.wait()
            if not surplus:
                await connection.send(stray)
            pushed.set()
            if not closes:
                await connection.read_head()
                reused = True
                await connection.send(_response(b"late"))
        finally:  # without the above if the transport reuses no connections
            pushed.set()
            ended.set()

    async with harness.scripting(script) as setup:
        await setup.fetch()
        released.set()
        await expect(pushed, "the first connection was not used")
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.wait((setup.start(ended.wait()),), timeout=_THREADS)
        arrived = "in one segment with the response before it" if surplus else "before the request was sent"
        try:
            response, body = await setup.fetch(method=method, body=b"body" if method == "POST" else b"")
        except APIConnectionError as error:
            raise AssertionError(f"a {method} failed over {stray!r}, which had arrived {arrived}: {error}") from error
    stray_first = f"{stray!r} had arrived {arrived}"
    check(body == b"right", f"a {method} got {response.status}, {body!r} for its response: {stray_first}")
    check(not reused, f"a {method} was sent on a connection where {stray_first}")


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
