"""What makes the in-memory service foretellable: its time and its ids."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from random import Random

__all__ = ["Clock", "Ids"]


class Clock:
    """The service's time: it goes as that of the event loop, over several loops too, from a fixed moment on.

    Outside of a loop it stands still; for whoever never uses one, it is the machine's.

    Args:
        start: The moment.
    """

    def __init__(self, start: datetime) -> None:
        self.start = start
        self._elapsed = 0.0
        self._last: float | None = None
        self._in_loop = False

    def now(self) -> float:
        """Return the seconds since the start, in whole microseconds, as instants have them."""
        try:
            reading = asyncio.get_running_loop().time()
            self._in_loop = True
        except RuntimeError:
            if self._in_loop:
                return round(self._elapsed, 6)
            reading = time.monotonic()
        if self._last is not None and reading > self._last:  # less: the clock of a new loop
            self._elapsed += reading - self._last
        self._last = reading
        return round(self._elapsed, 6)

    def instant(self, moment: float) -> datetime:
        """Return ``moment`` in the calendar."""
        return self.start + timedelta(seconds=moment)

    def moment(self, instant: datetime) -> float:
        """Return the seconds from the start to ``instant``."""
        return round((instant - self.start).total_seconds(), 6)


class Ids:
    """Makes ids that look like the service's, the same ones for the same seed."""

    _CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

    def __init__(self, random: Random) -> None:
        self._random = random

    def new(self, prefix: str) -> str:
        """Return a new id that begins with ``prefix``."""
        return f"{prefix}_01{''.join(self._random.choices(self._CROCKFORD, k=24))}"
