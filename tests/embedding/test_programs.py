"""The programs in the guides run unchanged against the in-memory service over real HTTP."""

import asyncio
import importlib.util
import inspect
import runpy
import ssl
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from handinger_async.errors import APIError, AuthenticationError
from handinger_async.http import Request, Response
from handinger_async.operations import StreamWorkerUpdates
from handinger_async.testing import FakeHandinger, check_transport, serve, virtual_time
from handinger_async.testing.conformance import CLAUSES
from handinger_async.testing.faults import Cut, FaultyHandler
from handinger_async.transports.memory import HandlerResult, call_handler

from .. import run_readme
from ..run_readme import check

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
ALL = sorted((DOCS / "programs").glob("*.py"))
WEBHOOK_PROGRAMS = [path for path in ALL if path.stem.startswith("webhooks_")]
#: Those that embed the core take a URL and a key, and print what ``embedded.txt`` shows.
EMBEDDING = [path for path in ALL if path.stem.startswith(("with_", "resume_with_"))]
#: Those that print what the file beside them shows are run by ``test_outputs``.
WITH_OUTPUT = [path for path in ALL if path.with_suffix(".txt").exists()]
#: The limit of httpx that the guide names: if a server sends more than a response, in one segment with it, httpx takes
#: the surplus for the next response.
HTTPX_LIMITS = ["a_connection_with_surplus_data_is_not_reused"]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def execute(path: Path, url: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a program as in a shell."""
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setattr(sys, "argv", [str(path), url, key])
    await asyncio.to_thread(runpy.run_path, str(path), run_name="__main__")


@pytest.mark.parametrize("path", EMBEDDING, ids=lambda path: path.stem)
async def test_program_runs_an_instruction_and_reports_a_wrong_key(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if its stream is cut, where it can resume one."""

    cuts = Cut(1500, on=StreamWorkerUpdates, times=2)
    service = FaultyHandler(FakeHandinger(api_keys=["key"]), *[cuts] * path.stem.startswith("resume"))
    async with serve(service) as url:
        await execute(path, str(url), "key", monkeypatch)
        check(capsys.readouterr().out, (DOCS / "programs" / "embedded.txt").read_text(encoding="utf-8"), path.name)
        with pytest.raises(AuthenticationError):
            await execute(path, str(url), "another", monkeypatch)
    assert sum(fault is cuts for _, fault in service.injected) == 2 * path.stem.startswith("resume")


@pytest.mark.parametrize("path", EMBEDDING, ids=lambda path: path.stem)
async def test_program_takes_no_redirect_for_a_stream(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeHandinger()

    async def handle(request: Request) -> HandlerResult:
        if request.path.endswith("/stream"):
            return Response(302, {"Location": "/elsewhere"})
        return await call_handler(fake, request)

    async with serve(handle) as url:
        with pytest.raises(APIError):
            await execute(path, str(url), "key", monkeypatch)


async def test_httpx_transport_passes_the_conformance_suite_but_for_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "programs")
    program: Any = load(DOCS / "programs" / "httpx_transport.py")
    context = ssl.create_default_context()
    await check_transport(lambda handler: program.HttpxTransport(context), skip=HTTPX_LIMITS)
    for clause in CLAUSES:
        if clause.__name__ in HTTPX_LIMITS:
            with pytest.raises(AssertionError, match=clause.__name__):
                await check_transport(lambda handler: program.HttpxTransport(context), clauses=[clause])
    guide = (DOCS / "howto" / "transport.rst").read_text(encoding="utf-8")
    assert all(f'"{name}"' in guide for name in HTTPX_LIMITS)


def test_tests_in_the_guide_pass() -> None:
    """Those that it shows for pytest, without pytest."""

    async def execute() -> None:
        guide = await run_readme.run((DOCS / "howto" / "testing.rst").read_text(encoding="utf-8"), "testing.rst")
        for name in ("test_tents_are_compared", "test_it_is_done_tomorrow"):
            fake = FakeHandinger()
            given = {"handinger": fake.session(), "fake_handinger": fake, "virtual_time": None}
            await guide[name](**{key: given[key] for key in inspect.signature(guide[name]).parameters})

    virtual_time.run(execute())


def test_every_program_is_shown_in_a_guide() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.rst"))
    assert [path.name for path in ALL if f"programs/{path.name}" not in shown] == []


def test_no_program_has_more_than_60_lines() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in ALL}
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_every_program_is_run_by_a_test() -> None:
    """Here, by its output, or by a test that names it or its family; and a module by a program that imports it."""
    tests = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    run = {*EMBEDDING, *WEBHOOK_PROGRAMS, *WITH_OUTPUT}
    run |= {path for path in ALL if f'"{path.stem}' in tests or f'"{path.stem.partition("_")[0]}_' in tests}
    imports = "".join(path.read_text(encoding="utf-8") for path in run)
    assert [path.name for path in ALL if path not in run and f"from {path.stem} import" not in imports] == []
