"""Fixtures of the tests of input and output."""

import asyncio
import importlib.util
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from handinger_async import Session, Timeouts

from . import faults
from .wire import HANG_GUARD, Clock, WireRequest, WireServer, chunked, forever, response, wire_server


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the default timeout to connect: a loaded machine may stall for more than 5 seconds."""
    monkeypatch.setitem(Timeouts.__init__.__kwdefaults__, "connect", float(HANG_GUARD))
    monkeypatch.setitem(Session.__init__.__kwdefaults__, "timeouts", Timeouts())


@pytest.fixture
async def clock() -> Clock:
    """Return the clock of the test's event loop, to be set forward."""
    return Clock()


@pytest.fixture
def refusing_url() -> Iterator[str]:
    """Return a URL whose port refuses connections: it is taken, by a socket that does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def transports() -> list[Any]:
    """Return the transports with a network, as parameters of a test."""
    missing = importlib.util.find_spec("wreq") is None
    mark = pytest.mark.skipif(missing, reason="wreq is not installed")
    return [pytest.param("aiohttp", id="aiohttp"), pytest.param("wreq", id="wreq", marks=mark)]


def new_transport(name: str, **options: Any) -> Any:
    """Return a new transport with a network."""
    module = importlib.import_module(f"handinger_async.transports.{name}")
    return getattr(module, f"{name.capitalize()}Transport")(**options)


@pytest.fixture(params=transports())
def make_transport(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return a function that makes a transport with a network: the test runs over each."""
    return partial(new_transport, request.param)


@pytest.fixture(params=[*transports(), pytest.param("aiohttp, reused")])
def meet(request: pytest.FixtureRequest, clock: Clock) -> faults.Meet:
    """Return `faults.meet` for each transport, and for a reused connection of aiohttp."""
    name, _, reused = request.param.partition(", ")
    return partial(faults.meet, transport=new_transport(name), reused=bool(reused), clock=clock)


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    """Return a server whose streams stay open after an event; it responds to other requests with ``{}``."""

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("/stream"):
            writer.write(chunked(b"data: a\n\n", end=False))
            await forever()
        writer.write(response(b"{}"))

    async with wire_server(reply) as server:
        yield server
