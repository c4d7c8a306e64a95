"""Tasks are run once, whatever fails: the caller has the outcome, or an error that says what is known.

All in memory, in virtual time, against the fault injection of the testing kit.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handinger_async import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    Outcome,
    RetryPolicy,
    RunError,
    RunFailedError,
    RunTimeoutError,
    RunUnknownError,
    Session,
    TaskWithTurns,
    Timeouts,
)
from handinger_async.http import Request, Response
from handinger_async.operations import CreateTask, ListTaskTurns, RetrieveTask
from handinger_async.testing import FakeHandinger, strategies
from handinger_async.testing.faults import (
    CloseConnection,
    Corrupt,
    Cut,
    Delay,
    Drop,
    Fault,
    Postpone,
    Refuse,
    Status,
    Trickle,
)
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.memory import MemoryTransport

POST, GET = CreateTask, RetrieveTask

#: Faults at every moment of a request: before it, within it, after it, and at several places of the response.
FAULTS: list[Callable[..., Fault]] = [
    Refuse,
    Drop,
    Postpone,
    lambda **on: Postpone(20, **on),
    lambda **on: Drop(after=0.6, **on),
    lambda **on: Status(404, **on),
    lambda **on: Status(422, **on),
    lambda **on: Status(429, **on),
    lambda **on: Status(429, retry_after=2, **on),
    lambda **on: Status(408, **on),
    lambda **on: Status(500, **on),
    lambda **on: Status(503, retry_after=1, **on),
    lambda **on: Status(504, headers={"x-should-retry": "true"}, **on),
    lambda **on: Delay(0.5, **on),
    lambda **on: Delay(90, **on),
    lambda **on: Delay(math.inf, **on),
    lambda **on: Delay(90, at=20, **on),
    lambda **on: Delay(math.inf, at=20, **on),
    lambda **on: Trickle(**on),
    lambda **on: Cut(0, **on),
    lambda **on: Cut(30, **on),
    lambda **on: Corrupt(5, **on),
    CloseConnection,
]


class Run:
    """The ways to begin a run, each with the number of turns that its task has at the end."""

    @staticmethod
    async def fresh(session: Session, **options: Any) -> Any:
        return await session.tasks.run(input="once", **options)

    @staticmethod
    async def named(session: Session, **options: Any) -> Any:
        return await session.tasks.run(input="once", new_task_id="tsk_mine", **options)

    @staticmethod
    async def continued(session: Session, **options: Any) -> Any:
        return await session.tasks.run(input="once", task_id="tsk_before", **options)

    @staticmethod
    async def either_generation(session: Session, **options: Any) -> Any:
        outcome = await session.run("once", **options)
        return outcome.task or outcome


WAYS = [Run.fresh, Run.named, Run.continued, Run.either_generation]


async def attempt(way: Any, *faults: Fault, turns: bool = True, **options: Any) -> tuple[Any, Counter[str]]:
    """Return the result or the exception of a run with faults, and how often the service ran each input."""
    fake = FakeHandinger(turns=turns)
    async with fake.session() as session:
        await session.tasks.create(input="before", task_id="tsk_before")
    result: Any
    async with fake.session(*faults, **options) as session:
        try:
            result = await way(session, deadline=3600)
        except Exception as error:
            result = error
    await asyncio.sleep(60)  # what the service does late
    return result, fake.runs


def check(result: Any, runs: Counter[str]) -> None:
    """Check the promise: never twice; exactly once, or an error that says what is known."""
    assert runs["once"] <= 1
    if isinstance(result, TaskWithTurns):
        assert runs["once"] == 1
        assert result.task.status == "completed"
        assert result.turns is not None
        assert result.turns[-1].input == "once"
        assert result.turns[-1].output_text
    elif isinstance(result, Outcome):  # the task could not be retrieved
        assert runs["once"] == 1
        assert result.output_text
    elif isinstance(result, RunError):
        assert result.task_id
        assert result.task_id in str(result)
    else:  # refused: nothing was started
        assert isinstance(result, APIError)
        assert runs["once"] == 0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    ("on", "times"), [(POST, 1), (POST, 4), (GET, 4), ((POST, GET), 3)], ids=["post", "posts", "gets", "both"]
)
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_leaves_at_most_one_run_and_its_outcome(way: Any, on: Any, times: int, fault: Any) -> None:
    result, runs = run_in_virtual_time(attempt(way, fault(on=on, times=times)))
    check(result, runs)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("fault", [Drop, lambda **on: Delay(math.inf, **on), lambda **on: Cut(10, **on)])
def test_lost_response_is_replaced_by_the_task(way: Any, fault: Any) -> None:
    result, runs = run_in_virtual_time(attempt(way, fault(on=POST)))
    assert isinstance(result, TaskWithTurns)
    check(result, runs)


@pytest.mark.parametrize("turns", [True, False], ids=["with turns", "turns apart"])
@settings(max_examples=40, deadline=None)
@given(way=st.sampled_from(WAYS), faults=st.lists(strategies.faults(), max_size=4))
def test_any_faults_leave_at_most_one_run(turns: bool, way: Any, faults: list[Fault]) -> None:
    result, runs = run_in_virtual_time(attempt(way, *faults, turns=turns))
    check(result, runs)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_idempotency_key_and_eager_policy_do_not_repeat_the_request(way: Any) -> None:
    class Eager(RetryPolicy):
        def delay(self, *args: Any, attempt: int, **options: Any) -> float | None:
            return 0.1 if attempt < 5 else None

    for fault in (Drop(on=POST), Status(500, on=POST), Postpone(1, on=POST)):
        for options in ({"headers": {"Idempotency-Key": "k"}}, {"retry": Eager()}):
            result, runs = run_in_virtual_time(attempt(way, fault, **options))
            check(result, runs)


# Outcomes and errors ##################################################################################################


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_run_that_the_service_never_knows_is_unknown_after_the_settling_time(way: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        result, runs = await attempt(way, Postpone(45, on=POST))
        assert isinstance(result, RunUnknownError)
        assert isinstance(result.__cause__, APIConnectionError)
        assert 30 <= loop.time() - start - 60 < 80
        assert runs["once"] == 1  # late: the error did not say otherwise

    run_in_virtual_time(main())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422])
def test_refused_run_is_the_error_of_the_service(status: int) -> None:
    result, runs = run_in_virtual_time(attempt(Run.fresh, Status(status, on=POST, times=None)))
    assert isinstance(result, APIStatusError)
    assert result.status_code == status
    assert not runs["once"]


def test_key_that_is_refused_while_waiting_names_the_task() -> None:
    result, runs = run_in_virtual_time(attempt(Run.fresh, Drop(on=POST), Status(401, on=GET, times=None)))
    assert isinstance(result, RunUnknownError)
    assert isinstance(result.__cause__, APIConnectionError)
    assert "401" in str(result)
    assert runs["once"] == 1


def test_response_without_a_task_is_the_outcome_of_a_session_run() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        async with fake.session(Status(404, on=GET, times=None)) as session:
            outcome = await session.run("once")
            assert (outcome.task, outcome.status) == (None, "completed")
            assert outcome.output_text
            assert outcome.worker is not None
            with pytest.raises(RunUnknownError, match="cannot be retrieved") as caught:
                await session.tasks.run(input="twice")
        assert caught.value.task_id
        assert fake.runs == {"once": 1, "twice": 1}

    run_in_virtual_time(main())


@pytest.mark.parametrize("status", ["error", "aborted"])
def test_failed_task_raises_with_its_outcome(status: str) -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script("half", Step("done", status=status))
        async with fake.session() as session:
            with pytest.raises(RunFailedError, match=status) as caught:
                await session.tasks.run(input="x")
            assert caught.value.outcome.output_text == "halfdone"
            assert caught.value.outcome.task_id == caught.value.task_id
            assert caught.value.worker_id == caught.value.outcome.worker_id
            with pytest.raises(RunFailedError, match=status):
                await session.tasks.wait(str(caught.value.task_id))

    run_in_virtual_time(main())


# Waiting ##############################################################################################################


def test_deadline_ends_the_wait_and_the_run_goes_on() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("late", after=100))
        async with fake.session() as session:
            loop = asyncio.get_running_loop()
            start = loop.time()
            with pytest.raises(RunTimeoutError, match="10 s") as caught:
                await session.tasks.run(input="x", deadline=10)
            assert loop.time() - start == pytest.approx(10)
            assert isinstance(caught.value, TimeoutError)
            with pytest.raises(RunTimeoutError):
                await session.with_options(timeouts=Timeouts(deadline=5)).tasks.wait(str(caught.value.task_id))
            task = await session.tasks.wait(str(caught.value.task_id))
            assert task.turns is not None
            assert task.turns[0].output_text == "late"
        assert fake.runs == {"x": 1}
        assert len(asyncio.all_tasks()) == 1

    run_in_virtual_time(main())


def test_long_run_outlives_the_limit_of_an_attempt() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("late", after=3600), times=2)
        async with fake.session(timeouts=Timeouts(attempt=1, idle=1)) as session:
            assert (await session.tasks.create(input="x")).output_text == "late"
            assert (await session.tasks.run(input="y")).task.status == "completed"
            posts = [request for request in fake.requests if request.method == "POST"]
            assert len(posts) == 2
            assert len(fake.requests) < 300

    run_in_virtual_time(main())


def test_cancelled_run_leaves_no_task_behind() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("late", after=100))
        seen: list[Any] = []
        async with fake.session() as session:
            running = asyncio.create_task(session.tasks.run(input="x", on_start=lambda worker, task: seen.append(task)))
            await asyncio.sleep(5)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert (await session.tasks.wait(seen[0])).task.status == "completed"

    run_in_virtual_time(main())


def test_closed_session_ends_a_run_with_its_id() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("late", after=100))
        session = fake.session()
        running = asyncio.create_task(session.tasks.run(input="x", new_task_id="tsk_mine"))
        waiting = asyncio.create_task(session.tasks.wait("tsk_mine"))
        waiting.add_done_callback(lambda task: task.exception())
        await asyncio.sleep(5)
        await session.aclose()
        with pytest.raises(RunUnknownError) as caught:
            await running
        assert caught.value.task_id == "tsk_mine"
        with pytest.raises((ConfigurationError, NotFoundError)):
            await waiting

    run_in_virtual_time(main())


def test_unknown_status_is_waited_for() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("a", status="paused"), Step("b", after=50))
        async with fake.session() as session:
            seen: list[TaskWithTurns] = []
            task = await session.tasks.run(input="x", on_update=seen.append)
        assert task.task.status == "completed"
        assert len({str(state) for state in seen}) == len(seen) > 1
        assert seen[-1] == task

    run_in_virtual_time(main())


def test_questions_grow_apart_and_heed_retry_after() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("late", after=600))
        times: list[float] = []
        loop = asyncio.get_running_loop()

        def note(request: Request) -> bool:
            if request.method == "GET":
                times.append(loop.time())
            return False

        retry = RetryPolicy(max_retries=0)
        async with fake.session(
            Status(500, on=note), Status(429, on=GET, skip=3, retry_after=40), retry=retry
        ) as session:
            await session.tasks.run(input="x")
        gaps = [after - before for before, after in pairwise(times)]
        assert gaps[3] >= 40
        assert all(gap <= 15 for gap in gaps[4:])
        assert 40 < len(times) < 80

    run_in_virtual_time(main())


def test_failing_on_update_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(state: object) -> None:
        raise LookupError("mine")

    async def main() -> None:
        async with FakeHandinger().session() as session:
            assert (await session.tasks.run(input="x", on_update=fail)).task.status == "completed"

    run_in_virtual_time(main())
    assert "on_update failed" in caplog.text


# Beginnings ###########################################################################################################


def test_on_start_has_the_ids_before_anything_is_sent() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        seen: list[Any] = []

        async def note(worker_id: str | None, task_id: str | None) -> None:
            await asyncio.sleep(0)
            seen.append((worker_id, task_id, len(fake.requests)))

        def refuse(worker_id: str | None, task_id: str | None) -> None:
            raise LookupError("mine")

        async with fake.session() as session:
            task = await session.tasks.run(input="x", on_start=note)
            assert seen == [(None, task.task.id, 0)]
            sent = len(fake.requests)
            with pytest.raises(LookupError, match="mine"):
                await session.tasks.run(input="x", on_start=refuse)
            assert len(fake.requests) == sent

    run_in_virtual_time(main())


def test_new_task_that_is_there_is_waited_for_and_not_sent() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("late", after=100))
        async with fake.session() as session:
            both = await asyncio.gather(
                session.tasks.run(input="x", new_task_id="tsk_mine"),
                _after(2, session.tasks.run(input="x", new_task_id="tsk_mine")),
            )
            assert both[0] == both[1] == await session.tasks.run(input="x", new_task_id="tsk_mine")
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


async def _after(delay: float, call: Any) -> Any:
    await asyncio.sleep(delay)
    return await call


def test_fresh_ids_differ_and_have_the_form_of_the_service() -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            ids = {(await session.tasks.run(input="x")).task.id for _ in range(20)}
        assert len(ids) == 20
        assert all(task_id.startswith("tsk_") and len(task_id) == 18 for task_id in ids)

    run_in_virtual_time(main())


def test_continued_task_waits_for_its_own_turn() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script(Step("first"), match="first")
        fake.script(Step("second", after=100), match="second")
        async with fake.session(Delay(math.inf, on=POST, skip=1)) as session:
            first = await session.tasks.run(input="first")
            second = await session.tasks.run(input="second", task_id=first.task.id)
        assert second.turns is not None
        assert [turn.output_text for turn in second.turns] == ["first", "second"]
        assert second.task.worker_id == first.task.worker_id

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input": "x", "task_id": "a", "new_task_id": "b"}, "pass one of them"),
        ({"input": "x", "new_task_id": ".."}, "task_id must not be"),
        ({"input": "x", "task_id": ""}, "task_id is empty"),
        ({"input": 5}, "input must be a string"),
        ({"input": "x", "deadline": 0}, "deadline must be"),
        ({"input": "x", "deadline": "1"}, "deadline must be"),
        ({"input": "x", "on_start": 5}, "on_start must be callable"),
        ({"input": "x", "on_update": 5}, "on_update must be callable"),
    ],
)
async def test_bad_arguments_of_a_run_are_refused_at_once(arguments: Any, words: str) -> None:
    def refuse(request: Request) -> Response:
        raise AssertionError("sent")

    async with Session(api_key="key", transport=MemoryTransport(refuse)) as session:
        with pytest.raises(ConfigurationError, match=words):
            session.tasks.run(**arguments)
        with pytest.raises(ConfigurationError, match="deadline"):
            session.tasks.wait("t", deadline=-1)
        with pytest.raises(ConfigurationError, match="task_id"):
            session.tasks.wait("")


def test_turns_that_are_left_out_are_fetched() -> None:
    async def main() -> None:
        fake = FakeHandinger(turns=False)
        async with fake.session() as session:
            task = await session.tasks.run(input="x")
            assert task.turns is not None
            assert await session.tasks.retrieve(task.task.id) == task
            assert (await session.send(RetrieveTask(task_id=task.task.id))).turns is None
            assert (await session.send(ListTaskTurns(task_id=task.task.id))).items == task.turns

    run_in_virtual_time(main())


def test_wait_for_an_unknown_task_is_not_found_at_once() -> None:
    async def main() -> None:
        fake = FakeHandinger()
        async with fake.session() as session:
            with pytest.raises(NotFoundError):
                await session.tasks.wait("tsk_unknown")
            with pytest.raises(NotFoundError):
                await session.tasks.run(input="x", task_id="tsk_unknown")
        assert not fake.runs
        async with FakeHandinger(api_keys=["other"]).session(api_key="key") as session:
            with pytest.raises(AuthenticationError):
                await session.tasks.wait("tsk_unknown")

    run_in_virtual_time(main())
