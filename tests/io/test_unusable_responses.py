"""Complete responses that are errors, cannot be decoded, or are too large."""

import gzip
import tracemalloc
import zlib
from typing import Any

import pytest

from handinger_async import (
    APIResponseValidationError,
    APIStatusError,
    InternalServerError,
    Session,
    StreamInterruptedError,
)
from handinger_async.http import Response

from .conftest import transports
from .faults import (
    CALLS,
    POSTS,
    STREAMS,
    WHOLE,
    Fault,
    Meet,
    check_message,
    create,
    custom,
    head,
    iterate,
    no_body,
    read,
    retrieve,
    save,
    stream,
    stream_of_a_post,
    whole,
)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (no_body("304 Not Modified"), 304),
        (whole(b"", "Location: http://[::1", status="308 Permanent Redirect"), 308),
        (whole(b"<html>" + b"x" * 2_000_000, status="404 Not Found", content_type="text/html"), 404),
        (whole(b"\xff\xfe\x00", status="401 Unauthorized"), 401),
        (whole(b'{"message": ' * 5000, status="422 Unprocessable"), 422),
        (whole(b"not gzip", "Content-Encoding: gzip", status="403 Forbidden"), 403),
        (Fault(head("Content-Length: 99", status="400 Bad Request") + b'{"mess'), 400),
        (whole(b"", status="418 " + "teapot" * 500), 418),
        (whole(b"{}", status="499 "), 499),
    ],
)
async def test_error_status_raises_without_a_retry(meet: Meet, fault: Fault, status: int, call: Any) -> None:
    outcome = await meet(fault, call)
    assert isinstance(outcome.error, APIStatusError)
    assert outcome.error.status_code == status
    assert outcome.requests == outcome.error.attempts == 1
    check_message(outcome.error)
    assert str(status) in str(outcome.error)
    assert "req_7" in str(outcome.error)


@pytest.mark.parametrize("call", [call for call in CALLS if call not in (read, iterate, save)])
@pytest.mark.parametrize(
    ("location", "status"),
    [("https://elsewhere.example/", "301 Moved"), ("/healthy", "302 Found"), ("//elsewhere.example/", "307 Other")],
)
async def test_redirect_is_followed_for_files_only(meet: Meet, location: str, status: str, call: Any) -> None:
    outcome = await meet(whole(b"", f"Location: {location}", status=status), call)
    assert isinstance(outcome.error, APIStatusError)
    assert outcome.error.status_code == int(status[:3])
    assert outcome.requests == outcome.error.attempts == 1


@pytest.mark.parametrize("call", CALLS)
async def test_transient_error_status_is_retried_where_that_is_safe(meet: Meet, call: Any) -> None:
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
        (no_body("204 No Content"), (retrieve, create, read, iterate, save)),
        (whole(b"null"), (retrieve, create)),
        (whole(b"[" * 100_000), (retrieve, create)),
        (whole(b'{"id": ' + b"9" * 5000 + b"}"), (retrieve, create)),
        (whole(gzip.compress(b"{}"), "Content-Encoding: gzip"), (retrieve, create)),
        (whole(zlib.compress(b"{}"), "Content-Encoding: deflate"), (retrieve, create)),
    ],
)
@pytest.mark.parametrize("call", CALLS)
async def test_undecodable_response_is_not_retried(
    meet: Meet, fault: Fault, refused: tuple[Any, ...], call: Any
) -> None:
    outcome = await meet(fault, call)
    assert outcome.requests == 1
    if call in refused:
        assert type(outcome.error) is APIResponseValidationError
        assert outcome.error.response is not None
        check_message(outcome.error)
        assert "req_7" in str(outcome.error)
    elif call in STREAMS and outcome.error is not None:  # which ends within an event
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


# Too much #############################################################################################################


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("call", CALLS)
async def test_body_over_the_size_limit_is_refused_where_it_is_buffered(meet: Meet, call: Any, encoding: str) -> None:
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


@pytest.mark.parametrize("meet", transports(), indirect=True)
@pytest.mark.parametrize("members", [1, 8])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_decompression_bomb_costs_little_memory(meet: Meet, members: int, status: str) -> None:
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


@pytest.mark.parametrize("meet", transports(), indirect=True)
async def test_compressed_file_comes_in_chunks_of_bounded_size(meet: Meet) -> None:
    async def count(session: Session) -> Any:
        async with session.workers.retrieve_file("f", worker_id="w") as file:
            sizes = [len(chunk) async for chunk in file]
        return sum(sizes), max(sizes)

    member = gzip.compress(bytes(2**24))
    total, largest = (await meet(whole(member * 16, "Content-Encoding: gzip"), count)).result
    assert total == 2**28
    assert largest <= 2**18
