"""What a session repeats, when, and what it reports: on virtual time, and attempts against a real server."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest

from handinger_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    Attempt,
    ConfigurationError,
    ConflictError,
    DelayedWhen,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    Session,
    Timeouts,
)
from handinger_async.http import Response
from handinger_async.operations import RetrieveWorker
from handinger_async.testing.virtual_time import run
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import StreamingResponse

from .service import Service, cut, ok, seconds
from .wire import WireRequest, reset, response, wire_server, write_and_close

Call = Callable[[Session], Any]


def get(session: Session) -> Any:
    return session.workers.retrieve("w")


def post(session: Session) -> Any:
    return session.workers.create(input="x")


def post_once(session: Session) -> Any:
    return session.with_options(idempotency_key="k").workers.create(input="x")


def continue_(session: Session) -> Any:
    return session.workers.continue_("w", input="x")


def schedule(session: Session) -> Any:
    return session.workers.schedules.create("w", input="x", when=DelayedWhen(delay_in_seconds=1))


def delete(session: Session) -> Any:
    return session.workers.schedules.cancel("s", worker_id="w")


def custom(method: str) -> Call:
    return lambda session: session.request(method, "/api/x", json={})


async def collect(session: Session) -> Any:
    async with session.workers.create(input="x", stream=True) as events:
        return [event async for event in events]


GETS = [get, delete, post_once, custom("GET"), custom("PUT"), custom("DELETE"), custom("HEAD")]
POSTS = [post, continue_, schedule, custom("POST"), custom("PATCH"), collect]


@pytest.mark.parametrize("call", GETS)
@pytest.mark.parametrize(
    "failure",
    [
        Response(408),
        Response(409),
        Response(429),
        Response(500),
        Response(502),
        Response(503),
        Response(599),
        APIConnectionError("lost"),
        APIConnectionError("refused", request_sent=False),
        APITimeoutError("slow"),
        Response(404, {"x-should-retry": "true"}),
    ],
)
def test_what_can_be_repeated_is(call: Call, failure: Any) -> None:
    async def main() -> None:
        service = Service(failure)
        async with service.session() as session:
            with pytest.raises(APIError, match="3 attempts") as caught:
                await call(session)
        assert len(service.requests) == caught.value.attempts == 3

    run(main())


def test_a_result_that_cannot_be_read_tells_the_attempts_too() -> None:
    async def main() -> None:
        service = Service(Response(503), Response(200, {}, b"[]"))
        async with service.session() as session:
            with pytest.raises(APIResponseValidationError, match="2 attempts") as caught:
                await get(session)
        assert len(service.requests) == caught.value.attempts == 2

    run(main())


@pytest.mark.parametrize("call", POSTS)
@pytest.mark.parametrize(
    ("failure", "requests"),
    [
        (Response(429), 3),
        (Response(503, {"Retry-After": "0"}), 3),
        (Response(500, {"x-should-retry": "true"}), 3),
        (APIConnectionError("refused", request_sent=False), 3),
        (APITimeoutError("no connection in time", request_sent=False), 3),
        (Response(503), 1),
        (Response(500), 1),
        (Response(500, {"Retry-After": "1"}), 1),
        (Response(409), 1),
        (Response(408), 1),
        (Response(429, {"x-should-retry": "false"}), 1),
        (APIConnectionError("lost"), 1),
        (APITimeoutError("slow"), 1),
    ],
)
def test_a_post_is_repeated_only_where_that_cannot_double_it(call: Call, failure: Any, requests: int) -> None:
    async def main() -> None:
        service = Service(failure)
        async with service.session() as session:
            with pytest.raises(APIError) as caught:
                await call(session)
        assert len(service.requests) == caught.value.attempts == requests

    run(main())


def test_a_post_whose_attempt_took_too_long_is_not_repeated() -> None:
    async def main() -> None:
        service = Service(1000, ok)
        async with service.session() as session:
            with pytest.raises(APITimeoutError):
                await post(session)
        assert (len(service.requests), seconds()) == (1, 60)

    run(main())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response(404), NotFoundError),
        (Response(301, {"Location": "/"}), APIStatusError),
        (Response(200, {}, b"<html>"), APIResponseValidationError),
        (Response(200, {}, b""), APIResponseValidationError),
        (Response(200, {"x-should-retry": "true"}, b"null"), APIResponseValidationError),
        (Response(500, {"x-should-retry": "false"}), InternalServerError),
    ],
)
def test_an_answer_that_will_not_change_is_final(answer: Response, error: type[APIError]) -> None:
    async def main() -> None:
        service = Service(answer)
        async with service.session() as session:
            with pytest.raises(error):
                await get(session)
        assert len(service.requests) == 1

    run(main())


def test_a_mistake_in_the_program_is_neither_repeated_nor_called_a_connection_error() -> None:
    async def main() -> None:
        service = Service(ZeroDivisionError("mine"))
        async with service.session() as session:
            with pytest.raises(ZeroDivisionError, match="mine"):
                await get(session)
        assert len(service.requests) == 1
        (attempt,) = service.attempts
        assert isinstance(attempt.error, ZeroDivisionError)

    run(main())


def test_a_second_try_gives_the_result_and_the_count() -> None:
    async def main() -> None:
        service = Service(Response(500), APIConnectionError("lost"), ok)
        async with service.session() as session:
            exchange = await session.exchange(RetrieveWorker("w"))
        assert exchange.attempts == len(service.requests) == 3
        assert exchange.elapsed == pytest.approx(service.times[-1])

    run(main())


def test_one_idempotency_key_goes_out_with_all_attempts_and_other_calls_have_none() -> None:
    async def main() -> None:
        service = Service(Response(500), APIConnectionError("lost"), ok)
        async with service.session() as session:
            await post_once(session)
            await post(session)
        keys = [request.headers.get("idempotency-key") for request in service.requests]
        assert keys == ["k", "k", "k", None]

    run(main())


# When #################################################################################################################


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
def test_retry_after_is_kept_to_the_letter(headers: dict[str, str], delay: float, status: int) -> None:
    async def main() -> None:
        service = Service(Response(status, headers), ok)
        async with service.session(retry=RetryPolicy(max_delay=0.001)) as session:
            await get(session)
        assert service.pauses == [pytest.approx(delay)]

    run(main())


@pytest.mark.parametrize("headers", [{}, {"x-should-retry": "true"}])
@pytest.mark.parametrize("call", [get, post, collect])
def test_a_retry_after_beyond_the_longest_raises_at_once_and_tells(call: Call, headers: dict[str, str]) -> None:
    async def main() -> None:
        service = Service(Response(429, headers | {"Retry-After": "61"}))
        async with service.session() as session:
            with pytest.raises(RateLimitError) as caught:
                await call(session)
        assert caught.value.retry_after == 61
        assert (len(service.requests), seconds()) == (1, 0)

    run(main())


@pytest.mark.parametrize("headers", [{}, {"x-should-retry": "true"}])
@pytest.mark.parametrize("call", [get, post, collect])
def test_a_retry_after_past_the_deadline_raises_at_once_and_tells(call: Call, headers: dict[str, str]) -> None:
    async def main() -> None:
        service = Service(Response(429, headers | {"Retry-After": "30"}))
        async with service.session(timeouts=Timeouts(deadline=30)) as session:
            with pytest.raises(RateLimitError) as caught:
                await call(session)
        assert caught.value.retry_after == 30
        assert (len(service.requests), seconds()) == (1, 0)

    run(main())


def test_a_delay_that_fits_before_the_deadline_is_waited_for() -> None:
    async def main() -> None:
        service = Service(Response(429, {"Retry-After": "29"}), ok)
        async with service.session(timeouts=Timeouts(deadline=30)) as session:
            await get(session)
        assert seconds() == 29

    run(main())


# An error's own body ##################################################################################################


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: cut(b'{"message": "wh'),
        lambda request: iter([b"x" * 2**16] * 100),
    ],
)
def test_the_status_of_an_error_counts_whatever_becomes_of_its_body(answer: Any) -> None:
    async def main() -> None:
        service = Service(lambda request: StreamingResponse(409, {"Retry-After": "3"}, answer(request)))
        async with service.session(max_body_size=10_000) as session:
            with pytest.raises(ConflictError) as caught:
                await post(session)
        assert caught.value.retry_after == 3
        assert len(caught.value.response.body) <= 10_000
        assert len(str(caught.value)) < 2000

    run(main())


# On a real server: what is reported is what was seen ##################################################################


async def drop(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def abort(writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def half_a_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-")
    writer.close()


@pytest.mark.parametrize("fault", [drop, abort, half_a_head])
@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize(("method", "requests"), [("GET", 3), ("DELETE", 3), ("PUT", 3), ("POST", 1)])
async def test_a_dropped_connection_is_repeated_by_nobody_else(
    fault: Any, reused: bool, method: str, requests: int
) -> None:
    healthy = 1 if reused else 0

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) <= healthy:
            writer.write(response(b"{}"))
        else:
            await fault(writer)

    attempts: list[Attempt] = []
    retry = RetryPolicy(initial_delay=0)
    async with (
        wire_server(reply) as server,
        Session(api_key="key", base_url=server.url, retry=retry, observe=attempts.append) as session,
    ):
        if reused:
            await session.request("GET", "/healthy")
        with pytest.raises(APIConnectionError) as caught:
            await session.request(method, "/x")
    assert caught.value.attempts == requests
    assert sum(attempt.request_sent for attempt in attempts) == len(server.requests) == healthy + requests
    assert server.connections == requests  # the healthy one is used again by the first attempt


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("own", [True, False])
async def test_a_server_that_ends_connections_without_saying_so_disturbs_nobody(method: str, own: bool) -> None:
    """Even where the next request follows at once: a request that is not sent cannot be doubled, nor fail."""

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        write_and_close(writer, response(b"{}"))

    attempts: list[Attempt] = []
    async with (
        wire_server(reply) as server,
        aiohttp.ClientSession() as given,
        Session(
            api_key="key",
            base_url=server.url,
            transport=None if own else AiohttpTransport(given),
            observe=attempts.append,
        ) as session,
    ):
        for _ in range(20):
            await session.request(method, "/x")
    assert len(attempts) == len(server.requests) == 20


async def test_an_attempt_that_did_not_reach_a_server_says_so(refusing_url: str) -> None:
    attempts: list[Attempt] = []
    async with Session(
        api_key="key",
        base_url=refusing_url,
        retry=RetryPolicy(initial_delay=0),
        observe=attempts.append,
    ) as session:
        with pytest.raises(APIConnectionError) as caught:
            await post(session)
    assert not caught.value.request_sent
    assert [attempt.request_sent for attempt in attempts] == [False] * 3


def test_a_session_that_is_closed_during_a_pause_ends_the_call() -> None:
    async def main() -> None:
        service = Service(Response(500))
        session = service.session()
        call = asyncio.ensure_future(get(session))
        await asyncio.sleep(0.1)
        await session.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await call

    run(main())
