"""Timeouts with one timer for all waits in an event loop that share a timeout.

`asyncio.timeout` creates, schedules, cancels and sweeps up a timer for each wait, although nearly every wait ends long
before its timeout. With it, a request takes 6 % longer alone and 10 % longer with a hundred in flight.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context
from itertools import takewhile
from types import TracebackType
from typing import Any

from ..errors import APITimeoutError

__all__ = ["CancelScope", "Timers"]

#: Minimum seconds until a shared timer fires again: the timers of some event loops fire that much too early.
_MIN_DELAY = 0.001
#: With more shared timers in an event loop, the first without waits is dropped: most programs use few timeouts.
_MAX_IDLE = 8


class CancelScope:
    """A cancel scope around a block in the current task, which also ends at a timeout or a deadline.

    A class, not a coroutine around an awaitable: a suspended coroutine takes 220 bytes and is passed by each wake-up.

    Args:
        timers: The timers of the session.
        timeout: Seconds; None for no timeout.
        deadline: Time of the event loop; None for no deadline.
        awaited: Names the thing awaited, for the timeout message ("response", "chunk").

    Attributes:
        closed: True once the scope was cancelled or left.

    Raises:
        APITimeoutError: On leaving: the timeout or the deadline has passed, or the scope was cancelled.
    """

    __slots__ = ("_awaited", "_cancelling", "_deadline", "_task", "_timeout", "_timer", "_timers", "closed")

    def __init__(self, timers: Timers, timeout: float | None, deadline: float | None, awaited: str) -> None:
        self._timers = timers
        self._timeout = timeout
        self._deadline = deadline
        self._awaited = awaited
        self._task: asyncio.Task[Any] | None = None
        self._timer: Any = None  # a shared timer or a handle
        self.closed: bool = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timeout needs a running task")
        self._task = task
        self._cancelling = task.cancelling()
        deadline, timeout = self._deadline, self._timeout
        if deadline is not None:
            loop = asyncio.get_running_loop()
            now = loop.time()
            end = deadline if timeout is None else min(now + timeout, deadline)
            if end == deadline:
                self._timeout = None
            # A timer fires in the next iteration at the earliest, too late for work that takes one iteration a step.
            self._timer = loop.call_at(end, self.cancel) if end > now else loop.call_soon(self.cancel)
        elif timeout is not None:
            self._timer = self._timers.start(self, timeout)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failure = None if exc is None else self._failure(exc)
        if self.closed and self._task is not None:
            self._task.uncancel()  # undoes the scope's own cancellation
        self.closed = True  # later calls of `cancel` have no effect
        self._task = None  # a traceback keeps the scope, and the task keeps the exception: no cycle of the two
        timer, self._timer = self._timer, None
        if timer.__class__ is _SharedTimer:
            timer.remove(self)
        elif timer is not None:
            timer.cancel()
        self._left()
        if failure is None:
            return
        del exc, traceback  # this frame is in the traceback of the failure, and must not keep those of the block
        try:
            raise failure
        finally:
            failure.__context__ = None  # the cancellation, whose traceback has frames with the API key
            del failure

    def cancel(self) -> None:
        """Cancel the block, unless it has ended. Idempotent, and callable from any task of any event loop."""
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

    def _failure(self, error: BaseException) -> Exception | None:
        """Return the exception to raise in place of ``error``, with which the block has ended; None for the same."""
        task = self._task
        if task is None or not self.closed or not isinstance(error, asyncio.CancelledError):
            return None
        if task.cancelling() > self._cancelling + 1:  # cancelled by its caller too, which takes precedence
            return None
        if self._timeout is None:
            return APITimeoutError("the deadline has passed")
        return APITimeoutError(f"timed out after {self._timeout} s waiting for a {self._awaited}")

    def _left(self) -> None:
        """Note that the block has ended; for subclasses."""


class _SharedTimer:
    """The waits in one event loop that share a timeout, and their timer."""

    __slots__ = ("_loop", "_timeout", "_timers", "ends", "handle", "when")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timers: dict[float, _SharedTimer], timeout: float, end: float
    ) -> None:
        self._loop = loop
        #: Those of the event loop, by timeout.
        self._timers = timers
        self._timeout = timeout
        #: The time at which each wait expires, in the order of their beginning.
        self.ends: dict[CancelScope, float] = {}
        self._schedule(end)

    def remove(self, scope: CancelScope) -> None:
        """Remove a wait that has ended. A timer without waits is kept for the next one, within limits."""
        self.ends.pop(scope, None)
        if not self.ends and len(self._timers) >= _MAX_IDLE:
            self._retire()

    def _retire(self) -> None:
        """Become the last used, and drop the timer without waits that is the first, if there are too many."""
        timers = self._timers
        if timers.get(self._timeout) is not self:
            self.drop()
            return
        timers[self._timeout] = timers.pop(self._timeout)
        if len(timers) > _MAX_IDLE:
            next(shared for shared in timers.values() if not shared.ends).drop()

    def drop(self) -> None:
        """Cancel the timer and forget it."""
        self.handle.cancel()
        if self._timers.get(self._timeout) is self:
            del self._timers[self._timeout]

    def _schedule(self, when: float) -> None:
        #: The time at which the timer fires: the first of the ends, or earlier.
        self.when: float = when
        # An empty context: that of the first task would be kept alive as long as the timer.
        self.handle: asyncio.TimerHandle = self._loop.call_at(when, self._fire, context=Context())

    def _fire(self) -> None:
        """Cancel expired waits and reschedule the timer for the next one."""
        now = self._loop.time()
        for scope in [scope for scope, _ in takewhile(lambda item: item[1] <= now, self.ends.items())]:
            del self.ends[scope]
            scope.cancel()
        if self.ends:
            self._schedule(max(next(iter(self.ends.values())), now + _MIN_DELAY))
        else:
            self.drop()


class Timers:
    """Timeouts of waits in any number of tasks and event loops. A session and its views share one."""

    def __init__(self) -> None:
        #: The shared timers of each event loop, by timeout in seconds. Only the thread of the loop uses them.
        self._loops: dict[asyncio.AbstractEventLoop, dict[float, _SharedTimer]] = {}

    def close(self) -> None:
        """Cancel the timers of the running event loop, except those with waits."""
        for shared in list(self._loops.get(asyncio.get_running_loop(), {}).values()):
            if not shared.ends:
                shared.drop()

    def start(self, scope: CancelScope, timeout: float) -> _SharedTimer:
        """Let ``scope`` expire after ``timeout`` seconds; return the shared timer to remove it from at the end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        timers = self._loops.get(loop)
        if timers is None:
            timers = self._new_loop(loop)
        shared = timers.get(timeout)
        # Tests cancel timers that they did not set, and set clocks back.
        if shared is None or shared.when > end or shared.handle.cancelled():
            shared = timers[timeout] = _SharedTimer(loop, timers, timeout, end)
        shared.ends[scope] = end
        return shared

    def _new_loop(self, loop: asyncio.AbstractEventLoop) -> dict[float, _SharedTimer]:
        """Return the timers for an event loop, and forget those of closed loops."""
        for other in list(self._loops):
            if other.is_closed():
                self._loops.pop(other, None)  # another thread may have removed it
        return self._loops.setdefault(loop, {})
