"""`Session.run_many`: every input once, as many at a time as asked for, in flat memory. In memory, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handinger_async import (
    APIResponseValidationError,
    BadRequestError,
    ConfigurationError,
    RunError,
    RunFailedError,
    RunMany,
    RunResult,
    RunTimeoutError,
    RunUnknownError,
    Timeouts,
)
from handinger_async.operations import CreateTask, CreateWorker, CreateWorkerTemplate
from handinger_async.testing import FakeHandinger, strategies
from handinger_async.testing.faults import Drop, Fault, Postpone, Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time

from .service import now


@attrs.frozen
class Tent:
    name: str
    weight: float


async def collect(batch: RunMany[Any]) -> list[RunResult[Any]]:
    async with batch as results:
        return [result async for result in results]


async def drain(batch: RunMany[Any]) -> tuple[list[RunResult[Any]], Exception | None]:
    """Return the results, and what is raised at the end."""
    results = []
    try:
        async for result in batch:
            results.append(result)  # noqa: PERF401
    except Exception as error:
        return results, error
    return results, None


def names(number: int) -> list[str]:
    return [f"input {index}" for index in range(number)]


def each_once(results: list[RunResult[Any]], number: int) -> None:
    """Check that there is one result of each input."""
    assert sorted(result.index for result in results) == list(range(number))
    assert all((result.outcome is None) != (result.error is None) for result in results)


# Results ##############################################################################################################


@pytest.mark.parametrize("api", ["both", "today", "seed"])
@pytest.mark.parametrize("concurrency", [1, 3, 100])
def test_each_input_is_run_once_on_either_generation(api: Any, concurrency: int) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        async with fake.session() as session:
            results = await collect(session.run_many(names(20), concurrency=concurrency, budget="low"))
        each_once(results, 20)
        for result in results:
            assert result.input == f"input {result.index}"
            assert result.outcome is not None
            assert result.input in result.outcome.output_text
        assert fake.runs == dict.fromkeys(names(20), 1)

    run_in_virtual_time(main())


def test_results_come_as_they_complete() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        for index, seconds in enumerate([30, 10, 20]):
            fake.script(Step("done", after=seconds), match=f"input {index}")
        async with fake.session() as session, session.run_many(names(3)) as results:
            order = [(result.index, round(now())) async for result in results]
        assert order == [(1, 10), (2, 20), (0, 30)]

    run_in_virtual_time(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_inputs_are_taken_when_they_can_be_started(kind: str) -> None:
    async def main() -> None:
        taken = 0

        def inputs() -> Iterator[str]:
            nonlocal taken
            for index in count():
                taken += 1
                yield f"input {index}"

        async def later() -> AsyncIterator[str]:
            for text in inputs():
                await asyncio.sleep(0.01)
                yield text

        async with FakeHandinger().session() as session:
            endless: Any = inputs() if kind == "sync" else later()
            async with session.run_many(endless, concurrency=4) as results:
                for number in range(1, 20):
                    await anext(results)
                    await asyncio.sleep(60)  # a slow consumer
                    assert taken == number + 4

    run_in_virtual_time(main())


def test_slow_inputs_do_not_hold_results_back() -> None:
    async def main() -> None:
        async def inputs() -> AsyncIterator[str]:
            yield "first"
            await asyncio.sleep(1000)
            yield "second"

        async with FakeHandinger().session() as session, session.run_many(inputs()) as results:
            assert (await anext(results)).input == "first"
            assert now() < 10
            assert (await anext(results)).input == "second"
            with pytest.raises(StopAsyncIteration):
                await anext(results)

    run_in_virtual_time(main())


def test_generator_of_inputs_runs_in_one_task() -> None:
    async def main() -> None:
        tasks = set()

        async def inputs() -> AsyncIterator[str]:
            async with asyncio.timeout(100):
                for name in names(5):
                    tasks.add(asyncio.current_task())
                    yield name

        async with FakeHandinger().session() as session:
            each_once(await collect(session.run_many(inputs(), concurrency=2)), 5)
        assert len(tasks) == 1

    run_in_virtual_time(main())


def test_inputs_may_have_arguments_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a")

    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session() as session:
            template = await session.workers.create_template(title="t")
            inputs: list[Any] = [
                {"input": "one", "worker_id": template.id, "budget": "high"},
                {"input": "two", "files": [path, ("b.txt", b"b")]},
                "three",
                {"input": "four", "task_id": "t"},
                {"budget": "low"},
                5,
                {"input": "six", "files": [tmp_path / "missing"]},
            ]
            results = await collect(session.run_many(inputs, concurrency=1))
        each_once(results, 7)
        assert results[0].outcome is not None
        assert results[0].outcome.worker_id == template.id
        assert [type(result.error) for result in results] == [
            *[type(None)] * 3,
            *[ConfigurationError] * 3,
            FileNotFoundError,
        ]
        assert fake.runs == {"one": 1, "two": 1, "three": 1}

    run_in_virtual_time(main())


def test_one_failure_stops_nothing() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("no", status="error"), match="input 1")
        faults = [
            Status(400, on=lambda request: b"input 2" in request.read_body()),
            Drop(on=lambda request: b"input 3" in request.read_body()),
        ]
        async with fake.session(*faults) as session:
            results = await collect(session.run_many(names(6)))
        each_once(results, 6)
        errors = {result.index: type(result.error) for result in results if result.error}
        assert errors == {1: RunFailedError, 2: BadRequestError}
        assert fake.runs["input 2"] == 0

    run_in_virtual_time(main())


def test_every_change_is_told_with_its_index() -> None:
    async def main() -> None:
        seen: dict[int, list[Any]] = {0: [], 1: []}

        def watch(index: int, state: Any) -> None:
            seen[index].append(state)
            raise RuntimeError("logged")

        fake = FakeHandinger()
        fake.script(Step("a", after=10), Step("b", after=10))
        async with fake.session() as session:
            each_once(await collect(session.run_many(names(2), on_update=watch)), 2)
        for states in seen.values():
            assert states[-1].task.status == "completed"
            assert all(before != after for before, after in pairwise(states))

    run_in_virtual_time(main())


# The end ##############################################################################################################


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_failure_of_the_inputs_is_raised_after_the_results(kind: str) -> None:
    async def main() -> None:
        def inputs() -> Iterator[str]:
            yield from names(3)
            raise KeyError("broken")

        async def later() -> AsyncIterator[str]:
            for text in inputs():
                yield text

        async with FakeHandinger().session() as session:
            broken: Any = inputs() if kind == "sync" else later()
            async with session.run_many(broken) as batch:
                results, error = await drain(batch)
                assert isinstance(error, KeyError)
                with pytest.raises(StopAsyncIteration):
                    await anext(batch)
            each_once(results, 3)

    run_in_virtual_time(main())


def test_leaving_early_ends_the_waiting_and_not_the_runs() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("done", after=5), match="input 0")
        fake.script(Step("done", after=1000))
        before = asyncio.all_tasks()
        async with fake.session() as session:
            async with session.run_many(names(50), concurrency=10) as results:
                await anext(results)
                waiting = asyncio.create_task(anext(results, None))  # type: ignore[arg-type]
                await asyncio.sleep(0)
            assert now() < 10
            assert await waiting is None
            assert await anext(results, None) is None
            assert asyncio.all_tasks() == before
            await asyncio.sleep(2000)
        assert {task.task.status for task in fake.tasks.values()} == {"completed"}
        assert len(fake.runs) in (10, 11)

    run_in_virtual_time(main())


def test_batch_that_is_cancelled_leaves_no_task_behind() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        before = asyncio.all_tasks()
        for seconds in (0.0, 0.1, 1.0, 1.5, 3.0):
            async with fake.session() as session:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await collect(session.run_many(names(50), concurrency=3))
            assert asyncio.all_tasks() == before

    run_in_virtual_time(main())


def test_unfinished_runs_and_inputs_at_the_deadline_are_reported() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("done", after=10))
        endless: Iterator[str] = (f"input {index}" for index in count())
        async with fake.session() as session, session.run_many(endless, concurrency=4, deadline=25) as batch:
            results, error = await drain(batch)
        assert isinstance(error, RunTimeoutError)
        assert "inputs are left" in str(error)
        assert now() == 25
        assert len([result for result in results if result.outcome]) == 8
        errors = [result.error for result in results if result.error]
        assert len(errors) == 4
        assert all(isinstance(error, RunTimeoutError) and error.task_id in fake.tasks for error in errors)

    run_in_virtual_time(main())


def test_deadline_without_inputs_left_is_no_failure_of_the_batch() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("done", after=1e6))
        async with fake.session() as session:
            results = await collect(session.run_many(names(4), concurrency=4, deadline=25))
        each_once(results, 4)
        assert all(isinstance(result.error, RunTimeoutError) for result in results)
        assert now() == 25

    run_in_virtual_time(main())


def test_deadline_ends_the_waiting_for_inputs() -> None:
    async def main() -> None:
        async def inputs() -> AsyncIterator[str]:
            yield "first"
            await asyncio.sleep(1e6)
            yield "second"

        async with FakeHandinger().session() as session, session.run_many(inputs(), deadline=25) as batch:
            assert (await anext(batch)).outcome
            with pytest.raises(RunTimeoutError):
                await anext(batch)
        assert now() == 25

    run_in_virtual_time(main())


def test_deadline_of_the_session_is_that_of_each_run() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("done", after=100), match="input 3")
        async with fake.session(timeouts=Timeouts(deadline=10)) as session:
            results = await collect(session.run_many(names(30), concurrency=2))
        assert [type(result.error) for result in results if result.error] == [RunTimeoutError]

    run_in_virtual_time(main())


def test_batch_of_a_closed_session_ends() -> None:
    async def main() -> None:
        session = FakeHandinger().session()
        async with session.run_many(names(50), concurrency=5) as results:
            await anext(results)
            await session.aclose()
            rest = [result async for result in results]
        each = {type(result.error) for result in rest}
        assert each <= {type(None), ConfigurationError, RunUnknownError}
        assert len(rest) == 49

    run_in_virtual_time(main())


# Arguments ############################################################################################################


@pytest.mark.parametrize(
    "arguments",
    [
        {"inputs": "one"},
        {"inputs": {"input": "one"}},
        {"inputs": None},
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"concurrency": True},
        {"deadline": 0},
        {"deadline": "soon"},
        {"on_update": 5},
        {"journal": ""},
        {"journal": 5},
    ],
    ids=str,
)
def test_unusable_argument_is_refused_at_once(arguments: Any) -> None:
    with pytest.raises(ConfigurationError):
        FakeHandinger().session().run_many(**{"inputs": ["x"]} | arguments)


def test_batch_is_used_within_its_context_once() -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            batch = session.run_many(names(1))
            with pytest.raises(ConfigurationError, match="async with"):
                await anext(batch)
            each_once(await collect(batch), 1)
            with pytest.raises(ConfigurationError, match="once"):
                await collect(batch)

    run_in_virtual_time(main())


# Structured output ####################################################################################################


def test_template_is_made_once_per_batch() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session(Status(429, on=CreateWorkerTemplate, times=2)) as session:
            results = await collect(session.run_many(names(20), output_schema=Tent))
        each_once(results, 20)
        assert all(isinstance(result.outcome.structured_output, Tent) for result in results if result.outcome)
        assert len(fake.workers) == 1
        assert sum(fake.runs.values()) == 20

    run_in_virtual_time(main())


def test_outputs_that_do_not_fit_are_results_like_others() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("x", fields={"structured_output": {"name": 5}}), match="input 1")
        async with fake.session() as session:
            results = await collect(session.run_many(names(3), output_schema=Tent))
        assert {result.index: type(result.error) for result in results if result.error} == {
            1: APIResponseValidationError
        }

    run_in_virtual_time(main())


# Faults ###############################################################################################################


@settings(max_examples=60, deadline=None)
@given(
    faults=st.lists(strategies.faults(), max_size=5),
    concurrency=st.integers(1, 8),
    api=st.sampled_from(["both", "today", "seed"]),
)
def test_any_faults_leave_at_most_one_run_of_each_input(faults: list[Fault], concurrency: int, api: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        async with fake.session(*faults) as session:
            results = await collect(session.run_many(names(12), concurrency=concurrency, deadline=7200))
        await asyncio.sleep(100)  # what the service does late
        each_once(results, 12)
        check(results, fake)

    run_in_virtual_time(main())


def check(results: list[RunResult[Any]], fake: FakeHandinger) -> None:
    """Check the promise: no input is run twice; one with an outcome was run, and one that was refused was not."""
    assert all(number == 1 for number in fake.runs.values())
    for result in results:
        if result.outcome is not None:
            assert fake.runs[result.input] == 1
            assert result.input in result.outcome.output_text
        elif not isinstance(result.error, RunError) and fake.runs[result.input]:
            assert "seed" in fake._api or isinstance(result.error, APIResponseValidationError)


def test_unknown_runs_are_repeated_only_if_asked() -> None:
    async def main(api: Any, repeat: bool) -> tuple[list[Any], FakeHandinger]:
        fake = FakeHandinger(api=api)
        on = CreateTask if api == "today" else CreateWorker
        lost: list[Fault] = [Postpone(1e6, on=on, times=2)] if api == "today" else [Drop(on=on, times=2)]
        async with fake.session(*lost) as session:
            results = await collect(session.run_many(names(5), repeat_unknown=repeat))
        each_once(results, 5)
        return [type(result.error) for result in results if result.error], fake

    for api in ("today", "seed"):
        errors, fake = run_in_virtual_time(main(api, False))
        assert errors == [RunUnknownError] * 2
        assert sum(fake.runs.values()) == (3 if api == "today" else 5)
        errors, fake = run_in_virtual_time(main(api, True))
        assert errors == []
        assert sum(fake.runs.values()) == (5 if api == "today" else 7)


def test_many_inputs_take_no_more_memory_than_few() -> None:
    async def main() -> None:
        inputs = islice((f"input {index}" for index in count()), 300)
        seen = 0
        async with FakeHandinger().session() as session, session.run_many(inputs, concurrency=5) as results:
            async for _ in results:
                seen += 1
                assert sum(not task.done() for task in results._working) + len(results._ready) <= 5
        assert seen == 300

    run_in_virtual_time(main())
