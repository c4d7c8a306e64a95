"""Attempt records: an `Attempt` for the observer and a log line for each request sent."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from threading import Lock

import attrs

from .._values import by_value
from ..errors import APIConnectionError, shorten

__all__ = ["Attempt", "Observer", "configure_logging", "logger", "report"]

logger = logging.getLogger("handinger_async")
_configuring = Lock()


def _was_sent(attempt: Attempt) -> bool:
    return not isinstance(attempt.error, APIConnectionError) or attempt.error.request_sent


@by_value
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Attempt:
    """The outcome of one attempt to send a request: the argument of ``Session(observe=…)``.

    Args:
        method: The HTTP method.
        path: The path, without the query.
        number: The number of the attempt, from 1.
        status: The status of the response; None if there was no response.
        error: The reason for a failure; an ``asyncio.CancelledError`` if the caller was cancelled; else None.
        request_id: The service's id for the request.
        elapsed: Duration of the attempt in seconds. That of a stream or a file ends with the headers of its response.
        delay: Seconds until the next attempt; None if this was the last, or if it succeeded.

    Attributes:
        request_sent: True if the server may have received the request. False only if that is impossible.
    """

    method: str
    path: str
    number: int
    status: int | None
    error: BaseException | None
    request_id: str | None
    elapsed: float
    delay: float | None
    request_sent: bool = attrs.field(init=False, repr=False, default=attrs.Factory(_was_sent, takes_self=True))

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
    """Pass an attempt to the log and the observer. An exception of the observer is logged."""
    logger.info("%s", attempt)
    if observe is not None:
        try:
            observe(attempt)
        except Exception:
            logger.exception("the observer failed")


def configure_logging() -> None:
    """Apply the environment variable HANDINGER_LOG: ``info`` or ``debug`` writes the log to standard error.

    If the program has configured logging itself, only the level is set.
    """
    level = {"info": logging.INFO, "debug": logging.DEBUG}.get(os.environ.get("HANDINGER_LOG", "").strip().lower())
    if level is None:
        return
    logger.setLevel(level)
    with _configuring:  # sessions in two threads would add a handler each
        if not logger.hasHandlers():
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
            logger.addHandler(handler)
