"""The account of each attempt: one value for an observer, one line for the log."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import attrs

from .errors import APIConnectionError, shorten

__all__ = ["Attempt", "Observer", "configure_logging", "logger", "report"]

logger = logging.getLogger("handinger_async")


@attrs.frozen(kw_only=True)
class Attempt:
    """What came of sending a request once; the value that ``Session(observe=…)`` is called with.

    Args:
        method: The HTTP method.
        path: The path, without the query.
        number: Which attempt this was, from 1.
        status: The status of the answer, or None if there was none.
        error: Why there was none, or why it is not a result; an ``asyncio.CancelledError`` if the caller gave up.
        request_id: What the server calls the exchange.
        elapsed: Seconds that the attempt took; up to the headers for a streamed answer.
        delay: Seconds until the next attempt, or None if this was the last.
    """

    method: str
    path: str
    number: int
    status: int | None
    error: BaseException | None
    request_id: str | None
    elapsed: float
    delay: float | None

    @property
    def request_sent(self) -> bool:
        """Whether the server may have received the request. False only when that is impossible."""
        return not isinstance(self.error, APIConnectionError) or self.error.request_sent

    def __str__(self) -> str:
        if self.status is not None:
            outcome = f"{self.status} after"
        elif isinstance(self.error, APIConnectionError):
            outcome = f"{type(self.error).__name__} ({shorten(self.error.message, 200)}) after"
        else:
            outcome = f"{type(self.error).__name__} after"
        notes = [f"attempt {self.number}"]
        if self.request_id:
            notes.append(f"request id {shorten(self.request_id, 80)}")
        if self.delay is not None:
            notes.append(f"next in {self.delay:.3f} s")
        return f"{self.method} {shorten(self.path, 400)}: {outcome} {self.elapsed:.3f} s ({', '.join(notes)})"


Observer = Callable[[Attempt], object]


def report(attempt: Attempt, observe: Observer | None) -> None:
    """Tell the log and the observer about an attempt; neither can disturb the call."""
    logger.info("%s", attempt)
    if observe is not None:
        try:
            observe(attempt)
        except Exception:
            logger.exception("The observer failed.")


def configure_logging() -> None:
    """Do what the environment's HANDINGER_LOG says: ``info`` or ``debug`` shows the log on standard error.

    Where the program has configured logging itself, only the level is set.
    """
    level = {"info": logging.INFO, "debug": logging.DEBUG}.get(os.environ.get("HANDINGER_LOG", "").strip().lower())
    if level is None:
        return
    logger.setLevel(level)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
