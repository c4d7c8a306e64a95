"""Resuming after an interruption: no event is lost or delivered twice."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    EventStream,
    EventTooLargeError,
    RetryPolicy,
    Session,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.http import Request, Response
from handinger_async.testing.virtual_time import VirtualTimeLoop, run
from handinger_async.transports.memory import HandlerResult

from .service import Service, event_stream, read_events, truncated

SCRIPT = [
    b"retry: 10\n\n",
    b"id: 1\ndata: one\n\n",
    b": ping\n\n",
    b"id: 2\nevent: step\ndata: two\ndata: lines\n\n",
    b"data: no id of its own\n\n",
    b"data: nor has this\n\n",
    b"id: 3\n\n",
    b"id: 4\ndata: \xc3\xa9\r\n\r\n",
    b"id: 5\rdata: five\r\r",
]
WHOLE = ["one", "two\nlines", "no id of its own", "nor has this", "é", "five"]


def blocks_after(last_event_id: str | None) -> list[bytes]:
    """Return the rest of the script, as a server sends it that honours Last-Event-ID."""
    if last_event_id is None:
        return SCRIPT
    at = next(i for i, block in enumerate(SCRIPT) if block.startswith(b"id: " + last_event_id.encode()))
    return SCRIPT[at + 1 :]


def honours(request: Request) -> bytes:
    return b"".join(blocks_after(request.headers.get("last-event-id")))


def replays_all(request: Request) -> bytes:
    return b"".join(SCRIPT)


def replays_some(request: Request) -> bytes:
    """Return the last blocks, which are all that this server keeps."""
    return b"".join(SCRIPT if request.headers.get("last-event-id") in (None, "1") else SCRIPT[3:])


@pytest.mark.parametrize("body_for", [honours, replays_all, replays_some])
@pytest.mark.parametrize("drops", [1, 2])
def test_drop_at_any_byte_loses_and_repeats_no_event(body_for: Callable[[Request], bytes], drops: int) -> None:
    total = len(b"".join(SCRIPT))

    async def main(*at: int) -> None:
        cuts = iter(at)

        def respond(request: Request) -> HandlerResult:
            body = body_for(request)
            place = next(cuts, None)
            return event_stream([body] if place is None or place >= len(body) else truncated(body[:place]))

        service = Service(respond)
        async with service.session() as session:
            assert await read_events(session.workers.stream_updates("w")) == WHOLE, at

    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:  # debug mode takes ten times as long
        for first in range(0, total, 2 * drops - 1):
            for second in [()] if drops == 1 else [(n,) for n in range(0, total, 19)]:
                runner.run(main(first, *second))


def test_delay_is_that_of_the_server_or_else_of_the_policy() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 1\nretry: 4200\ndata: a\n\n")), event_stream([]))
        async with service.session() as session:
            assert await read_events(session.workers.stream_updates("w")) == ["a"]
        assert service.times[1] - service.times[0] == pytest.approx(4.2)

        service = Service(event_stream(truncated(b"id: 1\ndata: a\n\n")), event_stream([]))
        async with service.session(retry=RetryPolicy(initial_delay=3)) as session:
            assert await read_events(session.workers.stream_updates("w")) == ["a"]
        assert 2.25 <= service.times[1] - service.times[0] <= 3

    run(main())


def test_delay_over_the_maximum_of_the_policy_is_final() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 1\nretry: 86400000\ndata: a\n\n")))
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError):
                await read_events(session.workers.stream_updates("w"))
        assert asyncio.get_running_loop().time() == 0

    run(main())


@pytest.mark.parametrize(
    "failure",
    [
        lambda request: event_stream(truncated()),
        APIConnectionError("refused", request_sent=False),
        Response(503),
        Response(429, {"Retry-After": "1"}),
        lambda request: event_stream(truncated(b": ping\n\n")),
        lambda request: event_stream(truncated(b"id: 1\ndata: a\n\n")),
        lambda request: event_stream(truncated(b"data: news without an id\n\n")),
    ],
)
def test_reconnections_without_a_new_event_id_are_limited(failure: Any) -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 1\ndata: a\n\n")), failure)
        async with service.session(retry=RetryPolicy(max_retries=3)) as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read_events(session.workers.stream_updates("w"))
        assert len(service.requests) == 4
        assert caught.value.last_event_id == "1"

    run(main())


def test_new_event_id_resets_the_reconnect_counter() -> None:
    async def main() -> None:
        numbers = itertools.count(1)
        service = Service(lambda request: event_stream(truncated(b"id: %d\ndata: x\n\n" % next(numbers))))
        session = service.session(retry=RetryPolicy(max_retries=1))
        async with session, session.workers.stream_updates("w") as events:
            for _ in range(50):
                await anext(events)
        assert len(service.requests) == 50

    run(main())


@pytest.mark.parametrize(
    "response", [Response(404), Response(401), Response(200, {"Content-Type": "text/html"}, b"<html>")]
)
def test_permanent_failure_ends_the_reconnections(response: Response) -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 1\ndata: a\n\n")), response)
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read_events(session.workers.stream_updates("w"))
        assert len(service.requests) == 2
        assert caught.value.__cause__ is not None
        assert caught.value.__cause__.response.status == response.status  # type: ignore[attr-defined]

    run(main())


def test_204_on_reconnection_ends_the_stream() -> None:
    async def main() -> None:
        async with Service(event_stream(truncated(b"id: 1\ndata: a\n\n")), Response(204)).session() as session:
            assert await read_events(session.workers.stream_updates("w")) == ["a"]

    run(main())


def test_deadline_ends_the_reconnections() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 1\nretry: 10000\ndata: a\n\n")), APIConnectionError("down"))
        async with service.session(timeouts=Timeouts(deadline=25), retry=RetryPolicy(max_retries=99)) as session:
            with pytest.raises(StreamInterruptedError):
                await read_events(session.workers.stream_updates("w"))
        assert asyncio.get_running_loop().time() <= 25
        assert len(service.requests) == 3

    run(main())


def streams_that_are_not_resumed(session: Session) -> Iterable[EventStream]:
    yield session.workers.create(input="x", stream=True)
    yield session.workers.continue_("w", input="x", stream=True)
    yield session.workers.stream_updates("w", resume=False)
    yield session.stream(session_operation(), resume=False)


def session_operation() -> Any:
    from handinger_async.operations import RetrieveWorker

    return RetrieveWorker("w")


def test_posts_and_streams_with_resume_false_are_not_resumed() -> None:
    async def main() -> None:
        service = Service(lambda request: event_stream(truncated(b"id: 1\ndata: a\n\n")))
        async with service.session() as session:
            for count, stream in enumerate(streams_that_are_not_resumed(session), 1):
                with pytest.raises(StreamInterruptedError):
                    await read_events(stream)
                assert len(service.requests) == count

    run(main())


def test_empty_event_id_disables_resuming() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 1\ndata: a\n\nid\ndata: b\n\n")))
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError):
                await read_events(session.workers.stream_updates("w"))
        assert len(service.requests) == 1

    run(main())


def test_replay_that_ends_too_early_is_an_interruption() -> None:
    async def main() -> None:
        service = Service(
            event_stream(truncated(b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n")),
            lambda request: event_stream([b"id: 1\ndata: a\n\n"]),
        )
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read_events(session.workers.stream_updates("w"))
        assert isinstance(caught.value.__cause__, APIConnectionError)
        assert caught.value.events_seen == 3

    run(main())


def test_long_stream_is_resumed_in_bounded_memory() -> None:
    """Also if the server replays far more events than may be held back."""

    def block(start: int) -> bytes:
        return b"".join(b"id: %d\ndata: %d\n\n" % (number, number) for number in range(start, start + 10))

    async def main() -> None:
        whole = [block(start) for start in range(0, 5000, 10)]
        service = Service(event_stream(truncated(*whole[:400])), event_stream(whole))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            got = [int(event.data) async for event in events]
            history = events._events._history
        assert got == list(range(5000))
        assert history is not None
        assert len(history._held) <= 1024

    run(main())


def test_reader_cancelled_before_a_reconnection_resumes_on_the_next_read() -> None:
    async def main() -> None:
        service = Service(
            event_stream(truncated(b"id: 1\nretry: 10000\ndata: a\n\n")), event_stream([b"id: 2\ndata: b\n\n"])
        )
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert str(await anext(events)) == "a"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await anext(events)
            assert str(await anext(events)) == "b"
        assert service.resumed_after == [None, "1"]

    run(main())


def test_event_without_an_id_is_never_dropped_as_a_replay() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 1\n\n")), event_stream([b"id\ndata: a\n\ndata: b\n\n"]))
        async with service.session() as session:
            assert await read_events(session.workers.stream_updates("w")) == ["a", "b"]
        assert service.resumed_after == [None, "1"]

    run(main())


def test_event_that_was_too_large_is_the_error_despite_an_interruption() -> None:
    async def main() -> None:
        large = b"id: 1\ndata: a\n\ndata: " + b"x" * 2**25
        service = Service(event_stream(truncated(large)), event_stream([b"id: 2\ndata: b\n\n"]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert (await anext(events)).data == "a"
            with pytest.raises(EventTooLargeError):
                await anext(events)

    run(main())


def test_stream_that_was_given_up_has_ended() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"data: no id\n\n")))
        async with service.session() as session:
            events = session.workers.stream_updates("w")
            with pytest.raises(StreamInterruptedError):
                await read_events(events)
            for again in (events, events.batches(), events):
                with pytest.raises(StopAsyncIteration):
                    await anext(again)
        assert len(service.requests) == 1

    run(main())


def test_reader_cancelled_in_the_delay_before_a_reconnection_uses_up_no_attempt() -> None:
    async def main() -> None:
        service = Service(
            event_stream(truncated(b"id: 1\nretry: 10000\ndata: a\n\n")), event_stream([b"id: 2\ndata: b\n\n"])
        )
        async with service.session() as session:
            events = session.workers.stream_updates("w")
            assert (await anext(events)).data == "a"
            for _ in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(events), 1)
            assert (await anext(events)).data == "b"
            await events.aclose()
        assert len(service.requests) == 2

    run(main())


def test_stream_closed_in_the_delay_before_a_reconnection_sends_nothing() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 1\nretry: 10000\ndata: a\n\n")), event_stream([]))
        async with service.session() as session:
            events = session.workers.stream_updates("w")
            assert (await anext(events)).data == "a"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 1)
            await events.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(events)
        assert len(service.requests) == 1

    run(main())
