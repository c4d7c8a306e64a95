"""Batches at their edges: older services, deadlines, a service that refuses, and inputs that fail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from handinger_async import (
    ConfigurationError,
    NotFoundError,
    RunTimeoutError,
    RunUnknownError,
    Session,
    Timeouts,
)
from handinger_async.http import Request
from handinger_async.operations import RetrieveWorker
from handinger_async.testing import FakeHandinger, serve
from handinger_async.testing.faults import Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.memory import HandlerResult, MemoryTransport, call_handler

from .service import now, without_responses
from .test_batches import collect, drain, each_once, names
from .wire import HANG_GUARD


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
    monkeypatch.setattr("random.random", lambda: 0.5)

    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=10))
        async with Session(api_key="key", transport=MemoryTransport(without_responses(fake))) as session:
            results = await collect(session.run_many(["x"], deadline=deadline))
        assert results[0].outcome
        assert results[0].outcome.output_text == "done"

    run_in_virtual_time(main())


async def test_tasks_leave_the_connections_to_other_requests(make_transport: Callable[..., Any]) -> None:
    fake = FakeHandinger(api="today")
    posted, asked = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> HandlerResult:
        if request.method == "POST":
            posted.set()
            await asked.wait()
        else:
            asked.set()
        return await call_handler(fake, request)

    async with (
        serve(handler) as url,
        Session(api_key="key", base_url=url, transport=make_transport(limit=1)) as session,
    ):
        creating = [asyncio.create_task(session.tasks.create(input=name)) for name in names(3)]
        await posted.wait()
        with pytest.raises(NotFoundError):
            await asyncio.wait_for(session.tasks.retrieve("tsk_unknown"), HANG_GUARD)
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


def test_cancelled_error_of_the_function_for_the_key_is_a_refusal(tmp_path: Path) -> None:
    async def main() -> None:
        async with FakeHandinger().session(api_key=cancelled) as session:
            results = await collect(session.run_many(names(2), journal=tmp_path / "j"))
        assert [type(result.error) for result in results] == [ConfigurationError] * 2
        async with FakeHandinger().session() as session:
            results = await collect(session.run_many(names(2), journal=tmp_path / "j"))
        assert all(result.outcome for result in results)

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
