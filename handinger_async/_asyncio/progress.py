"""Show the progress of a batch on standard error: a bar in a terminal with rich, else lines."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any

__all__ = ["Progress"]

#: Seconds between two lines.
_INTERVAL = 5.0
#: Exceptions when the terminal is gone, and standard error is closed or None.
_LOST = (OSError, ValueError, AttributeError)


class Progress:
    """The progress of a batch.

    Args:
        total: The number of inputs; None if it is not known.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._done = self._failed = 0
        self._shown = -1
        self._next_line = time.monotonic() + _INTERVAL
        self._bar, self._row = _make_bar(total)

    def add(self, *, failed: bool) -> None:
        """Count a result."""
        self._done += 1
        self._failed += failed
        if self._bar is not None:
            with suppress(*_LOST):
                self._bar.update(self._row, completed=self._done, failed=self._text())
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _INTERVAL
            self._write()

    def stop(self) -> None:
        """Show the last state. Idempotent."""
        if self._bar is not None:
            with suppress(*_LOST):
                self._bar.stop()
        elif self._shown != self._done:
            self._write()

    def _text(self) -> str:
        return f"{self._failed} failed" if self._failed else ""

    def _write(self) -> None:
        self._shown = self._done
        total = "" if self._total is None else f" of {self._total}"
        failed = f", {self._text()}" if self._failed else ""
        with suppress(*_LOST):
            sys.stderr.write(f"{self._done}{total} runs done{failed}\n")
            sys.stderr.flush()


def _make_bar(total: int | None) -> tuple[Any, Any]:
    """Return a bar and its row; None if rich is not installed, or standard error is no terminal."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        return None, None
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        return None, None
    columns = (
        TextColumn("runs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    # Redirected, what the program writes to standard output would go to standard error with the bar.
    redirect = sys.stdout is not None and sys.stdout.isatty()
    bar = Progress(*columns, console=console, redirect_stdout=redirect)
    row = bar.add_task("", total=total, failed="")
    with suppress(*_LOST):
        bar.start()
    return bar, row
