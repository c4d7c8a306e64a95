"""Any handler over real HTTP, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self

from aiohttp import web

from ..errors import APIConnectionError
from ..http import Headers, Request
from ..transports.memory import Handler, StreamingResponse, ask
from ._answers import LastAnswer, iterate

__all__ = ["Server", "serve"]


@asynccontextmanager
async def serve(handler: Handler, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve a handler over HTTP.

    ::

        async with serve(FakeHandinger()) as url:
            ...  # any client in any language can now be pointed at url

    Each chunk of an answer is sent as it comes. When the client goes away, the handler is cancelled and its chunks are
    closed. An APIConnectionError of the handler's breaks the connection off at that point.

    Args:
        handler: What `MemoryTransport` takes; `FakeHandinger` is one.
        host: The address to listen at.
        port: The port; 0 for one that is free.

    Yields:
        The base URL: ``"http://127.0.0.1:49152"``.

    Raises:
        OSError: The address cannot be listened at.
    """
    async with Server(handler, host, port) as server:
        yield server.url


class Server:
    """A running server, which counts its connections.

    Args:
        handler: What answers.
        host: The address to listen at.
        port: The port; 0 for one that is free.

    Attributes:
        url: The base URL.
        connections: How many connections were made to it.
    """

    def __init__(self, handler: Handler, host: str = "127.0.0.1", port: int = 0) -> None:
        self._handler = handler
        self._address = host, port
        self._answering: set[asyncio.Task[object]] = set()
        self.url = ""
        self.connections = 0

    async def __aenter__(self) -> Self:
        server = web.Server(self._respond, handler_cancellation=True, access_log=None)

        def connect() -> asyncio.BaseProtocol:
            self.connections += 1
            return server()

        self._protocols = server
        self._listener = await asyncio.get_running_loop().create_server(connect, *self._address)
        host, port = self._listener.sockets[0].getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()
        # What is still being answered at the end is a stream that nobody waits for.
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        self._protocols.pre_shutdown()
        await self._protocols.shutdown()
        await self._listener.wait_closed()

    async def _respond(self, incoming: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        if task is not None:
            self._answering.add(task)
        try:
            body = await incoming.content.read()
            headers = Headers(incoming.headers.items())
            answer = await ask(self._handler, Request(incoming.method, incoming.raw_path, headers, body))
            return await _send(incoming, answer)
        except APIConnectionError:
            _hang_up(incoming)
            return web.Response()  # to a connection that is closed: aiohttp takes that for a client that went away
        finally:
            if task is not None:
                self._answering.discard(task)


async def _send(incoming: web.BaseRequest, answer: StreamingResponse) -> web.StreamResponse:
    """Send an answer, each of its chunks as it comes."""
    outgoing = web.StreamResponse(status=answer.status, headers=answer.headers)
    if isinstance(answer.chunks, list) and "content-length" not in answer.headers:
        outgoing.content_length = sum(map(len, answer.chunks))
    empty = incoming.method == "HEAD" or answer.status in (204, 304)  # RFC 9112, section 6.3
    async with aclosing(iterate(answer.chunks)) as chunks:
        try:
            await outgoing.prepare(incoming)
            async for chunk in chunks:
                if not empty:
                    await outgoing.write(chunk)
            if isinstance(answer, LastAnswer):
                await outgoing.write_eof()
                _hang_up(incoming)
        except ConnectionError:  # the client went away
            _hang_up(incoming)
        except APIConnectionError:
            _hang_up(incoming)
    return outgoing


def _hang_up(incoming: web.BaseRequest) -> None:
    """Close the connection; what was written before is still sent."""
    if incoming.transport is not None:
        incoming.transport.close()
