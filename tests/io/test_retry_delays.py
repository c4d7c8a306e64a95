"""Delays before retries, on virtual time."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    ConfigurationError,
    InternalServerError,
    RateLimitError,
    RetryPolicy,
    Session,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.http import Request, Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .service import SSE, Service, now, ok, silent, truncated

Call = Callable[[Session], Any]


def get(session: Session) -> Any:
    return session.workers.retrieve("w")


def post(session: Session) -> Any:
    return session.workers.create(input="x")


async def collect(session: Session) -> Any:
    async with session.workers.create(input="x", stream=True) as events:
        return [event async for event in events]


def test_delays_grow_from_half_a_second_to_eight_with_jitter() -> None:
    async def main() -> None:
        service = Service(Response(500))
        async with service.session(retry=RetryPolicy(max_retries=8)) as session:
            with pytest.raises(InternalServerError):
                await get(session)
        for number, pause in enumerate(service.pauses):
            longest = min(0.5 * 2**number, 8)
            assert 0.75 * longest <= pause <= longest
        assert len(set(service.pauses)) == 8

    run(main())


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": "60"}, 60),
        ({"Retry-After": "0"}, 0),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Date": formatdate(0, usegmt=True), "Retry-After": formatdate(20, usegmt=True)}, 20),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 500])
def test_retry_after_is_the_exact_delay(headers: dict[str, str], delay: float, status: int) -> None:
    async def main() -> None:
        service = Service(Response(status, headers), ok)
        async with service.session(retry=RetryPolicy(max_delay=0.001)) as session:
            await get(session)
        assert service.pauses == [pytest.approx(delay)]

    run(main())


@pytest.mark.parametrize("headers", [{}, {"x-should-retry": "true"}])
@pytest.mark.parametrize("call", [get, post, collect])
def test_retry_after_over_the_maximum_raises_at_once(call: Call, headers: dict[str, str]) -> None:
    async def main() -> None:
        service = Service(Response(429, headers | {"Retry-After": "61"}))
        async with service.session() as session:
            with pytest.raises(RateLimitError) as caught:
                await call(session)
        assert caught.value.retry_after == 61
        assert (len(service.requests), now()) == (1, 0)

    run(main())


@pytest.mark.parametrize("headers", [{}, {"x-should-retry": "true"}])
@pytest.mark.parametrize("call", [get, post, collect])
def test_retry_after_past_the_deadline_raises_at_once(call: Call, headers: dict[str, str]) -> None:
    async def main() -> None:
        service = Service(Response(429, headers | {"Retry-After": "30"}))
        async with service.session(timeouts=Timeouts(deadline=30)) as session:
            with pytest.raises(RateLimitError) as caught:
                await call(session)
        assert caught.value.retry_after == 30
        assert (len(service.requests), now()) == (1, 0)

    run(main())


def test_delay_that_ends_before_the_deadline_is_waited_for() -> None:
    async def main() -> None:
        service = Service(Response(429, {"Retry-After": "29"}), ok)
        async with service.session(timeouts=Timeouts(deadline=30)) as session:
            await get(session)
        assert now() == 29

    run(main())


@pytest.mark.parametrize("failure", [Response(503, {"Retry-After": "30"}), APIConnectionError("lost")])
def test_closing_ends_a_pause_at_once_with_the_last_failure(failure: Any) -> None:
    async def main() -> None:
        service = Service(failure)
        session = service.session(retry=RetryPolicy(initial_delay=30, max_delay=30))
        call = asyncio.ensure_future(get(session))
        await asyncio.sleep(0.1)
        await session.aclose()
        with pytest.raises((APIConnectionError, InternalServerError)) as caught:
            await call
        assert now() == 0.1
        assert type(caught.value) is (InternalServerError if isinstance(failure, Response) else APIConnectionError)
        assert caught.value.attempts == len(service.requests) == 1
        assert caught.value.call == "GET /api/workers/w"
        with pytest.raises(ConfigurationError, match="closed"):
            await get(session)
        assert service.pauses == []

    run(main())


async def watch(session: Session) -> Any:
    async with session.workers.stream_updates("w") as events:
        return [event async for event in events]


def read(session: Session) -> Any:
    return session.workers.retrieve_file("f", worker_id="w").read()


@pytest.mark.parametrize(("call", "error"), [(watch, StreamInterruptedError), (read, APIConnectionError)])
def test_closing_ends_the_pause_before_a_reconnection_at_once(call: Call, error: type[APIConnectionError]) -> None:
    async def main() -> None:
        service = Service(lambda request: StreamingResponse(200, SSE, truncated(b"data: a\nid: 1\n\n")))
        session = service.session(retry=RetryPolicy(initial_delay=30, max_delay=30))
        reading = asyncio.ensure_future(call(session))
        await asyncio.sleep(1)
        await session.aclose()
        with pytest.raises(error) as caught:
            await reading
        assert type(caught.value) is error
        assert caught.value.request_sent
        assert len(service.requests) == 1
        assert now() == 1

    run(main())


def test_closing_ends_a_stream_that_is_being_read_at_once() -> None:
    async def main() -> None:
        service = Service(lambda request: StreamingResponse(200, SSE, silent(b"data: a\nid: 1\n\n")))
        session = service.session(retry=RetryPolicy(initial_delay=30, max_delay=30))
        reading = asyncio.ensure_future(watch(session))
        await asyncio.sleep(1)
        await session.aclose()
        with pytest.raises(StreamInterruptedError):
            await reading
        assert (len(service.requests), now()) == (1, 1)

    run(main())


def test_attempt_that_fails_while_the_session_is_closed_is_the_last() -> None:
    async def main() -> None:
        async def close(request: Request) -> Response:
            await session.aclose()
            raise APIConnectionError("lost", request_sent=False)

        service = Service(close)
        session = service.session()
        with pytest.raises(APIConnectionError, match="closed") as caught:
            await get(session)
        assert caught.value.attempts == len(service.requests) == 1
        assert [attempt.delay for attempt in service.attempts] == [None]
        assert now() == 0

    run(main())
