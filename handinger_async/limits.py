"""Time limits: what `asyncio.timeout` does, with one timer of the event loop for all waits that have the same limit.

A request is over long before its limit is. A timer of its own would be made, sorted in, cancelled and swept up for
nothing, which was a tenth of the time of a request with a hundred in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from itertools import takewhile
from typing import TypeVar

from .errors import APITimeoutError

__all__ = ["Scope", "TimeLimits"]

T = TypeVar("T")

#: Seconds from one ring of a timer to the next, at the least: some event loops' timers ring that much too early.
_PAUSE = 0.001


class Scope:
    """A wait of the current task, which others can end before its time."""

    __slots__ = ("_cancelling", "_task", "interrupted")

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only within a task can a wait have an end")
        self._task = task
        self._cancelling = task.cancelling()
        self.interrupted = False

    def interrupt(self) -> None:
        """End the wait, if it has not ended; it may be called again, and from any task, that which waits too."""
        if self._task is asyncio.current_task():  # to cancel it would be to end what it does next
            asyncio.get_running_loop().call_soon(self.interrupt)
        elif not self.interrupted:
            self.interrupted = True
            self._task.cancel()

    @property
    def cancelled(self) -> bool:
        """Whether the task was cancelled by somebody else meanwhile, which counts for more than an interruption."""
        return self._task.cancelling() > self._cancelling + self.interrupted

    def leave(self) -> None:
        """Take back the cancellation that the interruption was; there is nothing to interrupt any more."""
        if self.interrupted:
            self._task.uncancel()
        self.interrupted = True


class _Alike:
    """What waits in one event loop with the same limit."""

    __slots__ = ("ends", "timer")

    #: For the first of the ends, or for an earlier time.
    timer: asyncio.TimerHandle

    def __init__(self) -> None:
        #: When each must have ended, in the order in which they began.
        self.ends: dict[Scope, float] = {}


class TimeLimits:
    """Limits how long is waited, in any number of tasks and event loops; a session and its views share one."""

    def __init__(self) -> None:
        #: By event loop, and limit in seconds.
        self._alike: dict[tuple[asyncio.AbstractEventLoop, float], _Alike] = {}

    async def wait(
        self,
        work: Awaitable[T],
        limit: float | None,
        deadline: float | None,
        what: str,
        scope: Scope | None = None,
    ) -> T:
        """Await ``work`` for at most ``limit`` seconds, or until the deadline if that is earlier.

        Args:
            work: What to wait for.
            limit: Seconds.
            deadline: The time of the loop.
            what: What is missing when the limit is over.
            scope: Lets others end the wait before its time.

        Raises:
            APITimeoutError: It took too long, or was interrupted; whatever ``work`` raises comes through.
        """
        scope = scope or Scope()
        ends: dict[Scope, float] = {}
        timer: asyncio.Handle | None = None
        late = False
        if deadline is not None:
            loop = asyncio.get_running_loop()
            end = deadline if limit is None else min(loop.time() + limit, deadline)
            late = end == deadline
            # A timer rings after a turn of the loop: too late for work that takes no longer than that for each step.
            timer = loop.call_at(end, scope.interrupt) if end > loop.time() else loop.call_soon(scope.interrupt)
        elif limit is not None:
            ends = self._begin(scope, limit)
        try:
            return await work
        except asyncio.CancelledError:
            if not scope.interrupted or scope.cancelled:
                raise
        finally:
            scope.leave()
            ends.pop(scope, None)
            if timer is not None:
                timer.cancel()
        raise APITimeoutError("The deadline has passed." if late else f"There was no {what} within {limit} s.")

    def close(self) -> None:
        """Leave no timer behind in the running event loop, but for what still waits there."""
        loop = asyncio.get_running_loop()
        for key, alike in list(self._alike.items()):
            if key[0] is loop and not alike.ends:
                alike.timer.cancel()
                del self._alike[key]

    def _begin(self, scope: Scope, limit: float) -> dict[Scope, float]:
        """Let ``scope`` end after ``limit`` seconds; return where it is noted, to be taken out if it ends before."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        alike = self._alike.get((loop, limit))
        # Tests cancel timers that they know nothing of, and set clocks back.
        if alike is None or alike.timer.cancelled() or alike.timer.when() > end:
            for key in list(self._alike):
                if key[0].is_closed():
                    self._alike.pop(key, None)  # perhaps it was, by another thread
            alike = self._alike[loop, limit] = _Alike()
            self._set(alike, end, loop, limit)
        alike.ends[scope] = end
        return alike.ends

    def _set(self, alike: _Alike, end: float, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        # Its own context: that of the task that happens to be the first would be kept for as long as there are others.
        alike.timer = loop.call_at(end, self._ring, alike, loop, limit, context=Context())

    def _ring(self, alike: _Alike, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        """End what has taken too long, and set the timer for what may be next, if anything is left."""
        now = loop.time()
        for scope in [scope for scope, _ in takewhile(lambda item: item[1] <= now, alike.ends.items())]:
            del alike.ends[scope]
            scope.interrupt()
        if alike.ends:
            self._set(alike, max(next(iter(alike.ends.values())), now + _PAUSE), loop, limit)
        elif self._alike.get((loop, limit)) is alike:
            del self._alike[loop, limit]
