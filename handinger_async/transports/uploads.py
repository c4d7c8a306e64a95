"""Reading of request bodies while they are sent, for transports that run in asyncio."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import Any

from ..http import MultipartBody

__all__ = ["BodyReader", "read_body"]


class BodyReader:
    """Reads the chunks of a body, each in a thread.

    ::

        reader = BodyReader(request.body)
        try:
            while chunk := await reader.read():
                ...  # send it, and wait until the connection takes more
        finally:
            reader.close()

    Args:
        body: The body.
    """

    def __init__(self, body: MultipartBody) -> None:
        self._chunks: Any = body.chunks()
        self._lock = Lock()
        self._reading = self._closed = False

    async def read(self) -> bytes:
        """Return the next chunk; ``b""`` at the end.

        Raises:
            Exception: The error of a source, such as an OSError.
        """
        return await asyncio.get_running_loop().run_in_executor(None, self._next)

    def _next(self) -> bytes:
        with self._lock:
            if self._closed:
                raise RuntimeError("the body is closed")  # its end would complete the request
            self._reading = True
        try:
            return next(self._chunks, b"")
        finally:
            self._end_reading()

    def _end_reading(self) -> None:
        with self._lock:
            self._reading = False
            if self._closed:
                self._chunks.close()

    def close(self) -> None:
        """Close the file that is open, at once or when the thread has read it: a thread cannot be stopped."""
        with self._lock:
            self._closed = True
            if not self._reading:
                self._chunks.close()


async def read_body(body: MultipartBody) -> bytes:
    """Read a whole body into memory, in threads.

    Raises:
        Exception: The error of a source, such as an OSError.
    """
    reader = BodyReader(body)
    chunks: list[bytes] = []
    try:
        while chunk := await reader.read():
            chunks.append(chunk)
    finally:
        reader.close()
    return b"".join(chunks)
