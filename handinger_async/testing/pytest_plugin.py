"""Fixtures for pytest.

::

    pytest_plugins = ["handinger_async.testing.pytest_plugin"]

- ``handinger``: a `Session` over a `FakeHandinger`.
- ``fake_handinger``: that service, to script it and to inspect its requests.
- ``handinger_server``: the URL of that service, served over HTTP on loopback.
- ``virtual_time``: runs the test in a `VirtualTimeLoop`, where hours pass immediately (pytest-asyncio 1.4 or newer).

They need pytest-asyncio in strict or in auto mode, or pytest-aiohttp, which brings it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio

from ..http import DEFAULT_BASE_URL
from ..session import Session
from ..transports.memory import MemoryTransport
from .fake import FakeHandinger
from .virtual_time import VirtualTimeLoop

__all__ = ["fake_handinger", "handinger", "handinger_server", "virtual_time"]


@pytest.fixture
def fake_handinger() -> FakeHandinger:
    """An in-memory service."""
    return FakeHandinger()


@pytest_asyncio.fixture
async def handinger(fake_handinger: FakeHandinger) -> AsyncIterator[Session]:
    """A session over the in-memory service."""
    transport = MemoryTransport(fake_handinger)
    async with Session(api_key="test", base_url=DEFAULT_BASE_URL, transport=transport) as session:
        yield session


@pytest_asyncio.fixture
async def handinger_server(fake_handinger: FakeHandinger) -> AsyncIterator[str]:
    """The URL of the in-memory service, served over HTTP."""
    from .server import serve  # here, since aiohttp is slow to import

    async with serve(fake_handinger) as url:
        yield url


@pytest_asyncio.fixture
async def virtual_time() -> VirtualTimeLoop:
    """The event loop of the test, whose clock jumps to the next timer when nothing else is ready."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        pytest.fail("virtual_time needs pytest-asyncio 1.4 or newer, and no other choice of an event loop")
    return loop


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Function
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop of a test."""
    if "virtual_time" in item.fixturenames:
        return {"virtual_time": VirtualTimeLoop}
    return {"asyncio": asyncio.new_event_loop}
