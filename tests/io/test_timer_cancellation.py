"""Cancellation and timeouts: a task is cancelled by its owner, by a timer or by another task."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

import pytest

from handinger_async import APITimeoutError, Attempt, Timeouts
from handinger_async._asyncio.timers import CancelScope, Timers
from handinger_async.testing.virtual_time import VirtualTimeLoop, run
from handinger_async.transports.memory import StreamingResponse

from .service import SSE, Service, now, ok, silent
from .wire import forever, wait


@pytest.mark.parametrize("limit", [10, None])
def test_cancelled_task_ends_its_wait(limit: float | None) -> None:
    async def main() -> None:
        timers = Timers()
        task = asyncio.ensure_future(wait(timers, forever(), limit))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not timers._loops or not timers._loops[asyncio.get_running_loop()][10].ends

    run(main())


def test_cancellation_wins_over_a_simultaneous_timeout() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(wait(Timers(), forever(), 10))
        asyncio.get_running_loop().call_at(10, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1  # the caller's

    run(main())


def test_timeout_in_a_task_that_was_cancelled_before_is_a_timeout() -> None:
    async def clean_up() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            with pytest.raises(APITimeoutError):
                await wait(Timers(), forever(), 10)
            raise

    async def main() -> None:
        task = asyncio.ensure_future(clean_up())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert now() == 11

    run(main())


def test_work_that_suppresses_the_cancellation_keeps_its_result() -> None:
    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(20)
        return "done"

    async def main() -> None:
        assert await wait(Timers(), stubborn(), 10) == "done"
        assert now() == 30
        await asyncio.sleep(1)  # would raise if there were a cancellation left
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    run(main())


def test_timeouts_nest_in_each_other_and_in_those_of_asyncio() -> None:
    async def main() -> None:
        timers = Timers()
        with pytest.raises(TimeoutError) as outer:
            async with asyncio.timeout(5):
                await wait(timers, forever(), 10)
        assert not isinstance(outer.value, APITimeoutError)
        async with asyncio.timeout(10):
            with pytest.raises(APITimeoutError, match="inner"):
                await wait(timers, wait(timers, forever(), 2, awaited="inner"), 3, awaited="outer")
            with pytest.raises(APITimeoutError, match="outer"):
                await wait(timers, wait(timers, forever(), 3, awaited="inner"), 2, awaited="outer")
        assert now() == 9

    run(main())


def test_another_task_can_cancel_the_scope_early() -> None:
    async def main() -> None:
        timers = Timers()
        scopes = []

        async def one() -> None:
            scopes.append(CancelScope(timers, 10, None, "thing"))
            with scopes[0]:
                await forever()

        task = asyncio.ensure_future(one())
        await asyncio.sleep(3)
        scopes[0].cancel()
        scopes[0].cancel()
        with pytest.raises(APITimeoutError):
            await task
        assert now() == 3
        await asyncio.sleep(10)  # its time is over now: nothing happens

    run(main())


@pytest.mark.parametrize("ends_at_once", [True, False])
def test_waiting_task_can_cancel_its_own_scope(*, ends_at_once: bool) -> None:
    async def main() -> None:
        scope = CancelScope(Timers(), 10, None, "thing")

        async def work() -> str:
            scope.cancel()
            if not ends_at_once:
                await forever()
            return "done"

        with nullcontext() if ends_at_once else pytest.raises(APITimeoutError), scope:
            assert await work() == "done"
        await asyncio.sleep(1)  # would raise if there were a cancellation left
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    run(main())


def test_scope_outside_a_task_is_an_error() -> None:
    async def main() -> None:
        work = asyncio.sleep(0)
        waiting = wait(Timers(), work, 1)
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


# Eager tasks ##########################################################################################################

eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")


def run_eagerly(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``main`` in a loop whose tasks begin while those that create them are in the middle of a step."""

    async def set_up() -> None:
        factory: Any = getattr(asyncio, "eager_task_factory")  # noqa: B009 - mypy checks for 3.11
        asyncio.get_running_loop().set_task_factory(factory)
        await main()
        await asyncio.sleep(1000)  # would raise if there were a cancellation left
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(set_up())


@eager
@pytest.mark.parametrize(("timeout", "deadline"), [(10, None), (None, 10), (10, 20), (20, 10)])
def test_wait_begun_in_an_eager_task_ends_at_its_timeout(timeout: float | None, deadline: float | None) -> None:
    async def main() -> None:
        timers = Timers()
        tasks = [asyncio.get_running_loop().create_task(wait(timers, forever(), timeout, deadline)) for _ in range(3)]
        for task in tasks:
            with pytest.raises(APITimeoutError):
                await task
        assert now() == 10

    run_eagerly(main)


@eager
@pytest.mark.parametrize("deadline", [None, -1.0])
def test_eager_task_can_end_without_suspension(deadline: float | None) -> None:
    async def at_once() -> str:
        return "done"

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(wait(Timers(), at_once(), 10, deadline))
        assert task.done()
        assert await task == "done"

    run_eagerly(main)


@eager
@pytest.mark.parametrize("ends_at_once", [True, False])
def test_eager_task_within_a_wait_can_cancel_it(*, ends_at_once: bool) -> None:
    async def main() -> None:
        scope = CancelScope(Timers(), 10, None, "thing")

        async def cancel() -> None:
            scope.cancel()

        async def work() -> str:
            await asyncio.get_running_loop().create_task(cancel())
            if not ends_at_once:
                await forever()
            return "done"

        with nullcontext() if ends_at_once else pytest.raises(APITimeoutError), scope:
            assert await work() == "done"
        assert now() == 0

    run_eagerly(main)


@eager
def test_eager_task_of_an_observer_can_close_the_stream_or_call() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        started: list[asyncio.Task[Any]] = []

        def observe(attempt: Attempt) -> None:
            if attempt.path.endswith("/stream"):
                started.append(loop.create_task(events.aclose()))
                started.append(loop.create_task(session.workers.retrieve("w")))

        service = Service(StreamingResponse(200, SSE, silent(b"data: a\n\n")), ok)
        async with service.session(observe=observe, timeouts=Timeouts(deadline=100)) as session:
            events = session.workers.stream_updates("w")
            assert [event async for event in events] == []
            await asyncio.sleep(1)
            assert [task.done() for task in started] == [True, True]
            assert started[1].result().id == "id"

    run_eagerly(main)
