"""Retry policy: decides whether and when to retry. Does not sleep."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC

import attrs

from ._checks import is_number
from ._values import by_value
from .errors import APIConnectionError, ConfigurationError, quoted
from .http import MultipartBody, Request, Response

__all__ = ["RetryPolicy", "is_idempotent", "parse_retry_after"]

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_TRANSIENT = frozenset({408, 409, 429})
#: A non-negative decimal number.
_NUMBER = r"[0-9]+(\.[0-9]*)?|\.[0-9]+"


def _random() -> float:
    import random  # slow to import, and rarely needed

    return random.random()  # noqa: S311 - spreads requests


@by_value
@attrs.frozen(kw_only=True, eq=False, repr=False)
class RetryPolicy:
    """Decides which requests to retry, how often and when.

    Idempotent requests (GET, HEAD, OPTIONS, PUT, DELETE) are retried after a status of 408, 409, 429 or at least 500,
    and after connection errors and timeouts. Other requests, such as POST, are retried only if that cannot double their
    effect: the response proves that nothing happened (429; 503 with ``Retry-After``; ``x-should-retry: true``), the
    request was never sent, or it carries an ``Idempotency-Key``. ``x-should-retry: false`` always wins over the status.
    A request whose files cannot be read again, such as a pipe, is not retried.

    If the server sends ``retry-after-ms`` or ``Retry-After``, that is the delay. Otherwise the delay is
    ``min(initial_delay * 2**n, max_delay)``, multiplied by a jitter of 0.75 to 1.

    Args:
        max_retries: The maximum number of retries per request; 0 disables retries.
        initial_delay: The delay before the first retry, in seconds.
        max_delay: The maximum delay if the server does not specify one, in seconds.
        max_retry_after: The maximum delay that the server may specify, in seconds. If it asks for more, the request is
            not retried.

    Raises:
        ConfigurationError: A value is negative or of the wrong type.
    """

    max_retries: int = 2
    initial_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 60.0

    def __attrs_post_init__(self) -> None:
        for name in attrs.fields_dict(type(self)):
            value = getattr(self, name)
            noun = "integer" if name == "max_retries" else "number"
            if not is_number(value) or value < 0 or (noun == "integer" and not isinstance(value, int)):
                raise ConfigurationError(f"{name} must be a non-negative {noun}, not {quoted(value)}")

    def delay(
        self,
        request: Request,
        outcome: Response | APIConnectionError,
        *,
        attempt: int,
        random: Callable[[], float] = _random,
    ) -> float | None:
        """Decide whether and when to retry a request.

        Args:
            request: The request.
            outcome: The response to it, or the error.
            attempt: The number of the attempt that just ended, starting at 1.
            random: Returns a random number from 0 to 1, for the jitter.

        Returns:
            The delay before the next attempt in seconds, or None to give up.
        """
        if attempt > self.max_retries or not _is_retriable(request, outcome):
            return None
        retry_after = parse_retry_after(outcome.headers) if isinstance(outcome, Response) else None
        if retry_after is not None:
            return retry_after if retry_after <= self.max_retry_after else None
        return self.backoff(attempt, random=random)

    def backoff(self, attempt: int, *, random: Callable[[], float] = _random) -> float:
        """Return the exponential backoff with jitter, regardless of any ``Retry-After``.

        Args:
            attempt: The number of consecutive failures so far, starting at 1.
            random: Returns a random number from 0 to 1, for the jitter.

        Returns:
            The delay in seconds.
        """
        exponent = min(attempt - 1, 64)
        return min(self.initial_delay * 2.0**exponent, self.max_delay) * (1 - 0.25 * random())


def is_idempotent(request: Request) -> bool:
    """Return True if sending the request again cannot double its effect."""
    return request.method in _IDEMPOTENT or bool(request.headers.get("idempotency-key", "").strip())


def is_readable(request: Request) -> bool:
    """Return True if the body of the request can be read from its beginning: False once a pipe in it was read."""
    return not isinstance(request.body, MultipartBody) or request.body.is_readable


def _is_retriable(request: Request, outcome: Response | APIConnectionError) -> bool:
    """Return True if a retry is useful and cannot double the effect of the request."""
    if not is_readable(request):
        return False
    idempotent = is_idempotent(request)
    if isinstance(outcome, APIConnectionError):
        return idempotent or not outcome.request_sent
    if 200 <= outcome.status < 300:
        return False
    advice = outcome.headers.get("x-should-retry", "").strip().lower()
    if advice in ("true", "false"):
        return advice == "true"
    if outcome.status == 429 or (outcome.status == 503 and parse_retry_after(outcome.headers) is not None):
        return True
    return idempotent and (outcome.status in _TRANSIENT or outcome.status >= 500)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the delay that the server asks for (RFC 9110, section 10.2.3; ``retry-after-ms`` is a common extension).

    An HTTP date is compared with the ``Date`` of the same response, so that clocks need not agree. Without a ``Date``,
    it is compared with the local clock.

    Args:
        headers: The header fields of the response.

    Returns:
        The delay in seconds, at least 0; None if the headers are absent or invalid.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if re.fullmatch(_NUMBER, milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(_NUMBER, value):
        return float(value)
    retry_time = _timestamp(value)
    if retry_time is None:
        return None
    now = _timestamp(headers.get("date", ""))
    return max(0.0, retry_time - (time.time() if now is None else now))


def _timestamp(text: str) -> float | None:
    """Return the POSIX time of an HTTP date (any format of RFC 9110, section 5.6.7), or None if it is invalid."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # slow to import, and rarely needed

    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()  # the asctime format has no zone
