"""The verbs batch and api, against servers of both generations and in memory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handinger_async import cli
from handinger_async.cli import values
from handinger_async.http import Request, Response
from handinger_async.testing import FakeHandinger, Step

from .conftest import Call

Use = Callable[[Any], None]


def test_batch(api: str, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('"One?"\r\n\n{"input": "Two\u2028?", "budget": "low"}\n', encoding="utf-8", newline="")
    status, out, err = call("batch", str(path), "--concurrency", "2")
    assert status == 0, err
    lines = {line["index"]: line for line in map(json.loads, out.splitlines())}
    assert "You asked: One?" in lines[0]["outputText"]
    assert "You asked: Two\u2028?" in lines[1]["outputText"]
    assert err.splitlines() == [f"journal: {path}.journal", "2 of 2 runs done"]
    status, again, _ = call("batch", str(path), "--quiet")
    assert {line["index"]: line for line in map(json.loads, again.splitlines())} == lines
    path.write_text('"Another?"\n')
    status, out, err = call("batch", str(path), "--quiet")
    assert (status, out) == (2, "")
    assert "journal" in err


def test_failures_of_a_batch_are_lines_and_status_1(
    use: Use, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeHandinger()
    fake.script(Step("Half."), Step("", status="error"), match="bad")
    use(fake)
    path = tmp_path / "questions.jsonl"
    path.write_text('"bad"\n"good"\n{"input": "x", "workerId": ".."}\n')
    status, out, err = call("batch", str(path), "--quiet")
    assert status == 1
    lines = {line["index"]: line for line in map(json.loads, out.splitlines())}
    assert lines[0]["status"] == "error"
    assert lines[0]["outputText"] == "Half."
    assert lines[0]["error"].startswith("RunFailedError: ")
    assert lines[1]["status"] == "completed"
    assert lines[2]["error"].startswith(("ConfigurationError: ", "NotFoundError: "))
    assert err.splitlines()[-1] == "error: 2 of 3 runs failed"


@pytest.mark.parametrize("line", ["{", "1", "[]", "{}", '{"input": 1}', '{"input": "x", "inptu": "y"}', "[" * 100000])
def test_malformed_lines_of_a_batch_are_refused_before_the_first_run(
    use: Use, call: Call, tmp_path: Path, line: str
) -> None:
    fake = FakeHandinger()
    use(fake)
    path = tmp_path / "questions.jsonl"
    path.write_text(f'"good"\n{line}\n')
    status, out, err = call("batch", str(path))
    assert (status, out) == (2, "")
    assert err.startswith("error: line 2 ")
    assert not fake.runs


def test_without_a_journal_the_ids_are_said(use: Use, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakeHandinger())
    monkeypatch.setattr(values, "_read_stdin", lambda: b'"One?"\n')
    status, out, err = call("batch", "-", "--quiet")
    assert status == 0
    assert err == f"run 0: task {json.loads(out)['taskId']}\n"


def test_api_calls_any_endpoint(ids: tuple[str, str], call: Call, api: str, tmp_path: Path) -> None:
    status, out, err = call("api", "get", f"/api/workers/{ids[1]}")
    assert status == 0
    assert json.loads(out)["id"] == ids[1]
    assert err == "status: 200\n"
    status, out, err = call("api", "GET", "/api/nothing", "--query", "a=1")
    assert (status, out) == (1, "")
    assert err.startswith("error: 404")
    body = tmp_path / "body.json"
    body.write_text('{"input": "Again.", "when": {"type": "delayed", "delayInSeconds": 9000}}')
    status, out, _ = call("api", "POST", f"/api/workers/{ids[1]}/schedules", "--data", f"@{body}", "--quiet")
    assert status == 0
    assert json.loads(out)["input"] == "Again."


@pytest.mark.parametrize(
    "arguments",
    [["GET", "https://example.com/"], ["GET /", "/x"], ["POST", "/x", "--data", "{"], ["GET", "/x", "--query", "a"]],
)
def test_api_refuses_what_cannot_be_sent(use: Use, call: Call, arguments: list[str]) -> None:
    fake = FakeHandinger()
    use(fake)
    status, out, err = call("api", *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert not fake.requests


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a":"\xc2\x9b"}', '{\n  "a": "\\u009b"\n}\n'),
        (b"a\x1bb\n", "a\\x1bb\n"),
        (b"\xff\x00", "\xff\x00"),
        (b"", ""),
    ],
)
def test_api_shows_any_body(use: Use, capfdbinary: Any, body: bytes, shown: str) -> None:
    sent: list[Request] = []

    def respond(request: Request) -> Response:
        sent.append(request)
        return Response(200, {"Content-Type": "application/octet-stream"}, body)

    use(respond)
    assert cli.main(["api", "GET", "/x?c=3", "--query", "a=1", "--query", "a=2", "--query", "b=é"]) == 0
    assert capfdbinary.readouterr().out == shown.encode("latin-1")
    assert sent[0].target == "/x?c=3&a=1&a=2&b=%C3%A9"
