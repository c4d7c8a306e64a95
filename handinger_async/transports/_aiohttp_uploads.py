"""Send request bodies with aiohttp."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import aiohttp

from ..http import MultipartBody
from .uploads import BodyReader, read_body

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

__all__ = ["UploadPayload", "to_data"]


class UploadPayload(aiohttp.Payload):
    """A `MultipartBody` that is read while aiohttp sends it.

    Args:
        body: The body.

    Attributes:
        failure: The error of a source, which aiohttp would wrap; None if there was none.
    """

    _value: MultipartBody

    def __init__(self, body: MultipartBody) -> None:
        super().__init__(body, content_type=body.content_type)
        self.failure: Exception | None = None

    @property
    def size(self) -> int | None:
        """The Content-Length; None for a chunked body."""
        return self._value.length

    @property
    def autoclose(self) -> bool:
        """True: `write` leaves nothing open."""
        return True

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Read and send each chunk. Backpressure: `writer` waits until the connection takes more.

        It ends with the last byte: if aiohttp got the response before, it would not use the connection again.
        """
        reader = BodyReader(self._value)
        left = self.size
        try:
            while left != 0 and (chunk := await self._read(reader)):
                if left is not None:
                    left -= len(chunk)
                await writer.write(chunk)
        finally:
            reader.close()

    async def _read(self, reader: BodyReader) -> bytes:
        try:
            return await reader.read()
        except Exception as error:
            self.failure = error
            raise

    def read(self) -> bytes:
        """Return the whole body, for libraries that record what aiohttp sends."""
        return self._value.read()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text, for middlewares of a session that the user gave."""
        return self.read().decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the whole body, for middlewares of a session that the user gave."""
        return await read_body(self._value)


def to_data(body: bytes | MultipartBody) -> UploadPayload | BytesIO | None:
    """Return a body for aiohttp; None for an empty one."""
    if isinstance(body, MultipartBody):
        return UploadPayload(body)
    return BytesIO(body) if body else None  # aiohttp warns about large bytes
