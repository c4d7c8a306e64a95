"""Clauses on the bodies of responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import attrs

from ...errors import APIConnectionError
from ...http import Request, Response
from ...transports import StreamedResponse
from ...transports.memory import HandlerResult, StreamingResponse
from .._harness import HANG_GUARD, Always, Gate, Harness, check, failure_of, iterate_loop, read_all
from .._scripted import Connection
from ._clauses import clause, network_clause


@clause
async def chunks_come_as_they_are_sent(harness: Harness) -> None:
    """Each chunk of the body is delivered as soon as it arrives."""
    sent = [b"first", b"second", b"third"]
    delivered = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in sent:
            yield chunk
            await delivered.wait()
            delivered.clear()

    async with harness.serving(lambda _: StreamingResponse(200, {}, chunks())) as setup:
        response = await setup.open()
        for chunk in sent:
            reading = setup.start(_read(response, len(chunk)))
            await asyncio.wait((reading,), timeout=HANG_GUARD)
            check(reading.done(), f"{chunk!r} was held until more arrived")
            received = await reading
            check(received == chunk, f"{chunk!r} was delivered as {received!r}")
            delivered.set()
        rest = await read_all(response)
        await response.aclose()
    check(rest == b"", f"{rest!r} was delivered at the end")


async def _read(response: StreamedResponse, size: int) -> bytes:
    """Return the next chunks of a body, until they have ``size`` bytes or the body ends."""
    received = b""
    while len(received) < size and (chunk := await response.read_chunk()):
        received += chunk
    return received


@clause
async def end_is_empty_from_then_on(harness: Harness) -> None:
    """At the end, `read_chunk` returns ``b""``, and again when it is called again."""
    async with harness.serving(lambda _: Response(200, {}, b"all")) as setup:
        response = await setup.open()
        body = await read_all(response)
        more = [await response.read_chunk() for _ in range(3)]
        await response.aclose()
    check((body, more) == (b"all", [b"", b"", b""]), f"b'all' and the end were delivered as {body!r} and {more!r}")


@clause
async def empty_chunks_are_not_the_end(harness: Harness) -> None:
    """An empty chunk in the middle is not delivered: the reader would take it for the end."""
    chunks = [b"", b"one", b"", b"", b"two", b""]
    async with harness.serving(lambda _: StreamingResponse(200, {}, iter(chunks))) as setup:
        _, body = await setup.fetch()
    check(body == b"onetwo", f"b'onetwo' with empty chunks around was delivered as {body!r}")


@clause
async def responses_without_a_body_end_immediately(harness: Harness) -> None:
    """A response without a body (204, 304, to HEAD, of length 0) ends immediately, and the next request succeeds."""
    for status, method in ((204, "GET"), (204, "DELETE"), (304, "GET"), (200, "HEAD"), (200, "GET")):
        async with harness.serving(Always(Response(status))) as setup:
            for _ in range(2):
                response, body = await setup.fetch(method=method)
                check(response.status == status, f"{status} to {method} was delivered as {response.status}")
                check(body == b"", f"{status} to {method} came with a body: {body!r}")


@clause
async def a_truncated_body_is_an_error(harness: Harness) -> None:
    """A truncated body raises an APIConnectionError with ``request_sent`` True, after the chunks that arrived."""
    delivered = asyncio.Event()

    async def truncated() -> AsyncIterator[bytes]:
        yield b"some"
        await delivered.wait()
        raise APIConnectionError("truncated")

    def handler(request: Request) -> HandlerResult:
        return StreamingResponse(200, {"Content-Length": "100"} if request.target == "/long" else {}, truncated())

    for target in ("/", "/long"):
        async with harness.serving(handler) as setup:
            delivered.clear()
            response = await setup.open(target)
            received = await response.read_chunk()
            delivered.set()
            failure = await failure_of(read_all(response), "reading a truncated body")
            await response.aclose()
        check(received == b"some", f"b'some' was delivered as {received!r}")
        check(failure.request_sent, "request_sent is False, though the response had begun")


@network_clause
async def a_reset_is_an_error(harness: Harness) -> None:
    """A reset (RST) raises an APIConnectionError: before the response, and in a body even if it has no length."""
    reset = asyncio.Event()
    reset.set()
    async with harness.scripting(_Reset(b"", reset)) as setup:
        failure = await failure_of(setup.open(), "waiting for a response after a reset")
    check(failure.request_sent, "request_sent is False, though the server has received the request")
    for framing, some in (
        (b"Connection: close", b"some"),
        (b"Content-Length: 8", b"some"),
        (b"Transfer-Encoding: chunked", b"4\r\nsome\r\n"),
    ):
        start = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + some
        delivered = asyncio.Event()
        async with harness.scripting(_Reset(start, delivered)) as setup:
            response = await setup.open()
            received = await response.read_chunk()
            delivered.set()
            failure = await failure_of(read_all(response), f"reading a body with {framing.decode()} after a reset")
            await response.aclose()
        check(received == b"some", f"b'some' was delivered as {received!r}")
        check(failure.request_sent, "request_sent is False, though the response had begun")


@attrs.frozen
class _Reset:
    """A script that sends ``start`` for a response, and resets the connection once that is ``delivered``."""

    start: bytes
    delivered: asyncio.Event

    async def __call__(self, connection: Connection) -> None:
        await connection.read_head()
        await connection.send(self.start)
        await self.delivered.wait()
        connection.reset()


@network_clause
async def an_orderly_end_of_the_connection_ends_the_body(harness: Harness) -> None:
    """A body without a length ends with the connection, if the connection ends in order (FIN)."""

    async def script(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall")

    async with harness.scripting(script) as setup:
        _, body = await setup.fetch()
    check(body == b"all", f"b'all' was delivered as {body!r}")


@clause
async def a_cancelled_read_loses_nothing(harness: Harness) -> None:
    """After a cancelled `read_chunk`, the next one continues at the same place."""
    for iterations in range(8):
        gate = Gate()
        async with harness.serving(gate) as setup:
            response = await setup.open()
            body = await response.read_chunk()
            reading = setup.start(response.read_chunk())
            await iterate_loop(reading, "read_chunk")
            gate.opened.set()
            for _ in range(iterations):  # cancelled before the chunk arrives, at that moment, and after it
                await asyncio.sleep(0)
            reading.cancel()
            with suppress(asyncio.CancelledError):
                body += await reading
            body += await read_all(response)
            await response.aclose()
        check(body == b"firstsecond", f"after a cancelled read, b'firstsecond' was delivered as {body!r}")
