"""Every fault of a server or a network, met by every kind of call, on a new and on a reused connection.

Each case says what the caller gets, how often the server is asked, and that nothing is left open.
"""

import asyncio
import gzip
import os
import tempfile
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    HandingerError,
    InternalServerError,
    RetryPolicy,
    Session,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.http import Response

from .wire import WireRequest, WireServer, reset, wire_server

Fault = Callable[[asyncio.StreamWriter], Awaitable[None]]

SSE = "text/event-stream"


# The calls ############################################################################################################


async def retrieve(session: Session) -> Any:
    return await session.workers.retrieve("w")


async def create(session: Session) -> Any:
    return await session.workers.create(input="x")


async def custom(session: Session) -> Any:
    return await session.request("GET", "/x")


async def stream(session: Session) -> Any:
    async with session.workers.stream_updates("w") as events:
        return [event async for event in events]


async def stream_of_a_post(session: Session) -> Any:
    async with session.workers.create(input="x", stream=True) as events:
        return [event async for event in events]


async def iterate(session: Session) -> Any:
    async with session.workers.retrieve_file("f", worker_id="w") as file:
        return b"".join([chunk async for chunk in file])


async def read(session: Session) -> Any:
    return await session.workers.retrieve_file("f", worker_id="w").read()


async def save(session: Session) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(b"before")  # noqa: ASYNC240
        failed = True
        try:
            await session.workers.retrieve_file("f", worker_id="w").save(path)
            failed = False
        finally:
            assert (path.read_bytes() == b"before") == failed  # noqa: ASYNC240
            assert os.listdir(folder) == ["file"]  # noqa: PTH208


WHOLE = (retrieve, create, custom, read)
STREAMS = (stream, stream_of_a_post)
PIECES = (iterate, save)
CALLS = (*WHOLE, *STREAMS, *PIECES)
POSTS = (create, stream_of_a_post)


# The faults ###########################################################################################################


def sends(data: bytes, then: str = "close") -> Fault:
    async def fault(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then == "reset":
            await asyncio.sleep(0.01)  # so that it does not overtake what was sent
            reset(writer)
        elif then == "close":
            writer.close()
        elif then:
            await asyncio.sleep(0.01)  # so that the head has been read alone
            writer.write(then.encode())

    return fault


def head(*fields: str, status: str = "200 OK", content_type: str = "{type}") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "X-Request-Id: req_7", *fields, "", ""]
    return "\r\n".join(lines).encode()


EVENT = b"data: {}\n\n"
ZIPPED = gzip.compress(EVENT)

#: Before the head is complete: no call gets an answer.
BEFORE = {
    "an end instead of an answer": sends(b""),
    "a reset instead of an answer": sends(b"", "reset"),
    "an end in the status line": sends(b"HTTP/1.1 20"),
    "an end in the headers": sends(b"HTTP/1.1 200 OK\r\nContent-Type: app"),
    "a reset in the headers": sends(b"HTTP/1.1 200 OK\r\nContent-Type: app", "reset"),
    "garbage": sends(b"\x00\xff\x16\x03garbage\r\n\r\n"),
    "another protocol": sends(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "HTTP/2": sends(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a status that is no number": sends(b"HTTP/1.1 OK 200\r\n\r\n"),
    "a header without a colon": sends(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
    "a header with a NUL": sends(b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n"),
    "a header of 200 kB": sends(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n"),
    "50000 headers": sends(b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 50_000 + b"\r\n"),
    "two different lengths": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    "a length that is no number": sends(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}"),
    "a negative length": sends(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}"),
}

#: Behind the head: the answer began well, and its body is lost.
BEHIND = {
    "an end before the length": sends(head("Content-Length: 100") + EVENT),
    "a reset before the length": sends(head("Content-Length: 100") + EVENT, "reset"),
    "an end before the last chunk": sends(head("Transfer-Encoding: chunked") + b"a\r\n" + EVENT + b"\r\n"),
    "an end in a chunk": sends(head("Transfer-Encoding: chunked") + b"ff\r\n" + EVENT),
    "an end in a chunk's size": sends(head("Transfer-Encoding: chunked") + b"a\r\n" + EVENT + b"\r\n1"),
    "a reset between chunks": sends(head("Transfer-Encoding: chunked") + b"a\r\n" + EVENT + b"\r\n", "reset"),
    "a chunk's size that is none": sends(head("Transfer-Encoding: chunked"), "zz\r\n\r\n"),
    "a chunk longer than its size": sends(head("Transfer-Encoding: chunked"), "2\r\ndata: {}\r\n0\r\n\r\n"),
    "gzip that is none": sends(head("Content-Encoding: gzip", "Content-Length: 10") + EVENT),
    "gzip cut short": sends(head("Content-Encoding: gzip", "Content-Length: 20") + gzip.compress(EVENT * 100)[:20]),
    "gzip with a wrong checksum": sends(
        head("Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}") + ZIPPED[:-8] + b"\xff" * 8
    ),
    "gzip with something behind it": sends(
        head("Content-Encoding: gzip", f"Content-Length: {len(ZIPPED) + 9}") + ZIPPED + b"<!-- x -->"[:9]
    ),
    "deflate cut short": sends(head("Content-Encoding: deflate", "Content-Length: 12") + zlib.compress(EVENT)[:12]),
    "an encoding that was not asked for": sends(head("Content-Encoding: br", "Content-Length: 10") + EVENT),
    "deflate that is none": sends(head("Content-Encoding: deflate", "Content-Length: 10") + EVENT),
}


def whole(body: bytes, *fields: str, status: str = "200 OK", content_type: str = "{type}") -> Fault:
    return sends(head(f"Content-Length: {len(body)}", *fields, status=status, content_type=content_type) + body, "")


def no_body(status: str, *fields: str) -> Fault:
    return sends(head(*fields, status=status), "")


@pytest.fixture(params=["new", "reused"])
def reused(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "reused")


class Outcome:
    """What came of a call, at both ends."""

    def __init__(self, result: Any, error: HandingerError | None, server: WireServer, before: int) -> None:
        self.result = result
        self.error = error
        self.requests = len(server.requests) - before


@pytest.fixture
def meet(reused: bool) -> Callable[..., Awaitable[Outcome]]:
    """Make a call against a server with a fault; check that nothing is left open."""

    async def meet(fault: Fault, call: Callable[[Session], Awaitable[Any]], **options: Any) -> Outcome:
        async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
            if request.target == "/healthy":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                return
            kind = (request.header("accept") or [""])[0]

            class Typed:
                def write(self, data: bytes) -> None:
                    writer.write(data.replace(b"{type}", kind.encode()))

                def __getattr__(self, name: str) -> Any:
                    return getattr(writer, name)

            await fault(Typed())  # type: ignore[arg-type]

        tasks = asyncio.all_tasks()
        options = {"retry": RetryPolicy(max_retries=1, initial_delay=0)} | options
        async with wire_server(reply) as server:
            async with Session(api_key="key", base_url=server.url, **options) as session:
                if reused:
                    accept = {"Accept": SSE} if call in STREAMS else {}
                    await session.request("GET", "/healthy", headers=accept)
                before = len(server.requests)
                result = error = None
                try:
                    result = await call(session)
                except HandingerError as caught:
                    error = caught
                outcome = Outcome(result, error, server, before)
                await server.empty(but=1)  # which may be kept for the next request
            await server.empty()
        assert asyncio.all_tasks() == tasks
        return outcome

    return meet


Meet = Callable[..., Awaitable[Outcome]]


def check_message(error: HandingerError) -> None:
    assert len(str(error).encode()) < 2000
    assert isinstance(error, APIError)
    assert error.call.split()[0] in ("GET", "POST")
    assert error.call in str(error)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", BEFORE)
async def test_no_answer(meet: Meet, fault: str, call: Any) -> None:
    outcome = await meet(BEFORE[fault], call)
    assert type(outcome.error) is APIConnectionError
    assert outcome.error.request_sent
    assert outcome.error.__context__ is outcome.error.__cause__ is None  # aiohttp's traceback holds the request
    assert outcome.requests == outcome.error.attempts == (1 if call in POSTS else 2)
    check_message(outcome.error)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", BEHIND)
async def test_half_an_answer(meet: Meet, fault: str, call: Any) -> None:
    outcome = await meet(BEHIND[fault], call)
    assert type(outcome.error) is (StreamInterruptedError if call in STREAMS else APIConnectionError)
    assert outcome.requests == outcome.error.attempts == (2 if call in (retrieve, custom, read) else 1)
    check_message(outcome.error)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (no_body("304 Not Modified"), 304),
        (whole(b"", "Location: https://elsewhere.example/", status="301 Moved"), 301),
        (whole(b"", "Location: /healthy", status="302 Found"), 302),
        (whole(b"", "Location: //elsewhere.example/", status="307 Temporary Redirect"), 307),
        (whole(b"", "Location: http://[::1", status="308 Permanent Redirect"), 308),
        (whole(b"<html>" + b"x" * 2_000_000, status="404 Not Found", content_type="text/html"), 404),
        (whole(b"\xff\xfe\x00", status="401 Unauthorized"), 401),
        (whole(b'{"message": ' * 5000, status="422 Unprocessable"), 422),
        (whole(b"not gzip", "Content-Encoding: gzip", status="403 Forbidden"), 403),
        (sends(head("Content-Length: 99", status="400 Bad Request") + b'{"mess'), 400),
        (whole(b"", status="418 " + "teapot" * 500), 418),
        (whole(b"{}", status="499 "), 499),
    ],
)
async def test_an_error_status(meet: Meet, fault: Fault, status: int, call: Any) -> None:
    outcome = await meet(fault, call)
    assert isinstance(outcome.error, APIStatusError)
    assert outcome.error.status_code == status
    assert outcome.requests == outcome.error.attempts == 1
    check_message(outcome.error)
    assert str(status) in str(outcome.error)
    assert "req_7" in str(outcome.error)


@pytest.mark.parametrize("call", CALLS)
async def test_an_error_status_that_may_pass(meet: Meet, call: Any) -> None:
    outcome = await meet(whole(b"oh", status="599 Odd"), call)
    assert isinstance(outcome.error, InternalServerError)
    assert outcome.requests == outcome.error.attempts == (1 if call in POSTS else 2)


HTML = whole(b"<!DOCTYPE html><title>a proxy says hello</title>" + b"x" * 100_000, content_type="text/html")


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        (HTML, (retrieve, create, stream, stream_of_a_post)),
        (whole(b"{}", content_type="text/plain"), (retrieve, create, stream, stream_of_a_post)),
        (whole(b'{"id": "\xff\xc3"}'), (retrieve, create)),
        (whole(b""), (retrieve, create)),
        (no_body("204 No Content"), (retrieve, create)),
        (whole(b"null"), (retrieve, create)),
        (whole(b"[" * 100_000), (retrieve, create)),
        (whole(b'{"id": ' + b"9" * 5000 + b"}"), (retrieve, create)),
        (whole(gzip.compress(b"{}"), "Content-Encoding: gzip"), (retrieve, create)),
        (whole(zlib.compress(b"{}"), "Content-Encoding: deflate"), (retrieve, create)),
    ],
)
@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_that_cannot_be_read_is_not_asked_for_again(
    meet: Meet, fault: Fault, refused: tuple[Any, ...], call: Any
) -> None:
    outcome = await meet(fault, call)
    assert outcome.requests == 1
    if call in refused:
        assert type(outcome.error) is APIResponseValidationError
        assert outcome.error.response is not None
        check_message(outcome.error)
        assert "req_7" in str(outcome.error)
    elif call in STREAMS and outcome.error is not None:  # it ends within an event
        assert type(outcome.error) is StreamInterruptedError
    else:
        assert outcome.error is None
        if call is custom:
            assert isinstance(outcome.result, Response)


@pytest.mark.parametrize("call", CALLS)
async def test_invalid_utf_8_in_an_event_is_replaced(meet: Meet, call: Any) -> None:
    outcome = await meet(whole(b"data: \xff!\n\n"), call)
    if call in STREAMS:
        assert [event.data for event in outcome.result] == ["\N{REPLACEMENT CHARACTER}!"]


@pytest.mark.parametrize("call", CALLS)
async def test_silence_in_the_headers_ends_in_time(meet: Meet, call: Any) -> None:
    outcome = await meet(sends(b"HTTP/1.1 200 OK\r\nContent-", ""), call, timeouts=Timeouts(attempt=0.02))
    assert type(outcome.error) is APITimeoutError
    assert outcome.requests == outcome.error.attempts == (1 if call in POSTS else 2)
    check_message(outcome.error)


@pytest.mark.parametrize("call", CALLS)
async def test_silence_in_the_body_ends_in_time(meet: Meet, call: Any) -> None:
    timeouts = Timeouts(attempt=0.05, idle=0.05)
    outcome = await meet(sends(head("Content-Length: 100") + EVENT, ""), call, timeouts=timeouts)
    assert type(outcome.error) is (StreamInterruptedError if call in STREAMS else APITimeoutError)
    assert outcome.requests == outcome.error.attempts == (2 if call in (retrieve, custom, read) else 1)
    check_message(outcome.error)


@pytest.mark.parametrize("call", CALLS)
async def test_an_interim_answer_is_passed_over(meet: Meet, call: Any) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    outcome = await meet(sends(interim + head("Content-Length: 2", status="404 Not Found") + b"{}", ""), call)
    assert isinstance(outcome.error, APIStatusError)
    assert outcome.error.status_code == 404


# Too much #############################################################################################################


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_body_over_the_cap_is_refused_where_it_would_be_kept(meet: Meet, call: Any, encoding: str) -> None:
    body = b": " + b"x" * 200_000 + b"\n\n"
    data = gzip.compress(body) if encoding == "gzip" else body
    outcome = await meet(whole(data, f"Content-Encoding: {encoding}"), call, max_body_size=100_000)
    assert outcome.requests == 1
    if call in WHOLE:
        assert type(outcome.error) is APIResponseValidationError
        assert "100000" in str(outcome.error)
        check_message(outcome.error)
    else:
        assert outcome.error is None


@pytest.mark.parametrize("reused", [False])
@pytest.mark.parametrize("members", [1, 8])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_a_gigabyte_of_zeros_in_a_megabyte_costs_no_memory(meet: Meet, members: int, status: str) -> None:
    squeeze = zlib.compressobj(wbits=31)
    zeros = bytes(2**20)
    member = b"".join(squeeze.compress(zeros) for _ in range(2**7)) + squeeze.flush()
    tracemalloc.start()
    try:
        bomb = whole(member * members, "Content-Encoding: gzip", status=status)
        outcome = await meet(bomb, retrieve, max_body_size=2**22)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(outcome.error, APIResponseValidationError if status == "200 OK" else APIStatusError)
    assert outcome.requests == 1
    assert peak < 24 * 2**20


@pytest.mark.parametrize("reused", [False])
async def test_a_compressed_file_comes_in_pieces_of_a_few_hundred_kilobytes(meet: Meet) -> None:
    async def count(session: Session) -> Any:
        async with session.workers.retrieve_file("f", worker_id="w") as file:
            sizes = [len(chunk) async for chunk in file]
        return sum(sizes), max(sizes)

    member = gzip.compress(bytes(2**24))
    total, largest = (await meet(whole(member * 16, "Content-Encoding: gzip"), count)).result
    assert total == 2**28
    assert largest <= 2**18
