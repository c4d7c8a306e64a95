"""What can go wrong between a client and a service, put in front of any handler.

::

    handler = FaultyHandler(
        FakeHandinger(),
        Status(503, retry_after=1.0, times=2),          # the first two requests, whatever they are
        Drop(on=CreateWorker),                          # the first create: performed, and its answer lost
        Cut(120, on=StreamWorkerUpdates, times=None),   # every stream, after 120 bytes
        Delay(2.0, chance=0.1, times=None),             # one request in ten
    )
    async with Session(api_key="any", transport=MemoryTransport(handler)) as session: ...

The same handler can be served over real HTTP (`handinger_async.testing.serve`), where connections really break.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from random import Random
from typing import Any, TypeAlias

import attrs

from .._json import dumps
from ..codec import decode_request
from ..errors import APIConnectionError, ConfigurationError
from ..http import Headers, Request
from ..operations import (
    Operation,
)
from ..transports.memory import Chunks, Handler, StreamingResponse, ask
from ._answers import LastAnswer, close, iterate

__all__ = [
    "CloseConnection",
    "Corrupt",
    "Cut",
    "Delay",
    "Drop",
    "Fault",
    "FaultyHandler",
    "Refuse",
    "Status",
    "Trickle",
]

Ask: TypeAlias = Callable[[], Awaitable[StreamingResponse]]
On: TypeAlias = type[Operation[Any]] | tuple[type[Operation[Any]], ...] | Callable[[Request], bool] | None


def _check_count(fault: Fault, field: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 0:
        raise ConfigurationError(f"{field.name} must not be negative, not {value!r}")


def _check_chance(fault: Fault, field: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{field.name} must be from 0 to 1, not {value!r}")


@attrs.frozen
class Fault:
    """Something that goes wrong; one of the classes below.

    Args:
        on: With which requests: those of an operation's class, or of one of several; those for which a function of the
            request returns True; None for all.
        times: With how many of these; None for all.
        skip: How many of these pass unharmed first.
        chance: How likely it is for each, from 0 to 1; those that are spared do not count for ``times``.
    """

    on: On = attrs.field(default=None, kw_only=True)
    times: int | None = attrs.field(default=1, kw_only=True, validator=_check_count)
    skip: int = attrs.field(default=0, kw_only=True, validator=_check_count)
    chance: float = attrs.field(default=1.0, kw_only=True, validator=_check_chance)

    async def apply(self, ask: Ask) -> StreamingResponse:
        """Answer a request that this goes wrong with.

        Args:
            ask: Performs the request, unless something else goes wrong too, and returns the answer.

        Returns:
            The answer.

        Raises:
            APIConnectionError: There is none.
        """
        return await ask()

    def concerns(self, request: Request) -> bool:
        """Return whether the request is one of those that this can go wrong with."""
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
    """The connection is refused: the request is not performed, and the client knows.

    (A server that is reached cannot refuse; over HTTP the connection is closed before the request is performed.)
    """

    async def apply(self, ask: Ask) -> StreamingResponse:
        """See `Fault.apply`."""
        raise APIConnectionError("The connection was refused.", request_sent=False)


@attrs.frozen
class Drop(Fault):
    """The request is performed, but the connection is lost before the answer: to repeat a POST now is to double it."""

    async def apply(self, ask: Ask) -> StreamingResponse:
        """See `Fault.apply`."""
        await close((await ask()).chunks)
        raise APIConnectionError("The connection was lost.")


@attrs.frozen
class Status(Fault):
    """The request is not performed, but answered with an error.

    Args:
        status: The status: 429, 500, 503, …
        retry_after: The seconds of a ``Retry-After`` header; None for no such header.
        headers: Other header fields.
        body: The body; None for one as the service has it.
    """

    status: int = 500
    retry_after: float | None = attrs.field(default=None, kw_only=True)
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    body: bytes | None = attrs.field(default=None, kw_only=True)

    async def apply(self, ask: Ask) -> StreamingResponse:
        """See `Fault.apply`."""
        headers = Headers({"Content-Type": "application/json"})
        if self.retry_after is not None:
            headers |= {"Retry-After": f"{self.retry_after:g}"}
        body = dumps({"error": {"message": "Something went wrong, on purpose.", "code": "injected"}})
        return StreamingResponse(self.status, headers | self.headers, [body if self.body is None else self.body])


@attrs.frozen
class Delay(Fault):
    """The request is performed, but the answer takes its time.

    Args:
        seconds: How long; ``math.inf`` for ever.
        at: Before which byte of the body; None for before the head.
    """

    seconds: float
    at: int | None = attrs.field(default=None, kw_only=True, validator=_check_count)

    async def apply(self, ask: Ask) -> StreamingResponse:
        """See `Fault.apply`."""
        answer = await ask()
        if self.at is None:
            await self._pass()
            return answer
        return attrs.evolve(answer, chunks=self._delayed(answer.chunks, self.at))

    async def _delayed(self, chunks: Chunks, at: int) -> AsyncIterator[bytes]:
        async with aclosing(_split(chunks, at)) as pieces:
            seen = 0
            async for piece in pieces:
                if seen == at:
                    await self._pass()
                seen += len(piece)
                yield piece

    async def _pass(self) -> None:
        if self.seconds == float("inf"):
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.seconds)


@attrs.frozen
class Trickle(Fault):
    """The body comes in small pieces.

    Args:
        size: Bytes in a piece.
        pause: Seconds before each.
    """

    size: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    pause: float = 0.01

    async def apply(self, ask: Ask) -> StreamingResponse:
        """See `Fault.apply`."""
        answer = await ask()
        return attrs.evolve(answer, chunks=self._slowed(answer.chunks))

    async def _slowed(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async with aclosing(iterate(chunks)) as pieces:
            async for piece in pieces:
                for begin in range(0, len(piece), self.size):
                    await asyncio.sleep(self.pause)
                    yield piece[begin : begin + self.size]


@attrs.frozen
class Cut(Fault):
    """The connection is lost within the body.

    Args:
        at: How many bytes of the body arrive. A body that is shorter arrives whole.
    """

    at: int = attrs.field(validator=_check_count)

    async def apply(self, ask: Ask) -> StreamingResponse:
        """See `Fault.apply`."""
        answer = await ask()
        return attrs.evolve(answer, chunks=self._shortened(answer.chunks))

    async def _shortened(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async with aclosing(_split(chunks, self.at)) as pieces:
            left = self.at
            if left > 0:
                async for piece in pieces:
                    yield piece
                    left -= len(piece)
                    if left <= 0:
                        break
            if left <= 0:
                raise APIConnectionError("The connection was lost in the middle of the body.")


@attrs.frozen
class Corrupt(Fault):
    """One byte of the body is replaced by a NUL, which no JSON may hold.

    Args:
        at: Which byte, counted from 0.
    """

    at: int = attrs.field(default=0, validator=_check_count)

    async def apply(self, ask: Ask) -> StreamingResponse:
        """See `Fault.apply`."""
        answer = await ask()
        return attrs.evolve(answer, chunks=self._corrupted(answer.chunks))

    async def _corrupted(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async with aclosing(_split(chunks, self.at)) as pieces:
            seen = 0
            async for piece in pieces:
                yield b"\0" + piece[1:] if seen == self.at else piece
                seen += len(piece)


@attrs.frozen
class CloseConnection(Fault):
    """The answer is whole, but its connection is closed behind it, without a word: the next request finds it dead.

    Where there are no connections, nothing happens.
    """

    async def apply(self, ask: Ask) -> StreamingResponse:
        """See `Fault.apply`."""
        answer = await ask()
        return LastAnswer(answer.status, answer.headers, answer.chunks)


async def _split(chunks: Chunks, at: int) -> AsyncGenerator[bytes, None]:
    """Iterate over chunks, none of them empty, that have one more boundary: before byte ``at``."""
    seen = 0
    async with aclosing(iterate(chunks)) as pieces:
        async for piece in pieces:
            for part in (piece[: max(0, at - seen)], piece[max(0, at - seen) :]):
                if part:
                    yield part
            seen += len(piece)


class FaultyHandler:
    """A handler with which things go wrong.

    Args:
        handler: The handler behind it.
        faults: What goes wrong. A request comes past them in this order, as far as it comes: one that was refused does
            not count for those behind.
        seed: What chance depends on.

    Attributes:
        faults: The faults; more can be appended at any time.
        injected: What went wrong so far, in order, and with which request.
    """

    def __init__(self, handler: Handler, *faults: Fault, seed: int = 0) -> None:
        self._handler = handler
        self.faults = list(faults)
        self._random = Random(seed)  # noqa: S311 - the point is that it can be foretold
        self._met: Counter[int] = Counter()
        self._struck: Counter[int] = Counter()
        self.injected: list[tuple[Request, Fault]] = []

    async def __call__(self, request: Request) -> StreamingResponse:
        """Answer a request.

        Args:
            request: The request.

        Returns:
            The answer.

        Raises:
            APIConnectionError: There is none.
        """
        return await self._from(0, request)

    async def _from(self, place: int, request: Request) -> StreamingResponse:
        """Answer a request that has come past the faults before ``place``."""
        if place == len(self.faults):
            return await ask(self._handler, request)
        if self._strikes(place, request):
            return await self.faults[place].apply(lambda: self._from(place + 1, request))
        return await self._from(place + 1, request)

    def _strikes(self, place: int, request: Request) -> bool:
        fault = self.faults[place]
        if not fault.concerns(request):
            return False
        self._met[place] += 1
        if self._met[place] <= fault.skip or self._struck[place] == fault.times:
            return False
        if fault.chance < 1 and self._random.random() >= fault.chance:
            return False
        self._struck[place] += 1
        self.injected.append((request, fault))
        return True
