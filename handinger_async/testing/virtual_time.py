"""An event loop with virtual time: when nothing else is ready, its clock jumps to the next timer.

Every ``asyncio.sleep``, ``asyncio.timeout`` and ``loop.call_later`` in it, yours included, takes no real time, and
timers still fire in the right order::

    from handinger_async.testing.virtual_time import run

    def test_an_hour_passes():
        async def main():
            await asyncio.sleep(3600)
            return asyncio.get_running_loop().time()

        assert run(main()) == 3600

Events from outside the loop take real time:

- Work in an executor (``asyncio.to_thread``, name resolution): the clock stands still until it is done. So that work
  must not wait for something to happen in the loop.
- Sockets and pipes: while any is open, the clock jumps only after 0.02 real seconds without an event. That is
  usually enough on loopback, but not on a busy machine, and far too little for a network: there the clock runs ahead of
  the peer. Prefer `MemoryTransport` in virtual time.

If there is no timer, and no event from outside for two real seconds, the loop raises `NothingToWaitFor`. A
plain event loop would hang.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["NothingToWaitFor", "VirtualTimeLoop", "run"]

T = TypeVar("T")

#: Real seconds to wait for events of open sockets before the clock jumps.
GRACE = 0.02
#: Real seconds without a timer and without an event from outside before the loop raises `NothingToWaitFor`.
PATIENCE = 2.0


class NothingToWaitFor(RuntimeError):  # noqa: N818 - a public name
    """Every task waits, no timer is set, and there was no event from outside."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0 and jumps to the next timer when nothing else is ready.

    ::

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._executing = 0
        self._pool: ThreadPoolExecutor | None = None
        super().__init__(_JumpingSelector(self))
        # Timers this close to the clock are due: a sum of floats can miss the deadline by a rounding error.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the virtual time, in seconds since the loop was created."""
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run ``func`` in a thread; the clock stands still until it returns, also when the future is cancelled."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        if executor is None and self._pool is None:
            self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        observed = _Observed(executor or self._pool)
        future = super().run_in_executor(observed, func, *args)
        self._executing += 1
        # After asyncio's own callback, which passes the result on: the clock jumps only when that has arrived.
        observed.job.add_done_callback(self._done_in_thread)
        return future

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override]
        """Set the executor of `run_in_executor`."""
        super().set_default_executor(executor)
        self._pool = executor

    def _done_in_thread(self, _: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self.call_soon_threadsafe(self._executed)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own
        """Wait for the threads without a timeout, unlike asyncio from Python 3.12 on."""
        self._executing += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._executing -= 1

    def _executed(self) -> None:
        self._executing -= 1

    def wait_outside(self, timeout: float | None, sockets: int) -> float | None:
        """Return the real seconds to wait for events from outside before the clock jumps by ``timeout``.

        Args:
            timeout: Virtual seconds until the next timer; None if there is none.
            sockets: The number of file descriptors watched, without the loop's own.

        Returns:
            Seconds, or None to wait without a limit.
        """
        if self._executing:
            return None
        if timeout is None:
            return PATIENCE
        return min(timeout, GRACE) if sockets else 0.0

    def jump(self, timeout: float | None) -> None:
        """Advance the clock by ``timeout`` seconds.

        Raises:
            NothingToWaitFor: There is no timer to jump to.
        """
        if timeout is None:
            waiting = "\n".join(f"  {task!r}" for task in asyncio.all_tasks(self))
            raise NothingToWaitFor(f"no timer is set, and there was no event from outside; waiting tasks:\n{waiting}")
        self._now += timeout


class _Observed(Executor):
    """Passes a job on to an executor, and keeps it.

    The loop cannot observe the futures of asyncio: such a future is done when it is cancelled, but its job runs on.
    """

    job: Future[Any]

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def submit(self, func: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        job: Future[T] = self._executor.submit(func, *args, **kwargs)
        self.job = job
        return job


class _JumpingSelector(selectors.DefaultSelector):
    """Selector that advances the virtual clock instead of blocking."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        sockets = len(self.get_map()) - 1  # without the loop's own, for wake-ups by threads and signals
        ready = super().select(self._loop.wait_outside(timeout, sockets))
        if not ready:
            self._loop.jump(timeout)
        return ready


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a `VirtualTimeLoop` of its own, as ``asyncio.run`` does.

    Args:
        main: The coroutine.

    Returns:
        The result of the coroutine.

    Raises:
        NothingToWaitFor: Every task waits, and nothing can wake one.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
