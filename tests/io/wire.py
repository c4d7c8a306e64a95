"""Sockets for tests: a server that records raw requests and sends raw bytes, and events to wait for at both ends.

No test on a socket depends on speed. A server waits for an event (`WireServer.saw`, `ObservedTransport.waits_after`)
before it goes on, and a timeout of minutes expires when a test sets the clock forward (`Clock.advance`).
"""

import asyncio
import socket
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from yarl import URL

from handinger_async._asyncio.timers import CancelScope, Timers
from handinger_async.http import Request
from handinger_async.transports import StreamedResponse, Transport
from handinger_async.transports.aiohttp import AiohttpTransport

T = TypeVar("T")

#: Seconds until a test that hangs is given up.
HANG_GUARD = 100


@dataclass
class WireRequest:
    method: str
    target: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> list[str]:
        """Return all values of one header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


Reply = Callable[[WireRequest, asyncio.StreamWriter], Awaitable[None]]


class Changes:
    """Wakes the tasks that wait for a condition, to check it again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Tell that something has changed."""
        self._event.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when ``holds()`` is true."""
        while not holds():
            self._event.clear()
            await self._event.wait()


@dataclass
class WireServer:
    """Calls ``reply`` for each request; it writes raw bytes and may close the writer to end the connection."""

    reply: Reply
    requests: list[WireRequest] = field(default_factory=list)
    connections: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    broken: int = 0  # connections that ended within a request
    url: str = ""
    _changes: Changes = field(default_factory=Changes)

    async def saw(self, requests: int) -> None:
        """Return when the server has received that many requests."""
        await self._changes.until(lambda: len(self.requests) >= requests)

    async def empty(self, but: int = 0) -> None:
        """Return when no connection is open, or no more than ``but``."""
        await self._changes.until(lambda: len(self.open) <= but)

    async def broke(self) -> None:
        """Return when a connection has ended within a request."""
        await self._changes.until(lambda: self.broken > 0)

    async def __call__(self, reader: "_Reader", writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while not writer.is_closing() and (request := await _read_request(reader)):
                self.requests.append(request)
                self._changes.notify()
                replying = asyncio.ensure_future(self.reply(request, writer))
                ended = asyncio.ensure_future(reader.ended.wait())
                await asyncio.wait((replying, ended), return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                replying.cancel()
                await asyncio.wait((ended, replying))
                if not replying.cancelled():
                    replying.result()
                else:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.broken += 1
        finally:
            self.open.discard(writer)
            self._changes.notify()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


class _Reader(asyncio.StreamReader):
    """A reader with an event for the end of the client's side, orderly or not."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: Any) -> None:
        super().set_exception(exc)
        self.ended.set()


async def _read_request(reader: asyncio.StreamReader) -> WireRequest | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return WireRequest(method, target, headers, await reader.readexactly(length))


@asynccontextmanager
async def wire_server(reply: Reply, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireServer]:
    """Serve on loopback; on exit the connections that are still open are closed."""
    served = WireServer(reply)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: Any, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(served(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(_Reader(), accept)

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    scheme, port = "https" if tls else "http", server.sockets[0].getsockname()[1]
    served.url = f"{scheme}://127.0.0.1:{port}"
    try:
        yield served
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await server.wait_closed()


async def forever(*_: object) -> None:
    """Wait until cancelled; as a reply, until the client closes the connection."""
    await asyncio.get_running_loop().create_future()


async def wait(
    timers: Timers, work: Awaitable[T], limit: float | None, deadline: float | None = None, awaited: str = "thing"
) -> T:
    """Await in a cancel scope."""
    with CancelScope(timers, limit, deadline, awaited):
        return await work


# Raw responses ########################################################################################################


def response(
    body: bytes, *, status: str = "200 OK", content_type: str = "application/json", headers: str = ""
) -> bytes:
    """Return a complete response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def chunked(*chunks: bytes, content_type: str = "text/event-stream", end: bool = True) -> bytes:
    """Return a response in HTTP chunks; without the last one if ``end`` is False."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + body + (b"0\r\n\r\n" if end else b"")


# Ends of connections ##################################################################################################


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset (RST) instead of an orderly end (FIN)."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def write_and_close(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send bytes and the end of the connection in one segment: a client that has the bytes can see the end."""
    if hasattr(socket, "TCP_CORK"):  # elsewhere the end follows at once, in a segment of its own
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    writer.write(data)
    writer.close()


def half_close(sock: socket.socket) -> None:
    """Send the end of the connection, and return when the peer's kernel has acknowledged it."""
    sock.shutdown(socket.SHUT_WR)
    if sys.platform == "linux":
        while sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x04":  # TCP_FIN_WAIT1
            time.sleep(0.001)


# The client's side ####################################################################################################


class ObservedTransport:
    """A transport that tells how much of the last response's body the client has read.

    Args:
        transport: Sends the requests; over aiohttp by default.
    """

    def __init__(self, transport: Transport | None = None) -> None:
        self._transport = transport or AiohttpTransport()
        self._changes = Changes()
        self.waiting_after: int | None = None

    async def waits_after(self, size: int) -> None:
        """Return when the client has the head and ``size`` bytes of the body, and waits for more."""
        await self._changes.until(lambda: self.waiting_after == size)

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        self.waiting_after = None
        return _ObservedResponse(self, await self._transport.open(url, request, connect_timeout=connect_timeout))

    async def aclose(self) -> None:
        await self._transport.aclose()

    def waits(self, size: int) -> None:
        """Take note of a read."""
        self.waiting_after = size
        self._changes.notify()


class _ObservedResponse:
    def __init__(self, observer: ObservedTransport, stream: StreamedResponse) -> None:
        self.status = stream.status
        self.headers = stream.headers
        self.aclose = stream.aclose
        self._observer = observer
        self._read_chunk = stream.read_chunk
        self._size = 0

    async def read_chunk(self) -> bytes:
        self._observer.waits(self._size)
        chunk = await self._read_chunk()
        self._size += len(chunk)
        return chunk


class Clock:
    """The clock of the running event loop, which a test sets forward to make timeouts expire.

    Timeouts are given in minutes, so that none expires before the event that it is to follow.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        real, self._ahead = loop.time, 0.0
        loop.time = lambda: real() + self._ahead  # type: ignore[method-assign]

    def advance(self, seconds: float) -> None:
        """Set the clock forward; timers that are due then fire in the next iteration of the loop."""
        self._ahead += seconds
