"""Files that are written beside their target and moved onto it when they are complete, in threads."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from ..errors import ConfigurationError

__all__ = ["PartFile"]


class PartFile:
    """A temporary file beside its target.

    Every method works in a thread and waits for its end, also if it is cancelled. An OSError has the path as it was
    given.

    Args:
        path: The path of the target.

    Raises:
        ConfigurationError: The path cannot name a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._given = _check_path(path)
        self._target = self._path = Path(self._given)
        self._file: IO[bytes] | None = None

    async def create(self) -> None:
        """Create the file.

        Raises:
            OSError: A file cannot be written at the path.
        """
        await self._run(self._create)

    async def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        await self._run(self._write, chunk)

    async def publish(self) -> None:
        """Sync the file to disk, and rename it to its target."""
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
        mode = _mode_to_keep(self._given)
        self._target = self._target.resolve()  # a symbolic link stays one
        self._path = self._target.with_name(f".{os.urandom(8).hex()}.part")
        # tempfile would make a new file unreadable for others. A replacement is, until it has the mode of the old file.
        opener = partial(os.open, mode=0o666 if mode is None else 0o600)
        self._file = open(self._path, "xb", opener=opener)  # noqa: SIM115 - Path.open has no opener
        if mode is not None:
            self._path.chmod(mode)

    def _write(self, chunk: bytes) -> None:
        if self._file is not None:
            self._file.write(chunk)

    def _sync(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _replace(self) -> None:
        self._path.replace(self._target)
        self._file = None

    def _remove(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk may raise again
                self._file.close()
            self._path.unlink(missing_ok=True)


def _check_path(path: Any) -> str:
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


def _mode_to_keep(path: str) -> int | None:
    """Return the permissions of the file that is to be replaced; None for a new file.

    Raises:
        OSError: The path leads to something other than a file, or to nowhere.
    """
    # As strings: Path would drop a slash at the end, which stands for a directory.
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except FileNotFoundError:
        os.stat(os.path.dirname(path) or os.curdir)  # noqa: PTH116, PTH120 - resolve() accepts missing folders
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", path)
    return mode & 0o777  # without set-user-ID: the content is another's


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
