"""Write text that is safe for terminals, and report that it cannot be written.

The result of a command goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

from . import terminal
from .text import encodable, json_text, one_line, printable

__all__ = ["Output", "OutputError", "UsageError", "fill_standard_streams"]


class UsageError(Exception):
    """The command line is wrong, and nothing was sent.

    Args:
        message: The reason.
    """


class OutputError(Exception):
    """Standard output cannot be written.

    Args:
        message: The reason.
    """


class Output:
    """Standard output and standard error of a command.

    Args:
        quiet: Show no progress, files and costs.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def result(self, text: str) -> None:
        """Write a part of the result to standard output, with a line feed.

        Raises:
            OutputError: It cannot be written.
        """
        self._write_result(printable(text) + "\n")

    def part(self, text: str) -> None:
        """Write a part of the result to standard output, without a line feed."""
        self._write_result(printable(text))

    def document(self, value: Any, *, indent: int | None = 2) -> None:
        """Write JSON to standard output; with ``indent=None`` on one line."""
        text = json_text(value, indent=indent)
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeError:
            text = json.dumps(value, indent=indent).replace("\x7f", "\\u007f")
        self._write_result(text + "\n")

    def data(self, data: bytes) -> None:
        """Write bytes to standard output: as they are, but in a terminal as text that does not steer it."""
        if terminal.is_terminal(sys.stdout):
            self.part(self._decoder.decode(data))
            return
        try:
            self.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except (OSError, ValueError, AttributeError) as error:
            raise _cannot_write(error) from None

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write rows to standard output, in columns."""
        cells = [[one_line(cell) for cell in row] for row in (columns, *rows)]
        if (console := terminal.console("stdout")) is not None:
            try:
                terminal.print_table(console, columns, cells[1:])
            except OSError as error:
                raise _cannot_write(error) from None
            return
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            self.result("  ".join(map(str.ljust, row, widths)).rstrip())

    def error(self, text: str) -> None:
        """Write the reason for a failure to standard error."""
        self.say(f"error: {text}", style="bold red")

    def say(self, text: str, *, style: str = "", url: str = "") -> None:
        """Write a line to standard error. If that is impossible, nothing happens.

        Args:
            text: The line.
            style: Its style in a terminal.
            url: What it links to in a terminal.
        """
        stream = sys.stderr
        try:
            if (console := terminal.console("stderr")) is not None:
                terminal.print_text(console, printable(text), style, terminal.link(url))
                return
            stream.write(encodable(printable(text), stream.encoding) + "\n")
            stream.flush()
        except (OSError, ValueError, AttributeError):
            _discard(stream)

    def note(self, text: str, *, url: str = "") -> None:
        """Write a line to standard error, unless the command is quiet."""
        if not self.quiet:
            self.say(text, style="dim" if not url else "", url=url)

    def flush(self) -> None:
        """Write what is buffered for standard output.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            sys.stdout.flush()
        except (OSError, ValueError, AttributeError) as error:
            raise _cannot_write(error) from None

    def _write_result(self, text: str) -> None:
        try:
            sys.stdout.write(encodable(text, sys.stdout.encoding))
            sys.stdout.flush()
        except (OSError, ValueError, AttributeError) as error:
            raise _cannot_write(error) from None


def _cannot_write(error: Exception) -> OutputError:
    """Return the error for standard output, which is discarded from now on."""
    _discard(sys.stdout)
    if isinstance(error, OSError):
        reason = "its reader has closed it" if error.errno == errno.EPIPE else error.strerror or str(error)
    else:  # a ValueError: the file object is closed; an AttributeError: it is None
        reason = "it is closed"
    return OutputError(f"standard output cannot be written: {reason}")


def _discard(stream: TextIO | None) -> None:
    """Let a stream write to nowhere, so that the interpreter does not fail to flush it at its end."""
    with suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()  # type: ignore[union-attr]
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def fill_standard_streams() -> None:
    """Open the null device for standard streams that are closed: a socket in their place would get their text."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
