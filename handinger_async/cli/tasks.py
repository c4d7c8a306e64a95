"""The verbs for tasks: tasks show, turns and delete."""

from __future__ import annotations

from .._converter import to_dict
from .command import Command
from .tables import local_time, show_done, show_record, show_table

__all__ = ["delete_task", "list_turns", "show_task"]


async def show_task(command: Command) -> None:
    """Show a task: its status, its worker and what it has used."""
    async with command.session() as session:
        state = await session.tasks.retrieve(command.options.task_id)
    task = state.task
    record = {
        "id": task.id,
        "title": task.title,
        "status": task.status,
        "worker": task.worker_id,
        "triggered by": task.triggered_by,
        "created": local_time(task.created_at),
        "completed": local_time(task.completed_at) or None,
        "turns": task.totals.turn_count,
        "credits": task.totals.credits,
        "seconds": f"{task.totals.duration_ms / 1000:.1f}",
        "url": task.url,
    }
    show_record(command, to_dict(state), record)


async def list_turns(command: Command) -> None:
    """List the turns of a task: each message with its reply."""
    async with command.session() as session:
        turns = await session.tasks.list_turns(command.options.task_id)
    rows = [
        (turn.seq, turn.status, turn.credits, local_time(turn.started_at), turn.input, turn.output_text)
        for turn in turns.items
    ]
    show_table(command, to_dict(turns), ("TURN", "STATUS", "CREDITS", "STARTED", "MESSAGE", "REPLY"), rows)


async def delete_task(command: Command) -> int:
    """Archive a task."""
    async with command.session() as session:
        result = await session.tasks.delete(command.options.task_id)
    return show_done(command, to_dict(result), "archived", done=result.archived)
