"""Faults of a server or a network, and the calls that meet them, on a new or a reused connection."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handinger_async import APIError, HandingerError, RetryPolicy, Session
from handinger_async.transports import Transport

from .wire import Clock, ObservedTransport, WireRequest, WireServer, forever, reset, wire_server

SSE = "text/event-stream"
EVENT = b"data: {}\n\n"

# The calls ############################################################################################################


async def retrieve(session: Session) -> Any:
    return await session.workers.retrieve("w")


async def create(session: Session) -> Any:
    return await session.workers.create(input="x")


async def custom(session: Session) -> Any:
    return await session.request("GET", "/x")


async def stream(session: Session) -> Any:
    async with session.workers.stream_updates("w") as events:
        return [event async for event in events]


async def stream_of_a_post(session: Session) -> Any:
    async with session.workers.create(input="x", stream=True) as events:
        return [event async for event in events]


async def iterate(session: Session) -> Any:
    async with session.workers.retrieve_file("f", worker_id="w") as file:
        return b"".join([chunk async for chunk in file])


async def read(session: Session) -> Any:
    return await session.workers.retrieve_file("f", worker_id="w").read()


async def save(session: Session) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(b"before")  # noqa: ASYNC240
        failed = True
        try:
            await session.workers.retrieve_file("f", worker_id="w").save(path)
            failed = False
        finally:
            assert (path.read_bytes() == b"before") == failed  # noqa: ASYNC240
            assert os.listdir(folder) == ["file"]  # noqa: PTH208


WHOLE = (retrieve, create, custom, read)
STREAMS = (stream, stream_of_a_post)
CHUNKED = (iterate, save)
CALLS = (*WHOLE, *STREAMS, *CHUNKED)
POSTS = (create, stream_of_a_post)


# The faults ###########################################################################################################


@dataclass(frozen=True)
class Fault:
    """A raw response, and the server's next step.

    Args:
        data: The bytes to send; ``{type}`` stands for the content type that the client accepts.
        then: "close", "reset" or "keep" the connection, "stall" until timeouts expire, or further bytes to send.
        after: Take that step when the client waits for more after as many bytes of the body; None for at once.
    """

    data: bytes
    then: str | bytes = "close"
    after: int | None = None

    async def inject(
        self, writer: asyncio.StreamWriter, accept: str, transport: ObservedTransport, clock: Clock
    ) -> None:
        """Send the response and take the next step."""
        writer.write(self.data.replace(b"{type}", accept.encode()))
        await writer.drain()
        if self.after is not None:
            await transport.waits_after(self.after)
        if isinstance(self.then, bytes):
            writer.write(self.then)
        elif self.then == "reset":
            reset(writer)
        elif self.then == "close":
            writer.close()
        elif self.then == "stall":
            clock.advance(120)
            await forever()


def head(*fields: str, status: str = "200 OK", content_type: str = "{type}") -> bytes:
    """Return the head of a response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "X-Request-Id: req_7", *fields, "", ""]
    return "\r\n".join(lines).encode()


def whole(body: bytes, *fields: str, status: str = "200 OK", content_type: str = "{type}") -> Fault:
    """Return a fault in the content of a response that is complete as HTTP."""
    return Fault(head(f"Content-Length: {len(body)}", *fields, status=status, content_type=content_type) + body, "keep")


def no_body(status: str, *fields: str) -> Fault:
    """Return a response that consists of a head."""
    return Fault(head(*fields, status=status), "keep")


# The encounter ########################################################################################################


@dataclass(frozen=True)
class Outcome:
    """The result of a call or its error, and the number of requests that the server received."""

    result: Any
    error: HandingerError | None
    requests: int


Meet = Callable[..., Awaitable[Outcome]]


async def meet(
    fault: Fault, call: Callable[[Session], Any], *, transport: Transport, reused: bool, clock: Clock, **options: Any
) -> Outcome:
    """Make a call to a server with a fault; check that no connection and no task is left over."""
    transport = ObservedTransport(transport)

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target == "/healthy":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        else:
            await fault.inject(writer, (request.header("accept") or [""])[0], transport, clock)

    async def outcome(session: Session, server: WireServer) -> Outcome:
        before = len(server.requests)
        result = error = None
        try:
            result = await call(session)
        except HandingerError as caught:
            error = caught
        return Outcome(result, error, len(server.requests) - before)

    tasks = asyncio.all_tasks()
    options = {"retry": RetryPolicy(max_retries=1, initial_delay=0)} | options
    async with wire_server(reply) as server:
        async with Session(api_key="key", base_url=server.url, transport=transport, **options) as session:
            if reused:
                accept = {"Accept": SSE} if call in STREAMS else {}
                await session.request("GET", "/healthy", headers=accept)
            met = await outcome(session, server)
            await server.empty(but=1)  # which may be kept for the next request
        await server.empty()
    assert asyncio.all_tasks() == tasks
    return met


def check_message(error: HandingerError) -> None:
    """Check that a message is short and names the call."""
    assert len(str(error).encode()) < 2000
    assert isinstance(error, APIError)
    assert error.call.split()[0] in ("GET", "POST")
    assert error.call in str(error)
