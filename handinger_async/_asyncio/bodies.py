"""The base of streamed response bodies: opened on first use, read chunk by chunk, closed from any task."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from ..errors import APIConnectionError, APIError, ConfigurationError
from ..http import Request, Response
from ..retry import RetryPolicy
from ..transports import StreamedResponse
from .calls import Call, Settings
from .timers import CancelScope

__all__ = ["BodyClosedError", "StreamedBody"]

T = TypeVar("T")


class BodyClosedError(Exception):
    """The body was closed by its user during a read. Internal: it never reaches the user."""


class StreamedBody:
    """A streamed response body, opened on first use and closed from any task.

    Args:
        settings: The settings of the session.
        request: The request.
    """

    def __init__(self, settings: Settings, request: Request) -> None:
        self._call = Call(settings, request)
        self._stream: StreamedResponse | None = None
        self._response: Response | None = None
        self._scope: CancelScope | None = None
        self._closed = False
        #: True during an operation that consists of several reads.
        self._busy = False

    @property
    def response(self) -> Response:
        """Status and headers of the response; its body is empty here.

        Raises:
            ConfigurationError: It is not open yet.
        """
        if self._response is None:
            raise ConfigurationError(f"{type(self).__name__} is not open yet")
        return self._response

    async def __aenter__(self) -> Self:
        if self._stream is None and not self._closed:
            self._check_idle()
            with suppress(BodyClosedError):  # closed by another task: the first read tells
                await self._open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Release or close the connection. A task blocked in a read is woken.

        Idempotent, and callable from any task.
        """
        self._closed = True
        if self._scope is not None:
            self._scope.cancel()
        await self._release()

    async def _release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    def __del__(self) -> None:
        if getattr(self, "_stream", None) is not None:
            warnings.warn(
                f"{self!r} was never closed: use 'async with', or call aclose()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._stream is not None else "not open"
        return f"<{type(self).__name__} {self._call.name}, {state}>"

    def _check_idle(self) -> None:
        """Refuse a second reader.

        Raises:
            ConfigurationError: Another task is reading.
        """
        if self._busy or self._scope is not None:
            raise ConfigurationError(f"this {type(self).__name__} is already being read by another task")

    async def _open(self) -> None:
        """Send the request, with a new deadline and all retries, and wait for the headers."""
        self._call.restart()
        await self._connect()

    async def _connect(self, request: Request | None = None, retry: RetryPolicy | None = None) -> None:
        """Send the request and wait for the headers."""
        stream = await self._wait(self._call.open(request, retry=retry))
        self._stream, self._response = stream, Response(stream.status, stream.headers)
        if self._closed:  # concurrently, while we were connecting
            await self._release()
            raise BodyClosedError

    async def _read(self) -> bytes:
        """Return the next chunk of the body; ``b""`` at its end."""
        if self._closed:
            raise BodyClosedError
        if self._stream is None:
            await self._open()
        stream = self._stream
        if stream is None:
            raise BodyClosedError
        chunk = await self._wait(stream.read_chunk(), self._call.settings.options.timeouts.idle)
        if self._closed:
            raise BodyClosedError
        return chunk

    async def _sleep(self, delay: float) -> None:
        """Wait ``delay`` seconds, until the deadline or `aclose`.

        Raises:
            APIConnectionError: The session is closed.
        """
        if self._closed:
            raise BodyClosedError
        if not await self._wait(self._call.settings.pool.pause(delay)):
            raise APIConnectionError("the session was closed before the next attempt")

    async def _wait(self, awaitable: Awaitable[T], timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Await ``awaitable`` until the timeout, the deadline or `aclose`.

        Raises:
            APITimeoutError: The timeout or the deadline has passed.
            BodyClosedError: The body was closed.
        """
        scope = self._scope = CancelScope()
        try:
            return await self._call.settings.pool.timers.wait(awaitable, timeout, self._call.deadline, "chunk", scope)
        except APIError:
            if not self._closed:
                raise
        finally:
            self._scope = None
        raise BodyClosedError
