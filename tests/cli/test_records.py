"""The verbs for schedules, workers, tasks and webhooks, against servers of both generations."""

import json
import re
import time
from pathlib import Path

import pytest

from .conftest import Call


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()


@pytest.fixture(scope="module", autouse=True)
def _zone_of_before():
    yield
    time.tzset()


def test_schedules(ids: tuple[str, str], call: Call) -> None:
    worker = ids[1]
    status, out, _ = call("schedules", "add", worker, "At\nnine.", "--at", "2035-03-01 09:00", "--budget", "low")
    assert status == 0
    assert "next run: 2035-03-01 09:00:00 +02" in out
    at = out.splitlines()[0].removeprefix("id: ")
    status, out, _ = call("schedules", "add", worker, "Soon.", "--in", "1h30m", "--json")
    assert json.loads(out)["delayInSeconds"] == 5400
    status, out, _ = call("schedules", "add", worker, "Often.", "--every", "1d")
    assert "rule: every 86400 s" in out
    status, out, _ = call("schedules", "add", worker, "On Mondays.", "--cron", "0 9 * * 1")
    assert "rule: 0 9 * * 1" in out
    status, out, _ = call("schedules", "list", worker)
    header, *rows = out.splitlines()
    assert header.split() == ["ID", "NEXT", "RUN", "RULE", "BUDGET", "INSTRUCTION"]
    (row,) = [row for row in rows if row.startswith(at)]
    assert re.fullmatch(rf"{at}  2035-03-01 09:00:00 \+02  once  +low  +At nine\.", row)
    for schedule in json.loads(call("schedules", "list", worker, "--json")[1])["schedules"]:
        status, out, err = call("schedules", "cancel", worker, schedule["id"])
        assert (status, out, err) == (0, "", "cancelled\n")
    status, out, err = call("schedules", "list", worker)
    assert (status, out, err.splitlines()[0]) == (0, "", "there are none")


@pytest.mark.parametrize("when", [[], ["--in", "1m", "--every", "1h"], ["--at", "tomorrow"], ["--in", "-1m"]])
def test_schedules_need_one_rule(api: str, call: Call, when: list[str]) -> None:
    status, out, err = call("schedules", "add", "w", "Soon.", *when)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize("api", ["today"], indirect=True)
def test_workers(api: str, call: Call, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}')
    text = tmp_path / "instructions.txt"
    text.write_text("Compare tents.\n")
    settings = ["--title", "Tents", "--instructions", f"@{text}", "--schema", str(schema), "--visibility", "private"]
    status, out, err = call("workers", "create", *settings)
    assert (status, err) == (0, "")
    worker = out.strip()
    assert worker.startswith("wrk_")
    status, out, _ = call("run", "Which?", "--worker", worker, "--schema", str(schema))
    assert status == 0
    assert isinstance(json.loads(out)["name"], str)
    status, out, _ = call("workers", "update", worker, "--summary", "Light ones.", "--no-schema")
    assert "title: Tents\nsummary: Light ones.\nvisibility: private\noutput: text\n" in out
    assert "instructions: Compare tents.\n" in out
    document = json.loads(call("workers", "update", worker, "--title", "T", "--json")[1])
    assert (document["title"], document.get("outputSchema")) == ("T", None)
    assert call("workers", "update", worker)[0] == 2
    assert call("workers", "delete", worker) == (0, "", "deleted\n")
    assert call("workers", "delete", worker)[0] == 1
    assert json.loads(call("workers", "create", "--prompt", "About tents", "--json")[1])["id"].startswith("wrk_")


@pytest.mark.parametrize("api", ["today"], indirect=True)
def test_tasks(ids: tuple[str, str], call: Call) -> None:
    task, worker = ids
    status, out, _ = call("tasks", "show", task)
    assert status == 0
    assert f"id: {task}\n" in out
    assert "status: completed\n" in out
    assert f"worker: {worker}\n" in out
    assert re.search(r"^created: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+02$", out, re.MULTILINE)
    assert json.loads(call("tasks", "show", task, "--json")[1])["task"]["id"] == task
    header, row, *_ = call("tasks", "turns", task)[1].splitlines()
    assert header.split() == ["TURN", "STATUS", "CREDITS", "STARTED", "MESSAGE", "REPLY"]
    assert "Compare three tents." in row
    assert json.loads(call("tasks", "turns", task, "--json")[1])["items"][0]["input"] == "Compare three tents."
    other = call("run", "Another.", "--quiet")[2].split()[-1]
    assert call("tasks", "delete", other) == (0, "", "archived\n")


@pytest.mark.parametrize("api", ["seed"], indirect=True)
def test_verbs_of_the_newer_generation_say_that_the_service_is_older(ids: tuple[str, str], call: Call) -> None:
    for arguments in (["tasks", "show", "tsk_x"], ["webhook", "show", ids[1]], ["workers", "delete", ids[1]]):
        status, out, err = call(*arguments)
        assert (status, out) == (1, "")
        assert re.match(r"error: 40[45] ", err)


@pytest.mark.parametrize("api", ["today"], indirect=True)
def test_webhook(api: str, call: Call) -> None:
    worker = call("workers", "create", "--instructions", "x")[1].strip()
    assert call("webhook", "show", worker) == (0, "", "there is no webhook\n")
    assert call("webhook", "token", worker) == (1, "", "error: there is no webhook\n")
    url = "https://example.com/hook"
    assert call("webhook", "set", worker, url) == (0, f"{url}\n", "")
    assert json.loads(call("webhook", "show", worker, "--json")[1]) == {"url": url}  # without the token
    first = call("webhook", "token", worker)[1]
    assert first.startswith("whk_")
    assert call("webhook", "token", worker)[1] == first
    assert json.loads(call("webhook", "token", worker, "--new", "--json")[1])["token"] not in first
    task = call("run", "Deliver.", "--worker", worker, "--json")[1]
    header, *rows = call("webhook", "executions", worker, "--limit", "5")[1].splitlines()
    assert header.split() == ["TIME", "STATUS", "RESPONSE", "TASK", "URL"]
    assert json.loads(task)["taskId"] in rows[0]
    assert json.loads(call("webhook", "executions", worker, "--json")[1])[0]["url"] == url
    assert call("webhook", "clear", worker) == (0, "", "there is no webhook\n")
