"""The journal of a batch for the event loop: in a thread, many records at a time."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Records"]


class Records:
    """The journal of a batch. Without a path, nothing is recorded.

    Records that come while others are written wait for the disk together.

    Args:
        path: The path of the journal.

    Attributes:
        last: The highest number of an input in the journal; -1 if there is none.
        failure: The reason why the journal cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = path
        self._journal: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._pending: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._finishing: asyncio.Future[None] | None = None
        self.last = -1
        self.failure: OSError | None = None

    async def open(self) -> None:
        """Open the journal.

        Raises:
            ConfigurationError: It cannot be opened, or is in use.
        """
        if self._path is None:
            return
        from concurrent.futures import ThreadPoolExecutor

        from .journal import Journal  # here, since most programs do without sqlite3

        self._thread = ThreadPoolExecutor(1, thread_name_prefix="handinger-journal")
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open, Journal)
        self.last = self._journal.last

    def _open(self, journal: Callable[[Any], Any]) -> None:
        self._journal = journal(self._path)

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method of the journal. It is called too if the waiting is cancelled.

        Returns:
            Its result, which is on the disk; None without a journal.

        Raises:
            OSError: The journal cannot be written, as on a full disk.
            ConfigurationError: The arguments cannot be written.
        """
        if self._journal is None:
            return None
        import sqlite3

        try:
            return await self.submit(method, *args)
        except UnicodeEncodeError as error:
            raise ConfigurationError(f"the run cannot be recorded: {error.reason}") from error
        except sqlite3.Error as error:
            self.failure = OSError(errno.EIO, f"the journal cannot be written: {error}", os.fspath(self._path or ""))
        raise self.failure

    def submit(self, method: str, *args: Any) -> asyncio.Future[Any]:
        """Call a method of the journal after the calls before, without waiting for it."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiter.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait for it
        if self._journal is None or self._thread is None:
            waiter.set_result(None)
        else:
            self._pending.append((partial(getattr(self._journal, method), *args), waiter))
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write())
        return waiter

    async def close(self) -> None:
        """Close the journal after all calls have ended. Idempotent."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            # In the thread, after all that it was given: also if this task, or another, is cancelled.
            self._finishing = asyncio.get_running_loop().run_in_executor(thread, self._finish)
            thread.shutdown(wait=False)
        if self._finishing is not None:
            await asyncio.shield(self._finishing)

    def _finish(self) -> None:
        """Perform the calls that nobody waits for any more, and close the journal."""
        if self._journal is not None:
            calls, self._pending = [call for call, _ in self._pending], []
            with suppress(Exception):
                self._journal.perform(calls)
            self._journal.close()
            self._journal = None

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending and self._thread is not None:
            calls, self._pending = self._pending, []
            try:
                results = await loop.run_in_executor(self._thread, self._journal.perform, [call for call, _ in calls])
            except Exception as error:
                results = [error] * len(calls)
            for (_, waiter), result in zip(calls, results, strict=True):
                if waiter.done():
                    continue
                if isinstance(result, Exception):
                    waiter.set_exception(result)
                else:
                    waiter.set_result(result)
