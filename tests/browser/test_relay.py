"""The page of the relay in headless Chromium, with both frameworks: ``tox run -e browser``."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from handinger_async.testing import Step

from ..embedding.test_programs import load
from ..embedding.test_relay_programs import KEY, PROGRAMS, Watched
from .chromium import CHROMIUM, Page, chromium
from .wire import Wire, wire_to

uvicorn: Any = pytest.importorskip("uvicorn", reason="uvicorn is not installed: tox run -e browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

FRAMEWORKS = ["aiohttp", "starlette"]


@asynccontextmanager
async def serve_aiohttp(app: Any) -> AsyncIterator[int]:
    """Serve an application of aiohttp.web; yield its port."""
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serve_starlette(app: Any) -> AsyncIterator[int]:
    """Serve an ASGI application; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="on", ws="none", log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


SERVERS: dict[str, Any] = {"aiohttp": serve_aiohttp, "starlette": serve_starlette}


@asynccontextmanager
async def relay(framework: str, service: Watched, folder: Path) -> AsyncIterator[tuple[Page, Wire]]:
    """Serve the program of a framework; yield an empty page, and the wire between it and the program."""
    async with AsyncExitStack() as stack:
        app = load(PROGRAMS / f"relay_{framework}.py").make_app(service.session())
        port = await stack.enter_async_context(SERVERS[framework](app))
        wire = await stack.enter_async_context(wire_to(port))
        yield await stack.enter_async_context(chromium(folder)), wire


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROGRAMS)
    monkeypatch.delitem(sys.modules, "relay_frames", raising=False)


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_page_shows_each_event_once_although_the_connection_breaks(framework: str, tmp_path: Path) -> None:
    service = Watched()
    service.fake.script(*(Step(f"{number} ", after=0.1) for number in range(5)))
    async with relay(framework, service, tmp_path) as (page, wire), service.session() as session:
        worker = await session.workers.create(input="x")
        wire.cut_after = b"id: 3\n"
        await page.open(f"{wire.url}/?worker={worker.id}")
        await page.wait_until("document.getElementById('state').textContent === 'completed'")
        shown = await page.evaluate("[...document.querySelectorAll('li')].map(item => item.textContent)")
        output = await page.evaluate("document.getElementById('output').textContent")
        assert await page.evaluate("source.readyState === EventSource.CLOSED")
    assert [text.partition(",")[0] for text in shown] == [f"event {number}" for number in range(1, 7)]
    assert output == "0 1 2 3 4 "
    assert any(b"Last-Event-ID: 3" in sent for sent in wire.sent)
    assert not any(KEY.encode() in data for data in (*wire.sent, *wire.received))


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_unknown_worker_is_refused_and_a_page_that_is_left_closes_its_stream(
    framework: str, tmp_path: Path
) -> None:
    service = Watched()
    service.fake.script("x", Step("y", after=3600))
    async with relay(framework, service, tmp_path) as (page, wire), service.session() as session:
        await page.open(f"{wire.url}/?worker=nobody")
        await page.wait_until("document.getElementById('state').textContent === 'refused'")
        worker = await session.workers.create(input="x")
        await page.open(f"{wire.url}/?worker={worker.id}")
        await page.wait_until("document.querySelectorAll('li').length > 0")
        assert not service.left.is_set()
        await page.open("about:blank")
        await asyncio.wait_for(service.left.wait(), 60)
