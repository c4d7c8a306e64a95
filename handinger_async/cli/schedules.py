"""The verbs for schedules: schedules list, add and cancel."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from .._converter import to_dict
from ..models import CronWhen, DelayedWhen, IntervalWhen, ScheduledWhen, When, WorkerSchedule
from .command import Command
from .output import UsageError
from .tables import local_time, show_done, show_record, show_table
from .values import read_text

__all__ = ["add_schedule", "cancel_schedule", "list_schedules"]


async def list_schedules(command: Command) -> None:
    """List the schedules of a worker."""
    async with command.session() as session:
        listed = await session.workers.schedules.list(command.options.worker_id)
    rows = [(each.id, local_time(each.next_run_at), _rule(each), each.budget, each.input) for each in listed.schedules]
    show_table(command, to_dict(listed), ("ID", "NEXT RUN", "RULE", "BUDGET", "INSTRUCTION"), rows)
    if listed.timezone and not command.options.json:
        command.output.note(f"cron expressions are in the zone {listed.timezone}")


def add_schedule(command: Command) -> Coroutine[Any, Any, None]:
    """Schedule an instruction."""
    options = command.options
    rules: list[When] = []
    if options.at is not None:
        rules.append(ScheduledWhen(date=options.at))
    if options.delay is not None:
        rules.append(DelayedWhen(delay_in_seconds=options.delay))
    if options.interval is not None:
        rules.append(IntervalWhen(interval_seconds=options.interval))
    if options.cron is not None:
        rules.append(CronWhen(cron=options.cron))
    if len(rules) != 1:
        raise UsageError("give one of --at, --in, --every and --cron")
    return _add(command, read_text(options.instruction), rules[0])


async def _add(command: Command, instruction: str, when: When) -> None:
    options = command.options
    async with command.session() as session:
        made = await session.workers.schedules.create(
            options.worker_id, input=instruction, when=when, budget=options.budget
        )
    command.made = f"schedule {made.id}"
    record = {"id": made.id, "rule": _rule(made), "next run": local_time(made.next_run_at)}
    show_record(command, to_dict(made), record)


async def cancel_schedule(command: Command) -> int:
    """Cancel a schedule."""
    options = command.options
    async with command.session() as session:
        result = await session.workers.schedules.cancel(options.schedule_id, worker_id=options.worker_id)
    return show_done(command, to_dict(result), "cancelled", done=result.cancelled)


def _rule(schedule: WorkerSchedule) -> str:
    """Return when a schedule runs, in the words of the options."""
    fields = to_dict(schedule)
    if schedule.type == "interval":
        return f"every {fields.get('intervalSeconds')} s"
    return str(fields.get("cron") or "once") if schedule.type in ("cron", "scheduled", "delayed") else schedule.type
