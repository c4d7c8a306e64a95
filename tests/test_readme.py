"""README.rst and the guides: their snippets run and print the documented output."""

import asyncio
import builtins
import inspect
import operator
import random
import re
from pathlib import Path

import pytest

from handinger_async.testing import FakeHandinger
from handinger_async.testing.virtual_time import run

from . import run_readme

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")
#: Pages for newcomers, who paste the snippets.
PASTED = [ROOT / "README.rst", ROOT / "docs" / "tutorial.rst", ROOT / "docs" / "howto" / "older-service.rst"]
GUIDES = sorted(
    path
    for path in (ROOT / "docs").rglob("*.rst")
    if path not in PASTED and "code-block:: python" in path.read_text(encoding="utf-8")
)


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a prompt does: it keeps the last value in ``_``."""
    monkeypatch.setattr(builtins, "_", None, raising=False)


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize("page", PASTED, ids=lambda path: path.stem)
def test_snippets_can_be_pasted(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "docs" / "tutorial")  # its reader has saved its program
    run(run_readme.paste(page.read_text(encoding="utf-8"), page.name))


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def f():\n    a = 1\n\n    b = 2", "cannot be pasted: unexpected indent"),
        ("for x in []:\n    pass\nprint()", "cannot be pasted: invalid syntax"),
        ("print(1,", "is not complete"),
        ("6 * 7", "prints\n\n42"),
        ("await f()", "name 'f' is not defined"),
    ],
)
def test_snippets_that_cannot_be_pasted_are_found(source: str, problem: str) -> None:
    page = ".. code-block:: python\n\n" + "".join(f"   {line}\n" if line else "\n" for line in source.split("\n"))
    with pytest.raises((AssertionError, NameError), match=re.escape(problem)):
        asyncio.run(run_readme.paste(page, "page"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_guide_snippets_run(guide: Path) -> None:
    random.seed(0)  # for the intervals between questions, which decide the number of comments in a relayed stream
    in_time = asyncio.run if guide.stem == "vcrpy" else run  # over sockets: in real time
    in_time(run_readme.run(guide.read_text(encoding="utf-8"), guide.name))


def test_guide_to_the_older_generation_shows_every_operation() -> None:
    page = (ROOT / "docs" / "howto" / "older-service.rst").read_text(encoding="utf-8")
    calls = re.findall(r"(?:session\.workers|(?<![.\w])schedules)\.(\w+)\(", page)
    assert set(calls) >= {
        "create",
        "retrieve",
        "continue_",
        "stream_updates",
        "retrieve_email",
        "retrieve_file",
        "list",
        "cancel",
    }
    assert calls.count("create") == 3  # a worker and two schedules


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


def test_links_of_readme_lead_to_files() -> None:
    links = re.findall(r"<([^<>]+)>`__", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_readme_shows_two_commands_and_ci_runs_the_second() -> None:
    commands = re.findall(r"^   \$ (.+)$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("""-m handinger_async --demo "What's the weather today in Barcelona?\"""")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert commands[1] in ci
