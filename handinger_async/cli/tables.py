"""Show rows and records on standard output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .command import Command
from .text import one_line

__all__ = ["local_time", "show_record", "show_table"]


def local_time(time: datetime | str | None) -> str:
    """Return a time in local time, with its zone; what is no time as it is."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return str(time)
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def show_table(command: Command, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Show rows in columns."""
    if rows:
        command.output.table(columns, [["" if cell is None else str(cell) for cell in row] for row in rows])
    else:
        command.output.note("there are none")


def show_record(command: Command, record: Mapping[str, Any]) -> None:
    """Show names and values, one a line; values that are None are left out."""
    for name, value in record.items():
        if value is not None:
            command.output.result(f"{name}: {one_line(str(value))}")
