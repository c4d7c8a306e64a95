"""Serve any handler over real HTTP, on loopback."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self

from aiohttp import ClientError, ClientSession, web
from yarl import URL

from ..errors import APIConnectionError, shorten
from ..http import Headers, Request
from ..transports.memory import Handler, StreamingResponse, call_handler
from ._responses import UnannouncedClose, iterate
from ._service.webhooks import LOOPBACK

__all__ = ["Server", "post_to_loopback", "serve"]


@asynccontextmanager
async def serve(handler: Handler, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve a handler over HTTP.

    ::

        async with serve(FakeHandinger()) as url:
            ...  # point a client in any language at url

    Each chunk of a response is sent as soon as the handler yields it. When the client disconnects, the handler is
    cancelled and its chunks are closed. When the handler raises an APIConnectionError, the connection is closed at that
    point.

    Args:
        handler: A handler, as for `MemoryTransport`; `FakeHandinger` is one.
        host: The address to listen on.
        port: The port to listen on; 0 for a free one.

    Yields:
        The base URL: ``"http://127.0.0.1:49152"``.

    Raises:
        OSError: The address is not available.
    """
    async with Server(handler, host, port) as server:
        yield server.url


class Server:
    """A running server, which counts its connections.

    Args:
        handler: The handler.
        host: The address to listen on.
        port: The port to listen on; 0 for a free one.

    Attributes:
        url: The base URL.
        connections: The number of connections accepted so far.
    """

    def __init__(self, handler: Handler, host: str = "127.0.0.1", port: int = 0) -> None:
        self._handler = handler
        self._address = host, port
        self._responding: set[asyncio.Task[object]] = set()
        self.url: str = ""
        self.connections: int = 0

    async def __aenter__(self) -> Self:
        server = web.Server(self._respond, handler_cancellation=True, access_log=None)

        def connect() -> asyncio.BaseProtocol:
            self.connections += 1
            return server()

        self._protocols = server
        try:
            self._listener = await asyncio.get_running_loop().create_server(connect, *self._address)
        except UnicodeError:  # a host such as "a..b"
            raise OSError(errno.EINVAL, "not the name of a host") from None
        host, port = self._listener.sockets[0].getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()
        # A response that is still open now is a stream: cancel it.
        for task in self._responding:
            task.cancel()
        await asyncio.gather(*self._responding, return_exceptions=True)
        self._protocols.pre_shutdown()
        await self._protocols.shutdown()
        await self._listener.wait_closed()

    async def _respond(self, incoming: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        if task is not None:
            self._responding.add(task)
        try:
            body = await incoming.content.read()
            headers = Headers(incoming.headers.items())
            response = await call_handler(self._handler, Request(incoming.method, incoming.raw_path, headers, body))
            return await _send(incoming, response)
        except APIConnectionError:
            _close_connection(incoming)
            return web.Response()  # the connection is closed: aiohttp treats this as a disconnected client
        finally:
            if task is not None:
                self._responding.discard(task)


async def _send(incoming: web.BaseRequest, response: StreamingResponse) -> web.StreamResponse:
    """Send a response, each chunk as soon as it is there."""
    outgoing = web.StreamResponse(status=response.status, headers=response.headers)
    if isinstance(response.chunks, list) and "content-length" not in response.headers:
        outgoing.content_length = sum(map(len, response.chunks))
    empty = incoming.method == "HEAD" or response.status in (204, 304)  # RFC 9112, section 6.3
    async with aclosing(iterate(response.chunks)) as chunks:
        try:
            await outgoing.prepare(incoming)
            async for chunk in chunks:
                if not empty:
                    await outgoing.write(chunk)
            if isinstance(response, UnannouncedClose):
                await outgoing.write_eof()
                _close_connection(incoming)
        except (ConnectionError, APIConnectionError):  # the client disconnected, or the handler breaks the connection
            _close_connection(incoming)
    return outgoing


def _close_connection(incoming: web.BaseRequest) -> None:
    """Close the connection, once the data written so far is sent."""
    if incoming.transport is not None:
        incoming.transport.close()


async def post_to_loopback(request: Request) -> StreamingResponse:
    """Send a request to the server of this machine that its ``Host`` names, for ``FakeHandinger(deliver=…)``.

    Args:
        request: The request.

    Returns:
        The response, without its body.

    Raises:
        APIConnectionError: There is no response, or the host is not of this machine.
    """
    url = URL(f"http://{request.headers['host']}{request.target}", encoded=True)
    if url.host not in LOOPBACK:
        raise APIConnectionError(f"nothing is sent beyond this machine, such as to {shorten(url.host or '', 80)}")
    try:
        async with (
            ClientSession() as client,
            client.request(
                request.method, url, headers=request.headers, data=request.body, allow_redirects=False
            ) as response,
        ):
            return StreamingResponse(response.status, Headers(response.headers.items()), [])
    except (ClientError, TimeoutError) as error:
        raise APIConnectionError(str(error)) from error
