"""Show the outcome of a run: its result on standard output, its files and costs on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs

from .._converter import to_dict
from ..errors import APIError
from ..models import File, TaskWithTurns, Worker
from ..models.outcomes import Outcome, sorted_turns, task_outcome, worker_outcome
from ..session import Session
from .command import Command
from .terminal import file_bar
from .text import json_text, one_line

__all__ = ["document", "is_task", "outcome_of", "save_files", "show_outcome", "show_spent", "summary"]


def is_task(id: str) -> bool:
    """Return True for the id of a task; the id of a worker has another prefix."""
    return id.startswith("tsk_")


async def outcome_of(session: Session, state: TaskWithTurns | Worker) -> Outcome[Any]:
    """Return the outcome that the state of a task or a worker shows.

    If the service does not tell the files of the last turn, the worker is retrieved for them.
    """
    if isinstance(state, Worker):
        return worker_outcome(state)
    turn = next(iter(sorted_turns(state)[::-1]), None)
    worker = None
    if turn is None or turn.files is None:
        with suppress(APIError):
            worker = await session.workers.retrieve(state.task.worker_id, task_id=state.task.id)
        if worker is not None and turn is not None and worker.output_text != turn.output_text:
            worker = None  # it shows another task
    return task_outcome(state, turn, worker, state.task.status)


def summary(state: TaskWithTurns | Worker) -> tuple[str, str]:
    """Return the status and the text of a state."""
    if isinstance(state, Worker):
        return state.status, state.output_text
    turns = sorted_turns(state)
    return state.task.status, turns[-1].output_text if turns else ""


def document(outcome: Outcome[Any]) -> dict[str, Any]:
    """Return an outcome as JSON, with the names of the service."""
    return {
        "taskId": outcome.task_id,
        "workerId": outcome.worker_id,
        "status": outcome.status,
        "outputText": outcome.output_text,
        "structuredOutput": outcome.structured_output,
        "files": [to_dict(file) for file in outcome.files],
        "usage": to_dict(outcome.usage) if outcome.usage else None,
        "error": outcome.worker.error if outcome.worker else None,
    }


def show_outcome(command: Command, outcome: Outcome[Any], *, structured: bool = False) -> None:
    """Show an outcome.

    Args:
        command: The command.
        outcome: The outcome.
        structured: The result is the structured output.
    """
    output = command.output
    text = outcome.output_text
    if outcome.structured_output is not None and (structured or not text):
        text = json_text(outcome.structured_output)
    if command.options.json:
        output.document(document(outcome))
    elif text:
        output.result(text)
    show_spent(command, outcome)


def show_spent(command: Command, outcome: Outcome[Any]) -> None:
    """Show the files and the costs of an outcome."""
    output = command.output
    for file in outcome.files:
        output.note(f"file: {describe(file)}", url=file.url)
    if spent := ", ".join(_costs(outcome)):
        output.note(f"cost: {spent}")


def describe(file: File) -> str:
    """Return one line for a file."""
    size = "" if file.size is None else f", {file.size} bytes"
    return f"{one_line(file.filename or file.url)} ({one_line(file.media_type)}{size})"


def _costs(outcome: Outcome[Any]) -> Iterator[str]:
    """Yield what the service says about costs, which differs between its generations."""
    costs = outcome.worker.costs if outcome.worker else None
    if costs is not None:
        total = costs.internal_cost_usd + costs.model_cost_usd + costs.sandbox_cost_usd + costs.tool_cost_usd
        yield f"${total:.4f}"
    usage = outcome.usage
    if usage is None:
        return
    if usage.credits is not None:
        yield f"{usage.credits} credits"
    if usage.total_tokens is not None:
        yield f"{usage.total_tokens} tokens"
    if usage.duration_ms is not None:
        yield f"{usage.duration_ms / 1000:.1f} s"


async def save_files(command: Command, session: Session, outcome: Outcome[Any], directory: str) -> None:
    """Save the files of an outcome, and show their paths.

    Raises:
        ExceptionGroup: Some files could not be saved.
    """
    source: Worker | str = outcome.worker_id or ""
    if outcome.worker is not None:
        source = attrs.evolve(outcome.worker, files=outcome.files)  # type: ignore[misc]
    if outcome.files:
        with file_bar(quiet=command.output.quiet) as progress:
            paths = await session.workers.download_files(source, directory, progress=progress)
        for path in paths:
            command.output.note(f"saved: {path}")
