"""Batches at their edges: older services, deadlines, a service that refuses, and inputs that fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from handinger_async import (
    ConfigurationError,
    RateLimitError,
    RetryPolicy,
    RunTimeoutError,
    RunUnknownError,
    Session,
    Timeouts,
)
from handinger_async._asyncio.gates import Gate
from handinger_async.http import Request
from handinger_async.operations import CreateTask, RetrieveWorker
from handinger_async.testing import FakeHandinger, serve
from handinger_async.testing.faults import Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import HandlerResult, MemoryTransport, call_handler

from .service import now
from .test_batches import Busy, collect, drain, each_once, names


async def cancelled() -> Any:
    """Await a task that was cancelled, though nobody has cancelled the caller."""
    task = asyncio.create_task(asyncio.sleep(1))
    task.cancel()
    await task


# The older generation #################################################################################################


def test_runs_of_one_older_worker_each_get_their_own_answer() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        async with fake.session() as session:
            worker = await session.workers.create(input="before")
            results = await collect(session.run_many(names(3), worker_id=worker.id))
        for result in results:
            assert result.outcome
            assert result.input in result.outcome.output_text
        assert fake.runs == {"before": 1} | dict.fromkeys(names(3), 1)

    run_in_virtual_time(main())


def test_answer_to_an_earlier_run_of_an_older_worker_is_not_the_result(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        silent = False

        async def handler(request: Request) -> HandlerResult:
            if silent and request.method == "GET":
                await asyncio.sleep(1e6)
            return await call_handler(fake, request)

        async with Session(api_key="key", transport=MemoryTransport(handler)) as session:
            worker = await session.workers.run(input="before")
            inputs = [{"input": "a new question", "worker_id": worker.id}]
            silent = True
            async with session.run_many(inputs, journal=tmp_path / "j"):
                await asyncio.sleep(3)
            silent = False
            results = await collect(session.run_many(inputs, journal=tmp_path / "j"))
        assert isinstance(results[0].error, RunUnknownError)
        assert fake.runs == {"before": 1}

    run_in_virtual_time(main())


def test_older_run_that_is_known_to_be_started_is_not_repeated() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("done", after=100))
        async with fake.session(Status(403, on=RetrieveWorker)) as session:
            results = await collect(session.run_many(["x"], repeat_unknown=True))
        assert isinstance(results[0].error, RunUnknownError)
        assert results[0].error.worker_id
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


# Deadlines ############################################################################################################


@pytest.mark.parametrize("api", ["today", "seed"])
def test_deadline_of_the_session_holds_for_runs_that_are_found(tmp_path: Path, api: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        fake.script(Step("done", after=5000))
        async with fake.session(timeouts=Timeouts(deadline=10)) as session:
            for end in (10, 20):
                results = await collect(session.run_many(["x"], journal=tmp_path / "j"))
                assert isinstance(results[0].error, RunTimeoutError)
                assert now() == pytest.approx(end)
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


@pytest.mark.parametrize("deadline", range(12, 18))
def test_run_that_is_over_at_the_deadline_has_its_outcome(deadline: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # The task is retrieved at 11.9 s, when it is over; its response is waited for until 16.9 s.
    monkeypatch.setattr("handinger_async._asyncio.polling.random", lambda: 0.5)

    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=10))
        performed: list[asyncio.Task[Any]] = []

        async def handler(request: Request) -> HandlerResult:
            if request.method == "POST":
                performed.append(asyncio.ensure_future(call_handler(fake, request)))
                await asyncio.sleep(1e6)
            return await call_handler(fake, request)

        async with Session(api_key="key", transport=MemoryTransport(handler)) as session:
            results = await collect(session.run_many(["x"], deadline=deadline))
        assert results[0].outcome
        assert results[0].outcome.output_text == "done"

    run_in_virtual_time(main())


# The gate #############################################################################################################


def test_place_of_one_who_gave_up_goes_to_the_next() -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            gate = Gate(session._settings.pool, 1)
            admitted: dict[str, float] = {}

            async def one(name: str, *, delay: float | None = None, patience: float | None = None) -> None:
                async with asyncio.timeout(patience), gate.admit() as admission:
                    admitted[name] = now()
                    await asyncio.sleep(1)
                    if delay is not None:
                        gate.refuse(admission, RetryPolicy(), delay)

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


async def test_tasks_leave_the_connections_to_other_requests() -> None:
    fake = FakeHandinger(api="today")
    asked = asyncio.Event()

    async def handler(request: Request) -> HandlerResult:
        if request.method == "POST":
            await asked.wait()
        else:
            asked.set()
        return await call_handler(fake, request)

    async with (
        serve(handler) as url,
        Session(api_key="key", base_url=url, transport=AiohttpTransport(limit=1)) as session,
    ):
        creating = [asyncio.create_task(session.tasks.create(input=name)) for name in names(3)]
        with pytest.raises(Exception, match="404"):
            await session.tasks.retrieve("tsk_unknown")
        await asyncio.gather(*creating)


# Inputs ###############################################################################################################


def test_runs_of_a_journal_do_not_wait_for_the_next_input(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=5))

        async def inputs() -> AsyncIterator[str]:
            for name in names(3):
                yield name
            await asyncio.sleep(1e6)

        async with fake.session() as session:
            async with session.run_many(inputs(), journal=tmp_path / "j"):
                await asyncio.sleep(2)
            async with session.run_many(inputs(), journal=tmp_path / "j") as results:
                await anext(results)
                assert now() < 10

    run_in_virtual_time(main())


def test_cancelled_error_of_the_inputs_is_a_failure() -> None:
    async def inputs() -> AsyncIterator[str]:
        yield "a"
        await cancelled()
        yield "b"

    async def main() -> None:
        async with FakeHandinger().session() as session, session.run_many(inputs()) as batch:
            results, error = await drain(batch)
        assert [result.input for result in results] == ["a"]
        assert isinstance(error, ConfigurationError)

    run_in_virtual_time(main())


def test_cancelled_error_within_a_run_is_its_result() -> None:
    async def main() -> None:
        async with FakeHandinger().session(api_key=cancelled) as session:
            results = await collect(session.run_many(names(2)))
        assert [type(result.error) for result in results] == [RunUnknownError] * 2

    run_in_virtual_time(main())


def test_inputs_that_go_on_when_cancelled_do_not_hold_the_batch() -> None:
    async def inputs() -> AsyncIterator[str]:
        for name in names(100):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(10)
            yield name

    async def main() -> None:
        fake = FakeHandinger()
        before = asyncio.all_tasks()
        async with fake.session() as session:
            async with session.run_many(inputs(), concurrency=1):
                await asyncio.sleep(5)
            assert now() == 5
            assert asyncio.all_tasks() == before
        assert not fake.runs

    run_in_virtual_time(main())


@pytest.mark.parametrize("deadline", [None, 50])
def test_inputs_that_were_taken_have_results_though_the_next_one_fails(tmp_path: Path, deadline: float | None) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=5))
        async with fake.session() as session:
            async with session.run_many(names(4), journal=tmp_path / "j"):
                await asyncio.sleep(1)

            async def inputs() -> AsyncIterator[str]:
                for name in names(2):
                    yield name
                await asyncio.sleep(100)
                raise KeyError("no more")

            async with session.run_many(inputs(), journal=tmp_path / "j", deadline=deadline) as batch:
                results, error = await drain(batch)
            each_once(results, 2)
            assert type(error) is (KeyError if deadline is None else RunTimeoutError)

    run_in_virtual_time(main())
