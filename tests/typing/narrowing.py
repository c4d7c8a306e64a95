"""Unions, as type checkers narrow them by ``match``, by ``type`` and by ``isinstance``; see ``usage``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, assert_never, assert_type

from handinger_async import (
    APIError,
    CronWhen,
    CronWorkerSchedule,
    DelayedWhen,
    DelayedWorkerSchedule,
    IntervalWhen,
    IntervalWorkerSchedule,
    Outcome,
    RunFailedError,
    RunResult,
    RunTimeoutError,
    RunUnknownError,
    ScheduledWhen,
    ScheduledWorkerSchedule,
    StreamInterruptedError,
    Task,
    TaskWithTurns,
    Turn,
    UnknownWorkerSchedule,
    Worker,
    WorkerSchedule,
)
from handinger_async.models import When


def schedules_by_class(schedule: WorkerSchedule) -> datetime | None:
    assert_type(schedule.id, str)
    assert_type(schedule.input, str | None)
    assert_type(schedule.next_run_at, datetime | None)
    match schedule:
        case DelayedWorkerSchedule(delay_in_seconds=delay):
            assert_type(delay, int)
        case CronWorkerSchedule():
            assert_type(schedule.cron, str)
        case IntervalWorkerSchedule(interval_seconds=seconds, budget="low" | "standard"):
            assert_type(seconds, int)
        case IntervalWorkerSchedule():
            assert_type(schedule.type, Literal["interval"])
        case ScheduledWorkerSchedule():
            assert_type(schedule.next_run_at, datetime)
        case UnknownWorkerSchedule():
            assert_type(schedule.raw, dict[str, Any])
        case _:
            assert_never(schedule)
    return schedule.next_run_at


def schedules_by_type(schedule: WorkerSchedule) -> str:
    """A type unknown to this version can be any string, so it comes first."""
    if isinstance(schedule, UnknownWorkerSchedule):
        return schedule.type
    assert_type(schedule.type, Literal["scheduled", "delayed", "cron", "interval"])
    if schedule.type == "cron":
        assert_type(schedule, CronWorkerSchedule)
        return schedule.cron
    if schedule.type == "delayed":
        assert_type(schedule.delay_in_seconds, int)
    elif schedule.type == "interval":
        assert_type(schedule.interval_seconds, int)
    else:
        assert_type(schedule, ScheduledWorkerSchedule)
    return schedule.input


def whens_by_type(when: When) -> int:
    match when.type:
        case "delayed":
            return when.delay_in_seconds
        case "interval":
            return when.interval_seconds
        case "cron":
            assert_type(when, CronWhen)
        case "scheduled":
            assert_type(when.date, datetime | str)
        case _:
            assert_never(when)
    return 0


def whens_by_class(when: When) -> str:
    match when:
        case DelayedWhen(seconds) | IntervalWhen(seconds):
            return f"in {seconds} s"
        case CronWhen(cron=cron):
            return cron
        case ScheduledWhen(date=str(text)):
            return text
        case ScheduledWhen(date=date):
            assert_type(date, datetime | str)
            return str(date)


def statuses(task: Task, worker: Worker) -> bool:
    """Known values are literals; another value is a string."""
    match task.status:
        case "error" | "aborted" as failure:
            assert_type(failure, Literal["error", "aborted"])
        case "pending" | "running":
            return False
        case "completed":
            assert_type(task.completed_at, str | None)
        case other:
            assert_type(other, str)
    match worker.status:
        case "completed" as completed:
            assert_type(completed, Literal["completed"])
        case other:
            assert_type(other, str)
    return worker.usage is not None and worker.usage.steps is not None and worker.usage.steps > 0


def turns(state: TaskWithTurns) -> Sequence[str]:
    if state.turns is None:
        return []
    assert_type(state.turns, list[Turn])
    match state.turns:
        case [Turn(output_text=text)]:
            return [text]
        case [first, *_, Turn(files=[*files])]:
            assert_type(first, Turn)
            return [file.url for file in files]
        case _:
            return [turn.status for turn in state.turns]


def parts(worker: Worker) -> list[str]:
    """Output messages and their parts have one known type each."""
    return [part.text for item in worker.output if item.type == "message" for part in item.content]


def results(result: RunResult[dict[str, Any]]) -> dict[str, Any]:
    if result.outcome is not None:
        assert_type(result.outcome, Outcome[dict[str, Any]])
        return result.outcome.structured_output
    match result.error:
        case RunTimeoutError() | RunUnknownError() as error:
            assert_type(error.task_id, str | None)
        case RunFailedError(worker_id=worker_id):
            assert_type(worker_id, str | None)
        case StreamInterruptedError(last_event_id=last):
            assert_type(last, str)
        case APIError():
            assert_type(result.error.attempts, int)
        case _:
            pass
    return {}
