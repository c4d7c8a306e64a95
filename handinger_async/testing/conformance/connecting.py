"""Clauses on connections: making them, losing them, and using them again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

from yarl import URL

from ...errors import APIConnectionError, APITimeoutError
from ...http import Request, Response
from ...transports.memory import HandlerResult, StreamingResponse
from .._harness import HANG_GUARD, Harness, check, failure_of
from ._clauses import clause, network_clause


@clause
async def a_dropped_connection_is_reported_and_not_retried(harness: Harness) -> None:
    """A connection lost before the response raises an APIConnectionError, and the request is sent just once."""
    seen: list[Request] = []

    def handler(request: Request) -> HandlerResult:
        seen.append(request)
        if request.target == "/drop":
            raise APIConnectionError("dropped")
        return Response(200)

    for method in ("GET", "POST", "DELETE"):
        async with harness.serving(handler) as setup:
            await setup.fetch()  # leaves a connection to reuse: HTTP clients retry on those
            seen.clear()
            failure = await failure_of(setup.open("/drop", method=method), "a request whose connection is lost")
        check(failure.request_sent, "request_sent is False, though the server has received the request")
        check(len(seen) == 1, f"a {method} was sent {len(seen)} times")


@network_clause
async def a_refused_connection_was_not_sent(harness: Harness) -> None:
    """A refused connection raises an APIConnectionError with ``request_sent`` False."""
    async with harness.serving(lambda _: Response(200)) as setup:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # bound, but not listening
            url = URL(f"http://127.0.0.1:{unused.getsockname()[1]}/")
            opening = setup.transport.open(url, Request("POST", "/", {}, b"body"), connect_timeout=HANG_GUARD)
            failure = await failure_of(opening, "a refused connection")
    check(not failure.request_sent, "request_sent is True, though there was no connection")


@network_clause
async def an_unknown_host_was_not_sent(harness: Harness) -> None:
    """A host whose name cannot be resolved raises an APIConnectionError with ``request_sent`` False."""
    async with harness.serving(lambda _: Response(200)) as setup:
        url = URL("http://nowhere.invalid/")  # RFC 6761, section 6.4: never resolved
        opening = setup.transport.open(url, Request("GET", "/"), connect_timeout=HANG_GUARD)
        failure = await failure_of(opening, "a host that does not exist")
    check(not failure.request_sent, "request_sent is True, though there was no connection")


@network_clause
async def a_malformed_response_is_a_connection_error(harness: Harness) -> None:
    """A response that is not HTTP raises an APIConnectionError with ``request_sent`` True."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"What is this?\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with harness.serving(lambda _: Response(200)) as setup, listener:
        url = URL(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
        opening = setup.transport.open(url, Request("GET", "/"), connect_timeout=HANG_GUARD)
        failure = await failure_of(opening, "a response that is not HTTP")
    check(failure.request_sent, "request_sent is False, though the server has received the request")


@clause
async def connect_timeout_is_for_connecting_alone(harness: Harness) -> None:
    """Once there is a connection, the response may take longer than ``connect_timeout``."""
    for connect_timeout in (0.2, 1.0, 5.0, 25.0):
        handler = _Late(1.5 * connect_timeout)
        async with harness.serving(handler) as setup:
            try:
                await setup.fetch(connect_timeout=connect_timeout)
                return
            except APITimeoutError:
                check(not handler.arrived, "the time to respond was counted")
        # The request did not arrive: the machine is too slow to connect in this time. Allow more.
    raise AssertionError(f"there was no connection within {connect_timeout} s")


class _Late:
    """A handler that responds after a delay.

    Args:
        delay: The delay in seconds.
    """

    def __init__(self, delay: float) -> None:
        self.arrived = False
        self._delay = delay

    async def __call__(self, request: Request) -> HandlerResult:
        self.arrived = True
        await asyncio.sleep(self._delay)
        return Response(200)


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
