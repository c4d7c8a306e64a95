"""An answer that comes in pieces, and the file that is one."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

from .calls import Caller
from .errors import APIConnectionError, APIError, APIResponseValidationError, ConfigurationError
from .http import Request, Response
from .limits import Scope
from .retry import RetryPolicy
from .transports import StreamedResponse

__all__ = ["FileDownload", "StreamClosed", "StreamedBody"]

T = TypeVar("T")
E = TypeVar("E", bound=APIError)


class StreamClosed(Exception):  # noqa: N818 - it never reaches the caller
    """The caller has closed the answer while it was being waited for."""


class StreamedBody:
    """An answer that is opened at the first need, read piece by piece, and can be closed at any time, by any task."""

    def __init__(self, caller: Caller, request: Request) -> None:
        self._caller = caller
        self._request = request
        self._deadline: float | None = None
        self._attempts = 0
        self._stream: StreamedResponse | None = None
        self._response: Response | None = None
        self._scope: Scope | None = None
        self._closed = False

    @property
    def response(self) -> Response:
        """Status and headers of the answer; its body is empty here.

        Raises:
            ConfigurationError: It is not open yet.
        """
        if self._response is None:
            raise ConfigurationError(f"this {type(self).__name__} has not been opened yet")
        return self._response

    async def __aenter__(self) -> Self:
        if self._stream is None and not self._closed:
            with suppress(StreamClosed):  # by another task; what follows sees the end
                await self._open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back, or close it; whoever waits for the next piece is told.

        It may be called again, and from any task.
        """
        self._closed = True
        if self._scope is not None:
            self._scope.interrupt()
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
        return f"<{type(self).__name__} {self._request.method} {self._request.path}, {state}>"

    async def _open(self) -> None:
        """Send the request, as often as the policy allows."""
        self._deadline = self._caller.deadline()
        await self._connect(self._request)

    async def _connect(self, request: Request, retry: RetryPolicy | None = None) -> None:
        opening = self._caller.open(request, deadline=self._deadline, retry=retry, number=self._attempts + 1)
        try:
            stream, self._attempts = await self._wait(opening)
        except APIError as error:
            self._attempts = max(self._attempts, error.attempts)
            self._describe(error)
            raise
        self._stream, self._response = stream, Response(stream.status, stream.headers)
        if self._closed:  # in the very moment when it was opened
            await self._release()
            raise StreamClosed

    async def _read(self) -> bytes:
        """Return the next piece of the body, or ``b""`` at its end."""
        if self._closed:
            raise StreamClosed
        if self._stream is None:
            await self._open()
        stream = self._stream
        if stream is None:
            raise StreamClosed
        chunk = await self._wait(stream.read_chunk(), self._caller.options.timeouts.idle)
        if self._closed:
            raise StreamClosed
        return chunk

    async def _wait(self, work: Awaitable[T], limit: float | None = None) -> T:
        """Await ``work`` for at most ``limit`` seconds, until the deadline, or until somebody closes the stream.

        Raises:
            APITimeoutError: The deadline has passed, or no byte has come for ``limit`` seconds.
            StreamClosed: The stream was closed.
        """
        scope = self._scope = Scope()
        try:
            return await self._caller.pool.limits.wait(work, limit, self._deadline, "byte", scope)
        except APIError:
            if not self._closed:
                raise
        finally:
            self._scope = None
        raise StreamClosed

    def _describe(self, error: E) -> E:
        """Return ``error``, which now says what was asked, and how often."""
        error.call = error.call or f"{self._request.method} {self._request.path}"
        error.attempts = max(self._attempts, error.attempts)
        return error


class FileDownload(StreamedBody):
    """A file, read whole or in pieces.

    ::

        data = await session.workers.retrieve_file("plan.md", worker_id=worker_id).read()

        async with session.workers.retrieve_file("report.pdf", worker_id=worker_id) as file:
            async for chunk in file:
                ...
    """

    def __init__(self, caller: Caller, request: Request) -> None:
        super().__init__(caller, request)
        self._received = 0
        self._complete = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._complete:
            raise StopAsyncIteration
        try:
            chunk = await self._read()
            if not chunk:
                _check_length(self.response, self._received)
        except StreamClosed:
            failure: APIError = APIConnectionError("The download was closed before its end.")
        except APIError as error:
            failure = error
        else:
            self._received += len(chunk)
            if chunk:
                return chunk
            self._complete = True
            await self.aclose()
            raise StopAsyncIteration
        await self.aclose()
        raise self._describe(failure)

    async def read(self) -> bytes:
        """Return the whole file, or what is left of it if iteration has begun.

        Returns:
            The bytes.

        Raises:
            APIError: It could not be read whole.
        """
        if self._stream is None and not self._closed:
            return await self._fetch()
        chunks = []
        size = 0
        limit = self._caller.max_body_size
        async for chunk in self:
            size += len(chunk)
            if size > limit:
                await self.aclose()
                raise self._describe(
                    APIResponseValidationError(
                        f"the body is larger than {limit} bytes (max_body_size): iterate, or save it",
                        response=self._response,
                    )
                )
            chunks.append(chunk)
        return b"".join(chunks)

    async def _fetch(self) -> bytes:
        """Read the whole file, from the beginning again where that is interrupted, as often as the policy allows."""
        response, self._attempts = await self._caller.fetch_file(self._request, deadline=self._caller.deadline())
        self._response = Response(response.status, response.headers)
        try:
            _check_length(response, len(response.body))
        except APIError as error:
            self._describe(error)
            raise
        return response.body

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file to ``path``, all of it or nothing.

        It is written beside ``path`` first, to the disk, and takes its place only when it is complete, so that a
        download that fails or is cancelled leaves what was there before.

        Args:
            path: Where to; its folder exists.

        Returns:
            The path.

        Raises:
            ConfigurationError: Some of it was read before.
            APIError: It could not be read whole.
            OSError: It could not be written.
        """
        if self._received or self._closed:
            raise ConfigurationError("this FileDownload has been read from, or closed, already")
        target = Path(path)
        part = _Part(target)
        try:
            await _in_thread(part.create)
            async for chunk in self:
                await _in_thread(part.write, chunk)
            await _in_thread(part.publish)
        finally:
            try:
                await self.aclose()
            finally:
                await _in_thread(part.discard)
        return target


class _Part:
    """A file beside the one that it will be when it is complete."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target
        self._file: IO[bytes] | None = None

    def create(self) -> None:
        self._target = self._target.resolve()  # a link stays a link
        self._path = self._target.with_name(f".{os.urandom(8).hex()}.part")
        self._file = self._path.open("xb")  # and not with tempfile, which lets nobody else read it

    def write(self, chunk: bytes) -> None:
        if self._file is not None:
            self._file.write(chunk)

    def publish(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(self._target)

    def discard(self) -> None:
        """Remove it, unless it was published."""
        if self._file is not None:
            with suppress(OSError):  # a full disk may say so once more
                self._file.close()
            self._path.unlink(missing_ok=True)


async def _in_thread(work: Callable[..., None], *args: object) -> None:
    """Run ``work`` in a thread and wait for its end, even if cancelled: a thread cannot be stopped."""
    running = asyncio.get_running_loop().run_in_executor(None, work, *args)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # has been looked at
        raise cancelled
    running.result()


def _check_length(response: Response, received: int) -> None:
    """Refuse an end before as many bytes as the server announced, whatever the transport thinks of it."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and "content-encoding" not in response.headers and received < int(length):
        raise APIConnectionError(f"The file ended after {received} of {length} bytes.")
