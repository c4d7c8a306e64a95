"""Time limits: what `asyncio.timeout` does, with one timer of the event loop for all waits that have the same limit.

A request is over long before its limit is. A timer of its own would be made, sorted in, cancelled and swept up for
nothing, which was a tenth of the time of a request with a hundred in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import takewhile
from typing import TypeVar

from .errors import APITimeoutError

__all__ = ["Scope", "TimeLimits"]

T = TypeVar("T")


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
        """End the wait; it may be called again, and from any task."""
        if not self.interrupted:
            self.interrupted = True
            self._task.cancel()

    @property
    def cancelled(self) -> bool:
        """Whether the task was cancelled by somebody else meanwhile, which counts for more than an interruption."""
        return self._task.cancelling() > self._cancelling + self.interrupted

    def leave(self) -> None:
        """Take back the cancellation that the interruption was."""
        if self.interrupted:
            self._task.uncancel()


class TimeLimits:
    """Limits how long is waited, in any number of tasks and event loops; a session and its views share one."""

    def __init__(self) -> None:
        #: By event loop and limit in seconds: what waits, in the order in which it began, and when it must have ended.
        #: Where there is an entry, a timer is set: for the first of these ends, or for an earlier one.
        self._ends: dict[tuple[asyncio.AbstractEventLoop, float], dict[Scope, float]] = {}

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
        alike: dict[Scope, float] = {}
        timer: asyncio.TimerHandle | None = None
        late = False
        if deadline is not None:
            loop = asyncio.get_running_loop()
            end = deadline if limit is None else min(loop.time() + limit, deadline)
            late = end == deadline
            timer = loop.call_at(end, scope.interrupt)
        elif limit is not None:
            alike = self._begin(scope, limit)
        try:
            return await work
        except asyncio.CancelledError:
            if not scope.interrupted or scope.cancelled:
                raise
        finally:
            scope.leave()
            alike.pop(scope, None)
            if timer is not None:
                timer.cancel()
        raise APITimeoutError("The deadline has passed." if late else f"There was no {what} within {limit} s.")

    def _begin(self, scope: Scope, limit: float) -> dict[Scope, float]:
        """Let ``scope`` end after ``limit`` seconds; return where it is noted, to be taken out if it ends before."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        alike = self._ends.get((loop, limit))
        if alike is None:
            for key in list(self._ends):
                if key[0].is_closed():
                    del self._ends[key]
            alike = self._ends[loop, limit] = {}
            loop.call_at(end, self._ring, loop, limit)
        alike[scope] = end
        return alike

    def _ring(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        """End what has taken too long, and set the timer for what may be next, if anything is left."""
        alike = self._ends[loop, limit]
        now = loop.time()
        for scope in [scope for scope, _ in takewhile(lambda item: item[1] <= now, alike.items())]:
            del alike[scope]
            scope.interrupt()
        if alike:
            loop.call_at(next(iter(alike.values())), self._ring, loop, limit)
        else:
            del self._ends[loop, limit]
