"""Timeouts of a stream, on virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from handinger_async import (
    APITimeoutError,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.testing.virtual_time import run

from .service import Service, event_stream, read_events, silent


def test_ten_hour_stream_with_a_ping_per_minute_stays_open() -> None:
    async def pings() -> AsyncIterator[bytes]:
        for _ in range(600):
            await asyncio.sleep(60)
            yield b": ping\n\n"
        yield b"data: done\n\n"

    async def main() -> None:
        service = Service(event_stream(pings()))
        async with service.session() as session:
            assert await read_events(session.workers.stream_updates("w")) == ["done"]
        assert asyncio.get_running_loop().time() >= 36000
        assert len(service.requests) == 1

    run(main())


def test_silence_is_an_interruption_caused_by_a_timeout() -> None:
    async def main() -> None:
        async with Service(event_stream(silent(b"data: a\n\n"))).session(timeouts=Timeouts(idle=7)) as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read_events(session.workers.stream_updates("w"))
        assert isinstance(caught.value.__cause__, APITimeoutError)
        assert asyncio.get_running_loop().time() == pytest.approx(7)

    run(main())


def test_stream_resumes_after_silence() -> None:
    async def main() -> None:
        service = Service(event_stream(silent(b"id: 1\ndata: a\n\n")), event_stream([b"id: 2\ndata: b\n\n"]))
        async with service.session(timeouts=Timeouts(idle=7)) as session:
            assert await read_events(session.workers.stream_updates("w")) == ["a", "b"]
        assert service.resumed_after == [None, "1"]

    run(main())


def test_timeout_of_the_caller_is_not_translated() -> None:
    async def main() -> None:
        async with Service(event_stream(silent(b"data: a\n\n"))).session() as session:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(3):
                    await read_events(session.workers.stream_updates("w"))
            assert not isinstance(caught.value, APITimeoutError)

    run(main())


@pytest.mark.parametrize("resume", [True, False])
def test_deadline_ends_a_body_that_never_falls_silent(resume: bool) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(1)
            yield b"id: 1\ndata: x\n\n"

    async def main() -> None:
        service = Service(event_stream(trickle()))
        async with service.session(timeouts=Timeouts(deadline=30)) as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read_events(session.workers.stream_updates("w", resume=resume))
        assert isinstance(caught.value.__cause__, APITimeoutError)
        assert asyncio.get_running_loop().time() == pytest.approx(30)
        assert len(service.requests) == 1

    run(main())
