"""Models of requests and responses: immutable, compared by value, independent of their spelling in JSON."""

from ._unset import UNSET, Unset
from .schedules import (
    Budget,
    CronWhen,
    CronWorkerSchedule,
    DelayedWhen,
    DelayedWorkerSchedule,
    IntervalWhen,
    IntervalWorkerSchedule,
    ScheduleCancelResponse,
    ScheduledWhen,
    ScheduledWorkerSchedule,
    ScheduleListResponse,
    UnknownWorkerSchedule,
    When,
    WorkerSchedule,
    to_when,
)
from .workers import Costs, File, Output, OutputContent, Source, Usage, Worker

__all__ = [
    "UNSET",
    "Budget",
    "Costs",
    "CronWhen",
    "CronWorkerSchedule",
    "DelayedWhen",
    "DelayedWorkerSchedule",
    "File",
    "IntervalWhen",
    "IntervalWorkerSchedule",
    "Output",
    "OutputContent",
    "ScheduleCancelResponse",
    "ScheduleListResponse",
    "ScheduledWhen",
    "ScheduledWorkerSchedule",
    "Source",
    "UnknownWorkerSchedule",
    "Unset",
    "Usage",
    "When",
    "Worker",
    "WorkerSchedule",
    "to_when",
]
