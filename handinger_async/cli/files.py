"""The verbs for published files: files list and files get."""

from __future__ import annotations

from pathlib import Path

from .._converter import to_dict
from ..models import Worker
from ..session import Session
from ..streams import FileDownload
from .command import Command
from .outcomes import is_task
from .output import UsageError
from .tables import show_table
from .terminal import file_bar
from .values import directory

__all__ = ["get_files", "list_files"]


async def list_files(command: Command) -> None:
    """List the published files of a task or a worker."""
    async with command.session() as session:
        worker = await _retrieve(session, command.options.id)
    rows = [(file.filename, file.media_type, file.size, file.url) for file in worker.files]
    show_table(command, [to_dict(file) for file in worker.files], ("NAME", "TYPE", "BYTES", "URL"), rows)


async def get_files(command: Command) -> None:
    """Save published files of a task or a worker."""
    options = command.options
    to_stdout = options.out == "-"
    if to_stdout and len(options.paths) != 1:
        raise UsageError("--out - takes one file")
    out = options.out or "."
    if not to_stdout and (len(options.paths) != 1 or out.endswith(("/", "\\"))):
        directory(out)
    async with command.session() as session:
        worker = await _retrieve(session, options.id)
        if to_stdout:
            async with _find(session, worker, options.paths[0]) as file:
                async for chunk in file:
                    command.output.data(chunk)
            return
        with file_bar(quiet=command.output.quiet) as progress:
            if options.paths:
                saved = [await _find(session, worker, path).save(out, progress=progress) for path in options.paths]
            else:
                saved = await session.workers.download_files(worker, out, progress=progress)
    _show_paths(command, saved)


async def _retrieve(session: Session, known: str) -> Worker:
    """Return the worker with the files of a task or a worker."""
    if not is_task(known):
        return await session.workers.retrieve(known)
    task = (await session.tasks.retrieve(known)).task
    return await session.workers.retrieve(task.worker_id, task_id=known)


def _find(session: Session, worker: Worker, path: str) -> FileDownload:
    """Return a file by its name, or by its path in the space of the worker."""
    for file in worker.files:
        if file.filename == path:
            return session.download(file)
    return session.workers.retrieve_file(path, worker_id=worker.id)


def _show_paths(command: Command, paths: list[Path]) -> None:
    if command.options.json:
        command.output.document([str(path) for path in paths])
    else:
        for path in paths:
            command.output.result(str(path))
