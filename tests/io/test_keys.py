"""Keys that rotate: a function is asked for the key before each attempt."""

import asyncio
from typing import Any

import pytest

from handinger_async import APIConnectionError, ConfigurationError, RetryPolicy, Timeouts
from handinger_async.http import Response
from handinger_async.testing.virtual_time import run

from .service import Service, json_response, ok


async def test_function_is_asked_for_the_key_before_each_attempt() -> None:
    keys = iter(f"key-{number}" for number in range(100))

    async def slowly() -> str:
        await asyncio.sleep(0)
        return next(keys)

    for get_key in (lambda: next(keys), slowly):
        service = Service(Response(503), Response(503), ok)
        async with service.session(api_key=get_key, retry=RetryPolicy(initial_delay=0)) as session:
            await session.workers.retrieve("w")
            await session.workers.retrieve("w")
            await session.with_options(headers={"X-A": "b"}).request("POST", "/x", json={})
        seen = [request.headers["authorization"] for request in service.requests]
        assert len(seen) == 5
        assert len(set(seen)) == 5
        assert "key-" not in repr(service.requests)
    assert next(keys) == "key-10"


async def test_function_is_not_asked_if_the_header_is_given_or_left_out() -> None:
    def fail() -> str:
        raise AssertionError("asked")

    service = Service(ok)
    async with service.session(api_key=fail) as session:
        await session.request("GET", "/x", headers={"authorization": "Basic x"})
        await session.with_options(headers={"Authorization": None}).request("GET", "/x")
    assert [request.headers.get("authorization") for request in service.requests] == ["Basic x", None]


async def test_exception_of_the_key_function_is_raised_unchanged() -> None:
    error = LookupError("the vault is locked")

    def fail() -> str:
        raise error

    service = Service(ok)
    async with service.session(api_key=fail) as session:
        for call in (session.workers.retrieve("w"), session.workers.retrieve_file("f", worker_id="w").read()):
            with pytest.raises(LookupError) as caught:
                await call
            assert caught.value is error
    assert not service.requests
    assert [attempt.error for attempt in service.attempts] == [error, error]


@pytest.mark.parametrize("key", ["", "a b", "a\n", None, 5, b"key"])
async def test_key_from_a_function_is_checked(key: Any) -> None:
    service = Service(ok)
    async with service.session(api_key=lambda: key) as session:
        with pytest.raises(ConfigurationError, match="the result of the function api_key"):
            await session.workers.retrieve("w")
    assert not service.requests


def no_keys() -> str:
    raise StopIteration


async def no_async_keys() -> str:
    raise StopAsyncIteration


@pytest.mark.parametrize("source", [iter(()).__next__, no_keys, no_async_keys])
async def test_end_of_the_keys_is_no_end_of_a_stream(source: Any) -> None:
    """A StopIteration cannot leave a coroutine, and a StopAsyncIteration would end ``async for``."""
    service = Service(ok)
    async with service.session(api_key=source) as session:
        with pytest.raises(ConfigurationError, match="the function api_key has no more keys"):
            await session.workers.retrieve("w")
        with pytest.raises(ConfigurationError, match="the function api_key has no more keys"):
            [event async for event in session.workers.stream_updates("w")]
    assert not service.requests


@pytest.mark.parametrize("key", ["", "a\n", None])
async def test_refused_key_does_not_hide_that_a_request_was_sent(key: Any) -> None:
    keys: Any = iter(["good", "good", key])
    service = Service(Response(503), APIConnectionError("lost"))
    async with service.session(api_key=lambda: next(keys), retry=RetryPolicy(initial_delay=0)) as session:
        view = session.with_options(idempotency_key="1")
        with pytest.raises(APIConnectionError, match=r"lost \(POST /api/workers, 2 attempts\)") as caught:
            await view.workers.create(input="x")
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert caught.value.request_sent
    assert [attempt.number for attempt in service.attempts] == [1, 2]


def test_function_that_hangs_counts_as_an_attempt_that_sent_nothing() -> None:
    service = Service(ok)
    asked = 0

    async def get_key() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.sleep(1000)
        return "key"

    async def main() -> None:
        async with service.session(api_key=get_key, timeouts=Timeouts(attempt=10)) as session:
            await session.workers.create(input="x")

    run(main())
    assert (asked, len(service.requests)) == (2, 1)
    assert [attempt.request_sent for attempt in service.attempts] == [False, True]


async def test_rejected_key_is_not_retried() -> None:
    service = Service(json_response({"message": "expired"}, 401), ok)
    async with service.session(api_key=lambda: "key") as session:
        with pytest.raises(Exception, match="expired"):
            await session.workers.retrieve("w")
    assert len(service.requests) == 1
