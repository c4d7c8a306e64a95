"""A server that shows the very bytes of requests and answers with the very bytes that a test wants."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass
class WireRequest:
    method: str
    target: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> list[str]:
        """All values of one header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


Reply = Callable[[WireRequest, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class WireServer:
    """Answers each request by ``reply``, which writes what it likes and closes the writer to end the connection."""

    reply: Reply
    requests: list[WireRequest] = field(default_factory=list)
    connections: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    url: str = ""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    async def saw(self, requests: int) -> None:
        """Return when there were as many requests."""
        await _until(lambda: len(self.requests) >= requests)

    async def empty(self, but: int = 0) -> None:
        """Return when no connection is open, or no more than ``but``."""
        await _until(lambda: len(self.open) <= but)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while not writer.is_closing() and (request := await _read_request(reader)):
                self.requests.append(request)
                replying = asyncio.ensure_future(self.reply(request, writer))
                gone = asyncio.ensure_future(_gone(reader))
                await asyncio.wait((replying, gone), return_when=asyncio.FIRST_COMPLETED)
                gone.cancel()
                replying.cancel()
                await asyncio.wait((gone, replying))
                if not replying.cancelled():
                    replying.result()
                else:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(writer)
            self.disconnected.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def _gone(reader: asyncio.StreamReader) -> None:
    """Return when the client has closed its side, or reset the connection."""
    while not reader.at_eof() and reader.exception() is None:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.005)


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
    """Serve on loopback; on the way out the connections that are still open are closed."""
    served = WireServer(reply)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(served(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
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


def answer(body: bytes, *, status: str = "200 OK", content_type: str = "application/json", headers: str = "") -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def replies(*answers: bytes) -> Reply:
    """Answer with these bytes in turn, the last one again and again."""
    left = list(answers)

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return reply


def chunked(*pieces: bytes, content_type: str = "text/event-stream", end: bool = True) -> bytes:
    """An answer in HTTP chunks; without its end if ``end`` is False."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head + body + (b"0\r\n\r\n" if end else b"")


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset (RST) instead of an orderly end (FIN)."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
