"""The harness of the conformance suite: a transport under test, a handler that it reaches, and checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import attrs
from yarl import URL

from ..errors import APIConnectionError
from ..http import Headers, MultipartBody, Request, Response
from ..transports import StreamedResponse, Transport
from ..transports.memory import Handler, HandlerResult, StreamingResponse
from ._scripted import Script, ScriptedServer
from .server import Server

__all__ = [
    "HANG_GUARD",
    "Always",
    "Gate",
    "Harness",
    "Make",
    "Setup",
    "cancel",
    "check",
    "expect",
    "failure_of",
    "iterate_loop",
    "read_all",
]

T = TypeVar("T")

Make: TypeAlias = Callable[[Handler], Transport]

#: Seconds to wait for an event. It only bounds the time of a failure: no clause passes or fails by the machine's speed.
HANG_GUARD = 60.0


@attrs.frozen
class Setup:
    """A transport, and a handler or a script that it reaches.

    Args:
        transport: The transport under test.
        server: The server for the handler, for transports with a network, or the one that follows the script.
    """

    transport: Transport
    server: Server | ScriptedServer
    _tasks: list[asyncio.Task[Any]] = attrs.field(factory=list, init=False)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task in the background. It is cancelled at the end of the clause."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def stop(self) -> None:
        """Cancel the background tasks, and close the transport."""
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
        body: bytes | MultipartBody = b"",
        host: str | None = None,
        connect_timeout: float | None = HANG_GUARD,
    ) -> StreamedResponse:
        """Send a request, to the server's IP address or by another name of it."""
        url = URL(self.server.url + target, encoded=True)
        url = url.with_host(host) if host else url
        request = Request(method, target, Headers(headers or {}), body)
        return await self.transport.open(url, request, connect_timeout=connect_timeout)

    async def fetch(self, target: str = "/", **kwargs: Any) -> tuple[StreamedResponse, bytes]:
        """Send a request, read the response to its end and close it."""
        response = await self.open(target, **kwargs)
        body = await read_all(response)
        await response.aclose()
        return response, body


@attrs.frozen
class Harness:
    """Sets up transports for the clauses.

    Args:
        make: Returns a new transport.
    """

    make: Make

    @asynccontextmanager
    async def serving(self, handler: Handler) -> AsyncIterator[Setup]:
        """Serve a handler, and connect a new transport with it."""
        async with Server(handler) as server:
            setup = Setup(self.make(handler), server)
            try:
                yield setup
            finally:
                await setup.stop()

    @asynccontextmanager
    async def scripting(self, script: Script, scheme: str = "http") -> AsyncIterator[Setup]:
        """Serve a script, and connect a new transport with it. Only for transports with a network."""
        async with ScriptedServer(script, scheme) as server:
            setup = Setup(self.make(_refuse), server)
            try:
                yield setup
            finally:
                await setup.stop()


def _refuse(_: Request) -> Response:
    raise AssertionError("the handler was called")


def check(holds: bool, reason: str) -> None:
    """Raise an AssertionError with ``reason`` unless ``holds``."""
    if not holds:
        raise AssertionError(reason)


async def read_all(response: StreamedResponse) -> bytes:
    """Return the rest of a body."""
    chunks: list[bytes] = []
    while chunk := await response.read_chunk():
        chunks.append(chunk)
    return b"".join(chunks)


async def failure_of(work: Awaitable[Any], action: str) -> APIConnectionError:
    """Return the APIConnectionError that ``work`` raises.

    Args:
        work: The call that must fail.
        action: A description of the call.

    Raises:
        AssertionError: It raises something else, or nothing.
    """
    try:
        result = await work
    except APIConnectionError as error:
        return error
    except Exception as error:
        raise AssertionError(
            f"{action} raised {type(error).__name__} instead of APIConnectionError: {error}"
        ) from error
    raise AssertionError(f"{action} gave {result!r} instead of an APIConnectionError")


async def expect(event: asyncio.Event, otherwise: str) -> None:
    """Wait for an event.

    Raises:
        AssertionError: It did not happen within `HANG_GUARD`; the message is ``otherwise``.
    """
    try:
        async with asyncio.timeout(HANG_GUARD):
            await event.wait()
    except TimeoutError:
        raise AssertionError(f"within {HANG_GUARD} s, {otherwise}") from None


async def iterate_loop(task: asyncio.Task[Any], action: str) -> None:
    """Run some event-loop iterations, in which ``task`` must not end: enough for it to start waiting.

    Raises:
        AssertionError: It ended.
    """
    for _ in range(20):
        await asyncio.sleep(0)
    if task.done():
        raise AssertionError(f"{action} ended without waiting, with {task.exception() or task.result()!r}")


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Always:
    """A handler that returns the same response for every request, and keeps the requests."""

    def __init__(self, response: Response) -> None:
        self.seen: list[Request] = []
        self._response = response

    def __call__(self, request: Request) -> HandlerResult:
        self.seen.append(request)
        return self._response


class Gate:
    """A handler that sends ``b"first"``, waits for `opened`, and sends ``b"second"``."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.left = asyncio.Event()

    def __call__(self, request: Request) -> HandlerResult:
        return StreamingResponse(200, {"Content-Type": "text/event-stream"}, self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await self.opened.wait()
            yield b"second"
        finally:
            self.left.set()
