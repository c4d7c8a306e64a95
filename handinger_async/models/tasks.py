"""Tasks (conversations with a worker) and their turns (a message with its reply).

Every class keeps unknown fields in ``extra``, and unknown values, such as a new status, as they are.
Times are in RFC 3339.
"""

from typing import Any, Literal, TypeAlias

import attrs

from ._model import response_model
from .workers import File

__all__ = ["DeleteTaskResponse", "Task", "TaskStatus", "TaskTotals", "TaskTurnList", "TaskWithTurns", "Turn"]

TaskStatus: TypeAlias = Literal["pending", "running", "completed", "error", "aborted"] | str


@response_model
class TaskTotals:
    """The resources used by all turns of a task.

    Args:
        credits: Credits used.
        duration_ms: Duration in milliseconds.
        turn_count: Number of turns.
        extra: Fields unknown to this version, as the server sent them.
    """

    credits: int
    duration_ms: int
    turn_count: int
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class Task:
    """The state of a task at one moment.

    Args:
        id: The id of the task: the client's choice, or the service's.
        created_at: Time of creation.
        organization_id: The id of its organization.
        status: ``"pending"``, ``"running"``, ``"completed"``, ``"error"`` or ``"aborted"``.
        title: The title.
        totals: The resources used so far.
        triggered_by: ``"api"``, ``"email"``, ``"schedule"`` or ``"ui"``.
        url: The URL of its page in the dashboard.
        worker_id: The id of its worker.
        completed_at: Time of completion; None before.
        created_by_user_id: The id of the user who created it.
        extra: Fields unknown to this version, as the server sent them.
    """

    id: str
    created_at: str
    organization_id: str
    status: TaskStatus
    title: str
    totals: TaskTotals
    triggered_by: Literal["api", "email", "schedule", "ui"] | str
    url: str
    worker_id: str
    completed_at: str | None = None
    created_by_user_id: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class Turn:
    """One message to a task, and the reply.

    Args:
        id: The id of the turn.
        credits: Credits used.
        duration_ms: Duration in milliseconds.
        input: The message.
        input_tokens: Input tokens.
        output_text: The reply.
        output_tokens: Output tokens.
        role: The role of the message, such as ``"user"``.
        seq: The position in the task; the first is 0.
        started_at: Time of its start.
        status: Its status; the service does not document the values.
        task_id: The id of the task.
        completed_at: Time of completion; None before.
        files: The files published by this turn; None if the service does not say.
        structured_output: The object that fits the output schema of the worker; None without a schema.
        extra: Fields unknown to this version, as the server sent them.
    """

    id: str
    credits: int
    duration_ms: int
    input: str
    input_tokens: int
    output_text: str
    output_tokens: int
    role: str
    seq: int
    started_at: str
    status: str
    task_id: str
    completed_at: str | None = None
    files: list[File] | None = None
    structured_output: dict[str, Any] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class TaskWithTurns:
    """A task with its turns.

    Args:
        task: The task.
        turns: Its turns, in order; None if the service left them out.
        extra: Fields unknown to this version, as the server sent them.
    """

    task: Task
    turns: list[Turn] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class TaskTurnList:
    """The turns of a task.

    Args:
        items: The turns, in order.
        task_id: The id of the task.
        extra: Fields unknown to this version, as the server sent them.
    """

    items: list[Turn]
    task_id: str
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class DeleteTaskResponse:
    """The result of deleting a task.

    Args:
        archived: True if the task is archived: it has left the lists, and keeps its turns and files.
        extra: Fields unknown to this version, as the server sent them.
    """

    archived: bool
    extra: dict[str, Any] = attrs.field(factory=dict)
