"""Output in a terminal, if rich is installed: colours, links, tables, live text and bars.

Elsewhere (in pipes, without rich, with NO_COLOR, with ``TERM=dumb``, in at most 40 columns) everything is plain text.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self, TextIO

from .text import encodable, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["LiveText", "console", "file_bar", "is_terminal", "link", "print_table", "print_text"]

_MIN_COLUMNS = 41
#: Exceptions when the terminal is gone: no reason to lose a result.
_LOST = (OSError, ValueError)
_consoles: dict[str, Console] = {}


def is_terminal(stream: TextIO | None) -> bool:
    """Return True if a stream is a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def console(name: str) -> Console | None:
    """Return the console of a standard stream, always the same; None if it gets plain text.

    Args:
        name: ``"stdout"`` or ``"stderr"``.
    """
    if (
        not is_terminal(getattr(sys, name))
        or os.environ.get("NO_COLOR")
        or os.environ.get("TERM", "") in ("", "dumb", "unknown")
    ):
        return None
    if name not in _consoles:
        try:
            from rich.console import Console
        except ImportError:
            return None
        _consoles[name] = Console(stderr=name == "stderr", highlight=False, markup=False, emoji=False)
    found = _consoles[name]
    return found if found.width >= _MIN_COLUMNS else None


def print_text(to: Console, text: str, style: str = "", url: str = "") -> None:
    """Print text that is safe already, in a style, as a link if there is a URL."""
    from rich.style import Style
    from rich.text import Text

    full = Style.parse(style) + (Style(link=url) if url else Style())
    to.print(Text(encodable(text, to.encoding), full), soft_wrap=True)


def link(url: str) -> str:
    """Return a URL if a terminal may link it, else ``""``."""
    return url if url.startswith(("http://", "https://")) and url.isascii() and url.isprintable() else ""


def print_table(to: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text that is safe already."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        widest = max((len(row[number]) for row in rows), default=0)
        # An id is whole, so that it can be copied.
        table.add_column(column, overflow="fold", min_width=min(widest, to.width - 8) if column == "ID" else None)
    for row in rows:
        table.add_row(*(Text(encodable(cell, to.encoding)) for cell in row))
    to.print(table)


class LiveText:
    """The state of a run: a spinner, its status, the elapsed time and the end of its text, which fits the screen.

    Args:
        to: The console of standard error. What else is written there meanwhile appears above.
    """

    def __init__(self, to: Console) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        self._console = to
        self._begin = time.monotonic()
        self._status, self._text = "starting", ""
        unicode = to.encoding.lower().startswith("utf")
        self._spinner = Spinner("dots" if unicode else "line", style="cyan")
        self._live = Live(self, console=to, transient=True, refresh_per_second=10, redirect_stdout=False)

    def __enter__(self) -> Self:
        with suppress(*_LOST):
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(*_LOST):
            self._live.stop()

    def update(self, status: str, text: str) -> None:
        """Show a new state."""
        self._status = encodable(one_line(status), self._console.encoding)
        size = self._console.size
        # No more than can be on the screen: the text may be long, and is laid out for each frame.
        self._text = encodable(printable(text[-size.width * size.height :]), self._console.encoding)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        minutes, seconds = divmod(int(time.monotonic() - self._begin), 60)
        self._spinner.update(text=Text(f"{self._status}  {minutes}:{seconds:02}", "cyan"))
        yield self._spinner
        lines = Text(self._text.rstrip("\n")).wrap(console, options.max_width)
        yield from lines[-max(1, console.size.height - 3) :] if self._text else ()


@contextmanager
def file_bar(*, quiet: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """Show a bar for the bytes of files; yields the function to call with the bytes done and all bytes, or None."""
    to = None if quiet else console("stderr")
    if to is None:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns: tuple[Any, ...] = (TextColumn("files"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, console=to, redirect_stdout=False)
    row = bar.add_task("", total=None)

    def show(done: int, total: int | None) -> None:
        with suppress(*_LOST):
            bar.update(row, completed=done, total=total)

    try:
        with suppress(*_LOST):
            bar.start()
        yield show
    finally:
        with suppress(*_LOST):
            bar.stop()
