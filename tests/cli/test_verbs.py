"""Each verb against servers of both generations, which are processes of their own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import Call


def test_run_continue_wait_and_show(ids: tuple[str, str], call: Call, api: str) -> None:
    run_id, worker_id = ids
    status, out, err = call("continue", run_id, "Now for three people.", "--json")
    assert status == 0
    document = json.loads(out)
    assert (document["taskId"] or document["workerId"]) == run_id
    assert document["workerId"] == worker_id
    assert "Now for three people." in document["outputText"]
    status, out, err = call("wait", run_id)
    assert status == 0
    assert "You asked: Now for three people." in out
    assert re.search(r"^file: scratchpad/plan.md", err, re.MULTILINE)
    status, out, err = call("show", worker_id)
    assert status == 0
    assert "status: completed" in err
    assert "Now for three people." in out
    status, out, _ = call("show", run_id, "--json")
    assert json.loads(out)["status"] == "completed"


def test_unknown_ids_are_status_1(api: str, call: Call) -> None:
    for verb in ("wait", "show", "watch", "email"):
        status, out, err = call(verb, "wrk_unknown_______")
        assert (status, out) == (1, "")
        assert err.splitlines()[-1].startswith("error: 404 Not Found")


def test_detach_prints_the_id_and_wait_gets_the_result(api: str, call: Call) -> None:
    status, out, err = call("run", "Go on alone.", "--detach")
    assert status == 0
    run_id = out.strip()
    assert run_id in err
    status, out, _ = call("wait", run_id)
    assert "You asked: Go on alone." in out


def test_watch_shows_the_text_once_and_no_previous_run(api: str, call: Call) -> None:
    run_id = call("run", "First question.", "--detach")[1].strip()
    assert call("wait", run_id)[0] == 0
    assert call("continue", run_id, "Second question.", "--detach")[0] == 0
    status, out, err = call("watch", run_id)
    assert status == 0
    assert out.count("You asked: Second question.") == 1
    assert "First question." not in out
    assert "  completed" in err.splitlines()
    status, out, _ = call("watch", run_id, "--json")
    (state,) = map(json.loads, out.splitlines())
    assert "Second question." in json.dumps(state)


def test_watch_events_begins_where_it_is_told(servers: Any, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setenv("HANDINGER_API_KEY", "key")
    monkeypatch.setenv("HANDINGER_BASE_URL", servers["seed"])
    worker_id = call("run", "Tell me.", "--json", "--quiet")[2].split()[-1]
    status, out, _ = call("watch", worker_id, "--events", "--json")
    assert status == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert len(events) > 3
    status, out, _ = call("watch", worker_id, "--after", events[-3]["id"], "--json")
    assert [json.loads(line) for line in out.splitlines()] == events[-2:]
    status, out, _ = call("watch", worker_id, "--events")
    assert out.splitlines()[-1].startswith('{"id":')
    assert call("watch", "tsk_x", "--events")[0] == 2


def test_email(ids: tuple[str, str], call: Call) -> None:
    status, out, _ = call("email", ids[1])
    assert status == 0
    assert re.fullmatch(r"\S+@\S+\n", out)
    assert json.loads(call("email", ids[1], "--json")[1]) == {"email": out.strip()}


def test_files(ids: tuple[str, str], call: Call, tmp_path: Path) -> None:
    run_id, worker_id = ids
    status, out, _ = call("files", "list", run_id)
    assert status == 0
    header, row = out.splitlines()
    assert header.split() == ["NAME", "TYPE", "BYTES", "URL"]
    assert row.startswith("scratchpad/plan.md  text/markdown  ")
    (file,) = json.loads(call("files", "list", worker_id, "--json")[1])
    assert file["filename"] == "scratchpad/plan.md"
    new = tmp_path / "new"
    assert call("files", "get", run_id, "--out", str(new))[:2] == (0, f"{new / 'plan.md'}\n")
    target = tmp_path / "other.md"
    status, out, _ = call("files", "get", worker_id, "scratchpad/plan.md", "--out", str(target), "--json")
    assert json.loads(out) == [str(target)]
    assert target.read_bytes() == (new / "plan.md").read_bytes()
    status, out, _ = call("files", "get", run_id, "scratchpad/plan.md", "--out", "-")
    assert out == target.read_text()
    assert call("files", "get", run_id, "--out", "-")[0] == 2
    assert call("files", "get", run_id, "missing.md", "--out", str(tmp_path))[0] == 1


def test_run_saves_its_files(api: str, call: Call, tmp_path: Path) -> None:
    status, _, err = call("run", "Write a plan.", "--out", str(tmp_path / "a" / "b"))
    assert status == 0
    assert f"saved: {tmp_path / 'a' / 'b' / 'plan.md'}" in err.splitlines()
    assert (tmp_path / "a" / "b" / "plan.md").read_text().startswith("# Plan")


def test_a_group_needs_a_verb_of_it(call: Call) -> None:
    status, _, err = call("files", "lst")
    assert status == 2
    assert "'files lst' is not a verb; the nearest is 'files list'" in err
    assert call("files")[0] == 2
    status, out, _ = call("files", "--help")
    assert status == 0
    assert "files get" in out
