"""The programs in the guides run unchanged against the in-memory service over real HTTP."""

import asyncio
import importlib.util
import ssl
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from handinger_async.errors import AuthenticationError
from handinger_async.testing import FakeHandinger, check_transport, serve
from handinger_async.testing.conformance import CLAUSES

ALL = sorted((Path(__file__).parents[2] / "docs" / "programs").glob("*.py"))
WEBHOOK_PROGRAMS = [path for path in ALL if path.stem.startswith("webhooks_")]
RELAY_PROGRAMS = [path for path in ALL if path.stem.startswith("relay_")]
#: ``dask_batch`` has an environment of its own, and a test in ``tests/cluster``.
PROGRAMS = [
    path
    for path in ALL
    if path not in (*WEBHOOK_PROGRAMS, *RELAY_PROGRAMS)
    and path.stem != "dask_batch"
    and not path.with_suffix(".txt").exists()
]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
async def test_program_runs_an_instruction_and_reports_a_wrong_key(path: Path) -> None:
    program: Any = load(path)
    async with serve(FakeHandinger(api_keys=["key"])) as url:
        assert "Compare three tents." in await asyncio.to_thread(program.main, str(url), "key")
        with pytest.raises(AuthenticationError):
            await asyncio.to_thread(program.main, str(url), "another")


async def test_httpx_transport_passes_the_conformance_suite_but_for_its_limits() -> None:
    program: Any = load(next(path for path in PROGRAMS if path.stem == "httpx_transport"))
    context = ssl.create_default_context()
    await check_transport(lambda handler: program.HttpxTransport(context), skip=program.KNOWN_LIMITS)
    for clause in CLAUSES:
        if clause.__name__ in program.KNOWN_LIMITS:
            with pytest.raises(AssertionError, match=clause.__name__):
                await check_transport(lambda handler: program.HttpxTransport(context), clauses=[clause])


def test_every_program_is_shown_in_a_guide() -> None:
    docs = Path(__file__).parents[2] / "docs"
    shown = "".join(path.read_text(encoding="utf-8") for path in (docs / "howto").glob("*.rst"))
    assert [path.name for path in ALL if f"programs/{path.name}" not in shown] == []
