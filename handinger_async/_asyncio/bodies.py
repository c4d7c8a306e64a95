"""The base of streamed response bodies: opened on first use, read chunk by chunk, closed from any task."""

from __future__ import annotations

import warnings
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Self

from ..errors import APIConnectionError, APIError, ConfigurationError
from ..http import Request, Response
from ..retry import RetryPolicy
from ..transports import StreamedResponse
from .calls import Call, Settings
from .timers import CancelScope

__all__ = ["BodyClosedError", "BodyState", "StreamedBody"]


class BodyState(Enum):
    """The state of a streamed body; its value is part of the ``repr``."""

    NEW = "not open"  #: nothing was sent, or only a request that may be sent again
    OPENING = "opening"  #: waiting for the headers of the first response
    OPEN = "open"
    INTERRUPTED = "interrupted"  #: by the ``_interruption``
    CLOSED = "closing"  #: closed by its user during an operation, which is still to learn of it
    ENDED = "closed"  #: complete, failed, or closed by its user


#: Looked up for each chunk.
_OPEN = BodyState.OPEN


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
        self._state = BodyState.NEW
        #: The reason for the state INTERRUPTED. It survives a cancelled read: the next one resumes, or raises.
        self._interruption: APIError | None = None
        #: Lets `aclose` cancel the current wait.
        self._scope: CancelScope | None = None
        #: True during an operation that consists of several waits.
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

    @property
    def _closed(self) -> bool:
        return self._state is BodyState.CLOSED or self._state is BodyState.ENDED

    async def __aenter__(self) -> Self:
        self._check_idle()  # also if it is open: leaving the block would close it under the other reader
        if self._state is BodyState.NEW:
            self._busy = True
            try:
                with suppress(BodyClosedError):  # closed by another task: the first read tells
                    await self._open()
            finally:
                self._busy = False
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Release or close the connection. A task blocked in a read is woken.

        Idempotent, and callable from any task.
        """
        if self._state is not BodyState.ENDED:
            self._state = BodyState.CLOSED if self._busy else BodyState.ENDED
        if self._scope is not None:
            self._scope.cancel()
        await self._release()

    async def _finish(self) -> None:
        """Note the end, at which there is nobody to tell, and release the connection."""
        self._state = BodyState.ENDED
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
        if not hasattr(self, "_call"):  # tracebacks may show a half-made body
            return f"<{type(self).__name__}>"
        state = BodyState.ENDED if self._closed else self._state
        return f"<{type(self).__name__} {self._call.name}, {state.value}>"

    def _check_idle(self) -> None:
        """Refuse a second reader.

        Raises:
            ConfigurationError: Another task is reading.
        """
        if self._busy or self._scope is not None:
            raise ConfigurationError(f"this {type(self).__name__} is already being read by another task")

    async def _open(self) -> None:
        """Send the request and wait for the headers, once.

        Only a request that can be repeated may be sent again after a cancellation, with all retries but with the
        deadline of the first time. Of any other request, the server may have performed it: the body is interrupted.
        """
        self._call.restart(keep_deadline=True)
        self._state = BodyState.OPENING
        try:
            await self._connect()
        except Exception:
            if self._state is BodyState.OPENING:
                self._state = BodyState.ENDED
            raise
        except BaseException:
            if self._state is BodyState.OPENING:
                self._state = BodyState.NEW if self._call.is_repeatable else BodyState.INTERRUPTED
                self._interruption = APIConnectionError("cancelled while it was opened, and it must not be sent twice")
            raise

    async def _connect(self, request: Request | None = None, retry: RetryPolicy | None = None) -> None:
        """Send the request and wait for the headers."""
        with self._limit():
            stream = await self._call.open(request, retry=retry)
        self._stream, self._response = stream, Response(stream.status, stream.headers)
        if self._closed:  # concurrently, while we were connecting
            await self._release()
            raise BodyClosedError
        self._state = BodyState.OPEN

    async def _read(self) -> bytes:
        """Return the next chunk of the body; ``b""`` at its end. `EventStream` repeats these lines."""
        if self._state is BodyState.NEW:
            await self._open()
        with self._limit(self._call.settings.options.timeouts.idle):
            chunk = await self._opened().read_chunk()
        self._opened()
        return chunk

    def _opened(self) -> StreamedResponse:
        """Return the open response.

        Raises:
            BodyClosedError: It was closed.
        """
        stream = self._stream
        if self._state is not _OPEN or stream is None:
            raise BodyClosedError
        return stream

    async def _sleep(self, delay: float) -> None:
        """Wait ``delay`` seconds, until the deadline or `aclose`.

        Raises:
            APIConnectionError: The session is closed.
        """
        if self._closed:
            raise BodyClosedError
        with self._limit():
            is_open = await self._call.settings.pool.pause(delay)
        if not is_open:
            raise APIConnectionError("the session was closed before the next attempt")

    def _limit(self, timeout: float | None = None) -> _BodyScope:
        """Return the scope for a wait, which ends at the timeout, the deadline or `aclose`."""
        call = self._call
        scope = self._scope = _BodyScope(call.settings.pool.timers, timeout, call.deadline, "chunk")
        scope.body = self
        return scope


class _BodyScope(CancelScope):
    """The scope of a wait of a body, which `aclose` cancels.

    Attributes:
        body: The body.

    Raises:
        APITimeoutError: On leaving: the timeout or the deadline has passed.
        BodyClosedError: On leaving: the body was closed.
    """

    __slots__ = ("body",)
    body: StreamedBody

    def _failure(self, error: BaseException) -> Exception | None:
        failure = super()._failure(error)
        closed = self.body._closed  # noqa: SLF001 - the other half of the body
        return BodyClosedError() if closed and isinstance(failure or error, APIError) else failure

    def _left(self) -> None:
        self.body._scope = None  # noqa: SLF001
