"""Bodies in ``multipart/form-data`` (RFC 7578), read in chunks. No socket, no event loop."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import attrs

from ._checks import has_surrogate
from ._sources import CHUNK_SIZE, Source, to_source
from ._values import by_value
from .errors import ConfigurationError, quoted, shorten

__all__ = ["MULTIPART", "MultipartBody", "Part", "unescape"]

MULTIPART = "multipart/form-data"

#: The characters of a boundary (RFC 2046, section 5.1.1) that need no quotes in the Content-Type.
_BOUNDARY = r"[0-9A-Za-z'+_.-]{1,70}"
#: A media type with parameters, as a header has it.
_MEDIA_TYPE = r"[\x21-\x7e][\x20-\x7e]*"
#: Names are escaped as browsers do (HTML, multipart/form-data encoding algorithm). A percent sign is not.
_ESCAPES = {'"': "%22", "\r": "%0D", "\n": "%0A"}


def _escape(name: str) -> str:
    return name.translate(_TABLE)


_TABLE = str.maketrans(_ESCAPES)


def unescape(name: str) -> str:
    """Undo the escapes of a name in a part's head. A name that had them literally is not told apart."""
    for char, escape in _ESCAPES.items():
        name = name.replace(escape, char)
    return name


def check_name(name: object, what: str) -> None:
    """Refuse what cannot be a name in a part's head.

    Raises:
        ConfigurationError: It is not a string, empty, or has a NUL or a lone surrogate.
    """
    if not isinstance(name, str):
        raise ConfigurationError(f"{what} must be a string, not {type(name).__name__}")
    if not name:
        raise ConfigurationError(f"{what} is empty")
    if "\0" in name or has_surrogate(name):
        raise ConfigurationError(f"{what} {quoted(name)} contains a NUL or a lone surrogate, which cannot be sent")


def check_media_type(media_type: object, what: str) -> None:
    """Refuse what cannot be the Content-Type of a part.

    Raises:
        ConfigurationError: It is not a string of printable ASCII.
    """
    if not isinstance(media_type, str) or not re.fullmatch(_MEDIA_TYPE, media_type):
        raise ConfigurationError(f"{what} must be a media type such as 'text/plain', not {quoted(media_type)}")


@by_value
@attrs.frozen(eq=False, repr=False)
class Part:
    """A part of a `MultipartBody`: a text field, or a file if it has a filename.

    Args:
        name: The name of the field.
        content: Bytes, an ``os.PathLike``, an open binary file, or a source with ``length``, ``is_readable`` and
            ``chunks``.
        filename: The name of the file; None for a text field.
        media_type: The Content-Type; None for none.

    Attributes:
        length: The bytes of the content when the part was made; None if only reading tells.

    Raises:
        OSError: The file does not exist or cannot be opened.
        ConfigurationError: An argument cannot be sent.
    """

    name: str
    content: Source = attrs.field(converter=to_source)
    filename: str | None = None
    media_type: str | None = None
    length: int | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        check_name(self.name, "the name of a part")
        if self.filename is not None:
            check_name(self.filename, "the name of a file")
        if self.media_type is not None:
            check_media_type(self.media_type, "the media type of a part")
        object.__setattr__(self, "length", self.content.length)

    @property
    def head(self) -> bytes:
        """The header fields, with the empty line after them."""
        head = f'Content-Disposition: form-data; name="{_escape(self.name)}"'
        if self.filename is not None:
            head += f'; filename="{_escape(self.filename)}"'
        if self.media_type is not None:
            head += f"\r\nContent-Type: {self.media_type}"
        return f"{head}\r\n\r\n".encode()

    def chunks(self) -> Iterator[bytes]:
        """Yield the content, at most `length` bytes.

        Raises:
            OSError: The content cannot be read, or is not as long as it was.
        """
        left = self.length
        with _closing(self.content.chunks()) as chunks:
            for chunk in chunks:
                if left is not None:
                    left -= len(chunk)
                    if left < 0:
                        break
                yield chunk
        if left:
            shown = shorten(self.filename or self.name, 120)
            raise OSError(f"the file {shown} changed its size while it was sent, from {self.length} bytes")


def _to_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(parts)


@by_value
@attrs.frozen(eq=False, repr=False)
class MultipartBody:
    """A request body in ``multipart/form-data`` that is read in chunks, and never held whole.

    Args:
        parts: The parts.
        boundary: The separator of the parts, which must not occur in them; random by default.

    Raises:
        ConfigurationError: The boundary has other characters than letters, digits and ``'+_.-``, or more than 70.
    """

    parts: tuple[Part, ...] = attrs.field(converter=_to_parts)
    boundary: str = attrs.field(factory=lambda: os.urandom(16).hex())

    def __attrs_post_init__(self) -> None:
        for part in self.parts:
            if not isinstance(part, Part):
                raise ConfigurationError(f"parts must be instances of Part, not {quoted(part)}")
        if not isinstance(self.boundary, str) or not re.fullmatch(_BOUNDARY, self.boundary):
            raise ConfigurationError("a boundary must be 1 to 70 letters, digits and characters of '+_.-")

    @property
    def content_type(self) -> str:
        """The Content-Type of the request."""
        return f"{MULTIPART}; boundary={self.boundary}"

    @property
    def length(self) -> int | None:
        """The bytes of the whole body; None if a part has no length: an open file that is not seekable."""
        lengths = [part.length for part in self.parts]
        if None in lengths:
            return None
        return sum(filter(None, lengths)) + sum(map(len, self._framing()))

    @property
    def is_readable(self) -> bool:
        """True if `chunks` gives the body from its beginning. False once a file that is not seekable was read."""
        return all(part.content.is_readable for part in self.parts)

    def chunks(self) -> Iterator[bytes]:
        """Return an iterator over the body, from its beginning.

        The iterator reads files lazily and may block: in an event loop, call ``next`` in a thread. Closing it, or
        dropping it, closes the file that it has open.

        Returns:
            Chunks of 1 to 262,144 bytes, together `length` bytes.

        Raises:
            OSError: A file cannot be read, or has changed its size.
            ConfigurationError: A file cannot be read again, or is closed.
        """
        return _pack(self._unpacked())

    def read(self) -> bytes:
        """Read the whole body into memory; see `chunks`."""
        return b"".join(self.chunks())

    def _framing(self) -> Iterator[bytes]:
        """Yield what comes before the content of each part, and at the end."""
        mark = f"--{self.boundary}".encode()
        before = b""
        for part in self.parts:
            yield before + mark + b"\r\n" + part.head
            before = b"\r\n"
        yield before + mark + b"--\r\n"

    def _unpacked(self) -> Iterator[bytes]:
        *heads, end = self._framing()
        for head, part in zip(heads, self.parts, strict=True):
            yield head
            yield from part.chunks()
        yield end


def _pack(small_and_large: Iterator[bytes]) -> Iterator[bytes]:
    """Join small chunks and split large ones: each costs a thread switch and a write to the socket."""
    kept: list[bytes] = []
    size = 0
    with _closing(small_and_large):
        for given in small_and_large:
            for start in range(0, len(given), CHUNK_SIZE):
                chunk = given[start : start + CHUNK_SIZE] if len(given) > CHUNK_SIZE else given
                if size + len(chunk) > CHUNK_SIZE:
                    yield b"".join(kept)
                    kept.clear()
                    size = 0
                kept.append(chunk)
                size += len(chunk)
                if size == CHUNK_SIZE:  # a pipe may not have more for a while
                    yield b"".join(kept)
                    kept.clear()
                    size = 0
    if kept:
        yield b"".join(kept)


@contextmanager
def _closing(chunks: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Close an iterator at the end, if it can be closed. The end of a for loop does not."""
    try:
        yield chunks
    finally:
        if (close := getattr(chunks, "close", None)) is not None:
            close()
