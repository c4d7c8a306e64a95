"""A failed call is freed at once: none of its exceptions is in a reference cycle with the frames that raised it."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from handinger_async import APIConnectionError, HandingerError, RetryPolicy, Session, Timeouts
from handinger_async.http import Request, Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

from .service import JSON, SSE, json_response, silent, trickle, truncated
from .wire import WireRequest, forever, response, wire_server

Call = Callable[[Session, Path], Awaitable[Any]]


async def retrieve(session: Session, path: Path) -> None:
    await session.workers.retrieve("w")


async def in_a_task(session: Session, path: Path) -> None:
    await asyncio.create_task(session.workers.retrieve("w"))


async def stream(session: Session, path: Path) -> None:
    async with session.workers.stream_updates("w") as events:
        async for _ in events:
            pass


async def post_stream(session: Session, path: Path) -> None:
    async with session.workers.create(input="x", stream=True) as events:
        async for _ in events:
            pass


async def iterate(session: Session, path: Path) -> None:
    async with session.workers.retrieve_file("f", worker_id="w") as file:
        async for _ in file:
            pass


async def read(session: Session, path: Path) -> None:
    await session.workers.retrieve_file("f", worker_id="w").read()


async def save(session: Session, path: Path) -> None:
    await session.workers.retrieve_file("f", worker_id="w").save(path)


async def run_a_task(session: Session, path: Path) -> None:
    await session.tasks.run(input="x", deadline=100)


async def run_on_any_service(session: Session, path: Path) -> None:
    await session.run("x", deadline=100)


async def run_a_worker(session: Session, path: Path) -> None:
    await session.workers.run(input="x", deadline=100)


CALLS: list[Call] = [
    retrieve,
    in_a_task,
    stream,
    post_stream,
    iterate,
    read,
    save,
    run_a_task,
    run_on_any_service,
    run_a_worker,
]


async def lose(request: Request) -> Response:
    raise APIConnectionError("lost")


def lost_after(*chunks: bytes) -> Callable[[Request], StreamingResponse]:
    return lambda request: StreamingResponse(200, SSE | {"Content-Length": "999"}, truncated(*chunks))


FAILURES: dict[str, Callable[[Request], Any]] = {
    "status": lambda request: json_response({"message": "no"}, 404),
    "retried status": lambda request: Response(503),
    "status with a stalled body": lambda request: StreamingResponse(500, JSON, silent(b"{")),
    "a part": lambda request: Response(206, JSON, b"{}"),
    "connection": lose,
    "attempt timeout": forever,  # type: ignore[dict-item]
    "idle timeout": lambda request: StreamingResponse(200, SSE, silent(b"data: a\n\n")),
    "deadline": lambda request: trickle(b"data: a\n\n" * 1000, headers=SSE),
    "truncated": lost_after(b"data: a\n\n"),
    "truncated at once": lost_after(),
    "truncated after an id": lost_after(b"id: 1\ndata: a\n\n"),
    "undecodable": lambda request: Response(200, {"Content-Type": "text/html"}, b"<html>"),
    "mistyped": lambda request: Response(200, SSE, b'{"id": 5}'),
    "too large": lambda request: Response(200, SSE, b"data: " + b"x" * 2**21),
}
#: Streams and files take what is no JSON, and any size.
SUCCESSES = {
    *product(("undecodable", "mistyped", "too large"), (iterate, read, save)),
    *product(("mistyped",), (stream, post_stream)),
}


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Switch the garbage collector off: only counting references frees anything."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def failure_of(call: Call, session: Session, path: Path) -> ref[HandingerError] | None:
    """Return a reference to the exception of a call."""
    try:
        await call(session, path)
    except HandingerError as error:
        return ref(error)
    return None


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("failure", FAILURES)
def test_failure_in_memory_is_freed_at_once(call: Call, failure: str, tmp_path: Path) -> None:
    async def main() -> None:
        timeouts = Timeouts(deadline=200) if failure == "deadline" else Timeouts()
        transport = MemoryTransport(FAILURES[failure])
        session = Session(api_key="key", transport=transport, timeouts=timeouts, max_body_size=2**20)
        failed = await failure_of(call, session, tmp_path / "f")
        await asyncio.sleep(0)  # frees the results of finished tasks
        if failed is not None:
            assert failed() is None
        else:
            assert (failure, call) in SUCCESSES
        await session.aclose()

    run(main())


@pytest.mark.usefixtures("no_collection")
def test_failure_that_ends_a_pause_is_freed_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        session = Session(api_key="key", transport=MemoryTransport(lose), retry=RetryPolicy(initial_delay=5))
        call = asyncio.ensure_future(failure_of(retrieve, session, tmp_path))
        await asyncio.sleep(1)
        await session.aclose()
        failed = await call
        del call
        await asyncio.sleep(0)
        assert failed is not None
        assert failed() is None

    run(main())


@pytest.mark.usefixtures("no_collection")
async def test_failure_to_connect_leaves_nothing_to_the_collector(refusing_url: str) -> None:
    """aiohttp's own exceptions are in cycles, unless their tracebacks are removed."""
    async with Session(api_key="key", base_url=refusing_url, retry=RetryPolicy(max_retries=0)) as session:

        async def fail() -> None:
            with suppress(APIConnectionError):
                await session.workers.retrieve("w")

        await fail()
        gc.collect()
        await fail()
        assert gc.collect() < 10


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("keys", [["good"], ["good", "bad\n"], ["bad\n"]])
def test_failure_for_want_of_a_key_is_freed_at_once(keys: list[str], tmp_path: Path) -> None:
    async def main() -> None:
        session = Session(api_key=iter(keys).__next__, transport=MemoryTransport(lose))
        failed = await failure_of(retrieve, session, tmp_path)
        await asyncio.sleep(0)
        assert failed is not None
        assert failed() is None

    run(main())


async def close_at_once(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def refuse(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(response(b"no", status="503 Busy"))


async def send_garbage(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"garbage\r\n\r\n")


async def send_bad_gzip(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(response(b"no gzip", content_type="text/event-stream", headers="Content-Encoding: gzip\r\n"))


async def truncate(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata: a")
    writer.close()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("call", [retrieve, in_a_task, stream, read])
@pytest.mark.parametrize("reply", [close_at_once, refuse, send_garbage, send_bad_gzip, truncate, None])
async def test_failure_on_the_wire_is_freed_at_once(
    call: Call, reply: Any, refusing_url: str, tmp_path: Path, make_transport: Callable[[], Any]
) -> None:
    retry = RetryPolicy(max_retries=1, initial_delay=0)
    async with wire_server(reply) as server:
        url = refusing_url if reply is None else server.url
        async with Session(api_key="key", base_url=url, transport=make_transport(), retry=retry) as session:
            failed = await failure_of(call, session, tmp_path)
            await asyncio.sleep(0)
            assert failed is not None
            assert failed() is None
