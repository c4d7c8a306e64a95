"""The display in a terminal: a pseudo-terminal with a real process in it."""

import errno
import io
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from handinger_async import cli
from handinger_async.cli import terminal
from handinger_async.cli.output import Output, OutputError

from .conftest import PROGRAM, environment
from .terminal import Terminal, screen

#: Runs the command line with a service whose worker says the next thing when time passes, which SIGUSR1 lets it.
SERVICE = """\
import asyncio, signal, sys
from handinger_async import Session, operations
from handinger_async.cli import command, main
from handinger_async.testing import Cut, FakeHandinger, Step
from handinger_async.testing.faults import FaultyHandler
from handinger_async.transports.memory import MemoryTransport
class Loop(asyncio.SelectorEventLoop):
    passed = 0.0
    def time(self):
        return super().time() + self.passed
    def jump(self):
        self.passed += 101
def run(main):
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.get_loop().add_signal_handler(signal.SIGUSR1, runner.get_loop().jump)
        return runner.run(main)
asyncio.run = run
api, fault = sys.argv[1:3]
del sys.argv[1:3]
fake = FakeHandinger(api=api)
fake.script(
    Step("Ready, ", after=0, files={"a.txt": b"x"}),
    Step("\\x1b]0;owned\\x07 steady, " + "x" * 70, after=100),
    Step(" go.", after=100),
)
faults = [Cut(200, on=operations.StreamWorkerUpdates, times=2)] if fault == "cut" else []
handler = FaultyHandler(fake, *faults)
command.Session = lambda **options: Session(api_key="key", transport=MemoryTransport(handler), **options)
status = main()
sys.exit(status)
"""
KEY = environment(HANDINGER_API_KEY="key")


def start(*arguments: str, api: str = "today", fault: str = "", **options: Any) -> Terminal:
    return Terminal("-W", "error", "-c", SERVICE, api, fault, *arguments, environment=KEY, **options)


def pass_time(window: Terminal) -> None:
    window.process.send_signal(signal.SIGUSR1)


@pytest.mark.parametrize("api", ["today", "seed"])
def test_the_text_grows_in_place_and_stays_when_it_is_complete(api: str) -> None:
    with start("run", "Compare tents.", api=api) as window:
        during = screen(window.read_until("Ready,"))
        assert re.match(r"(task tsk_|worker t_org_)", during[0 if api == "today" else 2])
        assert any(re.fullmatch(r"\S running  \d+:\d\d", line) for line in during)
        pass_time(window)
        window.read_until("steady")
        pass_time(window)
        lines = window.read_all()
        output = window.output
    assert window.process.returncode == 0
    text = "\n".join(lines)
    assert text.count("Ready") == 1
    assert re.search(r"^Ready, \\x1b\]0;owned\\x07 steady, x+ go\.$", text, re.MULTILINE)
    assert "running" not in text  # the live part is gone
    assert "\x1b]0;" not in output
    assert re.search(r"^file: a.txt \(text/plain(, 1 bytes)?\)$", text, re.MULTILINE)
    assert re.search(r"\x1b\]8;[^;]*;https://\S+a\.txt\x1b\\", output)  # a link
    assert lines[-1].startswith("cost: ")


def test_ctrl_c_in_the_middle_leaves_a_clean_screen_and_the_way_back() -> None:
    with start("run", "Compare tents.") as window:
        window.read_until("Ready,")
        window.type("\x03")
        lines = window.read_all()
    assert window.process.returncode == 130
    task_id = lines[0].removeprefix("task ")
    assert lines[-1].endswith(f"interrupted: the worker goes on; to come back to it: handinger-async wait {task_id}")
    assert "Ready" not in "\n".join(lines)
    assert window.output.rfind("\x1b[?25h") > window.output.rfind("\x1b[?25l")  # the cursor is shown again


def test_a_terminal_that_gets_narrower_gets_shorter_lines() -> None:
    with start("run", "Compare tents.", columns=100) as window:
        window.read_until("Ready,")
        assert "x" * 50 not in window.output
        window.resize(50)
        pass_time(window)
        live = screen(window.read_until("x" * 20))
        assert max(map(len, live)) <= 50
        assert sum("x" in line for line in live) > 1
        pass_time(window)
        window.read_all()
    assert window.process.returncode == 0


def test_a_dropped_stream_goes_unnoticed() -> None:
    with start("run", "Compare tents.", api="seed", fault="cut") as window:
        window.read_until("Ready,")
        pass_time(window)
        window.read_until("steady")
        pass_time(window)
        lines = window.read_all()
    assert window.process.returncode == 0
    text = "\n".join(lines)
    assert text.count("Ready") == 1
    assert "error" not in text


def test_watch_shows_a_run_in_place() -> None:
    with Terminal("-W", "error", "-c", PROGRAM, "watch", "tsk_x", "--demo", environment=environment()) as window:
        lines = window.read_all()
    assert window.process.returncode == 0
    assert lines[1] == "task tsk_x"
    assert sum("This answer is made up" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("env", "columns", "arguments"),
    [
        ({"NO_COLOR": "1"}, 80, []),
        ({"TERM": "dumb"}, 80, []),
        ({}, 40, []),
        ({}, 80, ["without rich"]),
    ],
    ids=["NO_COLOR", "dumb", "40-columns", "without-rich"],
)
def test_elsewhere_everything_is_plain(env: dict[str, str], columns: int, arguments: list[str]) -> None:
    source = f"import sys; sys.modules['rich'] = None\n{PROGRAM}" if arguments else PROGRAM
    command = ("run", "--demo", "Compare tents.")
    with Terminal("-W", "error", "-c", source, *command, environment=environment(**env), columns=columns) as window:
        lines = window.read_all()
    assert "\x1b" not in window.output
    assert any(line.startswith("  running") for line in lines)
    assert sum(line.startswith("This answer is made up") for line in lines) == 1


def test_tables_and_errors_have_colours_in_a_terminal() -> None:
    table = "from handinger_async.cli.output import Output; Output().table(['A', 'LONG'], [['1', 'a\\x1bb ' * 20]])"
    source = f"{table}\n{PROGRAM}"
    with Terminal("-W", "error", "-c", source, "sreve", environment=environment()) as window:
        lines = window.read_all()
    assert "\x1b[1m" in window.output
    assert max(map(len, lines[:-2])) <= 80
    assert "a\\x1bb" in lines[3]
    assert any(line.startswith("error: 'sreve' is not a verb") for line in lines)
    assert "\x1b[1;31m" in window.output


def test_progress_and_bars_are_in_the_terminal_and_the_result_in_a_file(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        arguments = ("run", "--demo", "Compare tents.", "--out", str(tmp_path))
        with Terminal("-W", "error", "-c", PROGRAM, *arguments, environment=environment(), stdout=file) as window:
            lines = window.read_all()
    assert window.process.returncode == 0
    assert (tmp_path / "out").read_text().startswith("This answer is made up")
    assert any(re.search(r"^files .* (\d+)/\1 bytes", line) for line in lines)
    assert "This answer" not in "\n".join(lines)
    assert lines[-1] == f"saved: {tmp_path / 'plan.md'}"


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["rich", "NO_COLOR", "dumb"])
def test_results_of_a_batch_are_in_a_file_and_its_bar_in_the_terminal(env: dict[str, str], tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('"One?"\n"Two?"\n')
    with (tmp_path / "out").open("wb") as file:
        arguments = ("batch", "--demo", str(questions))
        with Terminal("-W", "error", "-c", PROGRAM, *arguments, environment=environment(**env), stdout=file) as window:
            lines = window.read_all()
    assert len((tmp_path / "out").read_text().splitlines()) == 2
    assert any(line.startswith("runs ") and "2/2" in line for line in lines) == (not env)
    assert ("\x1b" in window.output) == (not env)


def test_plain_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("A", "LONG"), [("1", "\x1b[2J\n2"), ("333", "")])
    assert capsys.readouterr().out == "A    LONG\n1    \\x1b[2J 2\n333\n"


class Screen(io.TextIOWrapper):
    """A standard stream that says that it is a terminal."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_terminal_can_have_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(terminal, "_consoles", {})
    shown, out = Screen(encoding), Screen(encoding)
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["run", "--demo", "5 €?", "--out", str(tmp_path)]) == 0
    assert cli.main(["watch", "tsk_x", "--demo"]) == 0
    assert cli.main(["schedules", "list", "wrk_x", "--demo"]) == 0
    Output().table(["NAME"], [["5 €"]])
    text = out.text()
    assert ("You asked: 5 €?" if encoding == "utf-8" else r"You asked: 5 \u20ac?") in text
    assert "NAME" in text
    assert f"saved: {tmp_path / 'plan.md'}" in shown.text()


def test_a_file_in_a_terminal_does_not_steer_it(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Screen("utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    output = Output()
    for chunk in (b"a\x1b[2J \xe2\x82", b"\xac \xff\n"):
        output.data(chunk)
    assert out.text() == "a\\x1b[2J € \\xff\n"


def test_a_table_that_cannot_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Screen):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal, "_consoles", {})
    monkeypatch.setattr(sys, "stdout", Full("utf-8"))
    with pytest.raises(OutputError, match="No space left"):
        Output().table(["NAME"], [["x"]])
    monkeypatch.undo()


@pytest.mark.parametrize("url", ["javascript:x", "https://x/\x1b", "https://x/\u202e", "file:///x"])
def test_only_plain_web_addresses_are_linked(url: str) -> None:
    assert terminal.link(url) == ""
    assert terminal.link("https://example.com/a") == "https://example.com/a"
