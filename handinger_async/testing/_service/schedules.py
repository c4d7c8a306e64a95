"""Schedules of the in-memory service, with the times at which they are due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import attrs

from ...errors import shorten
from ...models import (
    CronWhen,
    CronWorkerSchedule,
    DelayedWhen,
    DelayedWorkerSchedule,
    IntervalWhen,
    IntervalWorkerSchedule,
    ScheduledWhen,
    ScheduledWorkerSchedule,
    When,
)
from ...operations import CreateSchedule
from .clock import Clock
from .errors import ServiceError, invalid

__all__ = ["KnownSchedule", "Planned", "plan"]

KnownSchedule: TypeAlias = ScheduledWorkerSchedule | DelayedWorkerSchedule | CronWorkerSchedule | IntervalWorkerSchedule


@attrs.frozen(kw_only=True)
class Planned:
    """A schedule with its due times.

    Args:
        schedule: The schedule, as the API shows it.
        at: The next due time, in seconds of the service's clock.
        again: Returns the due time after a given one; None if the schedule does not recur.
    """

    schedule: KnownSchedule
    at: float
    again: Callable[[float], float] | None


def plan(operation: CreateSchedule, schedule_id: str, clock: Clock, now: float) -> Planned:
    """Return a new schedule with its due times.

    Args:
        operation: The request for the schedule.
        schedule_id: The id of the schedule.
        clock: The service's clock.
        now: The current reading of the clock, in seconds.

    Raises:
        ServiceError: The schedule is never due, or cron expressions are not supported here.
    """
    again: Callable[[float], float] | None = None
    try:
        at, again = _times(operation.when, clock, now)
        fields: dict[str, Any] = {
            "id": schedule_id,
            "budget": operation.budget or "standard",
            "input": operation.input,
            "next_run_at": clock.instant(at),
        }
    except (OverflowError, ValueError) as error:
        raise invalid(f"when: {error}") from None
    schedule: KnownSchedule
    match operation.when:
        case ScheduledWhen():
            schedule = ScheduledWorkerSchedule(**fields)
        case DelayedWhen(delay_in_seconds=delay):
            schedule = DelayedWorkerSchedule(**fields, delay_in_seconds=delay)
        case CronWhen(cron=cron):
            schedule = CronWorkerSchedule(**fields, cron=cron)
        case IntervalWhen(interval_seconds=interval):
            schedule = IntervalWorkerSchedule(**fields, interval_seconds=interval)
    return Planned(schedule=schedule, at=at, again=again)


def _times(when: When, clock: Clock, now: float) -> tuple[float, Callable[[float], float] | None]:
    """Return the first due time, and the function from one due time to the next.

    Raises:
        ValueError: There is no due time.
        OverflowError: The due time is beyond the range of a datetime.
    """
    match when:
        case ScheduledWhen(date=date):
            instant = date if isinstance(date, datetime) else datetime.fromisoformat(date.upper())
            return clock.moment(instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)), None
        case DelayedWhen(delay_in_seconds=delay):
            if delay < 0:
                raise ValueError("delayInSeconds must not be negative")
            return round(now + delay, 6), None
        case IntervalWhen(interval_seconds=interval):
            if interval < 1:
                raise ValueError("intervalSeconds must be at least 1")
            # Rounded as the clock is: it would never reach a moment between two microseconds.
            return round(now + interval, 6), lambda moment: round(moment + interval, 6)
        case CronWhen(cron=cron):
            following = _cron(cron, clock)
            return following(now), following


def _cron(expression: str, clock: Clock) -> Callable[[float], float]:
    """Return the function from a moment to the next one that matches a cron expression, in UTC."""
    try:
        from cronsim import CronSim, CronSimError  # here, since cronsim is an optional dependency
    except ImportError:
        message = "Cron schedules need the package cronsim here: pip install 'handinger-async[testing]'."
        raise ServiceError(501, "not_implemented", message) from None

    def following(moment: float) -> float:
        try:
            return clock.moment(next(CronSim(expression, clock.instant(moment).astimezone(UTC))))
        except (CronSimError, StopIteration) as error:
            raise ValueError(f"cron: {error or 'there is no such day'}: {shorten(repr(expression), 80)}") from None

    return following
