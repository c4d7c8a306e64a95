"""The sources of uploaded files: bytes, paths and open files, read in chunks and never held whole."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from inspect import iscoroutinefunction
from io import SEEK_END
from threading import Lock
from typing import IO, Any, ClassVar, Protocol, runtime_checkable

import attrs

from ._values import by_value
from .errors import ConfigurationError, quoted

__all__ = ["CHUNK_SIZE", "FileSource", "Memory", "PathSource", "Source", "to_source"]

#: The maximum bytes of a chunk. One this large costs little more to read in a thread than in place.
CHUNK_SIZE = 2**18

#: An open file has one position for all that read it, in any thread. Few locks suffice: files rarely share one.
_LOCKS = tuple(Lock() for _ in range(64))


@runtime_checkable
class Source(Protocol):
    """The content of a part of a `MultipartBody`."""

    @property
    def length(self) -> int | None:
        """The number of bytes now; None if only reading tells."""
        ...

    @property
    def is_readable(self) -> bool:
        """True if `chunks` gives the content from its beginning: False once a pipe was read."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Return an iterator over the content, which may block. Closing the iterator closes what it opened.

        Raises:
            OSError: The content cannot be read.
            ConfigurationError: The content cannot be read again, or its file is closed.
        """
        ...


@by_value
@attrs.frozen(eq=False, repr=False)
class Memory:
    """Bytes.

    Args:
        data: The bytes.
    """

    data: bytes = attrs.field(repr=False)

    @property
    def length(self) -> int:
        """The number of bytes."""
        return len(self.data)

    @property
    def is_readable(self) -> bool:
        """True."""
        return True

    def chunks(self) -> Iterator[bytes]:
        """Return an iterator over the bytes."""
        return (self.data[start : start + CHUNK_SIZE] for start in range(0, len(self.data), CHUNK_SIZE))


def _to_path(path: Any) -> Any:
    return os.fspath(path)  # not itself the converter: attrs takes 5 ms to look for annotations of a function in C


@by_value
@attrs.frozen(eq=False, repr=False)
class PathSource:
    """A regular file, opened when it is read.

    Args:
        path: Its path.

    Raises:
        OSError: There is no such file, or it is a directory, or it cannot be opened.
        ConfigurationError: The path cannot name a file, or names something else, such as a pipe.
    """

    path: str = attrs.field(converter=_to_path)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise ConfigurationError(f"the path of a file must be a string, not {type(self.path).__name__}")
        if "\0" in self.path:
            raise ConfigurationError("the path of a file contains a NUL character")
        mode = os.stat(self.path).st_mode  # noqa: PTH116 - as in the rest of this class, of the path as given
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.path)
        if not stat.S_ISREG(mode):
            raise ConfigurationError(f"{quoted(self.path)} is not a regular file: open it and pass the open file")
        with open(self.path, "rb"):  # noqa: PTH123 - refuse one that is unreadable before anything is sent
            pass

    @property
    def length(self) -> int:
        """The size of the file."""
        return os.stat(self.path).st_size  # noqa: PTH116

    @property
    def is_readable(self) -> bool:
        """True."""
        return True

    def chunks(self) -> Iterator[bytes]:
        """Return an iterator over the content."""
        with open(self.path, "rb") as file:  # noqa: PTH123
            while chunk := file.read(CHUNK_SIZE):
                yield chunk


class FileSource:
    """An open binary file, from where it stands to its end.

    If the file is seekable, it can be read repeatedly, and reading does not move it, so that several requests can send
    it at a time. It is never closed here.

    Args:
        file: The file.

    Raises:
        ConfigurationError: It is not an open file for reading, or not a binary one.
    """

    __slots__ = ("_file", "_read", "_start")

    def __init__(self, file: IO[bytes]) -> None:
        _check_file(file)
        self._file = file
        self._read = False
        #: The position of the content; None if the file cannot be read again.
        self._start: int | None = None
        if getattr(file, "seekable", bool)():
            with self._lock:
                self._start = file.tell()

    @property
    def _lock(self) -> Lock:
        return _LOCKS[id(self._file) // 64 % len(_LOCKS)]

    @property
    def length(self) -> int | None:
        """The number of bytes from where the file stood; None for a pipe or the like."""
        if self._start is None:
            return None
        self._check_open()
        with self._lock:
            before = self._file.tell()
            end = self._file.seek(0, SEEK_END)
            self._file.seek(before)
        return max(0, end - self._start)

    @property
    def is_readable(self) -> bool:
        """False once a pipe or the like was read."""
        return self._start is not None or not self._read

    def chunks(self) -> Iterator[bytes]:
        """Return an iterator over the content.

        Raises:
            ConfigurationError: It was read before, and is not seekable.
        """
        if not self.is_readable:
            raise ConfigurationError("an open file that is not seekable was sent already, and cannot be read again")
        self._read = True
        return self._read_on() if self._start is None else self._seek_and_read(self._start)

    def _read_on(self) -> Iterator[bytes]:
        read: Any = getattr(self._file, "read1", self._file.read)  # what there is: `read` would wait for all of it
        while True:
            self._check_open()
            chunk = read(CHUNK_SIZE)
            if chunk is None:
                raise BlockingIOError(errno.EAGAIN, "the file does not wait for data: make it blocking")
            if not chunk:
                return
            yield chunk

    def _seek_and_read(self, position: int) -> Iterator[bytes]:
        while True:
            self._check_open()
            with self._lock:
                before = self._file.tell()
                self._file.seek(position)
                try:
                    chunk = self._file.read(CHUNK_SIZE)
                finally:
                    self._file.seek(before)
            if not chunk:
                return
            position += len(chunk)
            yield chunk

    def _check_open(self) -> None:
        if self._file.closed:
            raise ConfigurationError("a file was closed before it was sent: keep it open until then")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileSource):
            return NotImplemented
        return self._file is other._file and self._start == other._start

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FileSource({self._file!r})"


def _check_file(file: Any) -> None:
    if iscoroutinefunction(file.read):
        raise ConfigurationError(f"{type(file).__name__} is asynchronous: pass the path, or a file opened by open()")
    if getattr(file, "closed", False):
        raise ConfigurationError("a file is closed: keep it open until it is sent")
    nothing = None
    with suppress(OSError, ValueError):  # io.UnsupportedOperation is both
        nothing = file.read(0)
    if isinstance(nothing, str):
        raise ConfigurationError("an open file must be binary, not text: open it with mode 'rb'")
    if not isinstance(nothing, bytes):
        raise ConfigurationError(f"{type(file).__name__} is not a binary file that is open for reading")


def to_source(content: Any) -> Source:
    """Return the source of a content: bytes, an `os.PathLike` or an open binary file.

    Raises:
        OSError: There is no such file, or it cannot be opened.
        ConfigurationError: It is none of these.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        return Memory(bytes(content))
    if isinstance(content, os.PathLike):
        return PathSource(content)
    if isinstance(content, Source):
        return content
    if callable(getattr(content, "read", None)):
        return FileSource(content)
    hint = ": encode the text, or wrap a path in pathlib.Path" if isinstance(content, str) else ""
    raise ConfigurationError(
        f"the content of a file must be bytes or a binary file, not {type(content).__name__}{hint}"
    )
