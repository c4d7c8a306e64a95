"""Fixtures for the command line: no key, virtual time in this process, and processes of its own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handinger_async import Session, cli
from handinger_async.cli import command
from handinger_async.testing.virtual_time import VirtualTimeLoop
from handinger_async.transports.memory import MemoryTransport

Call = Callable[..., tuple[int, str, str]]

#: A process that runs the command line in virtual time.
PROGRAM = """\
import asyncio, sys
from handinger_async.cli import main
from handinger_async.testing.virtual_time import VirtualTimeLoop
def run(coroutine):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
asyncio.run = run
sys.exit(main())
"""


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANDINGER_API_KEY", raising=False)
    monkeypatch.delenv("HANDINGER_BASE_URL", raising=False)
    monkeypatch.setattr(sys, "argv", ["handinger-async"])


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``asyncio.run`` take no real time."""

    def run(main: Any) -> Any:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(main)

    monkeypatch.setattr(asyncio, "run", run)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, virtual_time: None) -> Callable[[Any], None]:
    """A function that lets the command line use a handler in place of the real service."""

    def use(handler: Any) -> None:
        def session(**options: Any) -> Session:
            return Session(api_key="key", transport=MemoryTransport(handler), **options)

        monkeypatch.setenv("HANDINGER_API_KEY", "key")
        monkeypatch.setattr(command, "Session", session)

    return use


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a process, without a key."""
    left_out = (
        "HANDINGER_",
        "PYTHONIOENCODING",
        "PYTHONUTF8",
        "PYTHONUNBUFFERED",
        "PYTHONDEVMODE",
        "PYTHONASYNCIODEBUG",
        "LC_",
        "LANG",
        "COLUMNS",
        "LINES",
        "NO_COLOR",
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    return kept | extra


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """A function that runs the command line in a process, in virtual time, through pipes."""

    def process(*arguments: str, shell: str = "", env: dict[str, str] | None = None, **options: Any) -> Any:
        command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
        if shell:  # redirections
            command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        return subprocess.run(command, env=environment(**(env or {})), timeout=120, check=False, **options)

    return process


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """The base URLs of the servers, by the generation of their API."""
    urls, processes = {}, []
    for api in ("seed", "today"):
        command = [sys.executable, "-m", "handinger_async", "serve", "--port", "0", "--quiet", "--api", api]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
        )
        processes.append(process)
    for api, process in zip(("seed", "today"), processes, strict=True):
        assert process.stdout
        urls[api] = process.stdout.readline().strip()
    yield urls
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(params=["seed", "today"])
def api(request: pytest.FixtureRequest, servers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The generation of the service that the command line uses."""
    monkeypatch.setenv("HANDINGER_API_KEY", "key")
    monkeypatch.setenv("HANDINGER_BASE_URL", servers[request.param])
    return str(request.param)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """A function that runs the command line, and returns its status, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(arguments)
        return (status, *capsys.readouterr())

    return call


#: The id of a run that is over, and that of its worker, for each generation.
_known: dict[str, tuple[str, str]] = {}


@pytest.fixture
def ids(api: str, call: Call) -> tuple[str, str]:
    """The id of a run that is over (that of its task, or of its worker), and the id of its worker."""
    if api not in _known:
        status, out, _ = call("run", "Compare three tents.", "--json")
        document = json.loads(out)
        assert status == 0
        _known[api] = (document["taskId"] or document["workerId"], document["workerId"])
    return _known[api]
