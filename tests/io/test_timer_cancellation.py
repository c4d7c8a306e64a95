"""Cancellation and timeouts: a task is cancelled by its owner, by a timer or by another task."""

import asyncio

import pytest

from handinger_async import APITimeoutError
from handinger_async._asyncio.timers import CancelScope, Timers
from handinger_async.testing.virtual_time import run

from .service import now
from .wire import forever


@pytest.mark.parametrize("limit", [10, None])
def test_cancelled_task_ends_its_wait(limit: float | None) -> None:
    async def main() -> None:
        timers = Timers()
        task = asyncio.ensure_future(timers.wait(forever(), limit, None, "thing"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not any(shared.ends for shared in timers._shared.values())

    run(main())


def test_cancellation_wins_over_a_simultaneous_timeout() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(Timers().wait(forever(), 10, None, "thing"))
        asyncio.get_running_loop().call_at(10, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1  # the caller's

    run(main())


def test_work_that_suppresses_the_cancellation_keeps_its_result() -> None:
    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(20)
        return "done"

    async def main() -> None:
        assert await Timers().wait(stubborn(), 10, None, "thing") == "done"
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
                await timers.wait(forever(), 10, None, "thing")
        assert not isinstance(outer.value, APITimeoutError)
        async with asyncio.timeout(10):
            with pytest.raises(APITimeoutError, match="inner"):
                await timers.wait(timers.wait(forever(), 2, None, "inner"), 3, None, "outer")
            with pytest.raises(APITimeoutError, match="outer"):
                await timers.wait(timers.wait(forever(), 3, None, "inner"), 2, None, "outer")
        assert now() == 9

    run(main())


def test_another_task_can_cancel_the_scope_early() -> None:
    async def main() -> None:
        timers = Timers()
        scopes = []

        async def one() -> None:
            scopes.append(CancelScope())
            await timers.wait(forever(), 10, None, "thing", scopes[0])

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
        scope = CancelScope()

        async def work() -> str:
            scope.cancel()
            if not ends_at_once:
                await forever()
            return "done"

        waiting = Timers().wait(work(), 10, None, "thing", scope)
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


def test_scope_outside_a_task_is_an_error() -> None:
    async def main() -> None:
        work = asyncio.sleep(0)
        waiting = Timers().wait(work, 1, None, "thing")
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
