"""A transport without a network: requests are answered by a function."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TypeAlias
from weakref import WeakSet

import attrs
from yarl import URL

from ..errors import APIConnectionError
from ..http import Headers, Request, Response
from . import StreamedResponse

__all__ = ["Answer", "Chunks", "Handler", "MemoryTransport", "StreamingResponse"]

Chunks: TypeAlias = Iterable[bytes] | AsyncIterable[bytes]


@attrs.frozen
class StreamingResponse:
    """An answer whose body comes in chunks.

    Args:
        status: The status code.
        headers: The header fields.
        chunks: The pieces of the body, each delivered as it is. What is raised in between cuts the body short.
    """

    status: int
    headers: Headers = attrs.field(converter=Headers)
    chunks: Chunks


Answer: TypeAlias = Response | StreamingResponse | Chunks
Handler: TypeAlias = Callable[[Request], Answer | Awaitable[Answer]]


async def ask(handler: Handler, request: Request) -> StreamingResponse:
    """Return what a handler answers, in the one form that covers all others; a body that is complete is a list."""
    answer = handler(request)
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, Response):
        return StreamingResponse(answer.status, answer.headers, [answer.body])
    if isinstance(answer, StreamingResponse):
        return answer
    content_type = request.headers.get("accept", "application/octet-stream")
    return StreamingResponse(200, Headers({"Content-Type": content_type}), answer)


class MemoryTransport:
    """Hands every request to a function.

    Args:
        handler: Takes a `Request`, with its target as it would be on the wire and all its headers. Returns a
            `Response`, a `StreamingResponse`, or just an iterable or async iterable of chunks (then the status is 200
            and the content type what the request accepts); or an awaitable of one of these. An APIConnectionError that
            it raises is what the client sees; whatever else it raises is a mistake of the handler's, and comes through
            as it is.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._open: WeakSet[_MemoryResponse] = WeakSet()
        self._closed = False

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Ask the handler; see `Transport.open`."""
        if self._closed:
            raise APIConnectionError("The transport is closed.", request_sent=False)
        response = _MemoryResponse(await ask(self._handler, request), self._open)
        self._open.add(response)
        return response

    async def aclose(self) -> None:
        """Close the answers that are still open, and refuse further requests."""
        self._closed = True
        for response in list(self._open):
            await response.aclose()


class _MemoryResponse:
    def __init__(self, answer: StreamingResponse, siblings: WeakSet[_MemoryResponse]) -> None:
        self.status = answer.status
        self.headers = answer.headers
        chunks = answer.chunks
        self._chunks: Iterator[bytes] | AsyncIterator[bytes] = (
            aiter(chunks) if isinstance(chunks, AsyncIterable) else iter(chunks)
        )
        self._siblings = siblings
        self._step: asyncio.Task[bytes | None] | None = None
        self._finish: asyncio.Task[None] | None = None
        self._closed = False

    async def read_chunk(self) -> bytes:
        while not self._closed:
            if isinstance(self._chunks, AsyncIterator):
                chunk = await self._take(self._chunks)
            else:
                chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            if chunk:  # an empty piece would read as the end
                return chunk
        raise APIConnectionError("The answer was closed.")

    async def _take(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """Take a step in a task of its own: `aclose` can cancel it, and a reader that is cancelled loses nothing."""
        if self._step is None:
            self._step = asyncio.ensure_future(_next(chunks))
        step = self._step
        await asyncio.wait((step,))
        self._step = None
        if step.cancelled():
            raise APIConnectionError("The answer was closed.")
        return step.result()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._siblings.discard(self)
            if isinstance(self._chunks, AsyncIterator):
                self._finish = asyncio.ensure_future(self._close_chunks(self._chunks))
            elif (close := getattr(self._chunks, "close", None)) is not None:
                close()
        cancelled: asyncio.CancelledError | None = None
        while self._finish is not None and not self._finish.done():
            try:
                await asyncio.wait((self._finish,))
            except asyncio.CancelledError as error:
                cancelled = error  # what has begun is finished first
        if cancelled is not None:
            raise cancelled

    async def _close_chunks(self, chunks: AsyncIterator[bytes]) -> None:
        if self._step is not None:
            self._step.cancel()
            await asyncio.wait((self._step,))
        if (close := getattr(chunks, "aclose", None)) is not None:
            await close()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
