"""The readers of a stream: cancelled ones that come again, second ones, and those of a stream that has ended."""

import asyncio
import sys
from collections.abc import AsyncIterator
from types import CoroutineType
from typing import Any

import pytest

from handinger_async import (
    APIError,
    APITimeoutError,
    ConfigurationError,
    EventStream,
    InternalServerError,
    Session,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.http import Response
from handinger_async.testing.virtual_time import VirtualTimeLoop, run
from handinger_async.transports.memory import MemoryTransport

from .service import Service, event_stream, now, read_events, silent, truncated


def create(session: Session) -> EventStream:
    return session.workers.create(input="x", stream=True)


async def cancelled_read(events: EventStream, *, after: float = 1) -> None:
    """Read, and be cancelled by the timeout."""
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(after):
            await anext(events)
    assert not isinstance(caught.value, APITimeoutError)


def test_only_one_coroutine_waits_between_a_reader_and_the_transport() -> None:
    """Each takes 220 to 250 bytes of each open stream, and each chunk passes them all."""

    async def main() -> None:
        session = Service(event_stream(silent())).session()
        async with session, session.workers.stream_updates("w") as events:
            reader = asyncio.ensure_future(anext(events))
            await asyncio.sleep(1)
            names, waiting = [], reader.get_coro()
            while isinstance(waiting, CoroutineType):
                names.append(waiting.__name__)
                waiting = waiting.cr_await
            assert names[:2] == ["__anext__", "read_chunk"]
            reader.cancel()

    run(main())


# Cancelled readers ####################################################################################################


def test_post_whose_opening_was_cancelled_is_interrupted_and_not_sent_again() -> None:
    async def main() -> None:
        service = Service(5, event_stream([b"data: a\n\n"]))
        async with service.session() as session:
            events = create(session)
            await cancelled_read(events)
            assert "interrupted" in repr(events)
            with pytest.raises(StreamInterruptedError, match="must not be sent twice") as caught:
                await anext(events)
            assert (caught.value.request_sent, caught.value.events_seen, caught.value.attempts) == (True, 0, 1)
            with pytest.raises(StopAsyncIteration):
                await anext(events)
        assert len(service.requests) == 1

    run(main())


def test_post_whose_block_was_cancelled_at_its_beginning_is_interrupted() -> None:
    async def main() -> None:
        service = Service(5, event_stream([b"data: a\n\n"]))
        async with service.session() as session:
            events = create(session)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(events.__aenter__(), 1)
            for _ in range(2):
                assert await events.__aenter__() is events
            with pytest.raises(StreamInterruptedError):
                await anext(events)
        assert len(service.requests) == 1

    run(main())


@pytest.mark.parametrize("failure", [Response(500), RuntimeError("a bug")])
def test_post_that_failed_is_not_sent_again(failure: Any) -> None:
    async def main() -> None:
        service = Service(failure)
        async with service.session() as session:
            events = create(session)
            with pytest.raises((InternalServerError, RuntimeError)):
                await events.__aenter__()
            with pytest.raises(StopAsyncIteration):
                await anext(events)
        assert len(service.requests) == 1

    run(main())


@pytest.mark.parametrize("method", ["GET", "POST with a key"])
def test_request_that_can_be_repeated_is_opened_again_after_a_cancellation(method: str) -> None:
    async def main() -> None:
        service = Service(5, event_stream([b"data: a\n\n"]))
        async with service.session() as session:
            keyed = session.with_options(idempotency_key="k")
            events = session.workers.stream_updates("w") if method == "GET" else create(keyed)
            await cancelled_read(events)
            assert "not open" in repr(events)
            assert await read_events(events) == ["a"]
        assert len({request.headers.get("idempotency-key") for request in service.requests}) == 1
        assert len(service.requests) == 2

    run(main())


def test_opening_again_has_all_retries() -> None:
    async def main() -> None:
        service = Service(5, 5, 5, Response(503))
        async with service.session() as session:
            events = session.workers.stream_updates("w")
            for _ in range(3):
                await cancelled_read(events)
            with pytest.raises(InternalServerError):
                await anext(events)
        assert len(service.requests) == 3 + 3

    run(main())


def test_opening_again_keeps_the_deadline() -> None:
    async def main() -> None:
        service = Service(1e9)
        async with service.session(timeouts=Timeouts(deadline=20)) as session:
            events = session.workers.stream_updates("w")
            for _ in range(3):
                await cancelled_read(events, after=5)
            with pytest.raises(APITimeoutError):
                await anext(events)
            assert now() == 20

    run(main())


def test_reader_that_keeps_being_cancelled_reconnects_when_the_delay_is_over() -> None:
    async def main() -> None:
        service = Service(
            event_stream(truncated(b"id: 1\nretry: 10000\ndata: a\n\n")), event_stream([b"id: 2\ndata: b\n\n"])
        )
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert (await anext(events)).data == "a"
            for _ in range(9):
                await cancelled_read(events)
            assert (await asyncio.wait_for(anext(events), 1.5)).data == "b"
        assert service.times == [0, 10]

    run(main())


# Second readers #######################################################################################################


def test_second_reader_is_refused_whatever_the_first_waits_for() -> None:
    async def refused(events: EventStream) -> None:
        for second in (anext(events), anext(events.batches())):
            with pytest.raises(ConfigurationError, match="already being read by another task"):
                await second

    async def main() -> None:
        service = Service(
            5, event_stream(truncated(b"id: 1\nretry: 5000\ndata: a\n\n")), 5, event_stream(silent(b"data: b\n\n"))
        )
        async with service.session() as session:
            events = session.workers.stream_updates("w")
            reading = asyncio.ensure_future(read_events(events))
            for seconds in (1, 6, 5, 5):  # opening, in the delay, reconnecting, waiting for a chunk
                await asyncio.sleep(seconds)
                await refused(events)
            await events.aclose()
            assert await reading == ["a", "b"]
        assert len(service.requests) == 2

    run(main())


@pytest.mark.parametrize("post", [False, True])
def test_second_block_is_refused_while_the_first_is_opening(post: bool) -> None:
    async def main() -> None:
        service = Service(5, event_stream([b"data: a\n\n"]))
        async with service.session() as session:
            events = create(session) if post else session.workers.stream_updates("w")
            reading = asyncio.ensure_future(read_events(events))
            await asyncio.sleep(1)
            with pytest.raises(ConfigurationError, match="already being read by another task"):
                await events.__aenter__()
            assert await reading == ["a"]
        assert len(service.requests) == 1

    run(main())


# Readers of a stream that has ended ###################################################################################


async def complete(events: EventStream) -> None:
    assert await read_events(events) == ["a"]


async def iterated(events: EventStream) -> None:
    assert [str(event) async for event in events] == ["a"]


async def closed_unread(events: EventStream) -> None:
    await events.aclose()


async def closed_in_the_middle(events: EventStream) -> None:
    await anext(events)
    await events.aclose()


async def left_in_the_middle(events: EventStream) -> None:
    async with events:
        await anext(events)


@pytest.mark.parametrize("end", [complete, iterated, closed_unread, closed_in_the_middle, left_in_the_middle])
def test_iterating_a_stream_that_has_ended_is_an_error(end: Any) -> None:
    async def main() -> None:
        service = Service(event_stream([b"data: a\n\n"]))
        async with service.session() as session:
            events = session.workers.stream_updates("w")
            await end(events)
            for again in (events, events.batches()):
                with pytest.raises(ConfigurationError, match="has ended or was closed"):
                    async for _ in again:
                        pass
                with pytest.raises(StopAsyncIteration):
                    await anext(again)
        assert len(service.requests) <= 1

    run(main())


def test_iterating_a_stream_that_failed_is_an_error() -> None:
    async def main() -> None:
        async with Service(Response(404)).session() as session:
            events = session.workers.stream_updates("w")
            with pytest.raises(APIError):
                await read_events(events)
            with pytest.raises(ConfigurationError, match="has ended or was closed"):
                await read_events(events)

    run(main())


@pytest.mark.parametrize("batches", [False, True])
def test_reader_that_is_busy_with_an_event_sees_the_end_when_the_stream_is_closed(batches: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b"data: a\n\ndata: b\n\n"

    async def main() -> None:
        async with Service(event_stream(chunks())).session() as session:
            events = session.workers.stream_updates("w")
            got: list[Any] = []

            async def read() -> None:
                async for event in events.batches() if batches else events:
                    got.append(event)
                    await asyncio.sleep(10)

            reading = asyncio.ensure_future(read())
            await asyncio.sleep(5)
            await events.aclose()
            await reading
        assert len(got) == 1

    run(main())


def test_stream_closed_while_its_block_is_opening_ends_without_an_error() -> None:
    async def main() -> None:
        async with Service(1e9).session() as session:
            events = session.workers.stream_updates("w")
            reading = asyncio.ensure_future(read_events(events))
            await asyncio.sleep(1)
            await events.aclose()
            assert await reading == []

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks")
@pytest.mark.parametrize("resumed", [False, True])
def test_stream_closed_by_an_eager_task_of_the_observer_cancels_nothing_else(resumed: bool) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        closing: list[asyncio.Task[None]] = []
        service = Service(event_stream(truncated(b"id: 1\ndata: a\n\n")), event_stream([b"id: 2\ndata: b\n\n"]))

        def observe(attempt: Any) -> None:
            if len(service.requests) == 1 + resumed:
                closing.append(asyncio.create_task(events.aclose()))

        async with Session(api_key="key", transport=MemoryTransport(service), observe=observe) as session:
            events = session.workers.stream_updates("w")
            assert await read_events(events) == ["a"] * resumed
            await asyncio.sleep(1)
            await closing[0]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
