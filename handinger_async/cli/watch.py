"""The verb watch: follow a run by its states, or by the events of its stream."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any

from .._converter import to_dict
from ..errors import HandingerError
from ..models import TaskWithTurns, Worker
from .arguments import program
from .command import Command
from .display import growth
from .outcomes import is_task, outcome_of, show_spent, summary
from .output import OutputError, UsageError
from .runs import show_result, waiting
from .terminal import console
from .text import one_line

__all__ = ["watch"]


async def watch(command: Command) -> int:
    """Follow a run. What is there already is shown first, but no run before it."""
    options = command.options
    if options.events or options.after:
        return await _watch_events(command)
    if not options.json and console("stdout") is not None and console("stderr") is not None:
        async with command.session() as session:  # the text grows in place, and stays when it is complete
            return await show_result(command, session, lambda show: waiting(command, session, show), None)
    text = _Text(command)
    async with command.session() as session:
        methods = session.tasks if is_task(options.id) else session.workers
        final: asyncio.Future[TaskWithTurns | Worker] = asyncio.ensure_future(
            methods.wait(options.id, deadline=options.timeout, on_update=lambda state: text.update(state, final))
        )
        command.started(*((None, options.id) if is_task(options.id) else (options.id, None)))
        try:
            state = await final
        except HandingerError:
            text.finish()
            raise
        except asyncio.CancelledError:
            if text.failure is None:
                raise
            raise text.failure from None
        text.finish()
        show_spent(command, await outcome_of(session, state))
    return 0


class _Text:
    """The text of a run on standard output, as it grows; with ``--json`` each state on a line.

    Attributes:
        failure: The reason why standard output cannot be written.
    """

    def __init__(self, command: Command) -> None:
        self._output = command.output
        self._json = command.options.json
        self._status = self._text = ""
        self.failure: OutputError | None = None

    def update(self, state: TaskWithTurns | Worker, waiting: asyncio.Future[Any]) -> None:
        """Show a state; stop waiting if that is impossible, since what this raises would only be logged."""
        try:
            self._show(state)
        except OutputError as error:
            self.failure = error
            waiting.cancel()

    def finish(self) -> None:
        """End the line."""
        if self._text and not self._text.endswith("\n"):
            self._output.part("\n")

    def _show(self, state: TaskWithTurns | Worker) -> None:
        if self._json:
            self._output.document(to_dict(state), indent=None)
            return
        status, text = summary(state)
        if status != self._status:
            self._output.note(f"  {one_line(status)}")
        if not text.startswith(self._text):
            self.finish()
        if new := growth(self._text, text):
            self._output.part(new)
        self._status, self._text = status, text


async def _watch_events(command: Command) -> int:
    options = command.options
    if is_task(options.id):
        raise UsageError("--events and --after are for workers: tasks have no stream")
    come_back = ""
    async with command.session() as session:
        stream = session.workers.stream_updates(options.id, last_event_id=options.after)
        if options.after:
            come_back = _come_back(options.id, options.after)
        try:
            async with asyncio.timeout(options.timeout), stream as events:
                async for event in events:
                    if options.json:
                        line = {"id": event.id, "event": event.event, "data": event.data}
                        command.output.document(line, indent=None)
                    else:
                        command.output.result(one_line(event.data))
                    command.goes_on = come_back = _come_back(options.id, event.id)
        except (HandingerError, TimeoutError) as error:
            command.output.error(f"{error or 'the stream had not ended in time'}")
            if come_back:
                command.output.say(come_back)
            return 1
    return 0


def _come_back(worker_id: str, event_id: str) -> str:
    after = f" --after {shlex.quote(event_id)}" if event_id else " --events"
    return f"to go on from here: {program()} watch {worker_id}{after}"
