"""Perform a verb: with a session, and with an exit status for each way to end."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable, Coroutine
from typing import Any

from .._asyncio.attempts import Attempt
from ..errors import ConfigurationError, HandingerError, RunTimeoutError, RunUnknownError
from ..session import Session
from .arguments import program
from .output import Output, OutputError, UsageError

__all__ = ["Command", "perform"]

_NO_KEY = (
    "there is no API key: set HANDINGER_API_KEY in the environment, or pass --demo to use a service in memory, whose "
    "output is made up"
)


class Command:
    """One use of a verb.

    Args:
        options: Its options.

    Attributes:
        output: Standard output and standard error.
        id: The id of the run: of its task, where the client chooses it, else of its worker; ``""`` if there is none.
        made: What the service has made, for an error if it cannot be written; ``""`` if there is nothing.
        goes_on: Says after Ctrl-C that the work goes on, and how to come back to it.
    """

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.output: Output = Output(quiet=options.quiet)
        self.id: str = ""
        self.made: str = ""
        self.goes_on: str = ""

    def session(self) -> Session:
        """Return a session with the real service, or with ``--demo`` one with a service in memory."""
        observe = self._show_attempt if self.options.verbose else None
        if self.options.demo:
            from ..testing import FakeHandinger

            self.output.note("demo: this service is in memory, and its output is made up")
            return FakeHandinger(lenient=True).session(observe=observe)
        return Session(observe=observe)

    def started(self, worker_id: str | None, task_id: str | None) -> None:
        """Say the id of the run, also if the command is quiet: with it, nothing that was paid for is lost."""
        if self.id == (task_id or worker_id):
            return
        if self.id and not task_id:
            self.output.note("this service is of the older generation: it made a worker, and no task")
        self.id = task_id or worker_id or ""
        self.output.say(f"task {task_id}" if task_id else f"worker {worker_id}")
        self.confirm()

    def announce(self, worker_id: str | None, task_id: str | None) -> None:
        """Say the id of a run that is about to be requested."""
        self.started(worker_id, task_id)
        if self.goes_on and task_id is not None:
            self.goes_on = f"the run may have been started; to look for it: {program()} wait {self.id}"

    def confirm(self) -> None:
        """Note that the service has shown the run."""
        if not self.options.demo:
            self.goes_on = f"the worker goes on; to come back to it: {program()} wait {self.id}"

    def _show_attempt(self, attempt: Attempt) -> None:
        self.output.say(f"  {attempt}")


def perform(function: Callable[[Command], Coroutine[Any, Any, int | None]], options: Namespace) -> int:
    """Perform a verb.

    Args:
        function: The function of the verb. It reads standard input before it returns its coroutine, outside of the
            event loop, where Ctrl-C ends it. The coroutine returns an exit status; None is 0.
        options: Its options.

    Returns:
        The exit status.
    """
    command = Command(options)
    say, error = command.output.say, command.output.error

    try:
        if not options.demo and not os.environ.get("HANDINGER_API_KEY"):
            raise UsageError(_NO_KEY)
        return asyncio.run(function(command)) or 0
    except (UsageError, ConfigurationError) as failure:
        error(str(failure))
        return 2
    except OutputError as failure:
        again = f" ({command.goes_on})" if command.goes_on else ""
        if command.id:
            again = f" ({command.id}{'' if options.demo else f': {program()} show {command.id} prints it'})"
        error(f"{failure}{again}")
        if command.made:
            say(command.made)
        return 1
    except (RunTimeoutError, RunUnknownError) as failure:
        error(str(failure))
        if command.id and not options.demo:
            say(f"to come back to it: {program()} wait {command.id}")
        return 1
    except (HandingerError, OSError) as failure:
        error(str(failure))
        return 1
    except ExceptionGroup as group:  # of files that could not be saved
        for each in group.exceptions:
            notes = "; ".join(getattr(each, "__notes__", ()))
            error(f"{each} {notes}".rstrip())
        return 1
    except KeyboardInterrupt:
        say(f"interrupted: {command.goes_on}" if command.goes_on else "interrupted")
        return 130
