"""Download all files of a worker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from .._file_names import distinct, path_name, plain_name
from ..errors import APIError, ConfigurationError, quoted, shorten
from ..models import File, Worker
from ..operations import RetrieveWorker
from .calls import Settings, send
from .downloads import FileDownload, ProgressFunction
from .locations import locate
from .part_files import check_path

__all__ = ["ProgressFunction", "download_worker_files"]


def download_worker_files(
    settings: Settings,
    worker: Worker | str,
    directory: str | os.PathLike[str],
    concurrency: int,
    progress: ProgressFunction | None,
) -> Coroutine[Any, Any, list[Path]]:
    """Save all files of a worker in a directory; see `Workers.download_files`.

    Returns:
        To await: the paths, in the order of ``Worker.files``.

    Raises:
        ConfigurationError: An argument is malformed.
    """
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise ConfigurationError(f"concurrency must be a number above zero, not {quoted(concurrency)}")
    if progress is not None and not callable(progress):
        raise ConfigurationError(f"progress must be callable, not {quoted(progress)}")
    folder = os.path.join(check_path(directory), "")  # noqa: PTH118 - the slash tells that it is no file
    operation = None if isinstance(worker, Worker) else RetrieveWorker(worker_id=worker)
    files = worker.files if isinstance(worker, Worker) else []
    return _Downloads(settings, folder, progress).run(operation, files, concurrency)


class _Downloads:
    def __init__(self, settings: Settings, folder: str, progress: ProgressFunction | None) -> None:
        self._settings = settings
        self._folder = folder
        self._progress = progress
        #: Bytes written, and size, of each file.
        self._done: list[int] = []
        self._sizes: list[int | None] = []

    async def run(self, operation: RetrieveWorker | None, files: list[File], concurrency: int) -> list[Path]:
        await asyncio.to_thread(os.stat, self._folder)
        if operation is not None:
            files = (await send(self._settings, operation)).files
        self._done, self._sizes = [0] * len(files), [file.size for file in files]
        slots = asyncio.Semaphore(concurrency)
        async with asyncio.TaskGroup() as group:
            saving = [
                group.create_task(self._save(index, file, name, slots))
                for index, (file, name) in enumerate(zip(files, distinct(map(_name, files)), strict=True))
            ]
        results = [task.result() for task in saving]
        if failures := [result for result in results if isinstance(result, Exception)]:
            raise ExceptionGroup(f"{len(failures)} of {len(files)} files could not be saved", failures)
        return [result for result in results if isinstance(result, Path)]

    async def _save(self, index: int, file: File, name: str, slots: asyncio.Semaphore) -> Path | Exception:
        async with slots:
            try:
                download = FileDownload(*locate(self._settings, file.url), file, name)
                progress = None if self._progress is None else partial(self._advance, self._progress, index)
                return await download.save(self._folder, progress=progress)
            except (APIError, ConfigurationError, OSError) as error:
                error.add_note(f"while saving {shorten(repr(file.filename or file.url))} as {name!r}")
                return error

    def _advance(self, progress: ProgressFunction, index: int, done: int, size: int | None) -> None:
        self._done[index] = done
        if size is not None:
            self._sizes[index] = size
        known = [size for size in self._sizes if size is not None]
        progress(sum(self._done), sum(known) if len(known) == len(self._sizes) else None)


def _name(file: File) -> str:
    return plain_name(file.filename) if file.filename else path_name(file.url.partition("?")[0].partition("#")[0])
