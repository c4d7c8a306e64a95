"""`Outcome`: the result of a run, on a service of either generation."""

from typing import Any, Generic, TypeVar

import attrs

from .._values import by_value
from .tasks import TaskWithTurns, Turn
from .workers import File, Usage, Worker

__all__ = ["Outcome", "sorted_turns", "task_outcome", "worker_outcome"]

T = TypeVar("T")


@by_value
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Outcome(Generic[T]):
    """The result of a run.

    Args:
        output_text: The text of the reply.
        structured_output: The object that fits the output schema, decoded into its class if that was given; None
            without a schema.
        files: The published files: of this run if the service tells them apart, else of the worker.
        worker_id: The id of the worker; None if the service did not say.
        task_id: The id of the task; None on a service of the older generation.
        status: The final status, such as ``"completed"``.
        usage: The resources used, as far as the service reports them.
        worker: The final state of the worker; None if only the task was retrieved.
        task: The final state of the task and its turns; None on a service of the older generation.
    """

    output_text: str
    structured_output: T
    files: list[File]
    worker_id: str | None
    task_id: str | None
    status: str
    usage: Usage | None
    worker: Worker | None
    task: TaskWithTurns | None


def sorted_turns(state: TaskWithTurns) -> list[Turn]:
    """Return the turns of a task in order."""
    return sorted(state.turns or [], key=lambda turn: turn.seq)


def task_outcome(state: TaskWithTurns, turn: Turn | None, worker: Worker | None, status: str) -> Outcome[Any]:
    """Return the outcome of one turn of a task.

    Args:
        state: The task with its turns.
        turn: The turn; None if it is not known.
        worker: The worker in its state after the turn, if it is known.
        status: The status of the turn: that of the task may be the one of a later turn.
    """
    usage = worker.usage if worker is not None else None
    if usage is None and turn is not None:
        usage = Usage(
            credits=turn.credits,
            duration_ms=turn.duration_ms,
            input_tokens=turn.input_tokens,
            output_tokens=turn.output_tokens,
        )
    sources = [source for source in (turn, worker) if source is not None]
    files = [source.files for source in sources if source.files is not None]
    outputs = [source.structured_output for source in sources if source.structured_output is not None]
    return Outcome(
        output_text=sources[0].output_text if sources else "",
        structured_output=outputs[0] if outputs else None,
        files=list(files[0]) if files else [],
        worker_id=state.task.worker_id,
        task_id=state.task.id,
        status=status,
        usage=usage,
        worker=worker,
        task=state,
    )


def worker_outcome(worker: Worker, *, task_id: str | None = None) -> Outcome[Any]:
    """Return the outcome that the final state of a worker shows."""
    return Outcome(
        output_text=worker.output_text,
        structured_output=worker.structured_output,
        files=list(worker.files),
        worker_id=worker.id,
        task_id=task_id,
        status=worker.status,
        usage=worker.usage,
        worker=worker,
        task=None,
    )
