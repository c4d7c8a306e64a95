"""Run the commands of the page about the command line, and write their output into it.

``python -m tests.cli.page`` renews the page.
"""

import asyncio
import io
import os
import random
import re
import shlex
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from handinger_async import Session, cli
from handinger_async._asyncio import task_runs
from handinger_async.cli import command
from handinger_async.testing import FakeHandinger
from handinger_async.testing.virtual_time import VirtualTimeLoop
from handinger_async.transports.memory import MemoryTransport

PAGE = Path(__file__).parent.parent.parent / "docs" / "howto" / "command-line.rst"

_FILE = re.compile(r"^\.\. code-block:: \w+\n   :caption: (\S+)\n\n((?:(?: {3}.*)?\n)+)", re.MULTILINE)
_BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:(?: {3}.*)?\n)+)", re.MULTILINE)


class _Shown(io.StringIO):
    """Standard output and standard error in one place."""

    encoding = "utf-8"

    @property
    def buffer(self) -> "_Shown":
        return self

    def write(self, text: str | bytes) -> int:
        return super().write(text if isinstance(text, str) else text.decode())


@contextmanager
def _surroundings() -> Iterator[None]:
    """Let commands use one service in memory, in virtual time, with the same ids each time."""
    fake = FakeHandinger(api="today", deliver=lambda request: None)
    ids = count(1)

    def session(**options: Any) -> Session:
        return Session(api_key="key", transport=MemoryTransport(fake), **options)

    def run(main: Any) -> Any:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(main)

    variables = {"HANDINGER_API_KEY": "key", "COLUMNS": "80", "TZ": "UTC"}
    with ExitStack() as stack:
        for patched in (
            patch.dict(os.environ, variables),
            patch.object(sys, "argv", ["handinger-async"]),
            patch.object(asyncio, "run", run),
            patch.object(command, "Session", session),
            patch.object(random, "random", random.Random(0).random),
            patch.object(task_runs, "make_task_id", lambda: f"tsk_{next(ids):013}"),
            patch("handinger_async._asyncio.runs.make_task_id", lambda: f"tsk_{next(ids):013}"),
        ):
            stack.enter_context(patched)
        time.tzset()
        stack.enter_context(chdir(stack.enter_context(tempfile.TemporaryDirectory())))
        yield


def _run(line: str) -> str:
    """Return the output of a command, as in a terminal without rich."""
    shown = _Shown()
    with patch.object(sys, "stdout", shown), patch.object(sys, "stderr", shown):
        cli.main(shlex.split(line)[1:])
    return re.sub(r"after \d+\.\d{3} s", "after 0.001 s", shown.getvalue())


def run_page(page: str) -> str:
    """Return the page with the output of its commands."""
    known: dict[str, str] = {}

    def replace(block: re.Match[str]) -> str:
        lines = [line[3:] for line in block[1].splitlines()]
        shown = ""
        for line in lines:
            if not line.startswith("$ "):
                continue
            given = line
            for name, value in known.items():
                given = given.replace(name, value)
            output = _run(given[2:])
            if found := re.match(r"(wrk_[\w-]+)\n$", output):
                known["WORKER"] = found[1]
            if found := re.search(r"^id: (sch_\S+)", output, re.MULTILINE):
                known["SCHEDULE"] = found[1]
            shown += f"{given}\n{output}"
        return ".. code-block:: console\n\n" + textwrap.indent(shown, "   ") + "\n"

    with _surroundings():
        for name, text in _FILE.findall(page):
            Path(name).write_text(textwrap.dedent(text).strip() + "\n", encoding="utf-8")
        result = _BLOCK.sub(replace, page)
    time.tzset()
    return result


if __name__ == "__main__":
    PAGE.write_text(run_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
