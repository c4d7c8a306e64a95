"""Ask for the state of a run again and again, until a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from random import random
from typing import Any, Generic, NoReturn, TypeVar

from .._checks import is_number
from ..errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    HandingerError,
    RunTimeoutError,
    quoted,
)
from .attempts import logger
from .calls import Settings

__all__ = [
    "Poll",
    "StartFunction",
    "UpdateFunction",
    "announce",
    "check_arguments",
    "is_doubtful",
    "is_transient",
    "run_deadline",
]

S = TypeVar("S")

#: Called with the ids of worker and task; its result is awaited if it is awaitable.
StartFunction = Callable[[str | None, str | None], object]
#: Called with each new state.
UpdateFunction = Callable[[Any], object]

#: Seconds between two questions: the first interval, its growth and the longest.
_FIRST_INTERVAL = 1.0
_GROWTH = 1.5
_MAX_INTERVAL = 15.0


def is_transient(error: APIError) -> bool:
    """Return True if the same question may be answered later: after a lost connection, 408, 425, 429 and from 500."""
    if isinstance(error, APIStatusError):
        return error.status_code in (408, 425, 429) or error.status_code >= 500
    return isinstance(error, APIConnectionError)


def is_doubtful(error: APIError) -> bool:
    """Return True if the request may have been performed, though it failed: after 408, from 500, without a response."""
    if isinstance(error, APIConnectionError):
        return error.request_sent
    if isinstance(error, APIStatusError):
        return error.status_code == 408 or error.status_code >= 500
    return isinstance(error, APIResponseValidationError)


class Poll(Generic[S]):
    """Asks for a state in growing intervals.

    Args:
        settings: The settings of the session.
        ask: Requests the state.
        on_update: Called with each state that differs from the one before. Its exceptions are logged.

    Attributes:
        state: The last state; None before the first.
        failure: The reason why the last question has no answer; None if it has one.
    """

    def __init__(
        self, settings: Settings, ask: Callable[[], Awaitable[S]], on_update: UpdateFunction | None = None
    ) -> None:
        self._settings = settings
        self._ask = ask
        self._on_update = on_update
        self._interval = _FIRST_INTERVAL
        self.state: S | None = None
        self.failure: APIError | None = None

    async def ask(self) -> S | None:
        """Ask once.

        Returns:
            The state; None without an answer: then `failure` is the reason.
        """
        try:
            state = await self._ask()
        except APIError as error:
            self.failure = error.with_traceback(None)
            logger.info("no state: %s", error)
            return None
        self.failure = None
        self.update(state)
        return state

    def update(self, state: S) -> None:
        """Take a new state, and report it if it differs from the one before."""
        if state == self.state:
            return
        self.state = state
        if self._on_update is not None:
            try:
                self._on_update(state)
            except Exception:
                logger.exception("on_update failed")

    def raise_failure(self) -> NoReturn:
        """Raise the failure, and forget it: with a reference to it here, it would be in a cycle."""
        failures, self.failure = [self.failure], None
        raise failures.pop() or ConfigurationError("there is no failure")

    def hurry(self) -> None:
        """Begin again with short intervals."""
        self._interval = _FIRST_INTERVAL

    async def pause(self, *interrupts: asyncio.Future[Any], longest: float = _MAX_INTERVAL) -> None:
        """Wait until it is time for the next question: a growing interval, or longer if the service asks for that.

        Args:
            interrupts: Tasks and futures; the end of one of them ends the pause.
            longest: The interval at which growth ends, in seconds.

        Raises:
            ConfigurationError: The session is closed.
        """
        delay = self._interval * (1 - 0.2 * random())  # noqa: S311 - spreads the questions of many runs
        self._interval = min(self._interval * _GROWTH, longest)
        if isinstance(self.failure, APIStatusError) and self.failure.retry_after is not None:
            delay = max(delay, self.failure.retry_after)
        pool = self._settings.pool
        if interrupts:
            await asyncio.wait(interrupts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        else:
            await pool.pause(delay)
        if pool.closed and not any(interrupt.done() for interrupt in interrupts):
            raise ConfigurationError("the session is closed")


def check_arguments(deadline: object, **functions: object) -> None:
    """Check arguments that runs have in common.

    Raises:
        ConfigurationError: The deadline is no number of seconds above zero, or a function is not callable; None is
            accepted for each.
    """
    if deadline is not None and (not is_number(deadline) or deadline <= 0):  # type: ignore[operator]
        raise ConfigurationError(f"deadline must be a number of seconds above zero or None, not {quoted(deadline)}")
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise ConfigurationError(f"{name} must be callable, not {quoted(function)}")


async def announce(on_start: StartFunction | None, worker_id: str | None, task_id: str | None) -> None:
    """Tell the ids of a run, as soon as one is known."""
    if on_start is not None:
        result = on_start(worker_id, task_id)
        if isawaitable(result):
            await result


@asynccontextmanager
async def run_deadline(
    settings: Settings, deadline: float | None, ids: Callable[[], dict[str, str | None]]
) -> AsyncIterator[None]:
    """Limit the time of a run.

    Args:
        settings: The settings of the session.
        deadline: The limit in seconds; None for that of the session.
        ids: Returns ``worker_id`` and ``task_id``, as far as they are known.

    Raises:
        RunTimeoutError: The time is over.
    """
    if deadline is None:
        deadline = settings.options.timeouts.deadline
    try:
        async with asyncio.timeout(deadline) as scope:
            yield
    except TimeoutError as error:
        if isinstance(error, HandingerError) or not scope.expired():
            raise
        expired = RunTimeoutError(f"the run had not ended after {deadline:g} s", **ids())
    else:
        return
    raise expired
