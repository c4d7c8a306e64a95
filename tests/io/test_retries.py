"""Requests that are retried, and those that are not."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    ConflictError,
    DelayedWhen,
    InternalServerError,
    NotFoundError,
    RetryPolicy,
    Session,
)
from handinger_async.http import Request, Response
from handinger_async.operations import RetrieveWorker
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .service import JSON, Service, now, ok, truncated

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


async def read(session: Session) -> bytes:
    return await session.workers.retrieve_file("f", worker_id="w").read()


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
def test_safe_requests_are_retried(call: Call, failure: Any) -> None:
    async def main() -> None:
        service = Service(failure)
        async with service.session() as session:
            with pytest.raises(APIError, match="3 attempts") as caught:
                await call(session)
        assert len(service.requests) == caught.value.attempts == 3

    run(main())


def test_undecodable_result_has_the_attempt_count() -> None:
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
def test_post_is_retried_only_if_it_was_not_processed(call: Call, failure: Any, requests: int) -> None:
    async def main() -> None:
        service = Service(failure)
        async with service.session() as session:
            with pytest.raises(APIError) as caught:
                await call(session)
        assert len(service.requests) == caught.value.attempts == requests

    run(main())


def test_timed_out_post_is_not_retried() -> None:
    async def main() -> None:
        service = Service(1000, ok)
        async with service.session() as session:
            with pytest.raises(APITimeoutError):
                await post(session)
        assert (len(service.requests), now()) == (1, 60)

    run(main())


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response(404), NotFoundError),
        (Response(301, {"Location": "/"}), APIStatusError),
        (Response(200, {}, b"<html>"), APIResponseValidationError),
        (Response(200, {}, b""), APIResponseValidationError),
        (Response(200, {"x-should-retry": "true"}, b"null"), APIResponseValidationError),
        (Response(500, {"x-should-retry": "false"}), InternalServerError),
    ],
)
def test_permanent_failure_is_not_retried(response: Response, error: type[APIError]) -> None:
    async def main() -> None:
        service = Service(response)
        async with service.session() as session:
            with pytest.raises(error):
                await get(session)
        assert len(service.requests) == 1

    run(main())


def test_other_exception_of_a_transport_propagates_without_a_retry() -> None:
    async def main() -> None:
        service = Service(ZeroDivisionError("mine"))
        async with service.session() as session:
            with pytest.raises(ZeroDivisionError, match="mine"):
                await get(session)
        assert len(service.requests) == 1
        (attempt,) = service.attempts
        assert isinstance(attempt.error, ZeroDivisionError)

    run(main())


def test_exchange_counts_the_attempts_until_success() -> None:
    async def main() -> None:
        service = Service(Response(500), APIConnectionError("lost"), ok)
        async with service.session() as session:
            exchange = await session.exchange(RetrieveWorker("w"))
        assert exchange.attempts == len(service.requests) == 3
        assert exchange.elapsed == pytest.approx(service.times[-1])

    run(main())


def test_idempotency_key_is_sent_with_every_attempt_of_its_call_only() -> None:
    async def main() -> None:
        service = Service(Response(500), APIConnectionError("lost"), ok)
        async with service.session() as session:
            await post_once(session)
            await post(session)
        keys = [request.headers.get("idempotency-key") for request in service.requests]
        assert keys == ["k", "k", "k", None]

    run(main())


@pytest.mark.parametrize(
    "body",
    [
        lambda request: truncated(b'{"message": "wh'),
        lambda request: iter([b"x" * 2**16] * 100),
    ],
)
def test_error_status_is_raised_even_if_its_body_fails(body: Any) -> None:
    async def main() -> None:
        service = Service(lambda request: StreamingResponse(409, {"Retry-After": "3"}, body(request)))
        async with service.session(max_body_size=10_000) as session:
            with pytest.raises(ConflictError) as caught:
                await post(session)
        assert caught.value.retry_after == 3
        assert len(caught.value.response.body) <= 10_000
        assert len(str(caught.value)) < 2000

    run(main())


@pytest.mark.parametrize("call", [get, post, custom("GET"), custom("POST"), collect, read])
def test_part_that_nobody_asked_for_is_refused(call: Call) -> None:
    async def main() -> None:
        service = Service(Response(206, JSON | {"Content-Range": "bytes 0-1/9"}, ok.body))
        async with service.session() as session:
            with pytest.raises(APIResponseValidationError, match=r"\b206\b") as caught:
                await call(session)
        assert len(service.requests) == caught.value.attempts == 1
        assert caught.value.response == Response(206, JSON | {"Content-Range": "bytes 0-1/9"}, ok.body)
        assert [attempt.status for attempt in service.attempts] == [206]

    run(main())


def test_part_that_was_asked_for_is_the_response() -> None:
    async def main() -> None:
        async with Service(Response(206, {}, b"ab")).session() as session:
            view = session.with_options(headers={"Range": "bytes=0-1"})
            assert (await view.request("GET", "/x")).body == b"ab"
            assert (await session.request("GET", "/x", headers={"range": "bytes=0-1"})).body == b"ab"
            assert await read(view) == b"ab"

    run(main())


@pytest.mark.parametrize("status", [100, 101, 199, 300, 304, 399])
@pytest.mark.parametrize("call", [get, post, custom("GET"), collect, read])
def test_status_below_200_or_from_300_is_an_error(call: Call, status: int) -> None:
    async def main() -> None:
        service = Service(Response(status, JSON, ok.body))
        async with service.session() as session:
            with pytest.raises(APIStatusError) as caught:
                await call(session)
        assert caught.value.status_code == status
        assert len(service.requests) == 1

    run(main())


@pytest.mark.parametrize("status", [201, 202, 203, 226, 299])
def test_other_successes_are_decoded(status: int) -> None:
    async def main() -> None:
        async with Service(Response(status, JSON, ok.body)).session() as session:
            assert (await get(session)).id == "id"

    run(main())


@pytest.mark.parametrize("status", [204, 205])
def test_success_without_content_is_no_worker(status: int) -> None:
    async def main() -> None:
        async with Service(Response(status)).session() as session:
            with pytest.raises(APIResponseValidationError):
                await get(session)
            assert (await session.request("GET", "/x")).body == b""

    run(main())


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(("most", "kept"), [(2**21, 2**20), (5000, 5000)])
def test_endless_body_is_read_to_the_limit_and_closed(status: int, most: int, kept: int) -> None:
    async def main() -> None:
        closed = 0

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal closed
            try:
                while True:
                    yield b"x" * 3000
            finally:
                closed += 1

        service = Service(lambda request: StreamingResponse(status, JSON, chunks()))
        async with service.session(max_body_size=most, retry=RetryPolicy(max_retries=0)) as session:
            with pytest.raises((APIResponseValidationError, InternalServerError)) as caught:
                await get(session)
            assert closed == 1
        if isinstance(caught.value, InternalServerError):
            assert caught.value.response.body == b"x" * kept

    run(main())


def test_call_of_a_closed_session_is_no_attempt() -> None:
    async def main() -> None:
        service = Service(ok)
        session = service.session()
        await session.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await get(session)
        assert not service.attempts

    run(main())


def test_prepared_requests_are_cached_within_limits() -> None:
    async def main() -> None:
        service = Service(ok)
        async with service.session() as session:
            for number in range(300):
                await session.workers.retrieve(f"w{number}")
            assert 0 < len(session._settings._prepared) <= 256
        assert [request.path for request in service.requests] == [f"/api/workers/w{number}" for number in range(300)]

    run(main())


def test_requests_to_one_path_keep_their_own_headers() -> None:
    async def main() -> None:
        service = Service(Response(200))
        async with service.session() as session:
            for value in "1", "2":
                await session.request("GET", "/x", headers={"X-Number": value})
        assert [request.headers["x-number"] for request in service.requests] == ["1", "2"]

    run(main())


@pytest.mark.parametrize("first", [True, False])
def test_error_of_a_call_is_unsent_only_if_all_of_its_attempts_are(first: bool) -> None:
    async def main() -> None:
        failures = iter([APIConnectionError("lost", request_sent=first), APIConnectionError("no", request_sent=False)])

        def handler(request: Request) -> Response:
            raise next(failures)

        service = Service(handler)
        async with service.session(retry=RetryPolicy(max_retries=1)) as session:
            with pytest.raises(APIConnectionError, match="no") as caught:
                await session.request("GET", "/x")
        assert caught.value.request_sent is first
        assert [attempt.request_sent for attempt in service.attempts] == [first, False]

    run(main())


def test_refused_key_does_not_hide_that_an_earlier_attempt_was_sent() -> None:
    async def main() -> None:
        keys = iter(["good", "good", "bad\n"])
        failures = iter([APIConnectionError("lost"), APIConnectionError("no", request_sent=False)])

        def handler(request: Request) -> Response:
            raise next(failures)

        service = Service(handler)
        async with service.session(api_key=keys.__next__, retry=RetryPolicy(max_retries=5)) as session:
            with pytest.raises(APIConnectionError, match="no") as caught:
                await session.request("GET", "/x")
        assert caught.value.request_sent
        assert caught.value.attempts == 2

    run(main())
