"""Fixtures for pytest.

::

    pytest_plugins = ["handinger_async.testing.pytest_plugin"]

- ``handinger``: a `Session` over a `FakeHandinger`.
- ``fake_handinger``: that service, to script it and to inspect its requests.
- ``handinger_server``: the URL of that service, served over HTTP on loopback.
- ``virtual_time``: runs the test in a `VirtualTimeLoop`, where hours pass immediately (pytest-asyncio 1.4 or newer).

They need pytest-asyncio in strict or in auto mode, or pytest-aiohttp, which brings it. They run in the event loop of
the test, whatever its scope and its class. Where VCR.py is installed, credentials are ``***`` in its YAML cassettes.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from ..http import Secret
from ..session import Session
from .fake import FakeHandinger
from .virtual_time import VirtualTimeLoop

T = TypeVar("T")
#: The fixtures of a test that depend on the server.
_USERS = pytest.StashKey[set[str]]()

__all__ = ["fake_handinger", "handinger", "handinger_server", "virtual_time"]


@pytest.fixture
def fake_handinger() -> FakeHandinger:
    """An in-memory service."""
    return FakeHandinger()


async def _serve_in_memory(fake: FakeHandinger) -> AsyncIterator[Session]:
    async with fake.session() as session:
        yield session


async def _get_loop(fake: FakeHandinger) -> AsyncIterator[asyncio.AbstractEventLoop]:
    yield asyncio.get_running_loop()


async def _serve_over_http(fake: FakeHandinger) -> AsyncIterator[str]:
    from .server import serve  # here, since aiohttp is slow to import

    async with serve(fake) as url:
        yield url


def _in_loop_of_test(name: str, work: Callable[[FakeHandinger], AsyncIterator[T]]) -> None:
    """Define a fixture for each scope of an event loop.

    An async fixture chooses the scope of its loop when it is defined. Run in another loop than the test, a server would
    not respond.
    """
    for scope in ("function", "class", "module", "package", "session"):

        @pytest_asyncio.fixture(name=f"_{name}_in_{scope}_loop", loop_scope=scope)
        async def fixture(fake_handinger: FakeHandinger) -> AsyncIterator[T]:
            async for value in work(fake_handinger):
                yield value

        globals()[f"_{name}_in_{scope}_loop"] = fixture


_in_loop_of_test("loop", _get_loop)
_in_loop_of_test("handinger", _serve_in_memory)
_in_loop_of_test("handinger_server", _serve_over_http)


def _loop_scope(request: pytest.FixtureRequest) -> str:
    """Return the scope of the event loop of a test."""
    marker = request.node.get_closest_marker("asyncio")
    named = marker and (marker.kwargs.get("loop_scope") or marker.kwargs.get("scope"))
    scope: str = named or request.config.getini("asyncio_default_test_loop_scope")
    return scope


def _choose(name: str, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"_{name}_in_{_loop_scope(request)}_loop")


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-asyncio wraps the function
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Refuse an async fixture that uses the server from another event loop than the test's.

    The server runs in the loop of the test, which stands still while the fixture runs: a request would wait forever.
    """
    users = request.node.stash.setdefault(_USERS, {"handinger_server"})
    if not users.isdisjoint(fixturedef.argnames):
        users.add(fixturedef.argname)
        function = fixturedef.func
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            default = request.config.getini("asyncio_default_fixture_loop_scope")
            default = fixturedef.scope if default in (None, "", "fixture-scope") else default
            _compare_scopes(fixturedef.argname, getattr(function, "_loop_scope", None) or default, _loop_scope(request))
    return (yield)


def _compare_scopes(name: str, scope: str, wanted: str) -> None:
    if scope != wanted:
        pytest.fail(
            f"handinger_server runs in the event loop of the test ({wanted}), and the fixture {name!r} in another one "
            f"({scope}), where its requests would wait forever: give both the same loop_scope, or set "
            "asyncio_default_test_loop_scope and asyncio_default_fixture_loop_scope to the same",
            pytrace=False,
        )


@pytest.fixture
def handinger(request: pytest.FixtureRequest) -> Session:
    """A session over the in-memory service."""
    session: Session = _choose("handinger", request)
    return session


@pytest.fixture
def handinger_server(request: pytest.FixtureRequest) -> str:
    """The URL of the in-memory service, served over HTTP."""
    url: str = _choose("handinger_server", request)
    return url


@pytest.fixture
def virtual_time(request: pytest.FixtureRequest) -> VirtualTimeLoop:
    """The event loop of the test, whose clock jumps to the next timer when nothing else is ready."""
    loop = _choose("loop", request)
    if not isinstance(loop, VirtualTimeLoop):
        pytest.fail("virtual_time needs pytest-asyncio 1.4 or newer, and no other choice of an event loop")
    return loop


def pytest_configure(config: pytest.Config) -> None:
    """Let YAML cassettes of VCR.py have a mask in place of credentials: a `Secret` refuses to be written."""
    if find_spec("vcr") is None:
        return
    yaml = import_module("yaml")
    for dumper in (yaml.Dumper, getattr(yaml, "CDumper", yaml.Dumper)):
        dumper.add_representer(Secret, lambda writer, _: writer.represent_str("***"))


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Function
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop of a test."""
    if "virtual_time" in item.fixturenames:
        return {"virtual_time": VirtualTimeLoop}
    return {"asyncio": asyncio.new_event_loop}
