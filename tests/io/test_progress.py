"""The progress of a batch on standard error: lines, or a bar of rich in a terminal."""

import io
import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from handinger_async._asyncio import progress
from handinger_async.operations import CreateTask
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Status
from handinger_async.testing.virtual_time import run as run_in_virtual_time

from .test_batches import collect, names


async def batch(inputs: Any) -> None:
    async with FakeHandinger().session(Status(400, on=CreateTask, times=2)) as session:
        await collect(session.run_many(inputs, progress=True))


async def one_by_one(number: int) -> AsyncIterator[str]:
    for name in names(number):
        yield name


def test_lines_are_written_to_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_INTERVAL", math.inf)  # the last one alone
    run_in_virtual_time(batch(names(20)))
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors == "20 of 20 runs done, 2 failed\n"


def test_lines_come_at_intervals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    run_in_virtual_time(batch(one_by_one(3)))
    assert capsys.readouterr().err == "1 runs done, 1 failed\n2 runs done, 2 failed\n3 runs done, 2 failed\n"


@pytest.mark.parametrize("inputs", [20, None])
def test_bar_is_shown_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, inputs: int | None
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    run_in_virtual_time(batch(names(20) if inputs else one_by_one(20)))
    errors = capsys.readouterr().err
    assert "20/20" in errors if inputs else "20/?" in errors
    assert "2 failed" in errors


def test_bar_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    bar = progress.Progress(3)
    print("a result")
    bar.stop()
    output, errors = capsys.readouterr()
    assert output == "a result\n"
    assert "0/3" in errors


def test_lines_are_written_without_rich(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setitem(sys.modules, "rich.console", None)
    run_in_virtual_time(batch(names(3)))
    assert capsys.readouterr().err == "3 of 3 runs done, 2 failed\n"


def test_batch_goes_on_without_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys, "stderr", None)
    run_in_virtual_time(batch(names(3)))


def test_bar_in_a_broken_terminal_costs_no_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Broken())
    output = sys.stdout

    async def main() -> None:
        async with FakeHandinger().session() as session:
            for _ in range(2):  # so the journal was closed
                async with session.run_many(names(3), progress=True, journal=tmp_path / "j") as results:
                    assert sys.stdout is output  # which rich would send to the terminal
                    assert len([result async for result in results]) == 3

    run_in_virtual_time(main())
