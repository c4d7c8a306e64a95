"""Show the states of a run while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..models import TaskWithTurns, Worker
from .outcomes import summary
from .output import Output
from .terminal import LiveText, console
from .text import one_line

__all__ = ["growth", "showing"]

_WIDTH = 100


def growth(before: str, text: str) -> str:
    """Return the part that was added to a text; the whole text if it is another one."""
    return text.removeprefix(before)


@contextmanager
def showing(output: Output) -> Iterator[Callable[[TaskWithTurns | Worker], None]]:
    """Show the states of a run on standard error: live in a terminal, else in lines.

    Yields:
        The function to call with each new state.
    """
    to = None if output.quiet else console("stderr")
    if to is None:
        yield _Lines(output).update
        return
    with LiveText(to) as live:
        yield lambda state: live.update(*summary(state))


class _Lines:
    """A line for each new status, and for the text that came with it."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._status = self._text = ""

    def update(self, state: TaskWithTurns | Worker) -> None:
        """Show a new state."""
        status, text = summary(state)
        new = one_line(growth(self._text, text))
        if new or status != self._status:
            line = f"{one_line(status)}: {new}" if new else one_line(status)
            self._output.note(f"  {line if len(line) <= _WIDTH else line[: _WIDTH - 3] + '...'}")
        self._status, self._text = status, text
