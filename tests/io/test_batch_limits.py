"""Batches slow down together when the service refuses a run with status 429. In virtual time."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from handinger_async import (
    ConfigurationError,
    RateLimitError,
    RetryPolicy,
    Session,
)
from handinger_async._asyncio.gates import Gate
from handinger_async.http import Request
from handinger_async.operations import CreateTask
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.memory import HandlerResult, MemoryTransport, call_handler

from .service import json_response, now
from .test_batches import collect, drain, each_once, names


class Busy:
    """A service that performs so many runs at a time, and refuses others with 429."""

    def __init__(self, most: int, retry_after: float | None = None, api: Any = "today") -> None:
        self.fake = FakeHandinger(api=api)
        self.most = most
        self.retry_after = retry_after
        self.running = self.refused = self.highest = 0
        self.posts: list[float] = []

    async def __call__(self, request: Request) -> HandlerResult:
        if request.method != "POST" or request.read_body() == b"{}":
            return await call_handler(self.fake, request)
        self.posts.append(now())
        if self.running >= self.most:
            self.refused += 1
            headers = {} if self.retry_after is None else {"Retry_After": str(self.retry_after)}
            return json_response({"error": "slow down"}, 429, **headers)
        self.running += 1
        self.highest = max(self.highest, self.running)
        try:
            return await call_handler(self.fake, request)
        finally:
            self.running -= 1

    def session(self, **options: Any) -> Session:
        return Session(api_key="key", transport=MemoryTransport(self), **options)


def test_no_more_runs_at_a_time_than_asked_for() -> None:
    async def main() -> None:
        busy = Busy(most=1000)
        async with busy.session() as session:
            each_once(await collect(session.run_many(names(50), concurrency=7)), 50)
        assert busy.highest == 7

    run_in_virtual_time(main())


@pytest.mark.parametrize("api", ["today", "seed"])
@pytest.mark.parametrize("retry_after", [None, 5])
def test_batch_finds_the_number_of_runs_that_the_service_takes(api: Any, retry_after: float | None) -> None:
    async def main() -> None:
        busy = Busy(most=4, retry_after=retry_after, api=api)
        async with busy.session() as session:
            results = await collect(session.run_many(names(60), concurrency=32))
        each_once(results, 60)
        assert not [result.error for result in results if result.error]
        assert busy.fake.runs == dict.fromkeys(names(60), 1)
        if api == "today":  # whose request lasts as long as the run
            assert busy.refused < 60

    run_in_virtual_time(main())


def test_all_requests_wait_for_the_service_that_refuses_one() -> None:
    async def main() -> None:
        busy = Busy(most=3, retry_after=50)
        busy.fake.script(Step("done", after=1))
        async with busy.session() as session:
            results = await collect(session.run_many(names(30), concurrency=8))
        each_once(results, 30)
        assert all(result.outcome for result in results)
        begun = busy.posts[0]
        assert busy.posts[7] == begun
        assert busy.posts[8] == begun + 50  # three runs have ended at begun + 1
        assert busy.posts.count(begun + 50) <= 4

    run_in_virtual_time(main())


def test_service_that_asks_for_too_much_patience_is_a_failure() -> None:
    async def main() -> None:
        for faults, options, attempts in (
            ([Status(429, retry_after=61, on=CreateTask, times=None)], {}, 3),
            ([Status(429, on=CreateTask, times=None)], {"retry": RetryPolicy(max_retries=0)}, 3),
            ([Status(429, headers={"x-should-retry": "false"}, on=CreateTask, times=None)], {}, 3),
            ([Status(429, on=CreateTask, times=None)], {}, 3 * 21),
        ):
            fake = FakeHandinger()
            seen: list[Any] = []
            async with fake.session(*faults, observe=seen.append, **options) as session:  # type: ignore[arg-type]
                results = await collect(session.run_many(names(3)))
            assert [type(result.error) for result in results] == [RateLimitError] * 3
            assert len(seen) == attempts
            assert not fake.runs

    run_in_virtual_time(main())


def test_leaving_a_batch_that_waits_for_the_service_is_immediate() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        before = asyncio.all_tasks()
        async with fake.session(Status(429, retry_after=60, on=CreateTask, times=None)) as session:
            async with session.run_many(names(30), concurrency=8):
                await asyncio.sleep(5)
            assert now() == 5
            assert asyncio.all_tasks() == before
            async with session.run_many(names(30), concurrency=8) as results:
                await asyncio.sleep(1)
                await session.aclose()
                errors = {type(result.error) async for result in results}
        assert errors == {ConfigurationError}
        assert now() == 6

    run_in_virtual_time(main())


def test_place_of_one_who_gave_up_goes_to_the_next() -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            gate = Gate(session._settings.pool, 1, RetryPolicy())
            admitted: dict[str, float] = {}

            async def one(name: str, *, delay: float | None = None, patience: float | None = None) -> None:
                async with asyncio.timeout(patience), gate.admit() as admission:
                    admitted[name] = now()
                    await asyncio.sleep(1)
                    if delay is not None:
                        gate.refuse(admission, delay)

            tasks = []
            for arguments in ({"name": "a", "delay": 50}, {"name": "b", "patience": 20}, {"name": "c"}):
                tasks.append(asyncio.create_task(one(**arguments)))  # type: ignore[arg-type]
                await asyncio.sleep(0)
            await asyncio.wait(tasks)
            assert isinstance(tasks[1].exception(), TimeoutError)
            assert admitted == {"a": 0, "c": 51}

    run_in_virtual_time(main())


@pytest.mark.parametrize("closes_at", range(1, 200, 18))
def test_batch_ends_when_its_session_is_closed_while_runs_wait_for_the_service(closes_at: float) -> None:
    async def main() -> None:
        busy = Busy(3, retry_after=40)
        busy.fake.script(Step("done", after=30))
        session = busy.session()
        async with session.run_many(names(60), concurrency=20) as batch:
            reading = asyncio.create_task(drain(batch))
            await asyncio.sleep(closes_at)
            await session.aclose()
            results, error = await reading
        assert error is None
        each_once(results, 60)

    run_in_virtual_time(main())


def test_service_that_refuses_for_long_gets_few_requests() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        begun: list[float] = []
        session = fake.session(
            Status(429, retry_after=61, on=CreateTask, times=None), observe=lambda attempt: begun.append(now())
        )
        async with session:
            results = await collect(session.run_many(names(20), concurrency=4))
        assert {type(result.error) for result in results} == {RateLimitError}
        assert max(map(begun.count, begun)) <= 4
        assert sorted(set(begun)) == [begun[0] + 60 * number for number in range(len(set(begun)))]
        assert len(set(begun)) > 10

    run_in_virtual_time(main())


def test_gate_counts_refusals_of_one_moment_once_and_grows_with_each_round() -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            gate = Gate(session._settings.pool, 8, RetryPolicy())
            async with AsyncExitStack() as half, AsyncExitStack() as others:
                first = await half.enter_async_context(gate.admit())
                for stack in (half, half, half, others, others, others, others):
                    await stack.enter_async_context(gate.admit())
                gate.refuse(first, 10)
                await others.aclose()
                gate.refuse(first, 5)  # the longest delay counts

            async def places() -> int:
                """Return the number of runs that are admitted at once."""
                async with AsyncExitStack() as stack:
                    for number in range(100):
                        try:
                            async with asyncio.timeout(20):
                                await stack.enter_async_context(gate.admit())
                        except TimeoutError:
                            return number
                return 100

            assert await places() == 4
            assert now() == 10 + 20
            for _ in range(4):
                gate.succeed()
            assert await places() == 4  # a bit less than one round
            gate.succeed()
            assert await places() == 5
            for _ in range(100):
                gate.succeed()
            assert await places() == 8

    run_in_virtual_time(main())
