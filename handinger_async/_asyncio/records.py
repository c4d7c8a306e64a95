"""The journal of a batch for the event loop: in a thread, many records at a time."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

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
        self._closing = False
        self.last = -1
        self.failure: OSError | None = None

    async def open(self) -> None:
        """Open the journal.

        Raises:
            ConfigurationError: It cannot be opened, or is in use.
        """
        if self._path is None:
            return
        from .journal import Journal  # here, since most programs do without sqlite3

        self._thread = ThreadPoolExecutor(1, thread_name_prefix="handinger-journal")
        opening = asyncio.get_running_loop().run_in_executor(self._thread, Journal, self._path)
        try:
            self._journal = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise
        self.last = self._journal.last

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method of the journal. It is called too if the waiting is cancelled.

        Returns:
            Its result, which is on the disk; None without a journal.

        Raises:
            OSError: The journal cannot be written, as on a full disk.
        """
        if self._journal is None:
            return None
        import sqlite3

        try:
            return await self.submit(method, *args)
        except sqlite3.Error as error:
            self.failure = OSError(errno.EIO, f"the journal cannot be written: {error}", os.fspath(self._path or ""))
        raise self.failure

    def submit(self, method: str, *args: Any) -> asyncio.Future[Any]:
        """Call a method of the journal after the calls before, without waiting for it."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiter.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait for it
        if self._journal is None or self._closing:
            waiter.set_result(None)
        else:
            self._pending.append((partial(getattr(self._journal, method), *args), waiter))
            self._start_writing()
        return waiter

    async def close(self) -> None:
        """Close the journal after all calls have ended. Idempotent."""
        if self._journal is not None:
            self._closing = True
            await asyncio.shield(self._start_writing())
        elif self._thread is not None:
            self._thread.shutdown(wait=False)

    def _start_writing(self) -> asyncio.Task[None]:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return self._writing

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
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
        if self._closing and self._thread is not None:
            await loop.run_in_executor(self._thread, self._journal.close)
            self._thread.shutdown(wait=False)
            self._journal = None


def _close(opening: asyncio.Future[Any]) -> None:
    """Close a journal that was opened too late."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
