"""Waits with a time limit: each ends in its own time, those of one limit by one timer; what is cancelled, is."""

import asyncio
import gc
import random
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any
from weakref import ref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handinger_async import APITimeoutError
from handinger_async.limits import Scope, TimeLimits, _Alike
from handinger_async.testing.virtual_time import VirtualTimeLoop, run

from .service import Service, ok, seconds


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


class CountingLoop(VirtualTimeLoop):
    """Counts the timers that are set in it, and keeps them."""

    def __init__(self) -> None:
        self.timers: list[asyncio.TimerHandle] = []
        super().__init__()

    def call_at(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        self.timers.append(super().call_at(when, *args, **kwargs))
        return self.timers[-1]

    @property
    def pending(self) -> list[asyncio.TimerHandle]:
        return [timer for timer in self.timers if not timer.cancelled() and timer.when() > self.time()]


def run_counting(main: Coroutine[Any, Any, Any]) -> None:
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main)


def counting() -> CountingLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CountingLoop)
    return loop


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    waits=st.lists(
        st.tuples(
            st.integers(0, 20).map(float),  # when it begins
            st.integers(0, 20).map(float),  # how long it takes
            st.sampled_from([None, 1.0, 5.0, 6.5, 1]),  # its limit
            st.sampled_from([None, None, 2.0, 9.5, 30.0]),  # its deadline, from its beginning on
        ),
        max_size=12,
    )
)
def test_each_wait_ends_when_it_is_done_or_its_time_is_over(
    waits: list[tuple[float, float, float | None, float | None]],
) -> None:
    limits = TimeLimits()

    async def one(begin: float, takes: float, limit: float | None, deadline: float | None) -> None:
        await asyncio.sleep(begin)
        allowed = min((end for end in (limit, deadline) if end is not None), default=None)
        end = None if deadline is None else begin + deadline
        outcome: Any
        try:
            outcome = await limits.wait(asyncio.sleep(takes, "done"), limit, end, "thing")
        except APITimeoutError as error:
            outcome = error
        if outcome == "done":
            assert allowed is None or takes <= allowed
            assert seconds() == begin + takes
        else:
            assert allowed is not None
            assert takes >= allowed
            assert seconds() == begin + allowed
            assert ("deadline" in outcome.message) == (allowed == deadline)
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for wait in waits:
                group.create_task(one(*wait))

    run(main())


def test_waits_of_one_limit_share_a_timer() -> None:
    async def main() -> None:
        limits = TimeLimits()
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(limits.wait(asyncio.sleep(0), 60, None, "thing"))
        for _ in range(100):
            await limits.wait(asyncio.sleep(0), 60, None, "thing")
        assert len(counting().timers) == 1
        await asyncio.sleep(61)
        assert len(counting().timers) == 2  # the other is that of the sleep: none is set where nothing waits

    run_counting(main())


def test_a_timer_is_set_anew_for_what_began_later() -> None:
    async def main() -> None:
        limits = TimeLimits()

        async def one(begin: float) -> float:
            await asyncio.sleep(begin)
            with pytest.raises(APITimeoutError, match="There was no thing within 10 s"):
                await limits.wait(forever(), 10, None, "thing")
            return seconds()

        begins = [0.0, 1.0, 1.0, 9.5, 10.0, 35.0]
        random.Random(0).shuffle(begins)
        assert await asyncio.gather(*map(one, begins)) == [begin + 10 for begin in begins]

    run(main())


def test_limits_that_differ_each_time_leave_nothing_behind() -> None:
    async def main() -> None:
        limits = TimeLimits()
        for number in range(50):
            await limits.wait(asyncio.sleep(0), 1 + number / 50, None, "thing")
        await asyncio.sleep(2)
        assert not limits._alike
        assert not counting().pending

    run_counting(main())


def test_loops_that_are_closed_leave_nothing_behind() -> None:
    limits = TimeLimits()
    for _ in range(5):
        run(limits.wait(asyncio.sleep(0), 60, None, "thing"))
    assert len(limits._alike) == 1


def test_what_is_closed_leaves_the_timer_only_of_what_still_waits() -> None:
    async def main() -> None:
        limits = TimeLimits()
        await limits.wait(asyncio.sleep(0), 60, None, "thing")
        waiting = asyncio.ensure_future(limits.wait(forever(), 30, None, "thing"))
        await asyncio.sleep(1)
        limits.close()
        assert [timer.when() for timer in counting().pending] == [30]
        with pytest.raises(APITimeoutError):
            await waiting
        await limits.wait(asyncio.sleep(0), 60, None, "thing")  # and it can still be used

    run_counting(main())


def test_only_timers_of_the_running_loop_are_touched_when_its_session_is_closed() -> None:
    limits = TimeLimits()

    async def main() -> None:
        await limits.wait(asyncio.sleep(0), 60, None, "thing")

    async def close() -> None:
        limits.close()

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main())
        run(close())
        loop = runner.get_loop()
        assert isinstance(loop, CountingLoop)
        assert loop.pending


def test_loops_in_two_threads_may_both_find_a_third_closed() -> None:
    limits = TimeLimits()

    class Closed:
        def is_closed(self) -> bool:
            limits._alike.clear()  # as the other thread does in this very moment
            return True

    limits._alike[Closed(), 60] = _Alike()  # type: ignore[index]
    run(limits.wait(asyncio.sleep(0), 60, None, "thing"))


def test_a_session_that_is_closed_leaves_no_timer_behind() -> None:
    async def main() -> None:
        async with Service(ok).session() as session:
            await session.workers.retrieve("w")
            assert counting().pending
        assert not counting().pending

    run_counting(main())


@pytest.mark.parametrize("again", [False, True])
def test_the_context_of_the_first_task_is_not_kept_for_the_timer(*, again: bool) -> None:
    class Thing:
        pass

    variable: ContextVar[Thing] = ContextVar("variable")

    async def main() -> None:
        limits = TimeLimits()
        seen: list[ref[Thing]] = []

        async def first() -> None:
            variable.set(Thing())
            seen.append(ref(variable.get()))
            await limits.wait(asyncio.sleep(0), 60, None, "thing")

        await asyncio.create_task(first())
        later = asyncio.create_task(limits.wait(asyncio.sleep(90), 60, None, "thing"))
        await asyncio.sleep(61 if again else 1)
        gc.collect()
        assert seen[0]() is None
        later.cancel()

    run(main())


def test_what_began_before_a_clock_was_set_back_delays_nothing() -> None:
    class Clock(CountingLoop):
        ahead = 0.0

        def time(self) -> float:
            return super().time() + self.ahead

    async def main() -> None:
        limits, loop = TimeLimits(), asyncio.get_running_loop()
        assert isinstance(loop, Clock)
        loop.ahead = 1e6
        await limits.wait(asyncio.sleep(0), 10, None, "thing")
        loop.ahead = 0.0
        with pytest.raises(APITimeoutError):
            await limits.wait(forever(), 10, None, "thing")
        assert loop.time() == 10
        failures: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: failures.append(context))
        await asyncio.sleep(2e6)  # the first timer rings, for nothing
        assert not failures

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(main())


def test_a_timer_that_somebody_cancels_is_set_again() -> None:
    async def main() -> None:
        limits = TimeLimits()
        await limits.wait(asyncio.sleep(0), 10, None, "thing")
        for timer in counting().pending:
            timer.cancel()
        with pytest.raises(APITimeoutError):
            await limits.wait(forever(), 10, None, "thing")
        assert seconds() == 10

    run_counting(main())


def test_timers_that_ring_too_early_ring_once_more() -> None:
    class Early(CountingLoop):
        def call_at(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
            return super().call_at(when // 0.001 * 0.001, *args, **kwargs)  # in whole milliseconds, as uvloop's do

    async def main() -> None:
        with pytest.raises(APITimeoutError):
            await TimeLimits().wait(forever(), 0.1009, None, "thing")
        assert 0.1009 <= seconds() < 0.103
        assert len(counting().timers) <= 3

    with asyncio.Runner(loop_factory=Early) as runner:
        runner.run(main())


def test_a_deadline_that_is_over_ends_work_that_takes_a_turn_of_the_loop_for_each_step() -> None:
    async def main() -> None:
        with pytest.raises(APITimeoutError, match="deadline"):
            await TimeLimits().wait(asyncio.sleep(0), None, -1.0, "thing")

    run(main())


def test_a_deadline_leaves_no_timer_behind() -> None:
    async def main() -> None:
        await TimeLimits().wait(asyncio.sleep(0), 5, seconds() + 60, "thing")
        assert not counting().pending

    run_counting(main())


@pytest.mark.parametrize("deadline", [None, 10.0])
def test_a_failure_of_the_work_comes_through(deadline: float | None) -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise TimeoutError("its own")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="its own"):
            await TimeLimits().wait(fail(), 10, deadline, "thing")

    run(main())


# Cancellation #########################################################################################################


@pytest.mark.parametrize("limit", [10, None])
def test_a_task_that_is_cancelled_is_cancelled(limit: float | None) -> None:
    async def main() -> None:
        limits = TimeLimits()
        task = asyncio.ensure_future(limits.wait(forever(), limit, None, "thing"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not any(alike.ends for alike in limits._alike.values())

    run(main())


def test_a_cancellation_in_the_very_moment_when_the_time_is_over_wins() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(TimeLimits().wait(forever(), 10, None, "thing"))
        asyncio.get_running_loop().call_at(10, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1  # the caller's

    run(main())


def test_work_that_takes_its_time_to_end_is_interrupted_once_and_keeps_its_result() -> None:
    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(20)
        return "done"

    async def main() -> None:
        assert await TimeLimits().wait(stubborn(), 10, None, "thing") == "done"
        assert seconds() == 30
        await asyncio.sleep(1)  # would raise if there were a cancellation left
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    run(main())


def test_limits_nest_in_those_of_asyncio_and_of_each_other() -> None:
    async def main() -> None:
        limits = TimeLimits()
        with pytest.raises(TimeoutError) as outer:
            async with asyncio.timeout(5):
                await limits.wait(forever(), 10, None, "thing")
        assert not isinstance(outer.value, APITimeoutError)
        async with asyncio.timeout(10):
            with pytest.raises(APITimeoutError, match="inner"):
                await limits.wait(limits.wait(forever(), 2, None, "inner"), 3, None, "outer")
            with pytest.raises(APITimeoutError, match="outer"):
                await limits.wait(limits.wait(forever(), 3, None, "inner"), 2, None, "outer")
        assert seconds() == 9

    run(main())


def test_others_can_end_a_wait_before_its_time() -> None:
    async def main() -> None:
        limits = TimeLimits()
        scopes = []

        async def one() -> None:
            scopes.append(Scope())
            await limits.wait(forever(), 10, None, "thing", scopes[0])

        task = asyncio.ensure_future(one())
        await asyncio.sleep(3)
        scopes[0].interrupt()
        scopes[0].interrupt()
        with pytest.raises(APITimeoutError):
            await task
        assert seconds() == 3
        await asyncio.sleep(10)  # its time is over now: nothing happens

    run(main())


@pytest.mark.parametrize("ends_at_once", [True, False])
def test_who_waits_can_end_the_wait_too(*, ends_at_once: bool) -> None:
    async def main() -> None:
        scope = Scope()

        async def work() -> str:
            scope.interrupt()
            if not ends_at_once:
                await forever()
            return "done"

        waiting = TimeLimits().wait(work(), 10, None, "thing", scope)
        if ends_at_once:
            assert await waiting == "done"
        else:
            with pytest.raises(APITimeoutError):
                await waiting
        await asyncio.sleep(1)  # would raise if there were a cancellation left
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    run(main())


def test_without_a_task_there_is_nothing_to_interrupt() -> None:
    async def main() -> None:
        work = asyncio.sleep(0)
        waiting = TimeLimits().wait(work, 1, None, "thing")
        outcome = asyncio.get_running_loop().create_future()

        def step() -> None:
            try:
                waiting.send(None)
            except RuntimeError as error:
                outcome.set_result(error)

        asyncio.get_running_loop().call_soon(step)
        assert "task" in str(await outcome)
        work.close()

    run(main())
