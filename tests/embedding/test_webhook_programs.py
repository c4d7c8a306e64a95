"""The programs that receive webhooks take deliveries, over HTTP and as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web

from handinger_async import Session, TaskWithTurns
from handinger_async.http import Request, Response
from handinger_async.testing import FakeHandinger
from handinger_async.transports.memory import MemoryTransport

from .test_programs import WEBHOOK_PROGRAMS, load

TASK = """{"task": {"id": "tsk_1", "completedAt": null, "createdAt": "2026-05-11T09:14:22.000Z",
 "organizationId": "org_1", "status": "completed", "title": "Weather", "triggeredBy": "api", "workerId": "wrk_1",
 "totals": {"credits": 42, "durationMs": 25812, "turnCount": 0}, "url": "https://example.com/"}, "turns": []}"""


@asynccontextmanager
async def aiohttp_poster(app: Any) -> AsyncIterator[Any]:
    """Serve an application of aiohttp.web on loopback; yield a function that posts to it."""
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"

    async def post(headers: Any, body: bytes) -> int:
        async with client.post(url, headers=headers, data=body) as response:
            return response.status

    try:
        async with aiohttp.ClientSession() as client:
            yield post
    finally:
        await runner.cleanup()


@asynccontextmanager
async def starlette_poster(app: Any) -> AsyncIterator[Any]:
    """Run the lifespan of an ASGI application; yield a function that posts to it."""

    async def post(headers: Any, body: bytes) -> int:
        return (await client.post("https://example.com/hook", headers=headers, content=body)).status_code

    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield post


POSTERS: dict[str, Any] = {"webhooks_aiohttp": aiohttp_poster, "webhooks_starlette": starlette_poster}


def test_every_program_is_tested() -> None:
    assert {path.stem for path in WEBHOOK_PROGRAMS} == POSTERS.keys()


@pytest.mark.parametrize("path", WEBHOOK_PROGRAMS, ids=lambda path: path.stem)
async def test_program_retrieves_the_task_of_a_delivery(path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The task is retrieved after the response. A stranger's delivery, or one without a task, starts nothing."""
    requests: list[str] = []
    used: asyncio.Queue[TaskWithTurns] = asyncio.Queue()

    def handler(request: Request) -> Response:
        requests.append(request.target)
        found = request.target == "/api/tasks/tsk_1"
        return Response(200 if found else 404, {"Content-Type": "application/json"}, TASK.encode() if found else b"{}")

    program: Any = load(path)
    app = program.make_app(
        Session(api_key="key", transport=MemoryTransport(handler)), ["whk_old", "whk_new"], used.put_nowait
    )
    poster: AbstractAsyncContextManager[Any] = POSTERS[path.stem](app)
    async with poster as post:
        body = b'{"task": {"id": "tsk_1", "taskId": "tsk_1"}}'
        assert await post({"X-Handinger-Token": "whk_other"}, body) == 401
        assert await post({}, body) == 401
        assert await post({"X-Handinger-Token": "whk_old"}, b"hello") == 204
        assert await post({"X-Handinger-Token": "whk_old"}, b'{"taskId": "tsk_2"}') == 204
        assert await post({"X-Handinger-Token": "whk_new"}, body) == 204
        assert (await asyncio.wait_for(used.get(), 60)).task.title == "Weather"
    assert requests == ["/api/tasks/tsk_2", "/api/tasks/tsk_1"]
    assert used.empty()
    assert capsys.readouterr().out.startswith("tsk_2 404 ")


def test_program_reads_the_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDINGER_API_KEY", "key")
    monkeypatch.setenv("WEBHOOK_TOKEN", "whk_1")
    (path,) = (path for path in WEBHOOK_PROGRAMS if path.stem == "webhooks_starlette")
    program: Any = load(path)
    assert program.app().routes[0].path == "/hook"


@pytest.mark.parametrize("path", WEBHOOK_PROGRAMS, ids=lambda path: path.stem)
async def test_program_receives_what_the_service_delivers(path: Any) -> None:
    tokens: set[str] = set()
    used: asyncio.Queue[TaskWithTurns] = asyncio.Queue()

    async def deliver(request: Request) -> Response:
        return Response(await post(request.headers, request.body))

    service = FakeHandinger(deliver=deliver)
    program: Any = load(path)
    app = program.make_app(Session(api_key="key", transport=MemoryTransport(service)), tokens, used.put_nowait)
    async with POSTERS[path.stem](app) as post, Session(api_key="key", transport=MemoryTransport(service)) as session:
        worker = await session.workers.create_template(instructions="Report the weather.")
        webhook = await session.workers.webhooks.update(worker.id, url="https://example.com/hook")
        tokens.add(str(webhook.token))
        await session.tasks.create(input="Weather?", worker_id=worker.id, task_id="tsk_1")
        assert (await asyncio.wait_for(used.get(), 60)).task.id == "tsk_1"
