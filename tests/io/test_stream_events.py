"""Streams of events: the events delivered, and responses that are refused."""

import asyncio
import itertools
import traceback
from collections.abc import AsyncIterator
from operator import length_hint

import pytest

from handinger_async import (
    APIResponseValidationError,
    EventTooLargeError,
    HandingerError,
    NotFoundError,
    ServerSentEvent,
)
from handinger_async.errors import ConfigurationError
from handinger_async.http import Response
from handinger_async.operations import StreamWorkerUpdates
from handinger_async.testing.virtual_time import run

from .service import Service, event_stream, read_events


def test_events_have_their_id_and_type() -> None:
    async def main() -> None:
        service = Service(event_stream([b"id: 1\nevent: up", b"date\ndata: a\n\n", b": hello\n\ndata: b\n\n"]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert events.response.status == 200
            assert events.response.headers["content-type"].startswith("text/event-stream")
            assert [event async for event in events] == [
                ServerSentEvent("a", event="update", id="1"),
                ServerSentEvent("b", id="1"),
            ]
            assert events.last_event_id == "1"

    run(main())


def test_batch_holds_the_events_of_one_chunk() -> None:
    async def main() -> None:
        service = Service(event_stream([b"data: a\n\ndata: b\n\nda", b"ta: c\n\n", b": nothing\n\n", b"data: d\n\n"]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert str(await anext(events)) == "a"
            batches = events.batches()
            assert [[str(event) for event in batch] async for batch in batches] == [["b"], ["c"], ["d"]]
            await batches.aclose()

    run(main())


def test_reader_of_batches_keeps_no_event() -> None:
    async def main() -> None:
        service = Service(event_stream([b"data: a\n\ndata: b\n\n", b"data: c\n\n"]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert len(await anext(events.batches())) == 2
            assert events._last is None
            assert not length_hint(events._ready)

    run(main())


@pytest.mark.parametrize("chunk", [b"data: " + b"x" * 100, b"data: a"], ids=["too large", "truncated"])
def test_error_of_a_stream_does_not_keep_its_response(chunk: bytes) -> None:
    async def main() -> None:
        service = Service(event_stream([chunk]))
        async with service.session(max_event_size=50) as session:
            with pytest.raises(HandingerError) as caught:
                await read_events(session.stream(StreamWorkerUpdates("w"), resume=False))
        error: BaseException | None = caught.value
        while error is not None:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                assert not [name for name, value in frame.f_locals.items() if hasattr(value, "read_chunk")]
            error = error.__cause__

    run(main())


def test_iteration_opens_and_closes_the_stream() -> None:
    async def main() -> None:
        service = Service(event_stream([b"data: a\n\n"]))
        async with service.session() as session:
            stream = session.workers.stream_updates("w")
            with pytest.raises(ConfigurationError):
                _ = stream.response
            assert not service.requests
            assert [str(event) async for event in stream] == ["a"]
            assert "closed" in repr(stream)

    run(main())


def test_204_is_an_empty_stream() -> None:
    async def main() -> None:
        async with Service(Response(204)).session() as session:
            assert await read_events(session.workers.stream_updates("w")) == []

    run(main())


def test_error_status_raises_the_same_exception_as_other_requests() -> None:
    async def main() -> None:
        service = Service(Response(404, {"X-Request-Id": "r"}, b'{"error": {"message": "no such worker"}}'))
        async with service.session() as session:
            with pytest.raises(NotFoundError, match="no such worker") as caught:
                await read_events(session.workers.stream_updates("w"))
            assert caught.value.request_id == "r"

    run(main())


@pytest.mark.parametrize("content_type", ["text/html", "application/json", ""])
def test_200_of_another_content_type_is_refused(content_type: str) -> None:
    async def main() -> None:
        async with Service(Response(200, {"Content-Type": content_type}, b"<html>")).session() as session:
            with pytest.raises(APIResponseValidationError, match="event-stream"):
                await read_events(session.workers.stream_updates("w"))

    run(main())


def test_event_over_the_size_limit_raises_event_too_large_error() -> None:
    async def main() -> None:
        endless = itertools.chain([b"data: "], itertools.repeat(b"x" * 2**20))
        async with Service(event_stream(endless)).session() as session:
            with pytest.raises(EventTooLargeError):
                await read_events(session.workers.stream_updates("w"))

    run(main())


def test_cancelled_reader_can_continue() -> None:
    async def slow() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(10)
            yield b"data: %d\n\n" % number

    async def main() -> None:
        got = []
        async with Service(event_stream(slow())).session() as session, session.workers.stream_updates("w") as events:
            while len(got) < 3:
                try:
                    async with asyncio.timeout(3):
                        got.append(str(await anext(events)))
                except TimeoutError:
                    continue
        assert got == ["0", "1", "2"]

    run(main())
