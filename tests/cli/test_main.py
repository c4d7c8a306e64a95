"""The command line in a process of its own and in the test, with its output and exit status."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from handinger_async import Session, __main__, __version__, cli
from handinger_async.cli import run as run_module
from handinger_async.errors import APIConnectionError
from handinger_async.http import Request
from handinger_async.testing import FakeHandinger, Step
from handinger_async.testing.virtual_time import VirtualTimeLoop
from handinger_async.transports.memory import MemoryTransport

QUESTION = "What's the weather today in Barcelona?"


@pytest.fixture(autouse=True)
def _no_key_and_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANDINGER_API_KEY", raising=False)
    monkeypatch.delenv("HANDINGER_BASE_URL", raising=False)

    def run(main: Any) -> Any:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(main)

    monkeypatch.setattr(asyncio, "run", run)


def use(monkeypatch: pytest.MonkeyPatch, handler: Any) -> None:
    """Let the command use ``handler`` in place of the real service."""

    def session() -> Session:
        return Session(api_key="key", transport=MemoryTransport(handler))

    monkeypatch.setattr(run_module, "_session", session)


def test_an_instruction_needs_no_key_and_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([QUESTION]) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == "HANDINGER_API_KEY is not set: this is the in-memory service, and its output is made up."
    assert re.fullmatch(r"task tsk_[\w-]+", lines[1])
    assert any(line.startswith("  running") for line in lines)
    assert lines[-1].startswith("  completed")
    assert QUESTION in out
    assert "scratchpad/plan.md" in out
    assert re.search(r"^Cost: \d+ credits, \d+\.\d s$", out, re.MULTILINE)


def test_services_of_the_older_generation_are_used_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, FakeHandinger(api="seed"))
    assert cli.main([QUESTION]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^worker t_org_\w+$", err, re.MULTILINE)
    assert QUESTION in out
    assert re.search(r"^Cost: \$\d+\.\d{4}, \d+ credits, \d+ tokens, \d+\.\d s$", out, re.MULTILINE)


def test_json_prints_just_the_worker_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([QUESTION, "--json", "--budget", "high"]) == 0
    worker = json.loads(capsys.readouterr().out)
    assert worker["status"] == "completed"
    assert worker["files"][0]["mediaType"]


def test_a_worker_can_be_continued(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeHandinger()
    use(monkeypatch, fake)
    assert cli.main([QUESTION, "--json"]) == 0
    worker_id = json.loads(capsys.readouterr().out)["id"]
    assert cli.main(["--continue", worker_id, "And tomorrow?"]) == 0
    assert "And tomorrow?" in capsys.readouterr().out
    assert {task.task.worker_id for task in fake.tasks.values()} == {worker_id}


def test_errors_are_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--continue", "t_org_123_w_nobody", "x"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: 404 Not Found: .+", err.splitlines()[-1])
    assert "Traceback" not in err


def test_bad_keys_and_unreachable_services_are_errors_of_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANDINGER_API_KEY", "se cret")
    assert cli.main(["x"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the environment variable HANDINGER_API_KEY, used as api_key, contains white space")
    assert "cret" not in line

    def refuse(request: Request) -> Any:
        raise APIConnectionError("refused", request_sent=False)

    use(monkeypatch, refuse)
    assert cli.main(["x"]) == 1
    task, line = capsys.readouterr().err.splitlines()
    assert task.startswith("task tsk_")
    assert line == "error: refused (POST /api/tasks, 3 attempts)"


def test_usage_errors_help_and_version_have_their_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status in ([[], 2], [["x", "--budget", "huge"], 2], [["--help"], 0], [["--version"], 0]):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == status
    out, err = capsys.readouterr()
    for word in ("--budget", "--continue", "--json", "HANDINGER_API_KEY", "serve", __version__):
        assert word in out
    assert "huge" in err


def test_output_that_would_control_the_terminal_is_shown_as_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeHandinger()
    fake.script("\x1b[31mred", Step("more", after=20))
    use(monkeypatch, fake)
    assert cli.main([QUESTION]) == 0
    out, err = capsys.readouterr()
    assert "running: \N{REPLACEMENT CHARACTER}[31mred\n" in err
    assert "\x1b" not in out + err
    assert out.startswith("\N{REPLACEMENT CHARACTER}[31mredmore")


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    """A real process, with a real signal, while a worker runs."""
    source = (
        "import asyncio, signal, handinger_async.__main__ as m, handinger_async.cli.run as run\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell\n"
        "async def start(*ids): print('ready', flush=True); await asyncio.Event().wait()\n"
        "run._show_id = start\n"
        f"raise SystemExit(m.main([{QUESTION!r}]))"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANDINGER_")}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert out == ""


def test_a_reader_that_closes_its_end_causes_no_traceback() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANDINGER_")}
    environment.pop("PYTHONUNBUFFERED", None)  # so that output is written when it is flushed
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "handinger_async", "x"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_python_m_runs_the_command_line() -> None:
    assert __main__.main is cli.main
