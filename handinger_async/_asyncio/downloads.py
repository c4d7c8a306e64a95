"""File downloads: read whole, in chunks, or saved to disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Self, TypeVar

from ..errors import APIConnectionError, APIError, APIResponseValidationError, ConfigurationError
from ..http import Request
from ..retry import RetryPolicy
from ..transports._decompression import content_encodings
from .attempts import logger
from .bodies import BodyClosedError, BodyState, StreamedBody
from .calls import Settings
from .part_files import PartFile

__all__ = ["FileDownload"]

T = TypeVar("T")

#: Bytes from which the chunks of a file are joined in a thread: 64 MiB would block the event loop for 90 ms.
_LARGE = 8 * 2**20
#: Accepted, No Content, Reset Content: their bodies are not the file (RFC 9110, section 15.3).
_WITHOUT_FILE = frozenset({202, 204, 205})


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
        self._check_incomplete()
        return self

    async def __anext__(self) -> bytes:
        self._check_idle()
        if self._complete:
            raise StopAsyncIteration
        try:
            chunk = await self._next_chunk()
        except Exception:
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
            ConfigurationError: Another task is reading, or iteration or `save` has come to the end of the file.
            APIError: The file could not be read to its end.
        """
        self._check_idle()
        self._check_incomplete()
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
        again. The download is closed afterwards, unless the path was refused.

        The permissions of a file that is replaced are kept. A symbolic link is followed, and stays one.

        Args:
            path: The target; its directory exists.

        Returns:
            The path.

        Raises:
            ConfigurationError: No file can have this path, another task is reading, or the download was read or closed
                before.
            APIError: The file could not be read to its end.
            OSError: The file could not be written. Its ``filename`` is the path. If there can be no file at the path
                (a directory or a device is there, its directory is missing or not writable), nothing is sent.
        """
        self._check_idle()
        if self._received or self._closed:
            raise ConfigurationError("FileDownload is already partially read or closed")
        part = PartFile(path)
        self._busy = True
        try:
            await part.create()
            try:
                while chunk := await self._next_chunk():
                    await part.write(chunk)
                self._complete = True
                await part.publish()
            finally:
                await self.aclose()
        finally:
            self._busy = False
            await part.discard()
        return Path(path)

    async def _connect(self, request: Request | None = None, retry: RetryPolicy | None = None) -> None:
        await super()._connect(request, retry)
        if self.response.status in _WITHOUT_FILE:
            await self._finish()
            reason = f"the response has no file: {self.response.status} {self.response.reason}"
            raise self._call.describe(APIResponseValidationError(reason, response=self.response))

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
        return b"".join(chunks) if size < _LARGE else await asyncio.to_thread(b"".join, chunks)

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
                if not self._closed:
                    self._state = BodyState.NEW
            await self._translate(self._sleep(delay))

    async def _translate(self, awaitable: Awaitable[T]) -> T:
        """Await ``awaitable``; its errors have the context of the call, also that of a download that was closed."""
        try:
            return await awaitable
        except BodyClosedError:
            pass
        except APIError as error:
            self._call.describe(error)
            raise
        raise self._call.describe(APIConnectionError("the download was closed before its end"))

    def _check_incomplete(self) -> None:
        """Refuse to read a file again whose end has been read: there would be no bytes, which looks like a file.

        Raises:
            ConfigurationError: The end has been read.
        """
        if self._complete:
            raise ConfigurationError("this FileDownload was read to its end; make a new one to read the file again")

    def _check_length(self) -> None:
        """Refuse a body of another length than its Content-Length, even if the transport accepts it."""
        headers = self.response.headers
        length = headers.get("content-length", "")
        # Compared as strings, since int() refuses thousands of digits.
        if length.isdecimal() and not content_encodings(headers) and (length.lstrip("0") or "0") != str(self._received):
            reason = f"the file ended after {self._received} bytes instead of {length}"
            raise self._call.describe(APIConnectionError(reason))
