"""Streamed responses of handlers: iterating over them, closing them, and one after which the connection closes."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator

import attrs

from ..transports.memory import Chunks, StreamingResponse

__all__ = ["UnannouncedClose", "close", "iterate"]


@attrs.frozen
class UnannouncedClose(StreamingResponse):
    """A response after which the server closes the connection without ``Connection: close``."""


async def iterate(chunks: Chunks) -> AsyncGenerator[bytes, None]:
    """Iterate over chunks. Closing the generator closes them."""
    iterator: AsyncIterator[bytes] | Iterator[bytes]
    iterator = aiter(chunks) if isinstance(chunks, AsyncIterable) else iter(chunks)
    try:
        if isinstance(iterator, AsyncIterator):
            async for chunk in iterator:
                yield chunk
        else:
            for chunk in iterator:
                yield chunk
    finally:
        await close(iterator)


async def close(chunks: object) -> None:
    """Close chunks, whether started or not, if they have a method for it."""
    function = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
    closing = function() if function is not None else None
    if inspect.isawaitable(closing):
        await closing
