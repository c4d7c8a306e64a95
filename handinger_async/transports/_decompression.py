"""Bodies that come compressed, piece by piece, in bounded memory, and never cut short unnoticed."""

from __future__ import annotations

import zlib

from ..errors import APIConnectionError, shorten
from . import StreamedResponse

__all__ = ["ACCEPT_ENCODING", "DecompressedResponse", "Decompressor"]

#: What to ask servers for: what `Decompressor` knows.
ACCEPT_ENCODING = "gzip, deflate"

#: The most bytes that come out at a time: a megabyte can hold a gigabyte.
_PIECE = 2**18


class Decompressor:
    """Decompresses a body: `feed` it, and take what `next` returns until there is no more.

    Args:
        encoding: The value of its Content-Encoding, which is not empty.

    Raises:
        APIConnectionError: It is compressed in a way that it was not asked for.
    """

    def __init__(self, encoding: str) -> None:
        self._name = encoding.strip().lower()
        if self._name not in ("gzip", "x-gzip", "deflate", "identity"):
            raise APIConnectionError(f"The body is encoded in a way that was not asked for: {shorten(encoding, 60)}.")
        self._pending = b""
        self._more = False
        self._members = False
        self._stream: zlib._Decompress | None = None

    def feed(self, data: bytes) -> None:
        """Take the next piece of the compressed body."""
        self._pending += data

    def next(self) -> bytes:
        """Return the next piece of the body, ``b""`` if more must be fed first.

        Raises:
            APIConnectionError: This is not what it is said to be.
        """
        if self._name == "identity":
            piece, self._pending = self._pending, b""
            return piece
        while self._pending or self._more:
            if self._stream is None and self._members:
                self._pending = self._pending.lstrip(b"\0")  # padding between members, or behind the last
                if not self._pending:
                    break
            stream = self._stream = self._stream or self._begin()
            try:
                piece = stream.decompress(self._pending, _PIECE)
            except zlib.error as error:
                raise APIConnectionError(f"The body cannot be decompressed: {error}.") from None
            self._pending = stream.unconsumed_tail
            self._more = len(piece) == _PIECE
            if stream.eof and self._name != "deflate":  # another member may follow (RFC 1952, section 2.2)
                self._pending = stream.unused_data
                self._members, self._more, self._stream = True, False, None
            if piece:
                return piece
        return b""

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            APIConnectionError: It is not.
        """
        if self._stream is not None and not self._stream.eof:
            raise APIConnectionError("The body ended before what is compressed in it did.")

    def _begin(self) -> zlib._Decompress:
        if self._name != "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        # "Deflate" (RFC 9110, section 8.4.1.2) begins with a header of two bytes (RFC 1950), of which the first ends
        # in 8; some servers leave it out.
        return zlib.decompressobj(zlib.MAX_WBITS if self._pending[0] & 0x0F == 8 else -zlib.MAX_WBITS)


class DecompressedResponse:
    """An answer whose body is decompressed on its way.

    Args:
        compressed: The answer as it comes.
        encoding: Its Content-Encoding, which is not empty.
    """

    def __init__(self, compressed: StreamedResponse, encoding: str) -> None:
        self._compressed = compressed
        self._encoding = encoding
        self._decompressor: Decompressor | None = None
        self.status = compressed.status
        self.headers = compressed.headers
        self.aclose = compressed.aclose

    async def read_chunk(self) -> bytes:
        """Return the next piece of the body; see `StreamedResponse.read_chunk`."""
        if self._decompressor is None:
            self._decompressor = Decompressor(self._encoding)
        while not (chunk := self._decompressor.next()):
            if not (raw := await self._compressed.read_chunk()):
                self._decompressor.finish()
                break
            self._decompressor.feed(raw)
        return chunk
