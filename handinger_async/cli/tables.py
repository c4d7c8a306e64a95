"""Show rows, records and lines on standard output, or with ``--json`` the document that they are from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .command import Command
from .text import one_line

__all__ = ["local_time", "show_done", "show_line", "show_record", "show_table"]


def local_time(time: datetime | str | None) -> str:
    """Return a time in local time, with its zone; what is no time as it is."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return str(time)
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def show_table(command: Command, document: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Show rows in columns; with ``--json`` the document that they are from."""
    if command.options.json:
        command.output.document(document)
    elif rows:
        command.output.table(columns, [["" if cell is None else str(cell) for cell in row] for row in rows])
    else:
        command.output.note("there are none")


def show_record(command: Command, document: Any, record: Mapping[str, Any]) -> None:
    """Show names and values, one a line, without those that are None; with ``--json`` the document."""
    if command.options.json:
        command.output.document(document)
        return
    for name, value in record.items():
        if value is not None:
            command.output.result(f"{name}: {one_line(str(value))}")


def show_line(command: Command, document: Any, text: str) -> None:
    """Show one line; with ``--json`` the document."""
    if command.options.json:
        command.output.document(document)
    else:
        command.output.result(text)


def show_done(command: Command, document: Any, word: str, *, done: bool) -> int:
    """Say what was done, or was not; with ``--json`` show the document too. Return the exit status."""
    if command.options.json:
        command.output.document(document)
    command.output.note(word if done else f"it was not {word}")
    return 0 if done else 1
