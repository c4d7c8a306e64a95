"""The end of a stream: closing from any side, warnings, truncated bodies."""

import asyncio
import gc
import itertools
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    ConfigurationError,
    EventStream,
    Session,
    StreamInterruptedError,
)
from handinger_async.http import Request, Response
from handinger_async.testing.virtual_time import run

from .service import Service, event_stream, read_events, silent, truncated


class Body:
    """A body that never ends and records its closing."""

    def __init__(self) -> None:
        self.closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            for number in itertools.count():
                yield b"data: %d\n\n" % number
                await asyncio.sleep(1)
        finally:
            self.closed = True


async def leave_by_break(events: EventStream) -> None:
    async for _ in events:
        break


async def leave_by_error(events: EventStream) -> None:
    async for _ in events:
        raise LookupError


async def leave_by_timeout(events: EventStream) -> None:
    async with asyncio.timeout(5):
        async for _ in events:
            pass


async def leave_by_cancellation(events: EventStream) -> None:
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().call_later(2.5, task.cancel)
    async for _ in events:
        pass


async def leave_by_double_cancellation(events: EventStream) -> None:
    task = asyncio.current_task()
    assert task
    loop = asyncio.get_running_loop()
    loop.call_later(2.5, task.cancel)
    try:
        async for _ in events:
            pass
    except asyncio.CancelledError:
        loop.call_soon(task.cancel)
        raise


@pytest.mark.parametrize(
    "leave",
    [leave_by_break, leave_by_error, leave_by_timeout, leave_by_cancellation, leave_by_double_cancellation],
)
def test_leaving_the_block_closes_the_body_at_once(leave: Callable[[EventStream], Any]) -> None:
    async def main() -> None:
        body = Body()

        async def use(session: Session) -> None:
            async with session.workers.stream_updates("w") as events:
                await leave(events)

        async with Service(event_stream(body.chunks())).session() as session:
            gc.disable()
            try:
                using = asyncio.ensure_future(use(session))
                await asyncio.wait((using,))
                await asyncio.sleep(0)
                assert using.cancelled() or isinstance(using.exception(), LookupError | TimeoutError | None)
                assert body.closed
            finally:
                gc.enable()

    run(main())


def test_closing_in_another_task_ends_the_iteration() -> None:
    async def main() -> None:
        async with Service(event_stream(silent(b"data: a\n\n"))).session() as session:
            events = session.workers.stream_updates("w")
            reader = asyncio.ensure_future(read_events(events))
            await asyncio.sleep(1)
            assert not reader.done()
            await events.aclose()
            await events.aclose()
            assert await reader == ["a"]

    run(main())


def test_closing_in_another_task_ends_opening_and_resuming() -> None:
    async def never(request: Request) -> Response:
        await asyncio.sleep(1e9)
        raise AssertionError

    async def main() -> None:
        async with Service(never).session() as session:
            events = session.workers.stream_updates("w")
            opening = asyncio.ensure_future(anext(events, None))
            await asyncio.sleep(1)
            await events.aclose()
            assert await opening is None

        service = Service(event_stream(truncated(b"id: 1\nretry: 50000\ndata: a\n\n")))
        async with service.session() as session:
            events = session.workers.stream_updates("w")
            pausing = asyncio.ensure_future(read_events(events))
            await asyncio.sleep(1)
            await events.aclose()
            assert await pausing == ["a"]
            assert asyncio.get_running_loop().time() < 10

    run(main())


def test_stream_that_is_never_closed_warns() -> None:
    async def main() -> None:
        async with Service(event_stream(silent(b"data: a\n\n"))).session() as session:
            events = session.workers.stream_updates("w")
            await anext(events)
            with pytest.warns(ResourceWarning, match="never closed"):
                del events

    run(main())


def test_stream_that_was_never_opened_does_not_warn() -> None:
    async def main() -> None:
        async with Service(event_stream([])).session() as session:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                session.workers.stream_updates("w")
                gc.collect()
            assert not caught

    run(main())


@pytest.mark.parametrize("rest", [b"data: unfinished", b"data: a line\n", b"id: 2\ndata\n"])
def test_end_inside_an_event_with_data_is_an_interruption(rest: bytes) -> None:
    async def main() -> None:
        async with Service(event_stream([b"id: 7\ndata: a\n\n", rest])).session() as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read_events(session.workers.stream_updates("w", resume=False))
            assert (caught.value.last_event_id, caught.value.events_seen) == ("7", 1)

    run(main())


@pytest.mark.parametrize("rest", [b"", b": comment", b"event: x\n", b"id: 9", b"retry: 1\n"])
def test_end_without_unfinished_data_ends_the_stream(rest: bytes) -> None:
    async def main() -> None:
        async with Service(event_stream([b"data: a\n\n", rest])).session() as session:
            assert await read_events(session.workers.stream_updates("w")) == ["a"]

    run(main())


def test_truncated_body_is_an_interruption_with_its_cause() -> None:
    async def main() -> None:
        async with Service(event_stream(truncated(b"data: a\n\n"))).session() as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read_events(session.workers.stream_updates("w"))
            assert isinstance(caught.value.__cause__, APIConnectionError)
            assert (caught.value.last_event_id, caught.value.events_seen) == ("", 1)
            assert "after 1 events: lost" in str(caught.value)

    run(main())


def test_second_reader_of_a_stream_is_refused_and_the_first_goes_on() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            await gate.wait()
            yield b"data: a\n\n"

        service = Service(lambda request: event_stream(chunks()))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            reading = asyncio.ensure_future(anext(events))
            await asyncio.sleep(1)
            for second in (events.__anext__, events.batches().__anext__, events.__aenter__):
                with pytest.raises(ConfigurationError, match="already being read by another task"):
                    await second()
            gate.set()
            assert (await reading).data == "a"
        assert len(service.requests) == 1

    run(main())
