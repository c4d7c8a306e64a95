"""Recordings are replayed chunk by chunk, and mismatches list the differences."""

import asyncio
import json
import os

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    NotFoundError,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.codec import decode_request
from handinger_async.http import Request, Response
from handinger_async.operations import CreateTask
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Cut, FaultyHandler, Refuse
from handinger_async.testing.recording import RecordingTransport, ReplayMismatchError, ReplayTransport
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

from .recordings import KEY, record, replay


async def converse(session):
    """Use every kind of response, and return all results."""
    seen = []
    worker = await session.workers.create(input="What's the “weather”?")
    async with session.workers.stream_updates(worker.id) as events:
        seen += [event async for event in events]
    seen.append(await session.workers.retrieve(worker.id))
    seen.append(await session.workers.retrieve_email(worker.id))
    seen.append(await session.workers.retrieve_file("data.bin", worker_id=worker.id).read())
    with pytest.raises(NotFoundError) as failure:
        await session.workers.retrieve("nobody")
    seen.append((str(failure.value), failure.value.request_id))
    return seen


def publishing():
    fake = FakeHandinger()
    fake.script("It rains.", match=lambda _: True)

    def handler(request):
        response = fake(request)
        for worker_id in fake.workers:
            fake.publish(worker_id, "data.bin", b"\x00\xff" * 10)
        return response

    return handler


def test_a_recording_replays_the_same_results(path):
    assert run(record(path, publishing(), converse)) == run(replay(path, converse))


def test_the_file_is_readable_and_holds_no_key(path):
    run(record(path, publishing(), converse))
    text = path.read_text("utf-8")
    assert KEY not in text
    assert "What's the “weather”?" in text
    first = json.loads(text)["exchanges"][0]
    assert first["request"]["method"] == "POST"
    assert first["request"]["headers"]["Authorization"] == "***"
    assert first["request"]["body"] == {"json": {"input": "What's the “weather”?"}}
    assert first["response"]["status"] == 200
    assert first["response"]["end"] == "complete"


@given(chunks=st.lists(st.binary(min_size=1), max_size=6))
def test_the_chunks_of_a_body_are_kept(tmp_path_factory, chunks):
    path = tmp_path_factory.mktemp("recordings") / "recording.json"

    async def read(transport):
        response = await transport.open(None, Request("GET", "/"), connect_timeout=None)
        received = []
        while chunk := await response.read_chunk():
            received.append(chunk)
        await response.aclose()
        await transport.aclose()
        return received

    handler = lambda _: StreamingResponse(200, {}, iter(chunks))  # noqa: E731
    assert run(read(RecordingTransport(MemoryTransport(handler), path))) == chunks
    assert run(read(ReplayTransport(path))) == chunks


def test_failures_are_replayed(path):
    async def talk(session):
        seen = []
        for _ in range(2):
            with pytest.raises(APIConnectionError) as failure:
                await session.workers.create(input="x")
            seen.append((str(failure.value), failure.value.request_sent))
        return seen

    handler = FaultyHandler(FakeHandinger(), Refuse(), Cut(10))
    recorded = run(record(path, handler, talk))
    assert recorded == run(replay(path, talk))
    assert [sent for _, sent in recorded] == [False, True]


def test_a_timeout_of_the_transport_is_replayed_as_one(path):
    def handler(_):
        raise APITimeoutError("too slow", request_sent=False)

    async def talk(session):
        with pytest.raises(APITimeoutError, match="too slow"):
            await session.workers.retrieve("w")

    run(record(path, handler, talk))
    run(replay(path, talk))


def now():
    return asyncio.get_running_loop().time()


def test_an_attempt_without_a_response_is_replayed_as_one(path):
    async def talk(session):
        session = session.with_options(timeouts=Timeouts(attempt=5), retry=RetryPolicy(max_retries=1, initial_delay=0))
        worker = await session.workers.retrieve("w")
        assert now() == pytest.approx(5, abs=0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await session.with_options(timeouts=Timeouts(attempt=None)).workers.retrieve("w")
        assert now() == pytest.approx(105, abs=0.1)
        return worker

    fake = FakeHandinger()
    fake.script()

    async def handler(request):
        requests.append(request)
        if len(requests) != 2:
            await asyncio.sleep(3600)
        created = Request("POST", "/api/workers", request.headers, b'{"input":"x"}')
        return attrs.evolve(fake(created), status=200)

    requests = []
    assert run(record(path, handler, talk)) == run(replay(path, talk))
    assert len(requests) == 3


async def silence():
    yield b"id: 1\ndata: 1\n\n"
    await asyncio.sleep(3600)


def silent(_):
    return StreamingResponse(200, {"Content-Type": "text/event-stream"}, silence())


def test_silence_in_a_stream_is_replayed_as_silence(path):
    async def talk(session):
        session = session.with_options(timeouts=Timeouts(idle=7))
        async with session.workers.stream_updates("w", resume=False) as events:
            first = await anext(events)
            with pytest.raises(StreamInterruptedError):
                await anext(events)
        return first, now()

    recorded = run(record(path, silent, talk))
    assert recorded == run(replay(path, talk))
    assert recorded[1] == pytest.approx(7)


@pytest.mark.parametrize("reading", [True, False])
def test_a_stream_open_at_the_end_keeps_what_was_read(path, reading):
    async def talk(transport):
        response = await transport.open(None, Request("GET", "/"), connect_timeout=None)
        chunks = [await response.read_chunk()]
        reader = asyncio.create_task(response.read_chunk()) if reading else None
        opening = asyncio.create_task(transport.open(None, Request("GET", "/slow"), connect_timeout=None))
        await asyncio.sleep(5)
        await transport.aclose()
        failures = await asyncio.gather(*filter(None, [reader, opening]), return_exceptions=True)
        return chunks, [type(failure) for failure in failures], now()

    async def handler(request):
        if request.target == "/slow":
            await asyncio.sleep(3600)
        return silent(request)

    recorded = run(talk(RecordingTransport(MemoryTransport(handler), path)))
    assert recorded == run(talk(ReplayTransport(path)))
    assert recorded == ([b"id: 1\ndata: 1\n\n"], [APIConnectionError] * (1 + reading), 5)


def test_a_close_that_fails_writes_the_file(path):
    class Failing(MemoryTransport):
        async def aclose(self):
            raise ZeroDivisionError

    async def talk():
        transport = RecordingTransport(Failing(lambda _: Response(204)), path)
        await (await transport.open(None, Request("GET", "/"), connect_timeout=None)).read_chunk()
        with pytest.raises(ZeroDivisionError):
            await transport.aclose()

    run(talk())
    assert json.loads(path.read_bytes())["exchanges"][0]["response"]["end"] == "complete"


class OddError(Exception):
    pass


@pytest.mark.parametrize(
    ("raised", "replayed"),
    [
        (ConfigurationError("a mistake"), ConfigurationError),
        (ValueError("a mistake"), ValueError),
        (KeyError("a mistake"), KeyError),
        (UnicodeDecodeError("utf-8", b"", 0, 0, "a mistake"), RuntimeError),
        (OddError("a mistake"), RuntimeError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_another_error_of_the_transport_is_replayed_as_itself(path, raised, replayed):
    async def talk(transport, error):
        seen = []
        for target in ("/open", "/read"):
            with pytest.raises(error) as failure:
                await (await transport.open(None, Request("GET", target), connect_timeout=None)).read_chunk()
            seen.append((type(failure.value), failure.value.args))
        await transport.aclose()
        return seen

    async def failing():
        raise raised
        yield

    def handler(request):
        if request.target == "/open":
            raise raised
        return failing()

    recorded = run(talk(RecordingTransport(MemoryTransport(handler), path), type(raised)))
    seen = run(talk(ReplayTransport(path), replayed))
    if replayed is type(raised):
        assert seen == recorded
    assert type(raised).__name__ in path.read_text()


@pytest.mark.parametrize(
    ("headers", "body"),
    [({}, b'{"a":"\\ud800"}'), ({"A": "\udce9"}, b"\xff"), ({}, b"[" * 1000 + b"]" * 1000), ({}, b"\xef\xbb\xbf{}")],
    ids=["half a character", "bytes", "nested", "byte order mark"],
)
def test_unusual_text_is_replayed_unchanged(path, headers, body):
    async def talk(transport):
        response = await transport.open(None, Request("GET", "/"), connect_timeout=None)
        received = response.headers, await response.read_chunk(), await response.read_chunk()
        await transport.aclose()
        return received

    handler = lambda _: Response(200, headers, body)  # noqa: E731
    assert run(talk(RecordingTransport(MemoryTransport(handler), path))) == run(talk(ReplayTransport(path)))


def test_a_stream_closed_early_is_replayed_up_to_that_event(path):
    async def leave_after(count, session):
        async with session.workers.create(input="x", stream=True) as events:
            return [(await anext(events)).id for _ in range(count)]

    run(record(path, FakeHandinger(), lambda session: leave_after(2, session)))
    assert run(replay(path, lambda session: leave_after(2, session))) == ["1", "2"]
    with pytest.raises(ReplayMismatchError, match="further"):
        run(replay(path, lambda session: leave_after(3, session)))


def test_equal_requests_get_their_responses_in_order(path):
    async def talk(session):
        worker = await session.workers.create(input="x")
        seen = []
        for _ in range(4):
            seen.append((await session.workers.retrieve(worker.id)).status)
            await asyncio.sleep(0.5)
        return seen

    recorded = run(record(path, FakeHandinger(), talk))
    assert recorded[0] == "pending"
    assert recorded[-1] == "completed"
    assert run(replay(path, talk)) == recorded


def test_a_mismatch_lists_the_differences_and_is_not_retried(path):
    async def ask(text, session):
        await session.with_options(retry=RetryPolicy(max_retries=5)).workers.create(input=text, budget="low")

    run(record(path, FakeHandinger(), lambda session: ask("the sun", session)))
    with pytest.raises(ReplayMismatchError) as failure:
        run(replay(path, lambda session: ask("the moon", session)))
    message = str(failure.value)
    assert "POST /api/workers" in message
    assert "body.json.input: recorded 'the sun', sent 'the moon'" in message
    assert "budget" not in message

    async def twice(session):
        for _ in range(2):
            await ask("the sun", session)

    with pytest.raises(ReplayMismatchError, match="all its exchanges are used"):
        run(replay(path, twice))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "DELETE"}, "method: recorded 'GET', sent 'DELETE'"),
        ({"target": "/b"}, "target: recorded '/a', sent '/b'"),
        ({"headers": {"Accept": "b/b"}}, "header accept: recorded 'a/a', sent 'b/b'"),
        ({"headers": {"Accept": "a/a", "Last-Event-ID": "7"}}, "header last-event-id: recorded None, sent '7'"),
        ({"body": b"b"}, "body: recorded '', sent 'b'"),
        ({"headers": {"Accept": "a/a", "User-Agent": "other"}}, None),
    ],
)
def test_each_relevant_part_of_a_request_is_compared(path, change, message):
    async def send(transport, request):
        response = await transport.open(None, request, connect_timeout=None)
        await response.aclose()
        await transport.aclose()

    as_recorded = {"method": "GET", "target": "/a", "headers": {"Accept": "a/a"}, "body": b""}
    run(send(RecordingTransport(MemoryTransport(lambda _: Response(200)), path), Request(**as_recorded)))
    if message is None:
        run(send(ReplayTransport(path), Request(**as_recorded | change)))
    else:
        with pytest.raises(ReplayMismatchError, match=message.replace("(", r"\(")):
            run(send(ReplayTransport(path), Request(**as_recorded | change)))


def test_a_file_that_is_not_a_recording_is_refused(path):
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match="not a recording"):
        ReplayTransport(path)
    path.write_text("no JSON")
    with pytest.raises(ConfigurationError, match="not a recording"):
        ReplayTransport(path)
    with pytest.raises(ConfigurationError, match="collection"):
        RecordingTransport(MemoryTransport(FakeHandinger()), path, scrub="input")


# Files ################################################################################################################


def upload(*files, text="Look: sk-very-secret"):
    async def talk(session):
        request = await session.request("GET", "/api/before")
        worker = await session.send(CreateTask(text, "w", files=files))
        return request.status, worker.output_text

    return talk


def answering(seen):
    async def handler(request):
        if request.method == "GET":
            return Response(200)
        seen.append(decode_request(request))
        return Response(200, {"Content-Type": "application/json"}, MINIMAL)

    return handler


MINIMAL = (
    b'{"id":"w","created_at":0,"error":null,"files":[],"incomplete_details":null,"messages":[],"metadata":{},'
    b'"object":"worker","output":[],"output_text":"Done.","running":false,"sources":[],"status":"completed"}'
)


def test_requests_with_files_are_recorded_by_hash_and_replayed(path, tmp_path):
    file = tmp_path / "data.bin"
    file.write_bytes(b"\x00" * 10**6)
    seen = []
    talk = upload(file, ("sk-very-secret.txt", b"one"))
    assert run(record(path, answering(seen), talk)) == (200, "Done.")
    assert [len(each.read()) for each in seen[0].files] == [10**6, 3]
    text = path.read_text("utf-8")
    assert KEY not in text
    assert len(text) < 4000
    request = json.loads(text)["exchanges"][1]["request"]
    assert request["headers"]["Content-Type"] == "multipart/form-data"
    assert request["body"]["form"] == {
        "input": "Look: ***",
        "workerId": "w",
        "part 3": {
            "name": "files[]",
            "filename": "data.bin",
            "type": "application/octet-stream",
            "size": 10**6,
            "sha256": "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025",
        },
        "part 4": {
            "name": "files[]",
            "filename": "***.txt",
            "type": "text/plain",
            "size": 3,
            "sha256": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        },
    }
    assert run(replay(path, upload(file, ("***.txt", b"one"), text="Look: ***"))) == (200, "Done.")


def test_another_file_is_a_mismatch_that_names_the_difference(path):
    run(record(path, answering([]), upload(("a.txt", b"one"))))
    with pytest.raises(ReplayMismatchError) as mismatch:
        run(replay(path, upload(("a.txt", b"two"), text="Look: ***")))
    *_, line = str(mismatch.value).splitlines()
    assert line.startswith("  body.form.part 3.sha256: recorded '7692")


def test_a_pipe_is_recorded_without_reading_it_twice(path):
    seen = []
    reading, writing = os.pipe()
    os.write(writing, b"data")
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        run(record(path, answering(seen), upload(("log", file))))
    assert seen[0].files[0].read() == b"data"
    assert run(replay(path, upload(("log", b"any"), text="Look: ***"))) == (200, "Done.")


def test_named_fields_of_a_form_are_masked(path):
    run(record(path, answering([]), upload(("a", b"")), scrub=["work-er_ID"]))
    assert json.loads(path.read_text("utf-8"))["exchanges"][1]["request"]["body"]["form"]["workerId"] == "***"
