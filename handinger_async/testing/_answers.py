"""Answers on their way from a handler to whoever sends them."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator

import attrs

from ..transports.memory import Chunks, StreamingResponse

__all__ = ["LastAnswer", "iterate"]


@attrs.frozen
class LastAnswer(StreamingResponse):
    """An answer after which a server closes the connection without having said so."""


async def iterate(chunks: Chunks) -> AsyncGenerator[bytes, None]:
    """Iterate over chunks; to close this is to close them."""
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
    """Close chunks, begun or not, if they can be closed."""
    function = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
    closing = function() if function is not None else None
    if inspect.isawaitable(closing):
        await closing
