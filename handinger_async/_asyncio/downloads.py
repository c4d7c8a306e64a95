"""File downloads: read whole, in chunks, or saved to disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Self, TypeVar

from ..errors import APIConnectionError, APIError, APIResponseValidationError, ConfigurationError
from ..http import Request
from .attempts import logger
from .bodies import BodyClosedError, StreamedBody
from .calls import Settings

__all__ = ["FileDownload"]

T = TypeVar("T")


class FileDownload(StreamedBody):
    """A file, read whole or in chunks.

    ::

        data = await session.workers.retrieve_file("plan.md", worker_id=worker_id).read()

        async with session.workers.retrieve_file("report.pdf", worker_id=worker_id) as file:
            async for chunk in file:
                ...
    """

    def __init__(self, settings: Settings, request: Request) -> None:
        super().__init__(settings, request)
        self._received = 0
        self._complete = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._complete:
            raise StopAsyncIteration
        self._check_idle()
        try:
            chunk = await self._next_chunk()
        except APIError:
            await self.aclose()
            raise
        if chunk:
            return chunk
        self._complete = True
        await self.aclose()
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """Return the whole file, or the rest of it after iteration has begun.

        An interrupted body is requested again from the beginning, as often as the retry policy allows, unless the file
        was opened before.

        Returns:
            The bytes.

        Raises:
            APIError: The file could not be read to its end.
        """
        self._check_idle()
        self._busy = True
        try:
            if self._stream is None and not self._closed:
                return await self._read_from_start()
            try:
                return await self._read_rest()
            finally:
                await self.aclose()
        finally:
            self._busy = False

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file to ``path``, completely or not at all.

        It is written to a temporary file beside ``path``, synced to disk, and renamed when it is complete. A download
        that fails, or is cancelled before that, leaves the old file in place. An interrupted body is not requested
        again. The download is closed afterwards.

        Args:
            path: The target; its directory exists.

        Returns:
            The path.

        Raises:
            ConfigurationError: The download was read or closed before.
            APIError: The file could not be read to its end.
            OSError: The file could not be written.
        """
        self._check_idle()
        if self._received or self._closed:
            raise ConfigurationError("FileDownload is already partially read or closed")
        target = Path(path)
        part = _PartFile(target)
        self._busy = True
        try:
            await _in_thread(part.create)
            while chunk := await self._next_chunk():
                await _in_thread(part.write, chunk)
            self._complete = True
            await _in_thread(part.publish)
        finally:
            self._busy = False
            try:
                await self.aclose()
            finally:
                await _in_thread(part.discard)
        return target

    async def _next_chunk(self) -> bytes:
        """Return the next chunk; ``b""`` at the end of a complete file."""
        chunk = await self._translate(self._read())
        if not chunk:
            self._check_length()
        self._received += len(chunk)
        return chunk

    async def _read_rest(self) -> bytes:
        limit = self._call.settings.max_body_size
        chunks = []
        size = 0
        while not self._complete and (chunk := await self._next_chunk()):
            size += len(chunk)
            if size > limit:
                reason = f"the body is larger than {limit} bytes (max_body_size): iterate over it, or save it"
                raise self._call.describe(APIResponseValidationError(reason, response=self._response))
            chunks.append(chunk)
        self._complete = True
        return b"".join(chunks)

    async def _read_from_start(self) -> bytes:
        """Read the whole file, again from the beginning after an interruption."""
        self._call.restart()
        while True:
            await self._translate(self._connect())  # with retries of its own
            try:
                return await self._read_rest()
            except APIConnectionError as error:
                delay = None if self._closed else self._call.delay(error)
                if delay is None:
                    raise
                logger.info("%s: interrupted (%s), retrying in %.3f s", self, type(error).__name__, delay)
            finally:
                await self._release()
                self._received, self._complete = 0, False
            await self._translate(self._sleep(delay))

    async def _translate(self, awaitable: Awaitable[T]) -> T:
        """Await ``awaitable``; its errors have the context of the call, also that of a download that was closed."""
        try:
            return await awaitable
        except BodyClosedError:
            failure: APIError = APIConnectionError("the download was closed before its end")
        except APIError as error:
            failure = error
        raise self._call.describe(failure)

    def _check_length(self) -> None:
        """Refuse a body shorter than its Content-Length, even if the transport accepts it."""
        headers = self.response.headers
        length = headers.get("content-length", "")
        if length.isdecimal() and "content-encoding" not in headers and self._received < int(length):
            raise self._call.describe(APIConnectionError(f"the file ended after {self._received} of {length} bytes"))


class _PartFile:
    """A temporary file beside its target."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target
        self._file: IO[bytes] | None = None

    def create(self) -> None:
        self._target = self._target.resolve()  # a symbolic link stays one
        self._path = self._target.with_name(f".{os.urandom(8).hex()}.part")
        self._file = self._path.open("xb")  # tempfile would make it unreadable for others

    def write(self, chunk: bytes) -> None:
        if self._file is not None:
            self._file.write(chunk)

    def publish(self) -> None:
        """Sync the file to disk and rename it over the target."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(self._target)

    def discard(self) -> None:
        """Remove the file, unless it was published."""
        if self._file is not None:
            with suppress(OSError):  # a full disk may raise again
                self._file.close()
            self._path.unlink(missing_ok=True)


async def _in_thread(work: Callable[..., None], *args: object) -> None:
    """Run ``work`` in a thread and wait for its end, even if cancelled, since a thread cannot be stopped."""
    running = asyncio.get_running_loop().run_in_executor(None, work, *args)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # avoids asyncio's "exception was never retrieved" log
        raise cancelled
    running.result()
