"""The verb batch: run the instructions of a file, JSON lines in and JSON lines out."""

from __future__ import annotations

import json
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, get_args

from .._asyncio.batches import RunResult
from ..errors import ConfigurationError
from ..models import Budget, TaskWithTurns, Worker
from ..uploads import to_uploads
from .command import Command
from .outcomes import document
from .output import UsageError
from .terminal import console, is_terminal
from .values import read_schema, read_text

__all__ = ["batch"]

#: The names of an input in the file, and those of the library.
_NAMES = {"input": "input", "workerId": "worker_id", "budget": "budget", "files": "files"}


def batch(command: Command) -> Coroutine[Any, Any, int]:
    """Run the instructions of a file."""
    options = command.options
    from_stdin = options.path == "-"
    text = read_text("-" if from_stdin else f"@{options.path}", "batch")
    inputs = list(_inputs(text))
    schema = read_schema(options.schema)
    journal = options.journal or (None if from_stdin or options.demo else f"{options.path}.journal")
    if journal and not options.demo:
        command.goes_on = "runs that were started go on; the same command goes on with the batch"
    return _batch(command, inputs, schema, journal)


async def _batch(command: Command, inputs: list[Any], schema: Any, journal: str | None) -> int:
    options = command.options
    failed = 0
    said: set[int] = set()

    def say_id(index: int, state: TaskWithTurns | Worker) -> None:
        """Say the id of a run that no journal has, so that nothing that was paid for is lost."""
        if index not in said:
            said.add(index)
            known = f"worker {state.id}" if isinstance(state, Worker) else f"task {state.task.id}"
            command.output.say(f"run {index}: {known}")

    async with command.session() as session:
        if journal:
            command.output.note(f"journal: {journal}")
        results = session.run_many(
            inputs,
            concurrency=options.concurrency,
            worker_id=options.worker_id,
            budget=options.budget,
            output_schema=schema,
            deadline=options.timeout,
            on_update=None if journal else say_id,
            journal=journal,
            repeat_unknown=options.repeat_unknown,
            progress=_shows_progress(command),
        )
        async with results:
            async for result in results:
                failed += result.error is not None
                command.output.document(_line(result), indent=None)
    if failed:
        command.output.error(f"{failed} of {len(inputs)} runs failed")
    return 1 if failed else 0


def _shows_progress(command: Command) -> bool:
    """Return True if the progress is to be shown: not among results in a terminal, nor as a bar in a plain one."""
    if command.output.quiet or is_terminal(sys.stdout):
        return False
    return console("stderr") is not None or not is_terminal(sys.stderr)


def _inputs(text: str) -> Iterator[Any]:
    """Yield the inputs: each line is a JSON string, or an object with ``input``."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"line {number} is not JSON: {error}") from None
        if isinstance(given, dict):
            if unknown := given.keys() - _NAMES:
                raise UsageError(f"line {number} has the unknown name {min(unknown)!r}: there are {', '.join(_NAMES)}")
            given = {_NAMES[name]: value for name, value in given.items()}
        if reason := _fault(given if isinstance(given, dict) else {"input": given}):
            raise UsageError(f"line {number} {reason}")
        yield given


def _fault(given: dict[str, Any]) -> str:
    """Return what is wrong with an input, before any of them is run; "" if nothing is."""
    text, worker_id, budget = given.get("input"), given.get("worker_id", "w"), given.get("budget")
    if not isinstance(text, str):
        return "is neither a string nor an object with an input"
    if not text.strip():
        return "has an empty input"
    if not isinstance(worker_id, str) or not worker_id:
        return "has a workerId that is no id"
    if "budget" in given and budget not in get_args(Budget):
        return f"has an unknown budget: there are {', '.join(get_args(Budget))}"
    try:
        text.encode()
        worker_id.encode()
        to_uploads(given.get("files", ()))
    except UnicodeEncodeError:
        return "has text that is not Unicode"
    except (OSError, ConfigurationError) as error:
        return f"has files that cannot be uploaded: {error}"
    return ""


def _line(result: RunResult[Any]) -> dict[str, Any]:
    """Return a result as JSON."""
    error = result.error
    outcome = result.outcome or getattr(error, "outcome", None)
    line: dict[str, Any] = {"index": result.index}
    if outcome is not None:
        line |= document(outcome)
    else:
        line |= {"taskId": getattr(error, "task_id", None), "workerId": getattr(error, "worker_id", None)}
    if error is not None:
        line |= {"status": getattr(outcome, "status", "error"), "error": f"{type(error).__name__}: {error}"}
    return line
