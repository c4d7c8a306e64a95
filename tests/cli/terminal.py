"""A program in a pseudo-terminal, and what a person sees there."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Any, Self

#: Erase the line, move up, other control sequences, links, line feeds and carriage returns, text.
_TOKEN = re.compile(
    r"\x1b\[2K|\x1b\[(\d*)A|(\x1b\[[\d;]*m)|\x1b\[[?\d;]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\|[\r\n]|[^\x1b\r\n]+"
)

#: Makes standard input the terminal of the process, whose Ctrl-C it gets, and runs the interpreter in it. Processes in
#: the background of a shell begin with SIGINT ignored.
_TAKE_TERMINAL = """\
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def screen(output: str, *, colours: bool = False) -> list[str]:
    """Return the lines that a terminal shows after an output, as far as this command line uses its controls."""
    lines, row = [""], 0
    position = 0
    while position < len(output):
        token = _TOKEN.match(output, position)
        if token is None:
            raise AssertionError(f"this output has another control: {output[position : position + 20]!r}")
        position = token.end()
        text = token[0]
        if text == "\n":
            row += 1
            lines.extend([""] * (row + 1 - len(lines)))
        elif text == "\x1b[2K":
            lines[row] = ""
        elif text.endswith("A") and token[1] is not None:
            row = max(0, row - int(token[1] or 1))
        elif token[2] is not None:
            lines[row] += text if colours else ""
        elif not text.startswith(("\r", "\x1b")):
            lines[row] += text
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Terminal:
    """A process in a pseudo-terminal of its own, whose Ctrl-C reaches it.

    Args:
        arguments: The arguments of the interpreter.
        environment: The environment; TERM is added.
        columns: The width.
    """

    def __init__(self, *arguments: str, environment: dict[str, str], columns: int = 80, **options: Any) -> None:
        self.output = ""
        self._master, slave = pty.openpty()
        self.resize(columns)
        streams = {"stdin": slave, "stdout": slave, "stderr": slave, **options}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *arguments],
            env={"TERM": "xterm-256color", "PYTHONUTF8": "1", **environment},
            start_new_session=True,
            **streams,
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def resize(self, columns: int) -> None:
        """Set the size, as the window of a terminal does."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._master, text.encode())

    def read_until(self, text: str) -> str:
        """Read until the screen shows a text; return all output so far."""
        while text not in "\n".join(screen(self.output)):
            if not self._read():
                raise AssertionError(f"{text!r} was not shown: {self.output!r}")
        return self.output

    def read_all(self) -> list[str]:
        """Read to the end of the process, and return the lines on the screen."""
        while self._read():
            pass
        self.process.wait(60)
        return screen(self.output)

    def _read(self, patience: float = 60.0) -> bool:
        end = time.monotonic() + patience
        while not select.select([self._master], [], [], 1.0)[0]:
            if time.monotonic() > end:
                raise AssertionError(f"nothing was shown for {patience} s after {self.output!r}")
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the process has ended
            return False
        while True:  # to the end of a character, and of a control sequence
            try:
                text = data.decode()
                screen(self.output + text)
            except (UnicodeDecodeError, AssertionError):
                more = os.read(self._master, 1)
                if not more or len(data) > 200_000:
                    raise
                data += more
            else:
                self.output += text
                return bool(data)
