"""Future runs of workers: schedules (in responses) and whens (in requests)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from ..errors import ConfigurationError, quoted
from ._checks import check_int, check_text
from ._model import frozen_model, response_model

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


@response_model
class ScheduledWorkerSchedule:
    """One run at a fixed time.

    Args:
        id: The id of the schedule; opaque.
        budget: The cost limit of the run.
        input: The instruction.
        next_run_at: Time of the next run, timezone-aware.
        extra: Fields unknown to this version, as the server sent them.
    """

    type: ClassVar[Literal["scheduled"]] = "scheduled"
    id: str
    budget: Budget | str
    input: str
    next_run_at: datetime
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class DelayedWorkerSchedule:
    """One run after a delay.

    Args:
        id: The id of the schedule; opaque.
        budget: The cost limit of the run.
        delay_in_seconds: The requested delay, in seconds.
        input: The instruction.
        next_run_at: Time of the next run, timezone-aware.
        extra: Fields unknown to this version, as the server sent them.
    """

    type: ClassVar[Literal["delayed"]] = "delayed"
    id: str
    budget: Budget | str
    delay_in_seconds: int
    input: str
    next_run_at: datetime
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class CronWorkerSchedule:
    """Recurring runs by a cron expression.

    Args:
        id: The id of the schedule; opaque.
        budget: The cost limit of each run.
        cron: The expression.
        input: The instruction.
        next_run_at: Time of the next run, timezone-aware.
        extra: Fields unknown to this version, as the server sent them.
    """

    type: ClassVar[Literal["cron"]] = "cron"
    id: str
    budget: Budget | str
    cron: str
    input: str
    next_run_at: datetime
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class IntervalWorkerSchedule:
    """Recurring runs at a fixed interval.

    Args:
        id: The id of the schedule; opaque.
        budget: The cost limit of each run.
        input: The instruction.
        interval_seconds: The interval, in seconds.
        next_run_at: Time of the next run, timezone-aware.
        extra: Fields unknown to this version, as the server sent them.
    """

    type: ClassVar[Literal["interval"]] = "interval"
    id: str
    budget: Budget | str
    input: str
    interval_seconds: int
    next_run_at: datetime
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class UnknownWorkerSchedule:
    """A schedule of a type unknown to this version.

    The fields that all other schedules have are properties. If the server did not send one as expected, it is None, but
    the id is ``""``.

    Args:
        type: The type named by the server.
        raw: The whole JSON object as the server sent it, with its ``type``.
    """

    type: str
    raw: dict[str, Any]

    @property
    def id(self) -> str:
        """The id of the schedule; ``""`` if the server did not send one."""
        return self._text("id") or ""

    @property
    def budget(self) -> Budget | str | None:
        """The cost limit."""
        return self._text("budget")

    @property
    def input(self) -> str | None:
        """The instruction."""
        return self._text("input")

    @property
    def next_run_at(self) -> datetime | None:
        """Time of the next run, timezone-aware."""
        try:
            instant = datetime.fromisoformat((self._text("nextRunAt") or "").upper())
        except ValueError:
            return None
        return instant if instant.tzinfo else None

    def _text(self, key: str) -> str | None:
        value = self.raw.get(key)
        return value if isinstance(value, str) else None


WorkerSchedule: TypeAlias = (
    ScheduledWorkerSchedule
    | DelayedWorkerSchedule
    | CronWorkerSchedule
    | IntervalWorkerSchedule
    | UnknownWorkerSchedule
)


@response_model
class ScheduleListResponse:
    """The schedules of a worker.

    Args:
        schedules: The schedules.
        worker_id: The id of the worker.
        timezone: The time zone of cron expressions, such as ``"Europe/Madrid"``; None if the service does not say.
        extra: Fields unknown to this version, as the server sent them.
    """

    schedules: list[WorkerSchedule]
    worker_id: str
    timezone: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class ScheduleCancelResponse:
    """The result of cancelling a schedule.

    Args:
        cancelled: True if the schedule was cancelled.
        extra: Fields unknown to this version, as the server sent them.
    """

    cancelled: bool
    extra: dict[str, Any] = attrs.field(factory=dict)


def _check_date(when: object, field: object, value: Any) -> None:
    if not isinstance(value, str | datetime):
        raise ConfigurationError(f"date must be a datetime or a string, not {type(value).__name__}")


@frozen_model
class ScheduledWhen:
    """Run once at a fixed time.

    Args:
        date: The time. A datetime is sent in ISO 8601 with its UTC offset, if it has one; a string is sent as it is.
    """

    type: ClassVar[Literal["scheduled"]] = "scheduled"
    date: datetime | str = attrs.field(validator=_check_date)


@frozen_model
class DelayedWhen:
    """Run once after a delay.

    Args:
        delay_in_seconds: The delay, in seconds.
    """

    type: ClassVar[Literal["delayed"]] = "delayed"
    delay_in_seconds: int = attrs.field(validator=check_int)


@frozen_model
class CronWhen:
    """Run repeatedly by a cron expression.

    Args:
        cron: The expression: ``"0 9 * * 1"`` means Mondays at nine.
    """

    type: ClassVar[Literal["cron"]] = "cron"
    cron: str = attrs.field(validator=check_text)


@frozen_model
class IntervalWhen:
    """Run repeatedly at a fixed interval.

    Args:
        interval_seconds: The interval, in seconds.
    """

    type: ClassVar[Literal["interval"]] = "interval"
    interval_seconds: int = attrs.field(validator=check_int)


When: TypeAlias = ScheduledWhen | DelayedWhen | CronWhen | IntervalWhen

_WHENS: dict[str, Any] = {cls.type: cls for cls in (ScheduledWhen, DelayedWhen, CronWhen, IntervalWhen)}
_TYPES = " or ".join(map(repr, _WHENS))


def to_when(when: When | Mapping[str, Any]) -> When:
    """Return ``when`` as an instance of one of the When classes.

    Args:
        when: An instance, which is returned as it is, or a mapping with ``type`` and the fields of its class:
            ``{"type": "delayed", "delay_in_seconds": 60}``.

    Returns:
        The instance.

    Raises:
        ConfigurationError: A key is missing, unknown or has a wrong value.
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
        raise ConfigurationError(f"when['type'] must be {_TYPES}, not {quoted(kind)}")
    wanted = [field.name for field in attrs.fields(cls)]
    missing = [name for name in wanted if name not in when]
    surplus = [key for key in when if key != "type" and key not in wanted]
    if missing or surplus:
        verb, key = ("needs", missing[0]) if missing else ("does not take", surplus[0])
        allowed = ", ".join(map(repr, ["type", *wanted]))
        raise ConfigurationError(f"when of type {kind!r} {verb} the key {quoted(key)}: its keys are {allowed}")
    made: When = cls(**{name: when[name] for name in wanted})
    return made
