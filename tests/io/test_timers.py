"""Timers of timeouts: one for all waits with the same timeout, and none left over."""

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

from handinger_async import APITimeoutError, InternalServerError, RetryPolicy
from handinger_async._asyncio.timers import _MAX_IDLE, Timers
from handinger_async.http import Response
from handinger_async.testing.virtual_time import VirtualTimeLoop, run

from .service import Service, now, ok
from .wire import forever, wait


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
def test_each_wait_ends_when_done_or_at_its_own_timeout(
    waits: list[tuple[float, float, float | None, float | None]],
) -> None:
    timers = Timers()

    async def one(begin: float, takes: float, limit: float | None, deadline: float | None) -> None:
        await asyncio.sleep(begin)
        allowed = min((end for end in (limit, deadline) if end is not None), default=None)
        end = None if deadline is None else begin + deadline
        outcome: Any
        try:
            outcome = await wait(timers, asyncio.sleep(takes, "done"), limit, end)
        except APITimeoutError as error:
            outcome = error
        if outcome == "done":
            assert allowed is None or takes <= allowed
            assert now() == begin + takes
        else:
            assert allowed is not None
            assert takes >= allowed
            assert now() == begin + allowed
            assert ("deadline" in outcome.message) == (allowed == deadline)
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for times in waits:
                group.create_task(one(*times))

    run(main())


def test_waits_with_the_same_timeout_share_a_timer() -> None:
    async def main() -> None:
        timers = Timers()
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(wait(timers, asyncio.sleep(0), 60))
        for _ in range(100):
            await wait(timers, asyncio.sleep(0), 60)
        assert len(counting().timers) == 1
        await asyncio.sleep(61)
        assert len(counting().timers) == 2  # the other is that of the sleep: none is set where nothing waits

    run_counting(main())


def test_timer_is_rescheduled_for_waits_that_began_later() -> None:
    async def main() -> None:
        timers = Timers()

        async def one(begin: float) -> float:
            await asyncio.sleep(begin)
            with pytest.raises(APITimeoutError, match=r"\bthing\b.*\b10 s\b|\b10 s\b.*\bthing\b") as caught:
                await wait(timers, forever(), 10)
            assert caught.value.__context__ is None  # frames of a call, with the API key
            return now()

        begins = [0.0, 1.0, 1.0, 9.5, 10.0, 35.0]
        random.Random(0).shuffle(begins)
        assert await asyncio.gather(*map(one, begins)) == [begin + 10 for begin in begins]

    run(main())


@pytest.mark.parametrize("at_once", [True, False])
def test_timeouts_that_always_differ_leave_a_few_timers(*, at_once: bool) -> None:
    async def main() -> None:
        timers = Timers()
        waits = [wait(timers, asyncio.sleep(0), 1000 + number) for number in range(200)]
        if at_once:
            await asyncio.gather(*waits)
        else:
            for waiting in waits:
                await waiting
        assert [timer.when() for timer in counting().pending] == [1000 + number for number in range(192, 200)]
        kept = timers._loops[counting()]
        assert len(kept) == _MAX_IDLE
        await asyncio.sleep(2000)
        assert not kept
        assert not counting().pending

    run_counting(main())


def test_timer_in_use_outlasts_many_others() -> None:
    async def main() -> None:
        timers = Timers()
        for number in range(1, 200):
            await wait(timers, asyncio.sleep(0), 60)
            await wait(timers, asyncio.sleep(0), 1000 + number)
            if number % 10 == 0:
                waiting = asyncio.ensure_future(wait(timers, forever(), 1000 + number))
                await asyncio.sleep(0)
                waiting.cancel()
        assert [timer.when() for timer in counting().timers].count(60) == 1

    run_counting(main())


def test_timer_in_use_is_kept_beside_many_without_waits() -> None:
    async def main() -> None:
        timers = Timers()
        await asyncio.gather(*(wait(timers, asyncio.sleep(0), 1000 + number) for number in range(20)))
        for _ in range(10):
            await wait(timers, asyncio.sleep(0), 60)
        assert [timer.when() for timer in counting().timers].count(60) == 1

    run_counting(main())


def test_expired_wait_leaves_no_timer() -> None:
    async def main() -> None:
        timers = Timers()
        for number in range(20):
            with pytest.raises(APITimeoutError):
                await wait(timers, forever(), 1 + number)
        assert not timers._loops[counting()]
        assert not counting().pending

    run_counting(main())


def test_timers_of_closed_event_loops_are_dropped() -> None:
    timers = Timers()
    for _ in range(5):
        run(wait(timers, asyncio.sleep(0), 60))
    assert len(timers._loops) == 1


def test_closing_keeps_only_the_timers_of_pending_waits() -> None:
    async def main() -> None:
        timers = Timers()
        await wait(timers, asyncio.sleep(0), 60)
        waiting = asyncio.ensure_future(wait(timers, forever(), 30))
        await asyncio.sleep(1)
        timers.close()
        assert [timer.when() for timer in counting().pending] == [30]
        with pytest.raises(APITimeoutError):
            await waiting
        await wait(timers, asyncio.sleep(0), 60)  # and it can still be used

    run_counting(main())


def test_closing_keeps_the_timers_of_other_event_loops() -> None:
    timers = Timers()

    async def main() -> None:
        await wait(timers, asyncio.sleep(0), 60)

    async def close() -> None:
        timers.close()

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main())
        run(close())
        loop = runner.get_loop()
        assert isinstance(loop, CountingLoop)
        assert loop.pending


def test_two_threads_can_drop_the_same_closed_loop() -> None:
    timers = Timers()

    class Closed:
        def is_closed(self) -> bool:
            timers._loops.clear()  # as the other thread does in this very moment
            return True

    timers._loops[Closed()] = {}  # type: ignore[index]
    run(wait(timers, asyncio.sleep(0), 60))


def test_closed_session_leaves_no_timer() -> None:
    async def main() -> None:
        async with Service(ok).session() as session:
            await session.workers.retrieve("w")
            assert counting().pending
        assert not counting().pending

    run_counting(main())


@pytest.mark.parametrize("again", [False, True])
def test_timer_does_not_keep_the_context_of_the_first_task(*, again: bool) -> None:
    class Thing:
        pass

    variable: ContextVar[Thing] = ContextVar("variable")

    async def main() -> None:
        timers = Timers()
        seen: list[ref[Thing]] = []

        async def first() -> None:
            variable.set(Thing())
            seen.append(ref(variable.get()))
            await wait(timers, asyncio.sleep(0), 60)

        await asyncio.create_task(first())
        later = asyncio.create_task(wait(timers, asyncio.sleep(90), 60))
        await asyncio.sleep(61 if again else 1)
        gc.collect()
        assert seen[0]() is None
        later.cancel()

    run(main())


def test_clock_set_back_does_not_delay_later_timeouts() -> None:
    class Clock(CountingLoop):
        ahead = 0.0

        def time(self) -> float:
            return super().time() + self.ahead

    async def main() -> None:
        timers, loop = Timers(), asyncio.get_running_loop()
        assert isinstance(loop, Clock)
        loop.ahead = 1e6
        await wait(timers, asyncio.sleep(0), 10)
        loop.ahead = 0.0
        with pytest.raises(APITimeoutError):
            await wait(timers, forever(), 10)
        assert loop.time() == 10
        failures: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: failures.append(context))
        await asyncio.sleep(2e6)  # the first timer fires without effect
        assert not failures

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(main())


def test_timer_cancelled_from_outside_is_scheduled_again() -> None:
    async def main() -> None:
        timers = Timers()
        await wait(timers, asyncio.sleep(0), 10)
        for timer in counting().pending:
            timer.cancel()
        with pytest.raises(APITimeoutError):
            await wait(timers, forever(), 10)
        assert now() == 10

    run_counting(main())


def test_timer_that_was_replaced_during_a_wait_ends_without_effect() -> None:
    async def main() -> None:
        timers = Timers()
        first = asyncio.ensure_future(wait(timers, asyncio.sleep(5), 10))
        await asyncio.sleep(0)
        for timer in counting().pending:
            if timer.when() == 10:
                timer.cancel()
        second = asyncio.ensure_future(wait(timers, forever(), 10))
        third = asyncio.ensure_future(wait(timers, asyncio.sleep(7), 10))
        await first
        await third
        with pytest.raises(APITimeoutError):
            await second
        assert now() == 10
        assert not timers._loops[counting()]
        assert not counting().pending

    run_counting(main())


def test_pause_before_a_retry_leaves_no_timer() -> None:
    async def main() -> None:
        session = Service(Response(500)).session(retry=RetryPolicy(initial_delay=1000, max_delay=1000))
        call = asyncio.ensure_future(session.workers.retrieve("w"))
        await asyncio.sleep(1)
        assert [timer.when() for timer in counting().pending if timer.when() > 100]
        failures: list[dict[str, Any]] = []
        counting().set_exception_handler(lambda _, context: failures.append(context))
        await asyncio.gather(session.aclose(), session.aclose())
        with pytest.raises(InternalServerError):
            await call
        assert not counting().pending
        assert not session._settings.pool._pauses
        assert not failures

    run_counting(main())


def test_timer_that_fires_too_early_is_rescheduled() -> None:
    class Early(CountingLoop):
        def call_at(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
            return super().call_at(when // 0.001 * 0.001, *args, **kwargs)  # in whole milliseconds, as uvloop's do

    async def main() -> None:
        with pytest.raises(APITimeoutError):
            await wait(Timers(), forever(), 0.1009)
        assert 0.1009 <= now() < 0.103
        assert len(counting().timers) <= 3

    with asyncio.Runner(loop_factory=Early) as runner:
        runner.run(main())


def test_past_deadline_ends_work_that_yields_to_the_loop() -> None:
    async def main() -> None:
        with pytest.raises(APITimeoutError, match="deadline"):
            await wait(Timers(), asyncio.sleep(0), None, -1.0)

    run(main())


def test_deadline_leaves_no_timer() -> None:
    async def main() -> None:
        await wait(Timers(), asyncio.sleep(0), 5, now() + 60)
        assert not counting().pending

    run_counting(main())


@pytest.mark.parametrize("deadline", [None, 10.0])
def test_exception_of_the_awaited_work_propagates(deadline: float | None) -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise TimeoutError("its own")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="its own"):
            await wait(Timers(), fail(), 10, deadline)

    run(main())
