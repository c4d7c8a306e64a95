"""The programs that relay streams to browsers: what they send, and what is closed when a browser is gone."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import httpx
import pytest
from starlette.requests import ClientDisconnect

from handinger_async import ConfigurationError, EventParser, RetryPolicy, ServerSentEvent, Session
from handinger_async.http import Request
from handinger_async.operations import RetrieveWorker, StreamWorkerUpdates
from handinger_async.testing import Cut, FakeHandinger, Status, Step
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import MemoryTransport, StreamingResponse, call_handler

from .test_programs import load

PROGRAMS = Path(__file__).parents[2] / "docs" / "programs"
KEY = "sk-0123456789"
FRAMEWORKS = ["aiohttp", "starlette"]


class Watched:
    """The in-memory service; it tells when a stream was closed before its end."""

    def __init__(self) -> None:
        self.fake = FakeHandinger(api_keys=[KEY])
        self.left = asyncio.Event()

    async def __call__(self, request: Request) -> StreamingResponse:
        response = await call_handler(self.fake, request)
        return attrs.evolve(response, chunks=self._watch(response.chunks))

    async def _watch(self, chunks: Any) -> AsyncIterator[bytes]:
        try:
            if isinstance(chunks, list):
                for chunk in chunks:
                    yield chunk
            else:
                async for chunk in chunks:
                    yield chunk
        except (asyncio.CancelledError, GeneratorExit):
            self.left.set()
            raise

    def session(self) -> Session:
        return Session(api_key=KEY, base_url="https://example.com", transport=MemoryTransport(self))


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that loads a program, which finds those beside it."""
    monkeypatch.syspath_prepend(PROGRAMS)
    monkeypatch.delitem(sys.modules, "relay_frames", raising=False)
    return lambda name: load(PROGRAMS / f"{name}.py")


def parse(body: bytes) -> list[ServerSentEvent]:
    return EventParser().feed(body)


def test_silence_is_filled_with_comments_and_the_result_comes_last(programs: Any) -> None:
    async def main() -> list[bytes]:
        service = FakeHandinger()
        service.script(Step("One.", after=40), Step(" Two.", after=10))
        async with service.session() as session:
            worker = await session.workers.create(input="x")
            events = await relay.open_stream(session, worker.id, "")
            return [frame async for frame in relay.frames(session, worker.id, events)]

    relay: Any = programs("relay_frames")
    frames = run(main())
    assert [frame == b":\n\n" for frame in frames] == [False, True, True, False, False, False]
    assert [event.id for event in parse(b"".join(frames))] == ["1", "2", "3", "3"]
    assert frames[-1].startswith(b"event: done\ndata: ")
    assert json.loads(parse(frames[-1])[0].data) == {"status": "completed", "output_text": "One. Two."}


def test_interrupted_stream_ends_without_a_result(programs: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[bytes]:
        session = FakeHandinger().session(Cut(1500, on=StreamWorkerUpdates), retry=RetryPolicy(max_retries=0))
        async with session:
            worker = await session.workers.create(input="x")
            events = await relay.open_stream(session, worker.id, "")
            return [frame async for frame in relay.frames(session, worker.id, events)]

    relay: Any = programs("relay_frames")
    frames = run(main())
    assert frames
    assert not any(b"event: done" in frame for frame in frames)
    assert "ends: the stream was interrupted after" in caplog.text


def test_worker_without_a_stream_ends_for_good(programs: Any) -> None:
    async def main() -> list[bytes]:
        async with FakeHandinger(api="today").session() as session:
            outcome = await session.run("x")
            events = await relay.open_stream(session, outcome.worker_id, "")
            return [frame async for frame in relay.frames(session, outcome.worker_id, events)]

    relay: Any = programs("relay_frames")
    [event] = parse(b"".join(run(main())))
    assert event.event == "done"
    assert json.loads(event.data) == {"status": "gone", "output_text": ""}


def test_worker_that_is_deleted_meanwhile_ends_for_good(programs: Any) -> None:
    async def main() -> list[bytes]:
        async with FakeHandinger().session(Status(404, on=RetrieveWorker, skip=1)) as session:
            worker = await session.workers.create(input="x")
            events = await relay.open_stream(session, worker.id, "")
            return [frame async for frame in relay.frames(session, worker.id, events)]

    relay: Any = programs("relay_frames")
    frames = run(main())
    assert len(frames) > 1
    assert json.loads(parse(frames[-1])[0].data)["status"] == "gone"


@pytest.mark.parametrize("times", [1, None])
def test_service_that_fails_at_the_beginning_is_no_error_status(
    programs: Any, caplog: pytest.LogCaptureFixture, times: int | None
) -> None:
    """The browser would not come back after one. The stream may be there in spite of it."""

    async def main() -> list[bytes]:
        fake = FakeHandinger()
        async with fake.session() as session:
            worker = await session.workers.create(input="x")
        async with fake.session(Status(503, times=times), retry=RetryPolicy(max_retries=0)) as session:
            events = await relay.open_stream(session, worker.id, "")
            assert events is not None
            return [frame async for frame in relay.frames(session, worker.id, events)]

    relay: Any = programs("relay_frames")
    frames = run(main())
    assert "cannot begin: 503" in caplog.text
    if times is None:
        assert frames == []
        assert "ends: 503" in caplog.text
    else:
        assert frames[-1].startswith(b"event: done\n")


def test_relay_that_is_left_closes_its_stream(programs: Any) -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            worker = await session.workers.create(input="x")
            events = await relay.open_stream(session, worker.id, "")
            async with aclosing(relay.frames(session, worker.id, events)) as frames:
                await anext(frames)
            with pytest.raises(ConfigurationError, match="was closed"):
                aiter(events)

    relay: Any = programs("relay_frames")
    run(main())


@asynccontextmanager
async def client_of(app: Any, framework: str, aiohttp_client: Any) -> AsyncIterator[Any]:
    """Yield a function that gets a path from an application: status, type and body."""
    if framework == "aiohttp":
        client = await aiohttp_client(app)

        async def get(path: str, **headers: str) -> tuple[int, str, bytes]:
            async with client.get(path, headers=headers) as response:
                return response.status, response.content_type, await response.read()

        yield get
    else:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://example.com") as client,
        ):

            async def get(path: str, **headers: str) -> tuple[int, str, bytes]:
                response = await client.get(path, headers=headers)
                kind = response.headers.get("content-type", "").partition(";")[0]
                return response.status_code, kind, response.content

            yield get


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_browser_gets_page_and_events_and_never_the_key(
    programs: Any, framework: str, aiohttp_client: Any
) -> None:
    service = Watched()
    service.fake.script(*(Step(f"{number} ", after=0) for number in range(5)))
    session = service.session()
    worker = await session.workers.create(input="x")
    app = programs(f"relay_{framework}").make_app(session)
    async with client_of(app, framework, aiohttp_client) as get:
        bodies = [await get("/")]
        assert bodies[0][1] == "text/html"
        bodies.append(await get(f"/workers/{worker.id}/events"))
        assert bodies[-1][:2] == (200, "text/event-stream")
        events = parse(bodies[-1][2])
        assert [event.event for event in events] == ["message"] * 6 + ["done"]
        assert json.loads(events[-1].data)["output_text"] == "0 1 2 3 4 "

        bodies.append(await get(f"/workers/{worker.id}/events", **{"Last-Event-ID": "3"}))
        assert [event.id for event in parse(bodies[-1][2])][:2] == ["4", "5"]
        for unknown in ("t_org_123_w_nobody", "%2E%2E"):
            bodies.append(await get(f"/workers/{unknown}/events"))
            assert bodies[-1][0] == 404
        assert not [body for _, _, body in bodies if KEY.encode() in body]


async def silent_run(programs: Any, framework: str) -> tuple[Watched, str, Any]:
    """Return a service with a run that says nothing for an hour, the path of its events, and an application."""
    service = Watched()
    service.fake.script("x", Step("y", after=3600))
    session = service.session()
    worker = await session.workers.create(input="x")
    return service, f"/workers/{worker.id}/events", programs(f"relay_{framework}").make_app(session)


async def test_aiohttp_closes_the_stream_of_a_browser_that_is_gone(programs: Any, aiohttp_client: Any) -> None:
    """Also without ``handler_cancellation``: a comment cannot be written."""
    service, path, app = await silent_run(programs, "aiohttp")
    sys.modules["relay_frames"].HEARTBEAT = 0.01  # type: ignore[attr-defined]
    client = await aiohttp_client(app)
    response = await client.get(path)
    await response.content.readline()
    response.close()
    await asyncio.wait_for(service.left.wait(), 60)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_starlette_closes_the_stream_of_a_browser_that_is_gone(programs: Any, spec_version: str) -> None:
    """From ASGI 2.4 on, a server tells it by an error of ``send``, before that by a message."""
    service, path, app = await silent_run(programs, "starlette")
    sys.modules["relay_frames"].HEARTBEAT = 0.01  # type: ignore[attr-defined]
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if gone.is_set() and spec_version == "2.4":
            raise OSError
        if message.get("body"):
            gone.set()

    scope = {"type": "http", "asgi": {"spec_version": spec_version}, "method": "GET", "path": path, "headers": []}
    async with app.router.lifespan_context(app):
        with suppress(ClientDisconnect):
            await app({**scope, "query_string": b""}, receive, send)
        assert service.left.is_set()


async def test_aiohttp_shuts_down_while_a_browser_listens(programs: Any, aiohttp_client: Any) -> None:
    service, path, app = await silent_run(programs, "aiohttp")
    client = await aiohttp_client(app)
    response = await client.get(path)
    await response.content.readline()
    await asyncio.wait_for(client.server.close(), 30)
    assert service.left.is_set()


def test_application_for_uvicorn_takes_the_key_from_the_environment(
    programs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDINGER_API_KEY", KEY)
    assert [route.path for route in programs("relay_starlette").app().routes] == ["/", "/workers/{worker_id}/events"]
