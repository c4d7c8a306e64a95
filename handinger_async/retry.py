"""When to try again: decided here, waited for elsewhere."""

from __future__ import annotations

import random as _random
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC

import attrs

from .errors import APIConnectionError, ConfigurationError, shorten
from .http import Request, Response

__all__ = ["RetryPolicy", "parse_retry_after"]

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_TRANSIENT = frozenset({408, 409, 429})
#: Not negative, a fraction allowed.
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """Which requests to repeat, how often and when.

    GET and DELETE are repeated after a status of 408, 409, 429 or at least 500, and after connection errors and
    timeouts. A POST is repeated only where that cannot double its effect: the answer proves that nothing happened (429;
    503 with Retry-After; ``x-should-retry: true``), the request was never sent, or it carries an ``Idempotency-Key``.
    ``x-should-retry: false`` always wins.

    The delay is the server's ``retry-after-ms`` or ``Retry-After`` if it gives one, never less, else
    ``min(initial_delay * 2**n, max_delay)`` times a jitter of 0.75 to 1.

    Args:
        max_retries: How many times a request is repeated at the most; 0 never.
        initial_delay: The delay before the first repetition, in seconds.
        max_delay: The longest delay of our own choosing, in seconds.
        max_retry_after: The longest delay of the server's choosing, in seconds; a longer one gives up at once.
    """

    max_retries: int = 2
    initial_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 60.0

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            wanted, kind = ("a whole number", int) if name == "max_retries" else ("a number", int | float)
            if not isinstance(value, kind) or isinstance(value, bool) or not value >= 0:
                raise ConfigurationError(f"{name} must be {wanted} that is not negative, not {shorten(repr(value))}")

    def delay(
        self,
        request: Request,
        outcome: Response | APIConnectionError,
        *,
        attempt: int,
        random: Callable[[], float] = _random.random,
    ) -> float | None:
        """Decide whether to try again, and when.

        Args:
            request: What was sent.
            outcome: What came of it.
            attempt: The number of the attempt that just ended, from 1.
            random: Gives a number from 0 to 1, for the jitter.

        Returns:
            Seconds to wait before trying again, or None to give up.
        """
        if attempt > self.max_retries or not _repeats(request, outcome):
            return None
        wanted = parse_retry_after(outcome.headers) if isinstance(outcome, Response) else None
        if wanted is not None:
            return wanted if wanted <= self.max_retry_after else None
        return self.backoff(attempt, random=random)

    def backoff(self, attempt: int, *, random: Callable[[], float] = _random.random) -> float:
        """Return the delay of our own choosing after the ``attempt``-th failure in a row, in seconds."""
        exponent = min(attempt - 1, 64)
        return min(self.initial_delay * 2.0**exponent, self.max_delay) * (1 - 0.25 * random())


def _repeats(request: Request, outcome: Response | APIConnectionError) -> bool:
    safe = request.method in _REPEATABLE or "idempotency-key" in request.headers
    if isinstance(outcome, APIConnectionError):
        return safe or not outcome.request_sent
    if 200 <= outcome.status < 300:
        return False
    advice = outcome.headers.get("x-should-retry", "").strip().lower()
    if advice in ("true", "false"):
        return advice == "true"
    if outcome.status == 429 or (outcome.status == 503 and parse_retry_after(outcome.headers) is not None):
        return True
    return safe and (outcome.status in _TRANSIENT or outcome.status >= 500)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how long a server asks to wait (RFC 9110, section 10.2.3; ``retry-after-ms`` is a common extension).

    An HTTP date is taken relative to the answer's own ``Date``, so that clocks need not agree; without one, to this
    machine's clock.

    Args:
        headers: The header fields of the answer.

    Returns:
        Seconds, not negative; None if the server says nothing, or nothing that makes sense.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        return float(value)
    then = _timestamp(value)
    if then is None:
        return None
    now = _timestamp(headers.get("date", ""))
    return max(0.0, then - (time.time() if now is None else now))


def _timestamp(text: str) -> float | None:
    """Return the POSIX time of an HTTP date in one of the forms of RFC 9110, section 5.6.7, or None."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # here, since few answers hold a date, and it is slow to import

    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()  # asctime's form names no zone
