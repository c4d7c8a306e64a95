"""An event loop whose clock jumps: when nothing else is ready, it goes straight to the next timer.

Every ``asyncio.sleep``, ``asyncio.timeout`` and ``loop.call_later`` in it, yours too, takes no time, and still happens
in the right order::

    from handinger_async.testing.virtual_time import run

    def test_an_hour_passes():
        async def main():
            await asyncio.sleep(3600)
            return asyncio.get_running_loop().time()

        assert run(main()) == 3600

What is outside cannot be hurried, so it is waited for in real time:

- Work in an executor (``asyncio.to_thread``, name resolution): the clock stands still until it is done. So it must not
  itself wait for something to happen in the loop.
- Sockets and pipes: as long as any is open, the clock jumps only after `GRACE` real seconds without a sign of life.
  That is plenty on loopback, and far too little for a network: there the clock would run ahead of the peer.

If there is no timer at all, and for `PATIENCE` real seconds nothing comes from outside either, nothing can ever happen:
the loop raises `NothingToWaitFor`, where another one would hang.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

__all__ = ["GRACE", "PATIENCE", "NothingToWaitFor", "VirtualTimeLoop", "run"]

T = TypeVar("T")

#: Real seconds that open sockets get before the clock jumps.
GRACE = 0.02
#: Real seconds without a timer or a sign from outside, until the loop gives up.
PATIENCE = 2.0


class NothingToWaitFor(RuntimeError):  # noqa: N818 - it says what is the matter
    """Every task waits, no timer is set, and nothing came from outside."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0 and jumps to the next timer when nothing else is ready.

    ::

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._executing = 0
        super().__init__(_JumpingSelector(self))
        # Timers this close to the clock are due: sums of floats do not quite meet what they were set to.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the seconds since the loop was made, as its clock has it."""
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run ``func`` in a thread; the clock stands still meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self._executing += 1
        future.add_done_callback(self._executed)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own
        """Wait for the threads, however long they take; from Python 3.12 on there would be a time limit."""
        self._executing += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._executing -= 1

    def _executed(self, _: asyncio.Future[Any]) -> None:
        self._executing -= 1

    def wait_outside(self, timeout: float | None, sockets: int) -> float | None:
        """Return how many real seconds to wait for what is outside before the clock moves on by ``timeout``.

        Args:
            timeout: Seconds of the loop's time until the next timer; None if there is none.
            sockets: How many files are being watched beside the loop's own.

        Returns:
            Seconds, or None for as long as it takes.
        """
        if self._executing:
            return None
        if timeout is None:
            return PATIENCE
        return min(timeout, GRACE) if sockets else 0.0

    def jump(self, timeout: float | None) -> None:
        """Move the clock on by ``timeout`` seconds.

        Raises:
            NothingToWaitFor: There is no timer to jump to.
        """
        if timeout is None:
            waiting = "\n".join(f"  {task!r}" for task in asyncio.all_tasks(self))
            raise NothingToWaitFor(f"Nothing can ever happen: no timer is set, nothing came from outside.\n{waiting}")
        self._now += timeout


class _JumpingSelector(selectors.DefaultSelector):
    """What the loop waits in when nothing is ready."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        sockets = len(self.get_map()) - 1  # one is the loop's own, through which threads and signals wake it
        ready = super().select(self._loop.wait_outside(timeout, sockets))
        if not ready:
            self._loop.jump(timeout)
        return ready


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a `VirtualTimeLoop` of its own, as ``asyncio.run`` does.

    Args:
        main: The coroutine.

    Returns:
        What it returns.

    Raises:
        NothingToWaitFor: It waits for what can never happen.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
