"""Clauses on making connections, and on losing them before the response."""

from __future__ import annotations

import asyncio
import socket

from yarl import URL

from ...errors import APIConnectionError, APITimeoutError
from ...http import Request, Response
from ...transports.memory import HandlerResult
from .._harness import HANG_GUARD, Harness, check, expect, failure_of
from .._scripted import Connection
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


@network_clause
async def connecting_ends_at_connect_timeout(harness: Harness) -> None:
    """Connecting, TLS included, ends after ``connect_timeout``: an APITimeoutError with ``request_sent`` False."""
    closed = asyncio.Event()
    closed.set()  # a slow machine needs longer for the connection alone

    async def script(connection: Connection) -> None:
        closed.clear()
        try:
            while True:
                await connection.read_head()  # the TLS handshake, which gets no response
        finally:
            closed.set()

    async with harness.scripting(script, scheme="https") as setup:
        opening = setup.start(setup.open(method="POST", body=b"body", connect_timeout=0.05))
        await asyncio.wait((opening,), timeout=HANG_GUARD)
        check(opening.done(), f"with a connect_timeout of 0.05 s, open waited for a TLS handshake for {HANG_GUARD} s")
        failure = await failure_of(opening, "a TLS handshake that takes too long")
        check(isinstance(failure, APITimeoutError), f"it was an {type(failure).__name__}: {failure}")
        check(not failure.request_sent, "request_sent is True, though the TLS handshake had not ended")
        await expect(closed, "the connection was not closed")


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
