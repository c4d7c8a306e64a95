"""Decode response bodies chunk by chunk, in bounded memory, and detect truncated ones.

A body is delivered as its author wrote it, or not at all: a coding that cannot be undone is an error. The error is
raised when the body is read, since the status counts without it.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from ..errors import APIConnectionError, shorten
from ..http import Headers
from . import StreamedResponse

if TYPE_CHECKING:
    from ..http import ReceivedFields

__all__ = ["ACCEPT_ENCODING", "Decompressor", "content_encodings", "decode_body", "is_plain"]

#: The Accept-Encoding of requests: the encodings that `Decompressor` supports.
ACCEPT_ENCODING = "gzip, deflate"

#: Values of Content-Encoding that servers send with a body that is not encoded.
_NOT_ENCODED = frozenset({"", "identity", "none", "utf-8", "utf8"})

#: Bytes. The maximum size of a decompressed chunk, and of the input of one call of zlib. One megabyte can expand to a
#: gigabyte, and the reader has to process each chunk in one iteration of the event loop.
_CHUNK_SIZE = 2**16
#: The maximum number of calls of zlib for one chunk: a gzip member without content takes 20 bytes and one call.
_MAX_CALLS = 16


class Decompressor:
    """Incremental decompressor: call `feed` with a chunk, then `next` while there is `more`.

    Args:
        encoding: ``"gzip"``, ``"x-gzip"`` or ``"deflate"``.
    """

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding != "deflate"
        self._input = b""
        #: The index of the first byte of the input that is not decompressed.
        self._position = 0
        #: True if zlib may hold output that did not fit into the last chunk.
        self._full = False
        self._stream: zlib._Decompress | None = None
        self._complete = True

    @property
    def more(self) -> bool:
        """True if `next` can continue without further input."""
        return self._full or self._position < len(self._input)

    def feed(self, data: bytes) -> None:
        """Set the next chunk of the compressed body, when there is no `more`."""
        self._input = data
        self._position = 0

    def next(self) -> bytes:
        """Decompress the next chunk, in bounded time and memory.

        Returns:
            The chunk; ``b""`` if so much input holds no content.

        Raises:
            APIConnectionError: The body is not valid in its encoding.
        """
        calls = 0
        while self.more and calls < _MAX_CALLS:
            calls += 1
            try:
                chunk = self._decompress()
            except zlib.error as error:
                raise APIConnectionError(f"the body cannot be decompressed: {error}") from None
            if chunk:
                return chunk
        return b""

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            APIConnectionError: The body is truncated.
        """
        if not self._complete:
            raise APIConnectionError("the compressed body is truncated")

    def _decompress(self) -> bytes:
        part = self._input[self._position : self._position + _CHUNK_SIZE]
        if self._complete and self._stream is not None:  # padding, or another member (RFC 1952, section 2.2)
            content = part.lstrip(b"\0")
            self._position += len(part) - len(content)
            if not content:
                return b""
            if not self._gzip:  # zlib would collect everything that follows
                raise APIConnectionError("the compressed body is followed by other data")
            part, self._stream = content, None
        if self._stream is None:
            self._stream = zlib.decompressobj(_window_bits(self._gzip, part[0]))
        stream = self._stream
        chunk = stream.decompress(part, _CHUNK_SIZE)
        self._position += len(part) - len(stream.unused_data if stream.eof else stream.unconsumed_tail)
        self._complete = stream.eof
        self._full = len(chunk) == _CHUNK_SIZE and not stream.eof
        return chunk


def _window_bits(is_gzip: bool, first: int) -> int:
    """Return zlib's parameter for a body that starts with the byte ``first``."""
    if is_gzip:
        return zlib.MAX_WBITS | 16
    # "deflate" (RFC 9110, section 8.4.1.2) starts with a header of two bytes (RFC 1950): the low half of the first is
    # 8. Some servers omit the header.
    return zlib.MAX_WBITS if first & 0x0F == 8 else -zlib.MAX_WBITS


def is_plain(fields: ReceivedFields) -> bool:
    """Return True if `decode_body` returns a response with these fields as it is: most have none of them."""
    if "Content-Encoding" in fields or "Transfer-Encoding" in fields:
        return False
    return "," not in ",".join(fields.getall("Content-Length", ()))


def decode_body(response: StreamedResponse) -> StreamedResponse:
    """Return a response whose body is decoded while it is read.

    Args:
        response: The response as received. Send ``ACCEPT_ENCODING`` with its request, as ``Accept-Encoding``.

    Returns:
        The response with its body decompressed chunk by chunk, in bounded memory. Reading the body raises an
        APIConnectionError if it is truncated, malformed, or in another coding.
    """
    headers = response.headers
    transfer = headers.get("transfer-encoding", "chunked")
    if transfer != "chunked" and not _is_supported_transfer(transfer):
        return _RefusedResponse(response, f"unsupported Transfer-Encoding: {shorten(transfer, 60)}")
    if "," in headers.get("content-length", ""):  # aiohttp's pure-Python parser takes the first
        return _RefusedResponse(response, "malformed HTTP response: more than one Content-Length")
    encodings = content_encodings(headers)
    if not encodings:
        return response
    if encodings in (["gzip"], ["x-gzip"], ["deflate"]):
        return _DecompressedResponse(response, encodings[0])
    return _RefusedResponse(response, f"unsupported Content-Encoding: {shorten(headers['content-encoding'], 60)}")


def content_encodings(headers: Headers) -> list[str]:
    """Return the encodings of a body, in lower case, without names that stand for none."""
    encoding = headers.get("content-encoding")
    return [] if encoding is None else [name for name in _elements(encoding) if name not in _NOT_ENCODED]


def _is_supported_transfer(value: str) -> bool:
    """Return True if aiohttp has undone these transfer codings: it knows one, and takes all others for none.

    The chunked coding is applied once, however often a server names it (RFC 9112, section 6.1).
    """
    return set(_elements(value)) in ({"chunked"}, {"identity"}, {""})


def _elements(value: str) -> list[str]:
    return [element.strip(" \t").lower() for element in value.split(",")]


class _DecompressedResponse:
    """A response that decompresses its body while it is read."""

    def __init__(self, compressed: StreamedResponse, encoding: str) -> None:
        self._compressed = compressed
        self._decompressor = Decompressor(encoding)
        self._closed = False
        self.status = compressed.status
        self.headers = compressed.headers

    async def read_chunk(self) -> bytes:
        decompressor = self._decompressor
        while True:
            if decompressor.more:
                await asyncio.sleep(0)  # let other tasks run between two chunks
            elif raw := await self._compressed.read_chunk():
                decompressor.feed(raw)
            else:
                decompressor.finish()
                return b""
            if self._closed:
                raise APIConnectionError("the response is closed")
            if chunk := decompressor.next():
                return chunk

    async def aclose(self) -> None:
        self._closed = True
        await self._compressed.aclose()


class _RefusedResponse:
    """A response whose body cannot be decoded."""

    def __init__(self, response: StreamedResponse, reason: str) -> None:
        self._reason = reason
        self.status = response.status
        self.headers = response.headers
        self.aclose = response.aclose

    async def read_chunk(self) -> bytes:
        raise APIConnectionError(self._reason)
