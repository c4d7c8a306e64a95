"""README.rst and the guides: their snippets run and print the documented output."""

import asyncio
import inspect
import operator
import re
from pathlib import Path

import pytest

from handinger_async.testing import FakeHandinger
from handinger_async.testing.virtual_time import run

from . import run_readme

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")
GUIDES = sorted(
    path for path in (ROOT / "docs").rglob("*.rst") if "code-block:: python" in path.read_text(encoding="utf-8")
)


def test_readme_snippets_run_and_cover_every_operation(capsys: pytest.CaptureFixture[str]) -> None:
    calls = set(re.findall(r"session\.workers\.((?:schedules\.)?\w+)\(", README))
    assert calls >= {
        "create",
        "retrieve",
        "continue_",
        "stream_updates",
        "retrieve_email",
        "retrieve_file",
        "schedules.create",
        "schedules.list",
        "schedules.cancel",
    }
    run(run_readme.run(README, "README.rst"))
    shown = capsys.readouterr().out
    assert shown.startswith("completed This answer")
    assert "2 turns: ['scratchpad/plan.md']" in shown
    assert "2 schedules\nTrue\n404 " in shown
    assert "3 attempts: pending" in shown
    assert "POST /api/workers 200" in shown
    assert shown.endswith(
        "GET https://handinger.com/api/workers/t_org_123_w_01HZY2ZJQ8G7K42W2D7WF6V4GM/email\nworker@example.com\n"
    )


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_guide_snippets_run(guide: Path) -> None:
    in_time = asyncio.run if guide.stem == "vcrpy" else run  # over sockets: in real time
    in_time(run_readme.run(guide.read_text(encoding="utf-8"), guide.name))


def test_guide_to_switching_names_every_method() -> None:
    page = (ROOT / "docs" / "howto" / "switch.rst").read_text(encoding="utf-8")
    session = FakeHandinger().session()
    named = set(re.findall(r"``s\.([\w.]+)\(", page))
    for call in named:
        assert callable(operator.attrgetter(call)(session)), call
    workers = session.workers
    resources = {
        "tasks": session.tasks,
        "workers": workers,
        "workers.schedules": workers.schedules,
        "workers.webhooks": workers.webhooks,
    }
    methods = {
        f"{path}.{name}"
        for path, resource in resources.items()
        for name, value in vars(type(resource)).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert len(methods) > 20
    assert named >= methods


def test_readme_shows_two_commands_and_ci_runs_the_second() -> None:
    commands = re.findall(r"^   \$ (.+)$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("""-m handinger_async --demo "What's the weather today in Barcelona?\"""")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert commands[1] in ci
