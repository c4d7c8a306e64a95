"""When a worker is to run again: what the service answers (schedules), and what a caller asks for (whens)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from ..errors import ConfigurationError, shorten
from ._checks import check_int, check_text
from ._value import answer, value

__all__ = [
    "Budget",
    "CronWhen",
    "CronWorkerSchedule",
    "DelayedWhen",
    "DelayedWorkerSchedule",
    "IntervalWhen",
    "IntervalWorkerSchedule",
    "ScheduleCancelResponse",
    "ScheduleListResponse",
    "ScheduledWhen",
    "ScheduledWorkerSchedule",
    "UnknownWorkerSchedule",
    "When",
    "WorkerSchedule",
    "to_when",
]

Budget: TypeAlias = Literal["low", "standard", "high", "unlimited"]


@answer
class ScheduledWorkerSchedule:
    """A run at one moment.

    Args:
        id: The schedule's id; opaque.
        budget: What the run may cost.
        input: The instruction.
        next_run_at: When it runs next; aware of its time zone.
        extra: Fields unknown to this version, as the server sent them.
    """

    type: ClassVar[Literal["scheduled"]] = "scheduled"
    id: str
    budget: Budget | str
    input: str
    next_run_at: datetime
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class DelayedWorkerSchedule:
    """A run after a delay.

    Args:
        id: The schedule's id; opaque.
        budget: What the run may cost.
        delay_in_seconds: The delay that was asked for.
        input: The instruction.
        next_run_at: When it runs next; aware of its time zone.
        extra: Fields unknown to this version, as the server sent them.
    """

    type: ClassVar[Literal["delayed"]] = "delayed"
    id: str
    budget: Budget | str
    delay_in_seconds: int
    input: str
    next_run_at: datetime
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class CronWorkerSchedule:
    """Runs by a cron expression.

    Args:
        id: The schedule's id; opaque.
        budget: What a run may cost.
        cron: The expression.
        input: The instruction.
        next_run_at: When it runs next; aware of its time zone.
        extra: Fields unknown to this version, as the server sent them.
    """

    type: ClassVar[Literal["cron"]] = "cron"
    id: str
    budget: Budget | str
    cron: str
    input: str
    next_run_at: datetime
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class IntervalWorkerSchedule:
    """Runs at a fixed interval.

    Args:
        id: The schedule's id; opaque.
        budget: What a run may cost.
        input: The instruction.
        interval_seconds: The interval.
        next_run_at: When it runs next; aware of its time zone.
        extra: Fields unknown to this version, as the server sent them.
    """

    type: ClassVar[Literal["interval"]] = "interval"
    id: str
    budget: Budget | str
    input: str
    interval_seconds: int
    next_run_at: datetime
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class UnknownWorkerSchedule:
    """A schedule of a type that this version does not know.

    Args:
        type: The type that the server named.
        raw: The whole object as the server sent it, ``type`` included.
    """

    type: str
    raw: dict[str, Any]


WorkerSchedule: TypeAlias = (
    ScheduledWorkerSchedule
    | DelayedWorkerSchedule
    | CronWorkerSchedule
    | IntervalWorkerSchedule
    | UnknownWorkerSchedule
)


@answer
class ScheduleListResponse:
    """The schedules of a worker.

    Args:
        schedules: The schedules.
        worker_id: The worker.
        extra: Fields unknown to this version, as the server sent them.
    """

    schedules: list[WorkerSchedule]
    worker_id: str
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class ScheduleCancelResponse:
    """Whether a schedule was cancelled.

    Args:
        cancelled: Whether it was.
        extra: Fields unknown to this version, as the server sent them.
    """

    cancelled: bool
    extra: dict[str, Any] = attrs.field(factory=dict)


def _check_date(when: object, field: object, value: Any) -> None:
    if not isinstance(value, str | datetime):
        raise ConfigurationError(f"date must be a datetime or a string, not {type(value).__name__}")


@value
class ScheduledWhen:
    """Run at one moment.

    Args:
        date: The moment. A datetime goes out in ISO 8601 with the time zone it has, if any; a string as it is.
    """

    type: ClassVar[Literal["scheduled"]] = "scheduled"
    date: datetime | str = attrs.field(validator=_check_date)


@value
class DelayedWhen:
    """Run after a delay.

    Args:
        delay_in_seconds: The delay.
    """

    type: ClassVar[Literal["delayed"]] = "delayed"
    delay_in_seconds: int = attrs.field(validator=check_int)


@value
class CronWhen:
    """Run by a cron expression.

    Args:
        cron: The expression: ``"0 9 * * 1"`` is Mondays at nine.
    """

    type: ClassVar[Literal["cron"]] = "cron"
    cron: str = attrs.field(validator=check_text)


@value
class IntervalWhen:
    """Run at a fixed interval.

    Args:
        interval_seconds: The interval.
    """

    type: ClassVar[Literal["interval"]] = "interval"
    interval_seconds: int = attrs.field(validator=check_int)


When: TypeAlias = ScheduledWhen | DelayedWhen | CronWhen | IntervalWhen

_WHENS: dict[str, Any] = {cls.type: cls for cls in (ScheduledWhen, DelayedWhen, CronWhen, IntervalWhen)}
_TYPES = " or ".join(map(repr, _WHENS))


def to_when(when: When | Mapping[str, Any]) -> When:
    """Return ``when`` as one of the typed objects.

    Args:
        when: One of them, or a mapping with ``type`` and the fields of the class that it names:
            ``{"type": "delayed", "delay_in_seconds": 60}``.

    Returns:
        The typed object.

    Raises:
        ConfigurationError: It is neither; the message names the key and what is allowed.
    """
    if isinstance(when, When):
        return when
    if not isinstance(when, Mapping):
        raise ConfigurationError(f"when must be a When or a dict, not {type(when).__name__}")
    if "type" not in when:
        raise ConfigurationError(f"when needs the key 'type': {_TYPES}")
    kind = when["type"]
    cls = _WHENS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ConfigurationError(f"when['type'] must be {_TYPES}, not {shorten(repr(kind))}")
    wanted = [field.name for field in attrs.fields(cls)]
    missing = [name for name in wanted if name not in when]
    surplus = [key for key in when if key != "type" and key not in wanted]
    if missing or surplus:
        verb, key = ("needs", missing[0]) if missing else ("does not take", surplus[0])
        allowed = ", ".join(map(repr, ["type", *wanted]))
        raise ConfigurationError(f"when of type {kind!r} {verb} the key {shorten(repr(key))}: its keys are {allowed}")
    made: When = cls(**{name: when[name] for name in wanted})
    return made
