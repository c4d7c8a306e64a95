"""Where the clauses of the conformance suite are checked, and with what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import attrs
from yarl import URL

from ..errors import APIConnectionError
from ..http import Headers, Request, Response
from ..transports import StreamedResponse, Transport
from ..transports.memory import Answer, Handler, StreamingResponse
from .server import Server

__all__ = [
    "SOON",
    "Always",
    "Bench",
    "Gate",
    "Make",
    "Setup",
    "cancel",
    "check",
    "failure_of",
    "happens",
    "read_all",
    "waits",
]

T = TypeVar("T")

Make: TypeAlias = Callable[[Handler], Transport]

#: Seconds in which what was closed at one end must be seen at the other.
SOON = 3.0


@attrs.frozen
class Setup:
    """A transport, and a handler that it reaches.

    Args:
        transport: The transport under test.
        server: Serves the handler, for transports with a network.
    """

    transport: Transport
    server: Server
    _tasks: list[asyncio.Task[Any]] = attrs.field(factory=list, init=False)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something in the background; whatever becomes of it, it ends with the clause."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def stop(self) -> None:
        """End what is going on in the background, and the transport."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.transport.aclose()

    async def open(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        connect_timeout: float | None = 5.0,
    ) -> StreamedResponse:
        """Send a request."""
        url = URL(self.server.url + target, encoded=True)
        request = Request(method, target, Headers(headers or {}), body)
        return await self.transport.open(url, request, connect_timeout=connect_timeout)

    async def fetch(self, target: str = "/", **kwargs: Any) -> tuple[StreamedResponse, bytes]:
        """Send a request, read the answer to its end and close it."""
        response = await self.open(target, **kwargs)
        body = await read_all(response)
        await response.aclose()
        return response, body


@attrs.frozen
class Bench:
    """Where a clause sets up what it needs.

    Args:
        make: Returns a new transport.
    """

    make: Make

    @asynccontextmanager
    async def answering(self, handler: Handler) -> AsyncIterator[Setup]:
        """Serve a handler, and connect a new transport with it."""
        async with Server(handler) as server:
            setup = Setup(self.make(handler), server)
            try:
                yield setup
            finally:
                await setup.stop()


def check(holds: bool, reason: str) -> None:
    if not holds:
        raise AssertionError(reason)


async def read_all(response: StreamedResponse) -> bytes:
    pieces: list[bytes] = []
    while piece := await response.read_chunk():
        pieces.append(piece)
    return b"".join(pieces)


async def failure_of(work: Awaitable[Any], what: str) -> APIConnectionError:
    """Return the APIConnectionError that ``work`` raises."""
    try:
        result = await work
    except APIConnectionError as error:
        return error
    except Exception as error:
        raise AssertionError(f"{what} raised {type(error).__name__} instead of APIConnectionError: {error}") from error
    raise AssertionError(f"{what} gave {result!r} instead of an APIConnectionError")


async def happens(event: asyncio.Event, what: str) -> None:
    try:
        async with asyncio.timeout(SOON):
            await event.wait()
    except TimeoutError:
        raise AssertionError(f"within {SOON} s, {what}") from None


async def waits(task: asyncio.Task[Any], what: str) -> None:
    """Let ``task`` run until it has nothing to do but wait."""
    await asyncio.wait((task,), timeout=0.05)
    if task.done():
        raise AssertionError(f"{what} ended at once, with {task.exception() or task.result()!r}")


async def cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Always:
    """A handler that gives the same answer to every request, and keeps the requests."""

    def __init__(self, answer: Response) -> None:
        self.seen: list[Request] = []
        self._answer = answer

    def __call__(self, request: Request) -> Answer:
        self.seen.append(request)
        return self._answer


class Gate:
    """A handler that answers with ``b"first"``, waits, and answers with ``b"second"``."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.left = asyncio.Event()

    def __call__(self, request: Request) -> Answer:
        return StreamingResponse(200, {"Content-Type": "text/event-stream"}, self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await self.opened.wait()
            yield b"second"
        finally:
            self.left.set()
