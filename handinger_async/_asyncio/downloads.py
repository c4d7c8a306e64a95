"""File downloads: read whole, in chunks, or saved to disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from .._file_names import disposition_name, path_name, plain_name
from ..errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    quoted,
)
from ..http import Request
from ..models import File
from ..retry import RetryPolicy
from ..transports._decompression import content_encodings
from .attempts import logger
from .bodies import BodyClosedError, BodyState, StreamedBody
from .calls import Settings
from .locations import DownloadCall

if TYPE_CHECKING:
    from .part_files import PartFile
    from .transfers import Transfer

__all__ = ["FileDownload", "ProgressFunction"]

T = TypeVar("T")

#: Called with the number of bytes written so far, and the size of the file, None if it is not known.
ProgressFunction = Callable[[int, int | None], object]

#: Bytes from which the chunks of a file are joined in a thread: 64 MiB would block the event loop for 90 ms.
_LARGE = 8 * 2**20
#: Accepted, No Content, Reset Content: their bodies are not the file (RFC 9110, section 15.3).
_WITHOUT_FILE = frozenset({202, 204, 205})
_CLOSED = "the download was closed before its end"


class FileDownload(StreamedBody):
    """A file, read whole or in chunks.

    ::

        data = await session.workers.retrieve_file("plan.md", worker_id=worker_id).read()

        async with session.workers.retrieve_file("report.pdf", worker_id=worker_id) as file:
            async for chunk in file:
                ...
    """

    def __init__(self, settings: Settings, request: Request, file: File | None = None, name: str = "") -> None:
        super().__init__(settings, request)
        self._call = DownloadCall(settings, request)
        self._file = file
        self._name = name
        self._received = 0
        self._complete = False

    @property
    def size(self) -> int | None:
        """The size of the file in bytes; None as long as it is not known: from the response, else from the `File`."""
        from .transfers import file_size

        size = None if self._response is None else file_size(self._response)
        return self._file.size if size is None and self._file is not None else size

    @property
    def media_type(self) -> str:
        """The content type in lower case, without parameters; ``""`` as long as it is not known."""
        media_type = "" if self._response is None else self._response.media_type
        return media_type or ("" if self._file is None else self._file.media_type)

    @property
    def filename(self) -> str:
        """A plain name for the file: from the response, else from the `File`, else from the path of the request.

        It is safe in a directory on every usual system: no path, no control characters, no name of a device.
        """
        name = self._name
        if not name and self._response is not None:
            name = disposition_name(self._response.headers.get("content-disposition", ""))
        if not name and self._file is not None:
            name = self._file.filename or ""
        return plain_name(name) if name else path_name(self._call.request.path)

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

    async def save(
        self,
        path: str | os.PathLike[str],
        *,
        progress: ProgressFunction | None = None,
        overwrite: bool = True,
        resume: bool = True,
        max_size: int | None = None,
    ) -> Path:
        """Write the file to ``path``, completely or not at all.

        It is written to a temporary file beside the target, synced to disk, and renamed when it is complete. A download
        that fails, or is cancelled before that, leaves the old file in place. The download is closed afterwards, unless
        the path was refused.

        An interrupted body is requested again, as often as the retry policy allows, and only the rest of it if the
        server can tell that the file is the same. The size of the file and its digest are checked, if they are sent.

        The permissions of a file that is replaced are kept. A symbolic link at ``path`` is followed, and stays one; one
        in a directory at ``path`` is replaced.

        Args:
            path: The target, whose directory exists; or a directory, for a target with the `filename`.
            progress: Called with the number of bytes written so far, and the size of the file, None if it is not known.
                What it raises is logged. The number begins again at 0 when the file has to be written again.
            overwrite: Replace a file at the target, or raise FileExistsError, also if it appears meanwhile.
            resume: Request only the rest after an interruption, instead of the whole file.
            max_size: Maximum bytes of the file; None for no limit.

        Returns:
            The path of the target.

        Raises:
            ConfigurationError: No file can have this path, an argument is malformed, another task is reading, or the
                download was read or closed before.
            APIError: The file could not be read to its end, or is larger than ``max_size``.
            OSError: The file could not be written. Its ``filename`` is the path. If there can be no file at the path
                (a device is there, its directory is missing or not writable), nothing is sent.
        """
        from .part_files import PartFile  # here, since most programs save no files
        from .transfers import Transfer

        self._check_idle()
        if self._received or self._closed:
            raise ConfigurationError("FileDownload is already partially read or closed")
        if progress is not None and not callable(progress):
            raise ConfigurationError(f"progress must be callable, not {quoted(progress)}")
        if max_size is not None and (not isinstance(max_size, int) or isinstance(max_size, bool) or max_size <= 0):
            raise ConfigurationError(f"max_size must be a number of bytes above zero or None, not {quoted(max_size)}")
        part = PartFile(path, overwrite=overwrite)
        options = self._call.settings.options
        # With a Range of the caller's, the file is the part that he asks for.
        resume = resume and not (options.replaces("range") or options.replaces("if-range"))
        self._busy = True
        try:
            await part.create()
            try:
                expected = self._file.size if self._file is not None else None
                transfer = Transfer(self._call.request, resume=resume, expected=expected)
                await self._write(part, transfer, progress, max_size)
                self._complete = True
                await part.publish()
            finally:
                await self.aclose()
        finally:
            self._busy = False
            await part.discard()
        return part.path

    async def _write(
        self, part: PartFile, transfer: Transfer, progress: ProgressFunction | None, max_size: int | None
    ) -> None:
        """Write the whole file, and request it or its rest again after an interruption."""
        if self._state is BodyState.NEW:
            self._call.restart()
        while True:
            try:
                if self._state is BodyState.NEW:
                    await self._translate(self._connect(transfer.next_request()))
                elif self._stream is None:
                    raise APIConnectionError(_CLOSED)
                if part.needs_name:
                    await part.create_in_directory(self.filename)
                if transfer.begin(self.response):
                    await part.restart(transfer.digest.algorithm if transfer.digest else None)
                self._check_size(transfer, max_size)
                _report(progress, transfer)
                while chunk := await self._next_chunk():
                    transfer.received += len(chunk)
                    self._check_size(transfer, max_size)
                    await part.write(chunk)
                    _report(progress, transfer)
                transfer.finish(part.digest)
            except APIError as error:
                delay = self._delay(error, transfer)
                if delay is None:
                    self._call.describe(error)
                    raise
                reason, received = type(error).__name__, transfer.received
                logger.info("%s: interrupted (%s) after %d bytes, next in %.3f s", self, reason, received, delay)
            else:
                return
            await self._release()
            self._received = 0
            if not self._closed:
                self._state = BodyState.NEW
            await self._translate(self._sleep(delay))

    def _delay(self, error: APIError, transfer: Transfer) -> float | None:
        """Return the seconds until the file or its rest is requested again; None to give up."""
        if self._closed:
            return None
        if isinstance(error, APIStatusError) and error.status_code == 416 and transfer.received:
            transfer.forget()
            return self._call.delay(APIConnectionError("the rest of the file cannot be requested"))
        return self._call.delay(error) if isinstance(error, APIConnectionError) else None

    def _check_size(self, transfer: Transfer, max_size: int | None) -> None:
        if max_size is not None and max(transfer.received, transfer.total or 0) > max_size:
            reason = f"the file is larger than {max_size} bytes (max_size)"
            raise APIResponseValidationError(reason, response=self._response)

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
        raise self._call.describe(APIConnectionError(_CLOSED))

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


def _report(progress: ProgressFunction | None, transfer: Transfer) -> None:
    if progress is not None:
        try:
            progress(transfer.received, transfer.total)
        except Exception:
            logger.exception("progress failed")
