"""Retrieve the state of a run again and again, until a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from .._checks import is_number
from ..errors import APIConnectionError, APIStatusError, ConfigurationError, HandingerError, RunError, quoted
from .attempts import logger
from .calls import Settings

__all__ = [
    "KeptError",
    "Poll",
    "StartFunction",
    "UpdateFunction",
    "announce",
    "check_arguments",
    "is_transient",
    "run_deadline",
]

S = TypeVar("S")

#: Called with the ids of worker and task; its result is awaited if it is awaitable.
StartFunction = Callable[[str | None, str | None], object]
#: Called with each new state.
UpdateFunction = Callable[[Any], object]

#: Seconds between two requests: the first interval, its growth and the longest.
_FIRST_INTERVAL = 1.0
_GROWTH = 1.5
_MAX_INTERVAL = 15.0


def is_transient(error: Exception | None) -> bool:
    """Return True if the same request may succeed later: after a lost connection, 408, 425, 429 and from 500."""
    if isinstance(error, APIStatusError):
        return error.status_code in (408, 425, 429) or error.status_code >= 500
    return isinstance(error, APIConnectionError)


class KeptError:
    """An exception to be raised later. Kept in a local variable of the frame that raises it, it would be in a cycle."""

    def __init__(self) -> None:
        self._kept: list[Exception] = []

    @property
    def error(self) -> Exception | None:
        """The exception; None if none is kept."""
        return self._kept[0] if self._kept else None

    def keep(self, error: Exception) -> None:
        """Keep an exception, without the frames that it was raised in."""
        self._kept = [error.with_traceback(None)]

    def forget(self) -> None:
        """Forget the exception."""
        self._kept = []

    def throw(self) -> NoReturn:
        """Raise the exception, and forget it."""
        raise self._kept.pop()


class _Interrupted(Exception):  # noqa: N818 - no error
    """The end of another task has ended a request."""


class Poll(Generic[S]):
    """Retrieves a state in growing intervals.

    Args:
        settings: The settings of the session.
        on_update: Called with each state that differs from the one before. Its exceptions are logged.

    Attributes:
        state: The last state; None before the first.
        failure: The reason why the last request failed; empty if it succeeded.
    """

    def __init__(
        self,
        settings: Settings,
        on_update: UpdateFunction | None = None,
    ) -> None:
        self._settings = settings
        self._on_update = on_update
        self._interval = _FIRST_INTERVAL
        self.state: S | None = None
        self.failure = KeptError()

    async def retrieve(
        self, retrieve: Callable[[], Coroutine[Any, Any, S]], interrupt: asyncio.Task[Any] | None = None
    ) -> S | None:
        """Retrieve the state once.

        Args:
            retrieve: Retrieves it.
            interrupt: A task whose end ends the request.

        Returns:
            The state; None if the request failed: then `failure` is the reason. None also if it was interrupted: then
            `failure` is that of the request before.
        """
        try:
            state = await (retrieve() if interrupt is None else _until(interrupt, retrieve()))
        except _Interrupted:
            return None
        except Exception as error:
            self.failure.keep(error)
            logger.info("could not retrieve the state of a run: %s", error)
            return None
        self.failure.forget()
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

    def hurry(self) -> None:
        """Begin again with short intervals."""
        self._interval = _FIRST_INTERVAL

    async def pause(
        self, *interrupts: asyncio.Future[Any], shortest: float = _FIRST_INTERVAL, longest: float = _MAX_INTERVAL
    ) -> None:
        """Wait until it is time for the next request: a growing interval, or longer if the service asks for that.

        Args:
            interrupts: Tasks and futures; the end of one of them ends the pause.
            shortest: The interval at which growth begins, in seconds.
            longest: The interval at which it ends.

        Raises:
            ConfigurationError: The session is closed.
        """
        from random import random  # slow to import

        self._interval = max(self._interval, shortest)
        delay = self._interval * (1 - 0.2 * random())  # noqa: S311 - spreads the requests of many runs
        self._interval = min(self._interval * _GROWTH, longest)
        failure = self.failure.error
        if isinstance(failure, APIStatusError) and failure.retry_after is not None:
            delay = max(delay, min(failure.retry_after, self._settings.options.retry.max_retry_after))
        del failure
        pool = self._settings.pool
        if interrupts:
            await asyncio.wait(interrupts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        else:
            await pool.pause(delay)
        if pool.closed and not any(interrupt.done() for interrupt in interrupts):
            raise ConfigurationError("the session is closed")


async def _until(interrupt: asyncio.Task[Any], coroutine: Coroutine[Any, Any, S]) -> S:
    """Await a coroutine.

    Raises:
        _Interrupted: The task ``interrupt`` ended first.
    """
    task = asyncio.create_task(coroutine)
    try:
        await asyncio.wait((interrupt, task), return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        await asyncio.wait((task,))
    if task.cancelled() or (interrupt.done() and task.exception() is not None):
        raise _Interrupted
    return task.result()


def check_arguments(deadline: object, *, on_start: object = None, on_update: object = None) -> None:
    """Check arguments that runs have in common.

    Raises:
        ConfigurationError: The deadline is no number of seconds above zero, or a function is not callable; None is
            accepted for each.
    """
    if deadline is not None and (not is_number(deadline) or deadline <= 0):  # type: ignore[operator]
        raise ConfigurationError(f"deadline must be a number of seconds above zero or None, not {quoted(deadline)}")
    for name, function in {"on_start": on_start, "on_update": on_update}.items():
        if function is not None and not callable(function):
            raise ConfigurationError(f"{name} must be callable, not {quoted(function)}")
    if iscoroutinefunction(on_update):
        raise ConfigurationError("on_update must be a plain function: it is not awaited")


async def announce(on_start: StartFunction | None, worker_id: str | None, task_id: str | None) -> None:
    """Call ``on_start`` with the ids that are known."""
    if on_start is not None:
        result = on_start(worker_id, task_id)
        if isawaitable(result):
            await result


class Run(Protocol):
    """A run with a deadline."""

    def expired(self, deadline: float) -> RunError:
        """Return the error for the end of its time: what is known of it then."""
        ...


@asynccontextmanager
async def run_deadline(
    settings: Settings, deadline: float | None, run: Callable[[], Run]
) -> AsyncIterator[asyncio.Timeout]:
    """Limit the time of a run.

    Args:
        settings: The settings of the session.
        deadline: The limit in seconds; None for that of the session.
        run: Returns the run.

    Yields:
        The limit as a timeout, which can be rescheduled.

    Raises:
        RunError: The time is over.
    """
    limit = settings.options.timeouts.deadline if deadline is None else deadline
    scope = asyncio.timeout(limit)
    try:
        async with scope:
            yield scope
    except TimeoutError as error:
        if isinstance(error, HandingerError) or not scope.expired() or limit is None:
            raise
    else:
        return
    raise run().expired(limit)
