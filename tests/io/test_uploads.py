"""Requests with files: what the service gets, what is retried, and what is left behind."""

import asyncio
import os
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from handinger_async import APIConnectionError, APIStatusError, ConfigurationError, Session
from handinger_async.codec import decode_request
from handinger_async.http import MultipartBody, Part, Request
from handinger_async.operations import CreateTask
from handinger_async.testing.virtual_time import run
from handinger_async.transports.uploads import BodyReader

from .service import Service, json_response, ok
from .wire import WireRequest, forever, response, wire_server

LARGE = os.urandom(2**20)
BUSY = json_response({}, 503, Retry_After="1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(LARGE)
    return path


async def send(service: Service, operation: CreateTask, **options: Any) -> None:
    async with service.session() as session:
        await session.with_options(**options).send(operation)


def received(service: Service) -> list[Any]:
    assert all(isinstance(request.body, bytes) for request in service.requests)
    return [decode_request(request) for request in service.requests]


# Retries ##############################################################################################################


def test_handlers_get_the_body_as_bytes_and_files_are_sent_from_their_beginning_again(path: Path) -> None:
    service = Service(BUSY, BUSY, ok)
    with path.open("rb") as file:
        file.seek(100)
        operation = CreateTask("x", files=[path, file, ("a.txt", b"one")])
        run(send(service, operation))
        assert received(service) == [operation] * 3
    assert len({request.headers["content-type"] for request in service.requests}) == 1


def test_a_request_with_a_pipe_is_sent_once() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"data")
    os.close(writing)
    service = Service(BUSY, ok)
    with os.fdopen(reading, "rb") as file, pytest.raises(APIStatusError) as failure:
        run(send(service, CreateTask("x", files=[("log", file)]), idempotency_key="k"))
    assert (failure.value.status_code, failure.value.attempts) == (503, 1)
    assert [attempt.delay for attempt in service.attempts] == [None]
    assert received(service) == [CreateTask("x", files=[("log", b"data")])]


class RefusesOnce:
    """A transport that fails to connect the first time."""

    def __init__(self, inner: Any) -> None:
        self.open = self.refuse
        self.inner = inner

    async def refuse(self, url: Any, request: Request, *, connect_timeout: float | None) -> Any:
        self.open = self.inner.open
        raise APIConnectionError("refused", request_sent=False)

    async def aclose(self) -> None:
        await self.inner.aclose()


def test_a_request_with_a_pipe_is_retried_while_the_pipe_is_unread() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"data")
    os.close(writing)
    service = Service(ok)

    async def main() -> None:
        async with service.session() as session:
            transport: Any = RefusesOnce(session._settings.pool.transport())
            async with Session(api_key="key", transport=transport) as refused:
                await refused.send(CreateTask("x", files=[("log", file)]))

    with os.fdopen(reading, "rb") as file:
        run(main())
    assert received(service) == [CreateTask("x", files=[("log", b"data")])]


def test_a_file_that_changed_is_an_os_error_and_not_retried(path: Path) -> None:
    service = Service(BUSY, ok)

    def truncate(request: Request) -> Any:
        os.truncate(path, 1000)
        return BUSY

    service.responses[0] = truncate
    with pytest.raises(OSError, match=r"data\.bin changed its size while it was sent"):
        run(send(service, CreateTask("x", files=[path])))
    assert len(service.requests) == 1
    assert len(service.attempts) == 2


def test_a_file_that_is_gone_fails_before_anything_is_sent(path: Path) -> None:
    service = Service(ok)
    operation = CreateTask("x", files=[path])
    path.unlink()
    with pytest.raises(FileNotFoundError):
        run(send(service, operation))
    assert service.requests == []


# Options ##############################################################################################################


def test_body_fields_become_parts_before_the_files_or_replace_texts() -> None:
    service = Service(ok)
    fields = {"input": "y", "extra": "é\n", "deep": True, "count": 3}
    run(send(service, CreateTask("x", budget="low", files=[("a", b"1"), ("b", b"2")]), body=fields))
    (request,) = service.requests
    assert decode_request(request) == CreateTask("y", budget="low", files=[("a", b"1"), ("b", b"2")])
    body = request.read_body()
    names = [part.split(b'"')[1] for part in body.split(b"form-data; ")[1:]]
    assert names == [b"input", b"budget", b"extra", b"deep", b"count", b"files[]", b"files[]"]
    for name, text in {"extra": "é\n", "deep": "true", "count": "3"}.items():
        assert f'name="{name}"\r\n\r\n{text}\r\n--'.encode() in body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"a": None}, "the field a cannot be sent beside files: a form has no null"),
        ({"a": [1]}, "a form has no list"),
        ({"a": {}}, "a form has no dict"),
        ({"a": "\ud83d"}, "the field a contains a lone surrogate"),
        ({"": "x"}, "the name of a part is empty"),
        ({"files": "x"}, "the files of a form cannot be replaced"),
    ],
)
def test_body_fields_that_a_form_cannot_carry_are_refused(body: dict[str, Any], reason: str) -> None:
    service = Service(ok)
    with pytest.raises(ConfigurationError, match=reason):
        run(send(service, CreateTask("x", files=[("a", b"1"), ("b", b"2")]), body=body))
    assert service.requests == []


# Threads ##############################################################################################################


class Blocking:
    """A source whose second chunk is there when it is released."""

    length = None
    is_readable = True

    def __init__(self) -> None:
        self.waits, self.released, self.closed = threading.Event(), threading.Event(), threading.Event()

    def chunks(self) -> Iterator[bytes]:
        try:
            yield b"x" * 2**18
            self.waits.set()
            self.released.wait()
            yield b"late"
        finally:
            self.closed.set()


async def wait(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 100)


@pytest.fixture
async def blocking() -> AsyncIterator[Blocking]:
    source = Blocking()
    yield source
    source.released.set()


async def test_a_cancelled_read_does_not_wait_for_its_thread_which_closes_the_body(blocking: Blocking) -> None:
    reader = BodyReader(MultipartBody([Part("a", blocking)]))
    with suppress(asyncio.CancelledError):
        while True:
            reading = asyncio.ensure_future(reader.read())
            waiting = asyncio.ensure_future(wait(blocking.waits))
            await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                reading.cancel()
            else:
                waiting.cancel()
            await reading
    reader.close()
    assert not blocking.closed.is_set()
    blocking.released.set()
    await wait(blocking.closed)


async def test_closing_between_reads_closes_the_body_at_once(blocking: Blocking) -> None:
    reader = BodyReader(MultipartBody([Part("a", blocking)]))
    await reader.read()
    await reader.read()
    reader.close()
    reader.close()
    assert blocking.closed.is_set()
    with pytest.raises(RuntimeError, match="the body is closed"):
        await reader.read()


# aiohttp ##############################################################################################################


Opened = Callable[[str], Session]


@pytest.fixture
def opened(make_transport: Callable[..., Any]) -> Callable[[str], Session]:
    return lambda url: Session(api_key="sk-very-secret", base_url=url, transport=make_transport(trust_env=False))


async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(response(ok.read_body() if isinstance(ok, Request) else ok.body))


async def test_a_form_goes_out_with_its_length_and_type(path: Path, opened: Opened) -> None:
    async with wire_server(reply) as server, opened(server.url) as session:
        for _ in range(2):
            await session.send(CreateTask("x", files=[path]))
    first, second = server.requests
    assert server.connections == 1
    assert first.header("content-length") == [str(len(first.body))]
    assert first.header("transfer-encoding") == []
    (content_type,) = first.header("content-type")
    request = Request("POST", first.target, {"Content-Type": content_type}, first.body)
    assert decode_request(request) == CreateTask("x", files=[path])
    assert second.header("content-type") != [content_type]


async def test_a_failing_file_closes_the_connection_and_shows_no_key(path: Path, opened: Opened) -> None:
    async with wire_server(reply) as server, opened(server.url) as session:
        await session.send(CreateTask("x", files=[path]))
        part = Part("files", Failing(), "a")
        transport = session._settings.pool.transport()
        url, request = session._settings.prepare(Request("POST", "/api/tasks", body=MultipartBody([part])))
        with pytest.raises(OSError, match="the disk is gone") as failure:
            await transport.open(url, request, connect_timeout=None)
        await server.broke()
        assert len(server.requests) == 1
        shown = traceback.TracebackException.from_exception(failure.value, capture_locals=True)
    assert "sk-very-secret" not in "".join(shown.format())


class Failing:
    """A source that fails in the middle."""

    length = 2**20
    is_readable = True

    def chunks(self) -> Iterator[bytes]:
        yield b"x" * 2**19
        raise OSError("the disk is gone")


async def test_closing_the_session_ends_an_upload(blocking: Blocking, opened: Opened) -> None:
    async with wire_server(forever) as server, opened(server.url) as session:
        request = Request("POST", "/api/tasks", body=MultipartBody([Part("files", blocking, "a")]))
        url, request = session._settings.prepare(request)
        opening = asyncio.ensure_future(session._settings.pool.transport().open(url, request, connect_timeout=None))
        await wait(blocking.waits)
        await session.aclose()
        with pytest.raises(APIConnectionError):
            await opening
        blocking.released.set()
        await wait(blocking.closed)
