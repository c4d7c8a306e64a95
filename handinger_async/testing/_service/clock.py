"""The deterministic parts of the in-memory service: its clock and its ids."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from random import Random

__all__ = ["Clock", "Ids"]


class Clock:
    """The service's clock: follows the event loop's clock, across several event loops, from a fixed instant.

    Frozen outside an event loop; follows `time.monotonic` if no event loop was ever used.

    Args:
        start: The instant at which the clock starts.
    """

    def __init__(self, start: datetime) -> None:
        self.start = start
        self._elapsed = 0.0
        self._last: float | None = None
        self._in_loop = False

    def now(self) -> float:
        """Return the seconds since the start, rounded to microseconds, the resolution of a datetime."""
        try:
            reading = asyncio.get_running_loop().time()
            self._in_loop = True
        except RuntimeError:
            if self._in_loop:
                return round(self._elapsed, 6)
            reading = time.monotonic()
        if self._last is not None and reading > self._last:  # a smaller reading comes from a new event loop
            self._elapsed += reading - self._last
        self._last = reading
        return round(self._elapsed, 6)

    def instant(self, moment: float) -> datetime:
        """Return the instant that is ``moment`` seconds after the start."""
        return self.start + timedelta(seconds=moment)

    def moment(self, instant: datetime) -> float:
        """Return the seconds from the start to ``instant``."""
        return round((instant - self.start).total_seconds(), 6)


class Ids:
    """Generates ids in the service's format, the same sequence for the same seed.

    Args:
        random: The source of randomness.
    """

    _CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    _URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    def __init__(self, random: Random) -> None:
        self._random = random

    def new(self, prefix: str) -> str:
        """Return a new id that begins with ``prefix``."""
        return f"{prefix}_01{''.join(self._random.choices(self._CROCKFORD, k=24))}"

    def new_short(self, prefix: str) -> str:
        """Return a new id in the shorter format, in which the newer generation names workers, tasks and turns."""
        return f"{prefix}_{''.join(self._random.choices(self._URL_SAFE, k=14))}"
