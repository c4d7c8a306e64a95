"""Fault injection: errors, delays and broken connections, in front of any handler.

::

    handler = FaultyHandler(
        FakeHandinger(),
        Status(503, retry_after=1.0, times=2),          # the first two requests
        Drop(on=CreateWorker),                          # the first create: performed, but its response is lost
        Cut(120, on=StreamWorkerUpdates, times=None),   # every stream, after 120 bytes
        Delay(2.0, chance=0.1, times=None),             # one request in ten
    )
    async with Session(api_key="any", transport=MemoryTransport(handler)) as session: ...

The same handler can be served over real HTTP (`handinger_async.testing.serve`), where connections really break.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

import attrs

from .._json import dumps
from ..codec import decode_request
from ..errors import APIConnectionError, ConfigurationError
from ..http import Headers, Request
from ..operations import Operation
from ..transports.memory import Chunks, StreamingResponse
from ._faulty import CallNext, FaultyHandler, PostponedError
from ._responses import UnannouncedClose, close, iterate

__all__ = [
    "CloseConnection",
    "Corrupt",
    "Cut",
    "Delay",
    "Drop",
    "Fault",
    "FaultyHandler",
    "Postpone",
    "Refuse",
    "Status",
    "Trickle",
]

On: TypeAlias = type[Operation[Any]] | tuple[type[Operation[Any]], ...] | Callable[[Request], bool] | None


def _check_count(fault: Fault, field: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 0:
        raise ConfigurationError(f"{field.name} must not be negative, not {value!r}")


def _check_chance(fault: Fault, field: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{field.name} must be from 0 to 1, not {value!r}")


@attrs.frozen
class Fault:
    """The base class of all faults.

    Args:
        on: Selects requests: by the class of their operation, by several of them, or by a function of the request that
            returns True; None for all.
        times: The number of selected requests to affect; None for all.
        skip: The number of selected requests to leave alone first.
        chance: Probability per selected request, 0 to 1. Requests that are spared do not use up ``times``.
    """

    on: On = attrs.field(default=None, kw_only=True)
    times: int | None = attrs.field(default=1, kw_only=True, validator=_check_count)
    skip: int = attrs.field(default=0, kw_only=True, validator=_check_count)
    chance: float = attrs.field(default=1.0, kw_only=True, validator=_check_chance)

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """Respond to an affected request.

        Args:
            call_next: Passes the request on, to the next fault or to the handler, and returns the response.

        Returns:
            The response.

        Raises:
            APIConnectionError: The fault is a failure of the connection.
        """
        return await call_next()

    def concerns(self, request: Request) -> bool:
        """Return True if ``on`` selects the request."""
        if self.on is None:
            return True
        if not isinstance(self.on, type | tuple):
            return self.on(request)
        try:
            return isinstance(decode_request(request), self.on)
        except (LookupError, ValueError):
            return False


@attrs.frozen
class Refuse(Fault):
    """The connection is refused. The request is not performed, and the client can tell.

    A server that was reached cannot refuse: over HTTP, the connection is closed before the request is performed.
    """

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        raise APIConnectionError("the connection was refused", request_sent=False)


@attrs.frozen
class Drop(Fault):
    """The connection is lost before the response. The request is performed, so that a retried POST doubles it.

    Args:
        after: Seconds after which the connection is lost although the response is not there yet, as during a long run;
            None to lose it with the response.
    """

    after: float | None = attrs.field(default=None, kw_only=True)

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        patience = asyncio.timeout(self.after)
        try:
            async with patience:
                await close((await call_next()).chunks)
        except TimeoutError:
            if not patience.expired():
                raise
        raise APIConnectionError("the connection was lost")


@attrs.frozen
class Postpone(Fault):
    """The connection is lost before the response, and the request is performed late.

    It is performed after the next GET has been answered that asks for the same task, in vain: such as with 404. For a
    request without a task id, that is the next GET that is answered with 404. Until then it is not performed.

    Args:
        seconds: Seconds from that answer to the performance.
    """

    seconds: float = 0.0

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        raise PostponedError(call_next, self.seconds)


@attrs.frozen
class Status(Fault):
    """An error response. The request is not performed.

    Args:
        status: The status code: 429, 500, 503, …
        retry_after: The value of ``Retry-After``, in seconds; None for no such header.
        headers: Further header fields.
        body: The body; None for one in the service's format.
    """

    status: int = 500
    retry_after: float | None = attrs.field(default=None, kw_only=True)
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    body: bytes | None = attrs.field(default=None, kw_only=True)

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        headers = Headers({"Content-Type": "application/json"})
        if self.retry_after is not None:
            headers |= {"Retry-After": f"{self.retry_after:g}"}
        body = dumps({"error": {"message": "Something went wrong, on purpose.", "code": "injected"}})
        return StreamingResponse(self.status, headers | self.headers, [body if self.body is None else self.body])


@attrs.frozen
class Delay(Fault):
    """A late response. The request is performed first.

    Args:
        seconds: The delay; ``math.inf`` for no response at all.
        at: The offset in the body, in bytes, at which to pause; None to delay the whole response.
    """

    seconds: float
    at: int | None = attrs.field(default=None, kw_only=True, validator=_check_count)

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        response = await call_next()
        if self.at is None:
            await self._pause()
            return response
        return attrs.evolve(response, chunks=self._delayed(response.chunks, self.at))

    async def _delayed(self, chunks: Chunks, at: int) -> AsyncIterator[bytes]:
        async with aclosing(_split(chunks, at)) as parts:
            seen = 0
            async for part in parts:
                if seen == at:
                    await self._pause()
                seen += len(part)
                yield part

    async def _pause(self) -> None:
        if self.seconds == float("inf"):
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.seconds)


@attrs.frozen
class Trickle(Fault):
    """A body that arrives in small chunks.

    Args:
        size: The size of a chunk, in bytes.
        pause: Seconds before each chunk.
    """

    size: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    pause: float = 0.01

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        response = await call_next()
        return attrs.evolve(response, chunks=self._slowed(response.chunks))

    async def _slowed(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async with aclosing(iterate(chunks)) as whole:
            async for chunk in whole:
                for begin in range(0, len(chunk), self.size):
                    await asyncio.sleep(self.pause)
                    yield chunk[begin : begin + self.size]


@attrs.frozen
class Cut(Fault):
    """A truncated body: the connection is lost within it.

    Args:
        at: The number of bytes of the body that arrive. A shorter body arrives complete.
    """

    at: int = attrs.field(validator=_check_count)

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        response = await call_next()
        return attrs.evolve(response, chunks=self._shortened(response.chunks))

    async def _shortened(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async with aclosing(_split(chunks, self.at)) as parts:
            left = self.at
            if left > 0:
                async for part in parts:
                    yield part
                    left -= len(part)
                    if left <= 0:
                        break
            if left <= 0:
                raise APIConnectionError("the connection was lost in the middle of the body")


@attrs.frozen
class Corrupt(Fault):
    """One byte of the body is replaced by a NUL, which is not valid in JSON.

    Args:
        at: The offset of the byte.
    """

    at: int = attrs.field(default=0, validator=_check_count)

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        response = await call_next()
        return attrs.evolve(response, chunks=self._corrupted(response.chunks))

    async def _corrupted(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async with aclosing(_split(chunks, self.at)) as parts:
            seen = 0
            async for part in parts:
                yield b"\0" + part[1:] if seen == self.at else part
                seen += len(part)


@attrs.frozen
class CloseConnection(Fault):
    """The response is complete, and then its connection is closed unannounced: the next request finds it stale.

    Without effect where there are no connections.
    """

    async def apply(self, call_next: CallNext) -> StreamingResponse:
        """See `Fault.apply`."""
        response = await call_next()
        return UnannouncedClose(response.status, response.headers, response.chunks)


async def _split(chunks: Chunks, at: int) -> AsyncGenerator[bytes, None]:
    """Iterate over the chunks that are not empty, with one more boundary at offset ``at``."""
    seen = 0
    async with aclosing(iterate(chunks)) as whole:
        async for chunk in whole:
            for part in (chunk[: max(0, at - seen)], chunk[max(0, at - seen) :]):
                if part:
                    yield part
            seen += len(chunk)
