"""In-memory transport: passes requests to a handler function, without a network."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TypeAlias
from weakref import WeakKeyDictionary, WeakSet

import attrs
from yarl import URL

from ..errors import APIConnectionError, ConfigurationError, quoted
from ..http import Headers, Request, Response
from . import StreamedResponse

__all__ = ["Chunks", "Handler", "HandlerResult", "MemoryTransport", "StreamingResponse"]

Chunks: TypeAlias = Iterable[bytes] | AsyncIterable[bytes]


@attrs.frozen
class StreamingResponse:
    """A handler's response with a body in chunks.

    Args:
        status: The status code.
        headers: The header fields.
        chunks: The chunks of the body, delivered unchanged. An exception raised by the iterator truncates the body.
    """

    status: int
    headers: Headers = attrs.field(converter=Headers)
    chunks: Chunks


HandlerResult: TypeAlias = Response | StreamingResponse | Chunks
Handler: TypeAlias = Callable[[Request], HandlerResult | Awaitable[HandlerResult]]


async def call_handler(handler: Handler, request: Request) -> StreamingResponse:
    """Call a handler and convert its result to a `StreamingResponse`; the chunks of a complete body are a list."""
    result = handler(request)
    return _to_response(request, await result if inspect.isawaitable(result) else result)


def _to_response(request: Request, result: HandlerResult) -> StreamingResponse:
    if isinstance(result, Response):
        return StreamingResponse(result.status, result.headers, [result.body])
    if isinstance(result, StreamingResponse):
        return result
    content_type = request.headers.get("accept", "application/octet-stream")
    return StreamingResponse(200, Headers({"Content-Type": content_type}), result)


class MemoryTransport:
    """Passes every request to a handler function.

    Args:
        handler: Takes a `Request` with its target as on the wire and all its headers. Returns a `Response`, a
            `StreamingResponse`, an iterable or async iterable of chunks (with status 200 and the content type that the
            request accepts), or an awaitable of one of these. An APIConnectionError raised by the handler counts as a
            network error; any other exception counts as a bug in the handler and propagates unchanged.

    Raises:
        ConfigurationError: ``handler`` is not callable.
    """

    def __init__(self, handler: Handler) -> None:
        if not callable(handler):
            raise ConfigurationError(f"handler must be callable, not {quoted(handler)}")
        self._handler = handler
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _InProgress] = WeakKeyDictionary()
        self._closed = False

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Call the handler; see `Transport.open`."""
        if self._closed:
            raise APIConnectionError("the transport is closed", request_sent=False)
        loop = asyncio.get_running_loop()
        in_progress = self._loops.get(loop) or self._loops.setdefault(loop, _InProgress())
        result = self._handler(request)
        if inspect.isawaitable(result):
            result = await in_progress.wait_for(result)
        response = _MemoryResponse(_to_response(request, result), in_progress.responses)
        in_progress.responses.add(response)
        if in_progress.closed:  # by the handler, or it did not let itself be cancelled
            await response.aclose()
            raise APIConnectionError("the transport was closed")
        return response

    async def aclose(self) -> None:
        """End all calls and close all open responses of this event loop, and refuse further requests."""
        self._closed = True
        in_progress = self._loops.get(asyncio.get_running_loop())
        if in_progress is not None:
            await in_progress.aclose()


class _InProgress:
    """The calls and responses of one event loop."""

    def __init__(self) -> None:
        self.responses: WeakSet[_MemoryResponse] = WeakSet()
        self.closed = False
        self._waits: set[asyncio.Timeout] = set()

    async def wait_for(self, handling: Awaitable[HandlerResult]) -> HandlerResult:
        """Await the result of a handler.

        Raises:
            APIConnectionError: The transport was closed.
        """
        wait = asyncio.timeout(None)  # no limit, but `aclose` reschedules it
        self._waits.add(wait)
        try:
            async with wait:
                return await handling
        except TimeoutError:
            if not wait.expired():
                raise
        finally:
            self._waits.discard(wait)
            del wait  # it knows the task, which keeps the exception, which keeps this frame: no cycle of the three
        raise APIConnectionError("the transport was closed")

    async def aclose(self) -> None:
        self.closed = True
        while self._waits:
            self._waits.pop().reschedule(asyncio.get_running_loop().time())
        for response in list(self.responses):
            await response.aclose()


class _MemoryResponse:
    def __init__(self, response: StreamingResponse, open_responses: WeakSet[_MemoryResponse]) -> None:
        self.status = response.status
        self.headers = response.headers
        chunks = response.chunks
        self._chunks: Iterator[bytes] | AsyncIterator[bytes] = (
            aiter(chunks) if isinstance(chunks, AsyncIterable) else iter(chunks)
        )
        self._open_responses = open_responses
        self._reading: asyncio.Task[bytes | None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closed = False

    async def read_chunk(self) -> bytes:
        while not self._closed:
            if isinstance(self._chunks, AsyncIterator):
                chunk = await self._read(self._chunks)
            else:
                chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            if chunk:  # an empty chunk would signal the end of the body
                return chunk
        raise APIConnectionError("the response is closed")

    async def _read(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """Read a chunk in a separate task: `aclose` can cancel it, and a cancelled reader does not lose the chunk."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(_next(chunks))
        reading = self._reading
        await asyncio.wait((reading,))
        self._reading = None
        try:
            if reading.cancelled():
                raise APIConnectionError("the response is closed")
            return reading.result()
        finally:
            del reading  # it keeps its exception, which keeps this frame: no cycle of the three

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._open_responses.discard(self)
            if isinstance(self._chunks, AsyncIterator):
                self._closing = asyncio.ensure_future(self._close_chunks(self._chunks))
            elif (close := getattr(self._chunks, "close", None)) is not None:
                close()
        cancelled: asyncio.CancelledError | None = None
        while self._closing is not None and not self._closing.done():
            try:
                await asyncio.wait((self._closing,))
            except asyncio.CancelledError as error:
                cancelled = error  # re-raised once the cleanup is complete
        if cancelled is not None:
            raise cancelled

    async def _close_chunks(self, chunks: AsyncIterator[bytes]) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        if (close := getattr(chunks, "aclose", None)) is not None:
            await close()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
