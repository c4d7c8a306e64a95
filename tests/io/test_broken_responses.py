"""Responses that are missing, malformed, truncated or late: the error, and the number of requests."""

import gzip
import sys
import zlib
from typing import Any

import pytest

from handinger_async import APIConnectionError, APIStatusError, APITimeoutError, StreamInterruptedError, Timeouts

from .faults import CALLS, EVENT, POSTS, STREAMS, Fault, Meet, check_message, custom, head, read, retrieve, save, stream

#: The calls that retry an interrupted body.
READ = (retrieve, custom, read, save)

ZIPPED = gzip.compress(EVENT)
DEFLATED = zlib.compress(EVENT)

#: The head does not arrive, or is malformed: no call gets a response.
BROKEN_HEADS = {
    "an end instead of a response": Fault(b""),
    "a reset instead of a response": Fault(b"", "reset"),
    "an end in the status line": Fault(b"HTTP/1.1 20"),
    "an end in the headers": Fault(b"HTTP/1.1 200 OK\r\nContent-Type: app"),
    "a reset in the headers": Fault(b"HTTP/1.1 200 OK\r\nContent-Type: app", "reset"),
    "garbage": Fault(b"\x00\xff\x16\x03garbage\r\n\r\n"),
    "another protocol": Fault(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "HTTP/2": Fault(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a status that is not a number": Fault(b"HTTP/1.1 OK 200\r\n\r\n"),
    "a header without a colon": Fault(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
    "a header with a NUL": Fault(b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n"),
    "a header of 300 kB": Fault(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 300_000 + b"\r\n\r\n"),
    "50000 headers": Fault(b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 50_000 + b"\r\n"),
    "two different lengths": Fault(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    "a length that is not a number": Fault(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}"),
    "a negative length": Fault(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}"),
}

#: The head is fine, and the body is lost.
BROKEN_BODIES = {
    "an end before the length": Fault(head("Content-Length: 100") + EVENT),
    "a reset before the length": Fault(head("Content-Length: 100") + EVENT, "reset", after=len(EVENT)),
    "an end before the last chunk": Fault(head("Transfer-Encoding: chunked") + b"a\r\n" + EVENT + b"\r\n"),
    "an end in a chunk": Fault(head("Transfer-Encoding: chunked") + b"ff\r\n" + EVENT),
    "an end in a chunk size": Fault(head("Transfer-Encoding: chunked") + b"a\r\n" + EVENT + b"\r\n1"),
    "a reset between chunks": Fault(
        head("Transfer-Encoding: chunked") + b"a\r\n" + EVENT + b"\r\n", "reset", after=len(EVENT)
    ),
    "a chunk size that is not a number": Fault(head("Transfer-Encoding: chunked"), b"zz\r\n\r\n", after=0),
    "a chunk longer than its size": Fault(head("Transfer-Encoding: chunked"), b"2\r\ndata: {}\r\n0\r\n\r\n", after=0),
    "a gzip body that is not gzip": Fault(head("Content-Encoding: gzip", "Content-Length: 10") + EVENT),
    "truncated gzip": Fault(head("Content-Encoding: gzip", "Content-Length: 20") + gzip.compress(EVENT * 100)[:20]),
    "gzip with a wrong checksum": Fault(
        head("Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}") + ZIPPED[:-8] + b"\xff" * 8
    ),
    "gzip with trailing garbage": Fault(
        head("Content-Encoding: gzip", f"Content-Length: {len(ZIPPED) + 9}") + ZIPPED + b"<!-- x -->"[:9]
    ),
    "deflate with trailing garbage": Fault(
        head("Content-Encoding: deflate", f"Content-Length: {len(DEFLATED) + 9}") + DEFLATED + b"<!-- x -->"[:9]
    ),
    "truncated deflate": Fault(head("Content-Encoding: deflate", "Content-Length: 12") + zlib.compress(EVENT)[:12]),
    "an encoding that was not accepted": Fault(head("Content-Encoding: br", "Content-Length: 10") + EVENT),
    "a transfer coding that was not accepted": Fault(
        head("Transfer-Encoding: gzip, chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED)
    ),
    "a deflate body that is not deflate": Fault(head("Content-Encoding: deflate", "Content-Length: 10") + EVENT),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", BROKEN_HEADS)
async def test_broken_head_is_a_connection_error(meet: Meet, fault: str, call: Any) -> None:
    outcome = await meet(BROKEN_HEADS[fault], call)
    assert type(outcome.error) is APIConnectionError
    assert outcome.error.request_sent
    assert outcome.error.__context__ is outcome.error.__cause__ is None  # aiohttp's traceback holds the request
    assert outcome.requests == outcome.error.attempts == (1 if call in POSTS else 2)
    check_message(outcome.error)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", BROKEN_BODIES)
async def test_broken_body_is_a_connection_error_or_an_interruption(meet: Meet, fault: str, call: Any) -> None:
    await check_broken_body(meet, BROKEN_BODIES[fault], call)


@pytest.mark.parametrize("meet", ["aiohttp", "aiohttp, reused"], indirect=True)
@pytest.mark.parametrize("call", CALLS)
async def test_chunks_that_aiohttp_does_not_decode_are_an_error(meet: Meet, call: Any) -> None:
    await check_broken_body(meet, Fault(head("Transfer-Encoding: chunked\t") + b"2\r\n{}\r\n0\r\n\r\n"), call)


async def check_broken_body(meet: Meet, fault: Fault, call: Any) -> None:
    outcome = await meet(fault, call)
    assert type(outcome.error) is (StreamInterruptedError if call in STREAMS else APIConnectionError)
    opened_again = call is stream and outcome.error.events_seen == 0
    assert outcome.requests == outcome.error.attempts == (2 if opened_again or call in READ else 1)
    check_message(outcome.error)


@pytest.mark.parametrize("call", CALLS)
async def test_silence_in_the_headers_ends_the_attempt(meet: Meet, call: Any) -> None:
    outcome = await meet(Fault(b"HTTP/1.1 200 OK\r\nContent-", "stall"), call, timeouts=Timeouts(attempt=60))
    assert type(outcome.error) is APITimeoutError
    assert outcome.requests == outcome.error.attempts == (1 if call in POSTS else 2)
    check_message(outcome.error)


@pytest.mark.parametrize("call", CALLS)
async def test_silence_in_the_body_ends_the_attempt_or_the_stream(meet: Meet, call: Any) -> None:
    fault = Fault(head("Content-Length: 100") + EVENT, "stall", after=len(EVENT))
    outcome = await meet(fault, call, timeouts=Timeouts(attempt=60, idle=60))
    assert type(outcome.error) is (StreamInterruptedError if call in STREAMS else APITimeoutError)
    opened_again = call is stream and outcome.error.events_seen == 0
    assert outcome.requests == outcome.error.attempts == (2 if opened_again or call in READ else 1)
    check_message(outcome.error)


@pytest.mark.parametrize("call", CALLS)
async def test_interim_responses_are_skipped(meet: Meet, call: Any) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    outcome = await meet(Fault(interim + head("Content-Length: 2", status="404 Not Found") + b"{}", "keep"), call)
    assert isinstance(outcome.error, APIStatusError)
    assert outcome.error.status_code == 404


@pytest.mark.skipif(sys.flags.dev_mode, reason="aiohttp's parser is strict in development mode")
@pytest.mark.parametrize("call", STREAMS)
async def test_content_type_that_is_sent_twice_is_one(meet: Meet, call: Any) -> None:
    twice = head("Content-Type: text/event-stream", f"Content-Length: {len(EVENT)}")
    outcome = await meet(Fault(twice + EVENT, "keep"), call)
    assert [event.data for event in outcome.result] == ["{}"]
