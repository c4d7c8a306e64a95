"""Refusals before a run costs money, and results that are not lost with a terminal."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handinger_async import cli
from handinger_async.cli import terminal
from handinger_async.http import Response
from handinger_async.testing import FakeHandinger

Capture = pytest.CaptureFixture[str]
Use = Callable[[Any], None]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--schema", ""], "the value of schema is empty"),
        (["--out", ""], "the value of out is empty"),
        (["--worker", ""], "the value of worker is empty"),
        (["--file", ""], "the value of file is empty"),
        (["--worker", "\udcff"], "the value of worker is not UTF-8"),
        (["--schema", "null.json"], "null.json is not a JSON Schema"),
        (["--schema", "list.json"], "list.json is not a JSON Schema"),
        (["--out", "/proc"], "/proc"),
        (["--detach", "--out", "d"], "--detach and --out"),
    ],
)
def test_run_with_an_unusable_option_is_not_started(
    use: Use, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "null.json").write_text("null")
    (tmp_path / "list.json").write_text("[]")
    fake = FakeHandinger()
    use(fake)
    assert cli.main(["run", "Compare tents.", *arguments]) == 2
    assert reason in capsys.readouterr().err
    assert not fake.requests


@pytest.mark.parametrize(
    "line",
    [
        '{"input": "b", "budget": "loww"}',
        '{"input": "b", "budget": null}',
        '{"input": "b", "files": 5}',
        '{"input": "b", "files": ["/nowhere/a"]}',
        '{"input": "b", "workerId": 5}',
        '{"input": "b", "workerId": ""}',
        '{"input": " "}',
        '""',
        '"\\ud800"',
    ],
)
def test_batch_with_an_unusable_line_is_not_started(use: Use, capsys: Capture, tmp_path: Path, line: str) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(f'"a"\n{line}\n')
    fake = FakeHandinger()
    use(fake)
    assert cli.main(["batch", str(path)]) == 2
    assert "error: line 2 " in capsys.readouterr().err
    assert not fake.requests


def test_help_may_follow_an_option(capsys: Capture) -> None:
    assert cli.main(["--json", "help"]) == 0
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "plain"])
def test_response_that_is_not_json_is_a_string_in_json(use: Use, capsys: Capture, text: str) -> None:
    use(lambda request: Response(200, {"Content-Type": "text/plain"}, text.encode()))
    assert cli.main(["api", "GET", "/x", "--json"]) == 0
    assert capsys.readouterr().out == f'"{text}"\n'


def test_result_is_not_lost_with_the_terminal(use: Use, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")

    class Lost:
        def __init__(self, *args: Any, **options: Any) -> None: ...

        def start(self) -> None: ...

        def stop(self) -> None:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("rich.live.Live", Lost)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: stream is sys.stderr)
    monkeypatch.setattr(terminal, "_consoles", {})
    fake = FakeHandinger()
    fake.script("the answer")
    use(fake)
    assert cli.main(["run", "Compare tents."]) == 0
    assert capsys.readouterr().out == "the answer\n"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["workers", "create", "--title", "t"], "worker wrk_"),
        (["schedules", "add", "{worker}", "Compare.", "--in", "10m"], "schedule sch_"),
        (["api", "POST", "/api/tasks", "--data", '{"input": "x"}'], '"id":"wrk_'),
    ],
)
def test_id_of_what_was_made_is_said_if_it_cannot_be_written(
    use: Use, capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: list[str], word: str
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    use(FakeHandinger())
    assert cli.main(["workers", "create", "--title", "first"]) == 0
    worker = capsys.readouterr().out.strip()
    monkeypatch.setattr(sys, "stdout", Full())
    assert cli.main([argument.format(worker=worker) if "{w" in argument else argument for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert "No space left" in error
    assert word in error.replace(": ", ":") if "api" in arguments else word in error
