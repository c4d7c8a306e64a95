"""Runs from the command line: what is shown where, and how it ends."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from handinger_async import Budget, __main__, __version__, cli
from handinger_async.cli import verbs
from handinger_async.errors import APIConnectionError
from handinger_async.http import Request
from handinger_async.testing import Cut, FakeHandinger, Refuse, Status, Step
from handinger_async.testing.faults import FaultyHandler

Use = Callable[[Any], None]
Capture = pytest.CaptureFixture[str]

QUESTION = "What's the weather today in Barcelona?"


def test_without_a_key_the_error_names_both_ways_on(capsys: Capture) -> None:
    assert cli.main([QUESTION]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert "HANDINGER_API_KEY" in line
    assert "--demo" in line


@pytest.mark.usefixtures("virtual_time")
def test_a_demo_needs_no_key_and_says_so(capsys: Capture) -> None:
    for arguments in ([QUESTION, "--demo"], ["--demo", QUESTION], ["run", "--demo", QUESTION]):
        assert cli.main(arguments) == 0
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert lines[0] == "demo: this service is in memory, and its output is made up"
        assert re.fullmatch(r"task tsk_[\w-]+", lines[1])
        assert out.startswith("This answer is made up")
        assert QUESTION in out
        assert out.count("\n") == 1


def test_only_the_result_is_on_standard_output(use: Use, capsys: Capture) -> None:
    fake = FakeHandinger()
    fake.script(Step("One, ", after=20), Step("two.", after=20, files={"a.txt": b"x"}))
    use(fake)
    assert cli.main([QUESTION]) == 0
    out, err = capsys.readouterr()
    assert out == "One, two.\n"
    task, *lines = err.splitlines()
    assert task.startswith("task tsk_")
    assert "  running: One," in lines
    assert "  completed: two." in lines  # what is new, not all of it again
    assert "file: a.txt (text/plain, 1 bytes)" in lines
    assert re.fullmatch(r"cost: \d+ credits, \d+\.\d s", lines[-1])


def test_services_of_the_older_generation_are_used_too(use: Use, capsys: Capture) -> None:
    use(FakeHandinger(api="seed"))
    assert cli.main([QUESTION]) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert re.fullmatch(r"worker t_org_\w+", lines[2])
    assert lines[0].startswith("task tsk_")
    assert lines[1] == "this service is of the older generation: it made a worker, and no task"
    assert QUESTION in out
    assert re.search(r"^cost: \$\d+\.\d{4}, \d+ credits, \d+ tokens, \d+\.\d s$", err, re.MULTILINE)


def test_quiet_shows_the_id_and_verbose_each_request(use: Use, capsys: Capture) -> None:
    use(FakeHandinger())
    assert cli.main([QUESTION, "--quiet"]) == 0
    assert re.fullmatch(r"task tsk_[\w-]+\n", capsys.readouterr().err)
    assert cli.main([QUESTION, "--quiet", "--verbose"]) == 0
    assert "  POST /api/tasks: 200 after" in capsys.readouterr().err


@pytest.mark.parametrize("api", ["today", "seed"])
def test_a_failed_run_is_status_1_and_what_there_is_of_it(use: Use, capsys: Capture, api: Any) -> None:
    fake = FakeHandinger(api=api)
    fake.script(Step("Half of it.", fields={"error": {"message": "no\x1b[2Jmore"}}))
    use(fake)
    assert cli.main([QUESTION]) == 1
    out, err = capsys.readouterr()
    assert out == "Half of it.\n"
    assert err.splitlines()[-1].startswith("error: the ")
    assert "\x1b" not in err
    assert cli.main([QUESTION, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outputText"] == "Half of it."


def test_a_timeout_says_how_to_come_back_and_wait_does(use: Use, capsys: Capture) -> None:
    fake = FakeHandinger()
    fake.script(Step("Done.", after=1000))
    use(fake)
    assert cli.main([QUESTION, "--timeout", "1m"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    *_, error, hint = err.splitlines()
    assert error.startswith("error: the run had not ended after 60 s; it goes on")
    command, _, task_id = hint.rpartition(" ")
    assert command == "to come back to it: handinger-async wait"
    assert cli.main(["wait", task_id]) == 0
    out, err = capsys.readouterr()
    assert out == "Done.\n"
    assert err.splitlines()[0] == f"task {task_id}"


def test_a_result_that_cannot_be_written_can_be_shown_again(
    use: Use, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeHandinger())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert cli.main(["Compare tents."]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    found = re.fullmatch(r"error: standard output cannot be written: it is closed \((tsk_\S+): (.*) prints it\)", line)
    assert found
    assert found[2] == f"handinger-async show {found[1]}"
    assert cli.main(["show", found[1]]) == 0
    assert "You asked: Compare tents." in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
def test_watch_ends_when_its_output_cannot_be_written(
    use: Use, capsys: Capture, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    fake = FakeHandinger(lenient=True)
    fake.script(Step("Begun.", after=0), Step("Never.", after=9999))
    use(fake)
    assert cli.main(["run", "Compare tents.", "--detach"]) == 0
    task_id = capsys.readouterr().out.strip()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert cli.main(["watch", task_id, *flags]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: standard output cannot be written: it is closed ({task_id}: ")


@pytest.mark.parametrize("api", ["today", "seed"])
def test_show_of_a_failed_run_is_status_1(use: Use, capsys: Capture, api: Any, tmp_path: Path) -> None:
    fake = FakeHandinger(api=api)
    fake.script(Step("Half.", fields={"error": {"message": "no"}}, files={"a.txt": b"x"}))
    use(fake)
    assert cli.main(["run", "Compare tents.", "--quiet"]) == 1
    known = re.findall(r"^(?:task|worker) (\S+)$", capsys.readouterr().err, re.MULTILINE)[-1]
    assert cli.main(["show", known, "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "Half.\n"
    assert (tmp_path / "a.txt").read_bytes() == b"x"


def test_files_that_cannot_be_saved_are_named_after_the_result(use: Use, capsys: Capture, tmp_path: Path) -> None:
    fake = FakeHandinger()
    fake.script(Step("Done.", files={"a.txt": b"x", "b.txt": b"y"}))
    use(FaultyHandler(fake, Status(403, on=lambda request: "a.txt" in request.target, times=None)))
    assert cli.main(["run", "Compare tents.", "--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == "Done.\n"
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "403" in line
    assert "a.txt" in line
    assert (tmp_path / "b.txt").read_bytes() == b"y"


def test_an_interrupted_stream_says_where_to_go_on(use: Use, capsys: Capture) -> None:
    fake = FakeHandinger(api="seed")
    use(fake)
    assert cli.main(["run", "Compare tents.", "--quiet"]) == 0
    known = capsys.readouterr().err.split()[-1]
    use(FaultyHandler(fake, Refuse(skip=1, times=None), Cut(1500)))
    assert cli.main(["watch", known, "--events", "--json"]) == 1
    out, err = capsys.readouterr()
    last = json.loads(out.splitlines()[-1])["id"]
    assert err.splitlines()[-1] == f"to go on from here: handinger-async watch {known} --after {last}"


def test_an_event_id_is_quoted_for_the_shell(use: Use, capsys: Capture) -> None:
    use(FaultyHandler(FakeHandinger(api="seed"), Refuse(times=None)))
    assert cli.main(["watch", "w_1", "--after", "1; reboot"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("watch w_1 --after '1; reboot'")


def test_an_interrupt_is_status_130(use: Use, capsys: Capture) -> None:
    def interrupt(request: Request) -> Any:
        raise KeyboardInterrupt

    use(interrupt)
    assert cli.main(["run", "Compare tents."]) == 130
    task, line = capsys.readouterr().err.splitlines()
    known = task.removeprefix("task ")
    assert line == f"interrupted: the run may have been started; to look for it: handinger-async wait {known}"
    assert cli.main(["email", "wrk_x"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_standard_input_is_read_in_this_process(
    use: Use, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeHandinger()
    use(fake)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"From a pipe.\n")))
    assert cli.main(["run"]) == 0
    assert list(fake.runs) == ["From a pipe."]
    monkeypatch.setattr(sys, "stdin", None)
    for arguments in (["run"], ["run", "-"]):
        assert cli.main(arguments) == 2
    schema = tmp_path / "schema.json"
    schema.write_text("{")
    assert cli.main(["x y", "--schema", str(schema)]) == 2
    assert "is not JSON" in capsys.readouterr().err


def test_one_word_that_is_no_verb_is_refused_with_the_nearest(capsys: Capture) -> None:
    for arguments, verb in (
        (["sreve", "--port", "1"], "serve"),
        (["hlep"], "help"),
        (["Show"], "show"),
        (["--json", "wiat"], "wait"),
        (["contineu", "x", "y"], "continue"),
        ([" runn "], "run"),
        (["help", "rnu"], "run"),
    ):
        assert cli.main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert f"the nearest is {verb!r}" in line


@pytest.mark.usefixtures("virtual_time")
def test_one_word_can_be_run_with_the_verb(capsys: Capture) -> None:
    assert cli.main(["run", "sreve", "--demo"]) == 0
    assert "You asked: sreve" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "a verb or an instruction is missing"),
        (["x y", "--budget", "huge"], "invalid choice: 'huge'"),
        (["x y", "z"], "unrecognized arguments: z"),
        (["x y", "--timeout", "soon"], "'soon' is not a time"),
        (["x y", "--timeout", "0s"], "above zero"),
        (["x y", "--jso"], "--jso"),
        (["run", ""], "the instruction is empty"),
        (["run", "\udcff x"], "the instruction is not UTF-8"),
        (["run", "@missing"], "missing: No such file"),
        (["x y", "--schema", "missing"], "missing: No such file"),
        (["x y", "--file", "missing"], "No such file"),
        (["x y", "--out", "/dev/null/x"], "/dev/null/x: Not a directory"),
        (["run", "--demo", "--detach", "x"], "--detach and --demo"),
        (["wait"], "ID"),
        (["wait", ".."], ".."),
        (["files", "get", "x", "--out", "-"], "takes one file"),
        (["webhook", "executions", "x", "--limit", "0"], "above zero"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(use: Use, capsys: Capture, arguments: Any, reason: str) -> None:
    use(FakeHandinger())
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()[-1:]
    assert line.startswith("error: ")
    assert reason in line


def test_a_malformed_key_is_status_2_and_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("HANDINGER_API_KEY", "se cret")
    assert cli.main(["x y"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the environment variable HANDINGER_API_KEY, used as api_key, contains white space")
    assert "cret" not in line


def test_a_service_that_fails_is_status_1(use: Use, capsys: Capture) -> None:
    def refuse(request: Request) -> Any:
        raise APIConnectionError("refused", request_sent=False)

    use(refuse)
    assert cli.main(["x y"]) == 1
    task, line = capsys.readouterr().err.splitlines()
    assert task.startswith("task tsk_")
    assert line == "error: refused (POST /api/tasks, 3 attempts)"


def test_help_fits_a_screen_and_has_the_exit_status(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    words = {word for name in verbs.VERBS for word in name.split()}
    for word in (*words, "HANDINGER_API_KEY", "--demo", "130 interrupted"):
        assert word in out
    assert out.count("\n") <= 24
    for name, verb in verbs.VERBS.items():
        if verb.arguments:
            with pytest.raises(SystemExit) as ended:
                cli.main([name, "--help"])
            assert ended.value.code == 0
            out = capsys.readouterr().out
            assert "example" in out
            assert out.count("\n") <= 26, name
            assert max(map(len, out.splitlines())) <= 80, name
    with pytest.raises(SystemExit):
        cli.main(["help", "wait"])
    assert "usage: handinger-async wait" in capsys.readouterr().out


def test_help_imports_neither_the_library_nor_asyncio() -> None:
    source = "import sys; from handinger_async.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.split())
    assert "handinger_async.cli.verbs" in loaded
    assert not loaded & {"asyncio", "attr", "aiohttp", "rich", "handinger_async.session", "handinger_async.errors"}


def test_version(capsys: Capture) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"handinger-async {__version__}\n"


def test_budgets_are_those_of_the_library() -> None:
    assert get_args(Budget) == verbs.BUDGETS


def test_an_instruction_comes_from_a_file(use: Use, capsys: Capture, tmp_path: Path) -> None:
    fake = FakeHandinger()
    use(fake)
    path = tmp_path / "task.txt"
    path.write_bytes(b"\xef\xbb\xbfCompare\ntents.\n")
    assert cli.main([f"@{path}"]) == 0
    assert list(fake.runs) == ["Compare\ntents."]


def test_json_is_one_document(use: Use, capsys: Capture) -> None:
    use(FakeHandinger())
    assert cli.main([QUESTION, "--json", "--budget", "high"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["status"] == "completed"
    assert document["taskId"] == err.splitlines()[0].removeprefix("task ")
    assert document["files"][0]["mediaType"] == "text/markdown"


def test_python_m_runs_the_command_line() -> None:
    assert __main__.main is cli.main
