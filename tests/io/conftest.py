"""Fixtures of the tests of input and output."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial

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


@pytest.fixture(params=[False, True], ids=["new", "reused"])
def reused(request: pytest.FixtureRequest) -> bool:
    """Return True if the call is to find a connection that was used before."""
    return bool(request.param)


@pytest.fixture
def meet(reused: bool, clock: Clock) -> faults.Meet:
    """Return `faults.meet` for a new and for a reused connection."""
    return partial(faults.meet, reused=reused, clock=clock)


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
