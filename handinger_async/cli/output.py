"""Write text that is safe for terminals, and report that it cannot be written.

The result of a command goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from contextlib import suppress
from typing import Any, TextIO

__all__ = ["Output", "OutputError", "UsageError", "fill_standard_streams", "json_text", "one_line", "printable"]

#: What steers a terminal, or reorders its text: control characters (C0 except tab and line feed, C1), line and
#: paragraph separators, bidirectional controls, tags; and lone surrogates, which no encoding has.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)


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


def printable(text: str) -> str:
    r"""Return a text in which characters that steer a terminal are written as escapes, such as ``\x1b``."""
    return _STEERING.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """Return a text on one line, safe for terminals."""
    return printable(" ".join(text.split()))


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """Return a value as JSON in which characters that steer a terminal are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _STEERING.sub(lambda match: json.dumps(match[0])[1:-1], text.replace("\x7f", "\\u007f"))


class Output:
    """Standard output and standard error of a command.

    Args:
        quiet: Show no progress, files and costs.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

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
        """Write bytes to standard output as they are."""
        try:
            self.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except (OSError, ValueError, AttributeError) as error:
            raise _cannot_write(error) from None

    def say(self, text: str) -> None:
        """Write a line to standard error. If that is impossible, nothing happens."""
        stream = sys.stderr
        try:
            stream.write(_encodable(printable(text), stream) + "\n")
            stream.flush()
        except (OSError, ValueError, AttributeError):
            _discard(stream)

    def note(self, text: str) -> None:
        """Write a line to standard error, unless the command is quiet."""
        if not self.quiet:
            self.say(text)

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
            sys.stdout.write(_encodable(text, sys.stdout))
            sys.stdout.flush()
        except (OSError, ValueError, AttributeError) as error:
            raise _cannot_write(error) from None


def _encodable(text: str, stream: TextIO) -> str:
    """Return a text in which the characters that the encoding of a stream lacks are written as escapes."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


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
