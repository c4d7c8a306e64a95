"""The command line in processes of its own: encodings, broken pipes, full disks, closed streams, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handinger_async.cli.text import json_text, printable

from .conftest import environment

Process = Callable[..., subprocess.CompletedProcess[bytes]]

HOSTILE = "Costs 5 € \U0001f600 \x1b[31m \x9b2J \u202e \u2066 \x07 \x7f end"


@pytest.mark.parametrize(
    ("env", "encoding", "money"),
    [
        ({"PYTHONIOENCODING": "cp1252"}, "cp1252", "€"),
        ({"LC_ALL": "C"}, "utf-8", "€"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii", r"\u20ac"),
        ({"PYTHONIOENCODING": "ascii"}, "ascii", r"\u20ac"),
    ],
    ids=["cp1252", "C", "C-as-ascii", "ascii"],
)
def test_what_an_encoding_lacks_is_escaped(process: Process, env: Any, encoding: str, money: str) -> None:
    stdin = HOSTILE.encode()
    done = process("--demo", "-", env=env, input=stdin, stdin=None)
    assert done.returncode == 0, done.stderr
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    face = "\U0001f600" if encoding == "utf-8" else r"\U0001f600"
    shown = rf"Costs 5 {money} {face} \x1b[31m \x9b2J \u202e \u2066 \x07 \x7f end"
    assert shown in out
    assert out.count("\n") == 1
    assert re.search(r"^task tsk_", err, re.MULTILINE)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_json_is_exact_in_every_encoding_and_steers_nothing(process: Process, encoding: str) -> None:
    env = {"PYTHONIOENCODING": encoding}
    done = process("--demo", "--json", "-", env=env, input=HOSTILE.encode(), stdin=None)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert HOSTILE in json.loads(text)["outputText"]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", text)


def test_every_character_that_steers_is_escaped() -> None:
    steering = [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
    text = "".join(chr(code) for code in steering if code not in (9, 10)) + "\udcff"
    assert printable(text).isascii()
    assert printable(text).isprintable()
    assert printable("a\r\nb\tc é \u05d0 \U0001f468\u200d\U0001f467") == "a\nb\tc é \u05d0 \U0001f468\u200d\U0001f467"
    assert json_text(text).isprintable()
    assert json.loads(json_text({"a": text})) == {"a": text}


@pytest.mark.parametrize(
    ("shell", "reason", "flags"),
    [
        ("> /dev/full", "No space left on device", []),
        (">&-", "it is closed", []),
        ("| :", "its reader has closed it", []),
        ("> /dev/full", "No space left on device", ["--json"]),
    ],
    ids=["full", "closed", "broken", "json"],
)
def test_output_that_cannot_be_written_is_one_line_with_the_id(
    process: Process, shell: str, reason: str, flags: list[str]
) -> None:
    options: dict[str, Any] = {"shell": shell}
    if shell == "| :":
        reader, writer = os.pipe()
        os.close(reader)
        options = {"stdout": writer}
    done = process("--demo", "Compare tents.", *flags, **options)
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    task_id = lines[1].removeprefix("task ")
    assert lines[-1] == f"error: standard output cannot be written: {reason} ({task_id})"
    assert sum("error" in line or "Error" in line or "Exception" in line for line in lines) == 1


@pytest.mark.parametrize("shell", ["2> /dev/full", "2>&-", "2>&- <&-"])
def test_the_result_comes_without_standard_error(process: Process, shell: str) -> None:
    done = process("--demo", "Compare tents.", shell=shell)
    assert done.returncode == 0
    assert "You asked: Compare tents." in done.stdout.decode()


@pytest.mark.parametrize("shell", [">&- 2>&- <&-", "> /dev/full 2> /dev/full"])
def test_nothing_can_be_written_at_all(process: Process, shell: str) -> None:
    assert process("--demo", "Compare tents.", shell=shell).returncode == 1


def test_help_and_errors_into_a_full_disk_have_their_status(process: Process) -> None:
    done = process("--help", shell="> /dev/full")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    done = process("sreve", shell="2> /dev/full")
    assert done.returncode == 2
    done = process("serve", "--port", "0", shell="> /dev/full")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


def test_a_pipe_is_read_where_the_instruction_is_missing(process: Process) -> None:
    done = process("run", "--demo", input=b"Compare tents.\n", stdin=None)
    assert "You asked: Compare tents. For" in done.stdout.decode()
    done = process("run", "--demo", input=b"\xff\n", stdin=None)
    assert done.returncode == 2
    assert done.stderr == b"error: standard input is not UTF-8: invalid start byte at byte 0\n"
    done = process("run", "--demo")
    assert (done.returncode, done.stderr) == (2, b"error: the instruction is empty\n")


WAITING = """\
import signal, sys
from handinger_async import Session
from handinger_async.cli import command, main
from handinger_async.testing import FakeHandinger, Step
from handinger_async.transports.memory import MemoryTransport
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
fake = FakeHandinger(api=sys.argv.pop(1))
fake.script(Step("Begun.", after=0), Step("Never.", after=9999))
command.Session = lambda **options: Session(api_key="key", transport=MemoryTransport(fake), **options)
sys.exit(main())
"""


@pytest.mark.parametrize("api", ["today", "seed"])
def test_ctrl_c_says_that_the_worker_goes_on_and_how_to_come_back(api: str) -> None:
    """A real process, with a real signal, while a worker runs."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WAITING, api, "run", "Compare tents."],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(HANDINGER_API_KEY="key"),
    )
    assert process.stderr
    lines = []
    while not lines or "Begun." not in lines[-1]:
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    known = [line.split()[-1] for line in lines if line.startswith(("task ", "worker "))][-1]
    (line,) = err.splitlines()
    assert line == f"interrupted: the worker goes on; to come back to it: handinger-async wait {known}"


def test_ctrl_c_in_a_batch_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('"One?"\n')
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WAITING, "today", "batch", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(HANDINGER_API_KEY="key"),
    )
    assert process.stderr
    assert process.stderr.readline() == f"journal: {path}.journal\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        "interrupted: runs that were started go on; the same command goes on with the batch"
    )


READY = """\
from handinger_async.cli import values
read = values._read_stdin
def read_stdin():
    print('ready', flush=True)
    return read()
values._read_stdin = read_stdin
"""


def test_ctrl_c_while_standard_input_is_read_ends_at_once() -> None:
    source = WAITING.replace("sys.exit", f"{READY}\nsys.exit")
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", source, "today", "run", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(HANDINGER_API_KEY="key"),
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
