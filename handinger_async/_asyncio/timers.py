"""Timeouts with one timer for all waits in an event loop that share a timeout.

`asyncio.timeout` creates, schedules, cancels and sweeps up a timer for each wait, although nearly every wait ends long
before its timeout. With it, a request takes 6 % longer alone and 10 % longer with a hundred in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import Context
from itertools import takewhile
from typing import Any, TypeVar

from ..errors import APITimeoutError

__all__ = ["CancelScope", "Timers"]

T = TypeVar("T")

#: Minimum seconds until a shared timer fires again: the timers of some event loops fire that much too early.
_MIN_DELAY = 0.001
#: Shared timers of an event loop that are kept though nothing waits: most programs use a few timeouts again and again.
_MAX_IDLE = 8


class CancelScope:
    """A cancel scope around one await in the current task."""

    __slots__ = ("_cancelling", "_task", "closed")

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timeout needs a running task")
        self._task: asyncio.Task[Any] | None = task
        self._cancelling = task.cancelling()
        #: True once the scope was cancelled or left.
        self.closed: bool = False

    def cancel(self) -> None:
        """Cancel the await, unless it has ended. Idempotent, and callable from any task of any event loop."""
        task = self._task
        if task is None:
            return
        # Not from within a task: it may be in another thread, or be in the middle of a step of the scope's own task,
        # which may have started it eagerly. Then the cancellation would hit the next await of that task.
        if asyncio.current_task() is not None:
            with suppress(RuntimeError):  # the loop is closed
                task.get_loop().call_soon_threadsafe(self.cancel)
        elif not self.closed:
            self.closed = True
            task.cancel()

    @property
    def cancelled_from_outside(self) -> bool:
        """True if the task was cancelled by its caller too, which takes precedence."""
        return self._task is not None and self._task.cancelling() > self._cancelling + self.closed

    def leave(self) -> None:
        """Undo the scope's own cancellation, and ignore later calls of `cancel`."""
        if self.closed and self._task is not None:
            self._task.uncancel()
        self.closed = True
        self._task = None  # a traceback keeps the scope, and the task keeps the exception: no cycle of the two


class _LoopTimers:
    """The shared timers of one event loop, by timeout in seconds. Only that loop's thread uses them."""

    __slots__ = ("busy", "idle")

    def __init__(self) -> None:
        self.busy: dict[float, _SharedTimer] = {}
        #: Those without waits, the least recently used first.
        self.idle: dict[float, _SharedTimer] = {}


class _SharedTimer:
    """The waits in one event loop that share a timeout, and their timer."""

    __slots__ = ("_loop", "_timeout", "_timers", "ends", "handle")

    def __init__(self, loop: asyncio.AbstractEventLoop, timers: _LoopTimers, timeout: float, end: float) -> None:
        self._loop = loop
        self._timers = timers
        self._timeout = timeout
        #: The time at which each wait expires, in the order of their beginning.
        self.ends: dict[CancelScope, float] = {}
        #: Set to the first of the ends, or earlier.
        self.handle = self._schedule(end)

    def remove(self, scope: CancelScope) -> None:
        """Remove a wait that has ended, or expired. A timer without waits is kept for the next one, within limits."""
        self.ends.pop(scope, None)
        timers = self._timers
        if not self.ends and timers.busy.get(self._timeout) is self:
            del timers.busy[self._timeout]
            timers.idle[self._timeout] = self
            if len(timers.idle) > _MAX_IDLE:
                timers.idle.pop(next(iter(timers.idle))).handle.cancel()

    def _schedule(self, end: float) -> asyncio.TimerHandle:
        # An empty context: that of the first task would be kept alive as long as the timer.
        return self._loop.call_at(end, self._fire, context=Context())

    def _fire(self) -> None:
        """Cancel expired waits and reschedule the timer for the next one."""
        now = self._loop.time()
        for scope in [scope for scope, _ in takewhile(lambda item: item[1] <= now, self.ends.items())]:
            self.remove(scope)
            scope.cancel()
        if self.ends:
            self.handle = self._schedule(max(next(iter(self.ends.values())), now + _MIN_DELAY))
        elif self._timers.idle.get(self._timeout) is self:
            del self._timers.idle[self._timeout]


class Timers:
    """Timeouts of waits in any number of tasks and event loops. A session and its views share one."""

    def __init__(self) -> None:
        self._loops: dict[asyncio.AbstractEventLoop, _LoopTimers] = {}

    async def wait(
        self,
        awaitable: Awaitable[T],
        timeout: float | None,  # noqa: ASYNC109 - this is the implementation of a timeout
        deadline: float | None,
        awaited: str,
        scope: CancelScope | None = None,
    ) -> T:
        """Await ``awaitable`` for at most ``timeout`` seconds, and not beyond the deadline.

        Args:
            awaitable: The awaitable. Its exceptions are raised unchanged.
            timeout: Seconds; None for no timeout.
            deadline: Time of the event loop; None for no deadline.
            awaited: Names the thing awaited, for the timeout message ("response", "chunk").
            scope: Lets other tasks cancel the wait.

        Returns:
            The result.

        Raises:
            APITimeoutError: The timeout or the deadline has passed, or the scope was cancelled.
        """
        scope = scope or CancelScope()
        shared: _SharedTimer | None = None
        timer: asyncio.Handle | None = None
        by_deadline = False
        if deadline is not None:
            loop = asyncio.get_running_loop()
            end = deadline if timeout is None else min(loop.time() + timeout, deadline)
            by_deadline = end == deadline
            # A timer fires in the next iteration at the earliest, too late for work that takes one iteration a step.
            timer = loop.call_at(end, scope.cancel) if end > loop.time() else loop.call_soon(scope.cancel)
        elif timeout is not None:
            shared = self._start(scope, timeout)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if not scope.closed or scope.cancelled_from_outside:
                raise
        finally:
            scope.leave()
            if shared is not None:
                shared.remove(scope)
            elif timer is not None:
                timer.cancel()
        if by_deadline:
            raise APITimeoutError("the deadline has passed")
        raise APITimeoutError(f"timed out after {timeout} s waiting for a {awaited}")

    def close(self) -> None:
        """Cancel the timers of the running event loop, except those with waits."""
        timers = self._loops.get(asyncio.get_running_loop())
        if timers is not None:
            for shared in timers.idle.values():
                shared.handle.cancel()
            timers.idle.clear()

    def _start(self, scope: CancelScope, timeout: float) -> _SharedTimer:
        """Let ``scope`` expire after ``timeout`` seconds; return the shared timer to remove it from at the end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        timers = self._loops.get(loop) or self._new_loop(loop)
        shared = timers.busy.get(timeout) or timers.idle.pop(timeout, None)
        # Tests cancel timers that they did not set, and set clocks back.
        if shared is None or shared.handle.cancelled() or shared.handle.when() > end:
            shared = _SharedTimer(loop, timers, timeout, end)
        timers.busy[timeout] = shared
        shared.ends[scope] = end
        return shared

    def _new_loop(self, loop: asyncio.AbstractEventLoop) -> _LoopTimers:
        """Return the timers for an event loop, and forget those of closed loops."""
        for other in list(self._loops):
            if other.is_closed():
                self._loops.pop(other, None)  # another thread may have removed it
        return self._loops.setdefault(loop, _LoopTimers())
