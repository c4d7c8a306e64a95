"""When the schedules of the in-memory service are due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ..errors import shorten
from ..models import (
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
from ..operations import CreateSchedule
from ._clock import Clock
from ._refusal import Refusal
from ._state import KnownSchedule, Planned

__all__ = ["plan"]


def plan(operation: CreateSchedule, schedule_id: str, clock: Clock, now: float) -> Planned:
    """Return a schedule with its times.

    Args:
        operation: What is asked for.
        schedule_id: The schedule's id.
        clock: The service's time.
        now: What it shows.

    Raises:
        Refusal: It makes no sense.
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
        raise Refusal(422, "validation_error", f"when: {error}") from None
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
    """Return when it is due first, and what gives the time after a time.

    Raises:
        ValueError: It is never due.
        OverflowError: It is due beyond the calendar.
    """
    match when:
        case ScheduledWhen(date=date):
            instant = date if isinstance(date, datetime) else datetime.fromisoformat(date.upper())
            return clock.moment(instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)), None
        case DelayedWhen(delay_in_seconds=delay):
            if delay < 0:
                raise ValueError("delayInSeconds must not be negative")
            return now + delay, None
        case IntervalWhen(interval_seconds=interval):
            if interval < 1:
                raise ValueError("intervalSeconds must be at least 1")
            return now + interval, lambda moment: moment + interval
        case CronWhen(cron=cron):
            following = _cron(cron, clock)
            return following(now), following


def _cron(expression: str, clock: Clock) -> Callable[[float], float]:
    """Return what gives the first moment, after a moment, that a cron expression names, in UTC."""
    try:
        from cronsim import CronSim, CronSimError  # here, since it is an extra
    except ImportError:
        message = "Cron schedules need the package cronsim here: pip install 'handinger-async[testing]'."
        raise Refusal(501, "not_implemented", message) from None

    def following(moment: float) -> float:
        try:
            return clock.moment(next(CronSim(expression, clock.instant(moment).astimezone(UTC))))
        except (CronSimError, StopIteration) as error:
            raise ValueError(f"cron: {error or 'there is no such day'}: {shorten(repr(expression), 80)}") from None

    return following
