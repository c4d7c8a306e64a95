"""Slow the runs of a batch down together, when the service refuses one of them with status 429."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import ConfigurationError
from ..retry import RetryPolicy
from .pool import Pool

__all__ = ["Gate"]


class Gate:
    """Admits runs: at most so many at a time, and none for a while after a refusal.

    A refusal halves the number of runs at a time. Runs that succeed let it grow again, by one for each round of them.
    Refusals of runs that were admitted before the gate was closed count once.

    Args:
        pool: The pool of the session.
        limit: The number of runs at a time.
        policy: The retry policy, for its backoff.
    """

    def __init__(self, pool: Pool, limit: int, policy: RetryPolicy) -> None:
        self._pool = pool
        self._policy = policy
        self._most = limit
        self._limit = float(limit)
        self._active = 0
        self._opens = 0.0
        self._closings = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._refusals = 0

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[int]:
        """Wait until a run may start, and count it for as long as it goes on.

        Yields:
            The number that `refuse` takes.

        Raises:
            ConfigurationError: The session is closed.
        """
        loop = asyncio.get_running_loop()
        try:
            while True:
                if self._pool.closed:
                    raise ConfigurationError("the session is closed")
                if (delay := self._opens - loop.time()) > 0:
                    await self._pool.pause(delay)
                elif self._active >= int(self._limit):
                    await self._wait(loop.create_future())
                else:
                    break
        except BaseException:
            self._wake()  # it may have been woken for a place that it does not take
            raise
        self._active += 1
        try:
            yield self._closings
        finally:
            self._active -= 1
            self._wake()

    def refuse(self, admission: int, delay: float | None) -> None:
        """Close the gate, since the service has refused a run.

        Args:
            admission: The number that `admit` gave.
            delay: Seconds for which to admit no run; None for the backoff of the policy.
        """
        if admission == self._closings:
            self._closings += 1
            self._refusals += 1
            self._limit = max(1.0, float(self._active // 2))
        if delay is None:
            delay = self._policy.backoff(self._refusals)
        self._opens = max(self._opens, asyncio.get_running_loop().time() + delay)

    def succeed(self) -> None:
        """Count a run that the service has performed."""
        self._refusals = 0
        self._limit = min(float(self._most), self._limit + 1 / self._limit)

    async def _wait(self, waiter: asyncio.Future[None]) -> None:
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _wake(self) -> None:
        free = int(self._limit) - self._active
        while free > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1
