"""Decompress response bodies chunk by chunk, in bounded memory, and detect truncated ones."""

from __future__ import annotations

import zlib

from ..errors import APIConnectionError, shorten
from . import StreamedResponse

__all__ = ["ACCEPT_ENCODING", "DecompressedResponse", "Decompressor"]

#: The Accept-Encoding of requests: the encodings that `Decompressor` supports.
ACCEPT_ENCODING = "gzip, deflate"

#: Bytes. The maximum size of a decompressed chunk: a compressed megabyte can expand to a gigabyte.
_CHUNK_SIZE = 2**18


class Decompressor:
    """Incremental decompressor: call `feed` with a chunk, then `next` until it returns ``b""``.

    Args:
        encoding: The value of Content-Encoding, not empty.

    Raises:
        APIConnectionError: The encoding is not supported.
    """

    def __init__(self, encoding: str) -> None:
        self._name = encoding.strip().lower()
        if self._name not in ("gzip", "x-gzip", "deflate", "identity"):
            raise APIConnectionError(f"unsupported Content-Encoding: {shorten(encoding, 60)}")
        self._pending = b""
        self._more = False
        self._members = False
        self._stream: zlib._Decompress | None = None

    def feed(self, data: bytes) -> None:
        """Add the next chunk of the compressed body."""
        self._pending += data

    def next(self) -> bytes:
        """Return the next chunk of the body, or ``b""`` if more input is needed.

        Raises:
            APIConnectionError: The body is not valid in its encoding.
        """
        if self._name == "identity":
            chunk, self._pending = self._pending, b""
            return chunk
        while self._pending or self._more:
            if self._stream is None and self._members:
                self._pending = self._pending.lstrip(b"\0")  # padding between members or after the last one
                if not self._pending:
                    break
            stream = self._stream = self._stream or self._begin()
            try:
                chunk = stream.decompress(self._pending, _CHUNK_SIZE)
            except zlib.error as error:
                raise APIConnectionError(f"the body cannot be decompressed: {error}") from None
            self._pending = stream.unconsumed_tail
            self._more = len(chunk) == _CHUNK_SIZE
            if stream.eof and self._name != "deflate":  # another member may follow (RFC 1952, section 2.2)
                self._pending = stream.unused_data
                self._members, self._more, self._stream = True, False, None
            if chunk:
                return chunk
        return b""

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            APIConnectionError: The body is truncated.
        """
        if self._stream is not None and not self._stream.eof:
            raise APIConnectionError("the compressed body is truncated")

    def _begin(self) -> zlib._Decompress:
        if self._name != "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        # "deflate" (RFC 9110, section 8.4.1.2) starts with a header of two bytes (RFC 1950): the low half of the first
        # is 8. Some servers omit the header.
        return zlib.decompressobj(zlib.MAX_WBITS if self._pending[0] & 0x0F == 8 else -zlib.MAX_WBITS)


class DecompressedResponse:
    """A response that decompresses its body while it is read.

    Args:
        compressed: The response as received.
        encoding: The value of its Content-Encoding, not empty.
    """

    def __init__(self, compressed: StreamedResponse, encoding: str) -> None:
        self._compressed = compressed
        self._encoding = encoding
        self._decompressor: Decompressor | None = None
        self.status = compressed.status
        self.headers = compressed.headers
        self.aclose = compressed.aclose

    async def read_chunk(self) -> bytes:
        """Return the next chunk of the body; see `StreamedResponse.read_chunk`."""
        if self._decompressor is None:
            self._decompressor = Decompressor(self._encoding)
        while not (chunk := self._decompressor.next()):
            if not (raw := await self._compressed.read_chunk()):
                self._decompressor.finish()
                break
            self._decompressor.feed(raw)
        return chunk
