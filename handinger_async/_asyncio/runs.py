"""Run tasks: each once, and found again after a lost connection."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import attrs

from ..models import TaskWithTurns
from ..operations import ListTaskTurns, Operation, RetrieveTask

__all__ = ["Sender", "retrieve_task"]

R = TypeVar("R")


class Sender(Protocol):
    """The part of `Session` that runs need."""

    async def send(self, operation: Operation[R]) -> R:
        """Send an operation with a JSON response."""
        ...


async def retrieve_task(sender: Any, operation: RetrieveTask) -> TaskWithTurns:
    """Return a task with its turns, in a second request if the service leaves them out."""
    task: TaskWithTurns = await sender.send(operation)
    if task.turns is not None:
        return task
    turns = await sender.send(ListTaskTurns(task_id=operation.task_id))
    return attrs.evolve(task, turns=turns.items)
