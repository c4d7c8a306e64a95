"""Files that are written beside their target and moved onto it when they are complete, in threads.

A part has a random name, and is locked as long as its process lives. One that can be locked was left by a process that
was killed; the next part in its directory removes it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import hashlib

fcntl: Any
try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: parts of killed processes stay
    fcntl = None

__all__ = ["PartFile", "check_path"]

#: Neither follow a link nor wait for a FIFO.
_NO_SURPRISES = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_PART = r"\.handinger-[0-9a-f]{16}\.part"


class PartFile:
    """A temporary file beside its target.

    Every method works in a thread and waits for its end, also if it is cancelled. An OSError has the path as it was
    given.

    Args:
        path: The path of the target, or of a directory for it.
        overwrite: Replace a file at the target.

    Attributes:
        path: The path of the target.
        needs_name: True if the path is that of a directory: call `create_in_directory` next.

    Raises:
        ConfigurationError: The path cannot name a file.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        self._given = check_path(path)
        self._overwrite = overwrite
        self._target = self._part = self.path = Path(self._given)
        self._file: IO[bytes] | None = None
        self._hash: hashlib._Hash | None = None
        self.needs_name = False

    async def create(self) -> None:
        """Create the file, unless the path is that of a directory.

        Raises:
            OSError: A file cannot be written at the path.
        """
        await self._run(self._create)

    async def create_in_directory(self, name: str) -> None:
        """Create the file for a target in the directory. A symbolic link at the target is replaced, not followed.

        Args:
            name: The name of the target, a plain one.

        Raises:
            OSError: A file cannot be written at the target.
        """
        await self._run(self._create_in_directory, name)

    async def restart(self, algorithm: str | None) -> None:
        """Empty the file.

        Args:
            algorithm: That of the `digest`, as `hashlib` calls it; None for none.
        """
        await self._run(self._restart, algorithm)

    async def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        await self._run(self._write, chunk)

    @property
    def digest(self) -> bytes | None:
        """The digest of the content; None without an algorithm."""
        return self._hash.digest() if self._hash else None

    async def publish(self) -> None:
        """Sync the file to disk, and move it to its target.

        Raises:
            FileExistsError: There is a file by now, which is not to be replaced.
        """
        await self._run(self._sync)
        await self._run(self._replace)

    async def discard(self) -> None:
        """Remove the file, unless it was not created, or was published."""
        if self._file is not None:
            await self._run(self._remove)

    async def _run(self, work: Callable[..., None], *args: object) -> None:
        try:
            await _in_thread(work, *args)
        except OSError as error:
            if error.errno is not None:  # without it, the path would take the place of the message
                error.filename = self._given
                del error.filename2
            raise

    def _create(self) -> None:
        mode = _target_mode(self._given)
        if mode is not None and stat.S_ISDIR(mode):
            if not os.access(self._given, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._target, self.needs_name = self._target.resolve(), True
            return
        if not self._overwrite and os.path.lexists(self._given):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._target = self._target.resolve()  # a symbolic link stays one
        self._open(_mode_to_keep(mode))

    def _create_in_directory(self, name: str) -> None:
        self.needs_name = False
        self.path /= name
        self._given = str(self.path)
        self._target /= name
        try:
            mode: int | None = self._target.lstat().st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and not self._overwrite:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if mode is not None and stat.S_ISLNK(mode):
            mode = None
        self._open(_mode_to_keep(mode))

    def _open(self, mode: int | None) -> None:
        folder = self._target.parent
        _remove_abandoned(folder)
        # tempfile would make a new file unreadable for others. A replacement is, until it has the mode of the old file.
        opener = partial(os.open, mode=0o666 if mode is None else 0o600)
        while True:
            self._part = folder / f".handinger-{os.urandom(8).hex()}.part"
            self._file = open(self._part, "xb", opener=opener)  # noqa: SIM115 - Path.open has no opener
            if _lock(self._file.fileno(), without_locks=True) and self._part.exists():
                break
            self._file.close()  # removed by another process before it was locked
        if mode is not None:
            self._part.chmod(mode)

    def _restart(self, algorithm: str | None) -> None:
        import hashlib  # here, since most programs do without OpenSSL until they connect

        self._hash = None if algorithm is None else hashlib.new(algorithm, usedforsecurity=False)
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()

    def _write(self, chunk: bytes) -> None:
        if self._file is not None:
            self._file.write(chunk)
            if self._hash is not None:
                self._hash.update(chunk)

    def _sync(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            if fcntl is None:  # pragma: no cover - Windows moves no open files
                self._file.close()

    def _replace(self) -> None:
        if self._overwrite:
            self._part.replace(self._target)
        else:
            _move_without_replacing(self._part, self._target)
        if self._file is not None:
            self._file.close()  # which unlocks it
            self._file = None

    def _remove(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk may raise again
                self._file.close()
            self._part.unlink(missing_ok=True)


def check_path(path: Any) -> str:
    """Return a path as a string.

    Raises:
        ConfigurationError: No file can have this path.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(text, str):
        raise ConfigurationError(f"path must be a string or a path of strings, not {type(text).__name__}")
    if not text:
        raise ConfigurationError("path must not be empty")
    if "\0" in text:
        raise ConfigurationError("path contains a NUL character")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ConfigurationError("path contains a character that cannot be encoded in a file name") from None
    return text


def _target_mode(path: str) -> int | None:
    """Return the mode of what is at a path; None if a new file can be made there.

    Raises:
        OSError: The path leads to nowhere.
    """
    # As strings: Path would drop a slash at the end, which stands for a directory.
    try:
        return os.stat(path).st_mode  # noqa: PTH116
    except FileNotFoundError:
        os.stat(os.path.dirname(path) or os.curdir)  # noqa: PTH116, PTH120 - resolve() accepts missing folders
        return None


def _mode_to_keep(mode: int | None) -> int | None:
    """Return the permissions of the file that is to be replaced; None for a new file.

    Raises:
        OSError: It is something other than a file.
    """
    if mode is None:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    return mode & 0o777  # without set-user-ID: the content is another's


def _lock(descriptor: int, *, without_locks: bool) -> bool:
    """Lock an open file until it is closed; return True if that succeeded.

    Args:
        descriptor: The file.
        without_locks: The result where files cannot be locked.
    """
    if fcntl is None:  # pragma: no cover - Windows
        return without_locks
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without_locks
    return True


def _remove_abandoned(folder: Path) -> None:
    """Remove the parts in a folder whose processes were killed."""
    with suppress(OSError):
        for part in [entry for entry in os.scandir(folder) if re.fullmatch(_PART, entry.name)]:
            with suppress(OSError):  # it is another user's, or gone
                descriptor = os.open(part.path, os.O_RDONLY | _NO_SURPRISES)
                try:
                    if _lock(descriptor, without_locks=False):
                        os.unlink(part.path)  # noqa: PTH108
                finally:
                    os.close(descriptor)


def _move_without_replacing(part: Path, target: Path) -> None:
    """Move a file to a path at which there is none.

    Raises:
        FileExistsError: There is one.
    """
    try:
        os.link(part, target)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise
    except OSError:  # the file system has no links: reserve the path
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            part.replace(target)
        except OSError:
            target.unlink(missing_ok=True)
            raise
    else:
        with suppress(OSError):
            part.unlink()


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
