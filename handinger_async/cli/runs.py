"""The verbs for runs: run, continue, wait and show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from .._asyncio.polling import UpdateFunction
from ..errors import HandingerError
from ..models import TaskWithTurns, Worker
from ..models.outcomes import Outcome, sorted_turns
from ..session import Session
from .command import Command
from .display import showing
from .outcomes import is_task, outcome_of, save_files, show_outcome
from .output import UsageError
from .values import directory, read_schema, read_text

__all__ = ["continue_", "run", "show", "show_result", "wait", "waiting"]


def run(command: Command) -> Coroutine[Any, Any, int]:
    """Run an instruction."""
    return _prepare(command, worker_id=command.options.worker_id)


def continue_(command: Command) -> Coroutine[Any, Any, int]:
    """Go on with a task or a worker."""
    known = command.options.id
    return _prepare(command, **({"task_id": known} if is_task(known) else {"worker_id": known}))


def _prepare(command: Command, **ids: str | None) -> Coroutine[Any, Any, int]:
    """Read the files of the arguments, and return the coroutine that runs the instruction."""
    options = command.options
    if options.detach and options.demo:
        raise UsageError("--detach and --demo: the service in memory ends with the command")
    if options.detach and options.out:
        raise UsageError("--detach and --out: there are no files yet when the command ends")
    arguments = {
        **ids,
        "input": read_text(options.instruction),
        "budget": options.budget,
        "files": options.file,
        "deadline": options.timeout,
        "output_schema": read_schema(options.schema),
    }
    return _run(command, arguments, options.out and directory(options.out))


async def _run(command: Command, arguments: dict[str, Any], out: str | None) -> int:
    detach = command.options.detach
    async with command.session() as session:
        begun = asyncio.Event()

        def start(show: UpdateFunction) -> Coroutine[Any, Any, Outcome[Any]]:
            def update(state: TaskWithTurns | Worker) -> None:
                if isinstance(state, Worker):  # older generation: its first state is here before its id is announced
                    command.started(state.id, None)
                if _has_begun(state, arguments):
                    begun.set()
                    command.confirm()
                show(state)

            try:
                return session.run(on_start=command.announce, on_update=update, **arguments)
            except OSError as error:  # of a file to upload
                raise UsageError(str(error)) from None

        if detach:
            return await _detach(command, start(lambda state: None), begun)
        return await show_result(command, session, start, out)


def _has_begun(state: TaskWithTurns | Worker, arguments: dict[str, Any]) -> bool:
    """Return True if the service shows the run, and not an earlier one of a task that is continued."""
    if isinstance(state, Worker) or arguments.get("task_id") is None:
        return True
    turns = sorted_turns(state)
    going = state.task.status in ("pending", "running")
    return going and bool(turns) and turns[-1].input.strip() == arguments["input"].strip()


async def _detach(command: Command, running: Coroutine[Any, Any, Outcome[Any]], shown: asyncio.Event) -> int:
    """Wait until the service shows the run, and leave it alone."""
    task, beginning = asyncio.ensure_future(running), asyncio.ensure_future(shown.wait())
    try:
        await asyncio.wait((task, beginning), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for future in (task, beginning):
            future.cancel()
        await asyncio.wait((task, beginning))
    if command.options.json:
        command.output.document({"taskId" if is_task(command.id) else "workerId": command.id})
    else:
        command.output.result(command.id)
    return 0


async def wait(command: Command) -> int:
    """Wait for a run."""
    options = command.options
    out = options.out and directory(options.out)
    async with command.session() as session:
        return await show_result(command, session, lambda show: waiting(command, session, show), out)


def waiting(command: Command, session: Session, show: UpdateFunction) -> Coroutine[Any, Any, Outcome[Any]]:
    """Say the id of a run, and return the coroutine that waits for it."""
    options = command.options
    methods = session.tasks if is_task(options.id) else session.workers
    final = methods.wait(options.id, deadline=options.timeout, on_update=show)
    command.started(*((None, options.id) if is_task(options.id) else (options.id, None)))

    async def wait() -> Outcome[Any]:
        return await outcome_of(session, await final)

    return wait()


async def show(command: Command) -> int:
    """Show the state of a task or a worker."""
    options = command.options
    out = options.out and directory(options.out)
    async with command.session() as session:
        state: TaskWithTurns | Worker
        if is_task(options.id):
            state = await session.tasks.retrieve(options.id)
        else:
            state = await session.workers.retrieve(options.id)
        outcome = await outcome_of(session, state)
        command.output.note(f"status: {outcome.status}")
        show_outcome(command, outcome)
        if out:
            await save_files(command, session, outcome, out)
        failed = outcome.status in ("error", "aborted") or (outcome.worker is not None and outcome.worker.error)
        return 1 if failed else 0


async def show_result(
    command: Command,
    session: Session,
    start: Callable[[UpdateFunction], Coroutine[Any, Any, Outcome[Any]]],
    out: str | None,
) -> int:
    """Start a run, or the waiting for one; show its states and its outcome, and save its files."""
    structured = getattr(command.options, "schema", None) is not None
    try:
        with showing(command.output) as show:
            outcome = await start(show)
    except HandingerError as error:
        partial = getattr(error, "outcome", None)
        if partial is not None:  # a part of the result, or one that does not fit its schema, was paid for too
            show_outcome(command, partial)
        raise
    show_outcome(command, outcome, structured=structured)
    if out:
        await save_files(command, session, outcome, out)
    return 0
