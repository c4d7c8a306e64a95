"""Start a run with one request, which must not be performed twice."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import attrs

from ..codec import TEMPLATE_INSTEAD, encode_request
from ..errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
)
from ..http import Request, Response
from ..operations import Operation
from ..retry import RetryPolicy
from .calls import Call, Settings

__all__ = ["DoubtfulError", "OtherwisePolicy", "is_template", "send_once"]

R = TypeVar("R")


class DoubtfulError(Exception):
    """The request failed, and may have been performed. Internal: it never reaches the user.

    Args:
        failure: The failure, without its frames.
    """

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure


class OtherwisePolicy(RetryPolicy):
    """A retry policy that decides as another one, unless a subclass decides otherwise.

    Args:
        policy: The other one.
    """

    policy: RetryPolicy

    def __init__(self, policy: RetryPolicy) -> None:
        object.__setattr__(self, "policy", policy)
        for name in attrs.fields_dict(RetryPolicy):
            object.__setattr__(self, name, getattr(policy, name))

    def delay(self, request: Request, outcome: Response | APIConnectionError, **options: Any) -> float | None:
        """Decide as the policy does."""
        return self.policy.delay(request, outcome, **options)

    def backoff(self, attempt: int, **options: Any) -> float:
        """Return the backoff of the policy."""
        return self.policy.backoff(attempt, **options)


class _OncePolicy(OtherwisePolicy):
    """The retry policy of a request that must not be performed twice, whatever the policy of the session permits.

    Attributes:
        refused: The number of the last attempt that cannot have been performed.
    """

    refused: int

    def __init__(self, policy: RetryPolicy) -> None:
        super().__init__(policy)
        object.__setattr__(self, "refused", 0)

    def delay(self, request: Request, outcome: Response | APIConnectionError, **options: Any) -> float | None:
        """Decide as the policy does, if the request cannot have been performed."""
        if outcome.status != 429 if isinstance(outcome, Response) else outcome.request_sent:
            return None
        object.__setattr__(self, "refused", options["attempt"])
        return super().delay(request, outcome, **options)


async def send_once(settings: Settings, operation: Operation[R]) -> R:
    """Send an operation that must not be performed twice, without time limits other than that to connect.

    Args:
        settings: The settings of the session.
        operation: The operation.

    Returns:
        Its result.

    Raises:
        DoubtfulError: It may have been performed.
        Exception: It was not performed.
    """
    policy = _OncePolicy(settings.options.retry)
    timeouts = attrs.evolve(settings.options.timeouts, attempt=None, deadline=None)
    options = attrs.evolve(settings.options, timeouts=timeouts, retry=policy)
    call = Call(attrs.evolve(settings, options=options), encode_request(operation))
    try:
        return call.decode(operation, await call.fetch())
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        failure = ConfigurationError("the request ended with a CancelledError, of the function for the key perhaps")
        failure.__cause__ = error
        if policy.refused == call.attempts or call.needs_key:
            raise failure from error
        raise DoubtfulError(failure) from None
    except Exception as error:
        if policy.refused == call.attempts or call.needs_key or not _is_doubtful(error, operation):
            raise
        raise DoubtfulError(error.with_traceback(None)) from None


def _is_doubtful(error: Exception, operation: Operation[Any]) -> bool:
    """Return True if the request may have been performed: after 3xx, 408, from 500, or without a whole response.

    A `ConfigurationError` is that of a session that is closed. An `OSError` may be that of a file: then the request is
    incomplete.
    """
    if isinstance(error, APIConnectionError):
        return error.request_sent
    if isinstance(error, APIStatusError):
        return not 400 <= error.status_code < 500 or error.status_code == 408
    if isinstance(error, APIResponseValidationError):
        return not is_template(error)
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        return not getattr(operation, "files", ())
    return not isinstance(error, ConfigurationError)


def is_template(error: Exception) -> bool:
    """Return True if the response was a template where a run was expected: there is no run."""
    return isinstance(error, APIResponseValidationError) and error.message.startswith(TEMPLATE_INSTEAD)
