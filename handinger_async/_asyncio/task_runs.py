"""Run tasks: each once, and found again after a lost connection.

The client chooses the id of a task, so that the task can be retrieved, whatever becomes of the request that starts it:

- The request is repeated only while it cannot have reached the service, or was refused with 429.
- It is not abandoned while the run goes on. Beside it and after it, the task is retrieved.
- A lost response, or a status from 500, leaves a doubt: the service may not have performed the request, or not yet. A
  task that stays unknown for `SETTLING` seconds is reported as unknown, never started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import attrs

from ..errors import (
    APIResponseValidationError,
    ConfigurationError,
    NotFoundError,
    RunError,
    RunFailedError,
    RunTimeoutError,
    RunUnknownError,
)
from ..models import TaskWithTurns, Turn, Worker
from ..models.outcomes import Outcome, sorted_turns, task_outcome, worker_outcome
from ..operations import CreateTask, ListTaskTurns, Operation, RetrieveTask
from .calls import Settings, send
from .polling import KeptError, Poll, UpdateFunction, is_transient
from .starting import DoubtfulError, send_once

__all__ = ["NO_TASK", "SETTLING", "TaskRun", "make_task_id", "retrieve_task"]

#: Seconds for which a task that may have been started is looked for.
SETTLING = 30.0
#: Seconds to wait for the response after the task has ended.
_LAST_RESPONSE = 5.0
NO_TASK = "the run is over, but its task cannot be retrieved"
#: The states in which a task stays.
_FINAL = frozenset({"completed", "error", "aborted"})


def make_task_id() -> str:
    """Return a new id, in the form of the service's own."""
    import secrets  # loads OpenSSL

    return f"tsk_{secrets.token_urlsafe(11)[:14]}"


async def retrieve_task(send: Callable[[Operation[Any]], Awaitable[Any]], operation: RetrieveTask) -> TaskWithTurns:
    """Return a task with its turns, in a second request if the service leaves them out."""
    task: TaskWithTurns = await send(operation)
    if task.turns is not None:
        return task
    turns = await send(ListTaskTurns(task_id=operation.task_id))
    return attrs.evolve(task, turns=turns.items)  # type: ignore[misc]


class TaskRun:
    """One run of a task.

    Args:
        settings: The settings of the session.
        task_id: The id of the task.
        worker_id: The id of its worker; None if it is not known yet.
        on_update: Called with each new state.

    Attributes:
        worker: The response to the request that started the run; None without one.

    Raises:
        ConfigurationError: The id cannot be part of a URL.
    """

    def __init__(
        self,
        settings: Settings,
        task_id: str,
        worker_id: str | None = None,
        on_update: UpdateFunction | None = None,
    ) -> None:
        self._settings = settings
        self._operation = RetrieveTask(task_id=task_id)
        self._worker_id = worker_id
        self._poll = Poll[TaskWithTurns](settings, on_update)
        self._known = "nothing was sent"
        #: The input of this run; None to wait for the last turn.
        self._input: str | None = None
        #: The number of turns before this run; None if the task is new.
        self._turns_before: int | None = None
        #: The number of times in a row that the task looked as if it had ended, and its turn did not say.
        self._ends_seen = 0
        self._ended: TaskWithTurns | None = None
        self._doubt: Exception | None = None
        self._refusal = KeptError()
        self.worker: Worker | None = None

    def ids(self) -> dict[str, Any]:
        """Return the ids of worker and task for an error."""
        worker_id = self._worker_id or (self.worker.id if self.worker else None)
        state = self._poll.state
        return {"worker_id": state.task.worker_id if state else worker_id, "task_id": self._operation.task_id}

    def expired(self, deadline: float) -> RunError:
        """Return the error for the end of the time."""
        return RunTimeoutError(f"the run had not ended after {deadline:g} s; {self._known}", **self.ids())

    @property
    def is_over(self) -> bool:
        """True if the response to the request, or the task, says that the run is over."""
        worker = self.worker
        return self._ended is not None or (worker is not None and not worker.running and worker.status == "completed")

    def result(self) -> TaskWithTurns | None:
        """Return the final state of the task; None if it was not retrieved.

        Raises:
            RunFailedError: The run ended in failure.
        """
        return None if self._ended is None else self._succeeded(self._ended)

    async def wait(self) -> TaskWithTurns:
        """Wait until the task has ended.

        Returns:
            Its final state.

        Raises:
            RunFailedError: It ended in failure.
            APIError: The service does not know it, or refuses the request.
        """
        self._known = "it goes on"
        found = self._poll.state
        if found is not None and self._take(found):  # by `find`
            return self._succeeded(found)
        state = await self._wait()
        if state is None:
            self._poll.failure.throw()
        return state

    async def find(self) -> bool:
        """Return True if the service knows the task.

        Raises:
            APIError: The service does not say.
        """
        try:
            self._poll.update(await self._retrieve())
        except NotFoundError:
            return False
        return True

    async def continue_from_here(self) -> None:
        """Wait for a turn beyond those that the task has now.

        Raises:
            APIError: The service does not know the task, or does not say.
        """
        state = await self._retrieve()
        self._worker_id = self._worker_id or state.task.worker_id
        self._turns_before = _count_turns(state)

    async def post(self, operation: CreateTask) -> TaskWithTurns | None:
        """Start the run with one request, and wait until it is over.

        Args:
            operation: The request, with the id of the task.

        Returns:
            The final state of the task; None if the response says that the run is over, but the task cannot be
            retrieved: then `worker` is all there is.

        Raises:
            RunFailedError: The run ended in failure.
            RunUnknownError: The request may have been performed, and the service does not know the task.
            Exception: The request was refused: nothing has been started.
        """
        self._input, self._known = operation.input, "it may have been started"
        self._worker_id = operation.worker_id or self._worker_id
        posting = asyncio.create_task(self._send(operation))
        try:
            await self._follow(posting)
        except ConfigurationError as error:  # the session was closed
            raise RunUnknownError(f"the run may go on: {error}", **self.ids()) from error
        finally:
            posting.cancel()
            await asyncio.wait((posting,))
        if self._ended is not None:
            return self.result()
        if self._refusal.error is not None:
            state = self._poll.state
            if state is None or not self._is_new(state):
                self._refusal.throw()
            self._doubt = self._refusal.error  # the service has shown the run, so it was not refused
        self._poll.hurry()
        if not self.is_over:
            return await self.settle()
        try:
            async with asyncio.timeout(SETTLING):
                await self._wait(SETTLING)
        except (TimeoutError, ConfigurationError):
            pass
        return self.result()

    async def settle(self, doubt: Exception | None = None, grace: float = SETTLING) -> TaskWithTurns:
        """Look for a run that may have been started, and wait until it is over.

        Args:
            doubt: The failure of the request that should have started it; None for that of `post`.
            grace: Seconds for which the service may not know the run.

        Raises:
            RunFailedError: The run ended in failure.
            RunUnknownError: The service does not know the task, or does not say.
        """
        self._doubt = doubt or self._doubt
        try:
            state = await self._wait(grace)
        except ConfigurationError as error:  # the session was closed
            raise RunUnknownError(f"the run may go on: {error}", **self.ids()) from error
        if state is None:
            reason = f"the run may have been started: {self._doubt}" if self._doubt else "the run was started"
            failure = self._poll.failure.error
            if failure is not None:
                reason += f"; its task cannot be retrieved: {failure}"
            raise RunUnknownError(reason, **self.ids()) from self._doubt or failure
        return state

    async def _follow(self, posting: asyncio.Task[None]) -> None:
        """Retrieve the task while it is being posted, until the response has come or the run has ended."""
        while not posting.done():
            await self._poll.pause(posting)
            if posting.done():
                return
            state = await self._poll.retrieve(self._retrieve, posting)
            if state is not None and self._take(state):
                # The response is lost, or about to come: only it may tell the files, and an error of the worker.
                await asyncio.wait((posting,), timeout=_LAST_RESPONSE)
                return

    async def _wait(self, grace: float = 0.0) -> TaskWithTurns | None:
        """Retrieve the task until its run is over.

        Args:
            grace: Seconds for which the service may not know the run, or send what cannot be read.

        Returns:
            The final state; None if the service does not know the run, or refuses the request.

        Raises:
            RunFailedError: The run ended in failure.
        """
        loop = asyncio.get_running_loop()
        settled: float | None = None
        while True:
            state = await self._poll.retrieve(self._retrieve)
            if state is not None and self._take(state):
                return self._succeeded(state)
            failure = self._poll.failure.error
            if isinstance(failure, NotFoundError | APIResponseValidationError) or (
                state is not None and not self._is_new(state)
            ):
                settled = loop.time() + grace if settled is None else settled
                if loop.time() >= settled:
                    return None
            elif state is not None:
                settled = None
            elif not is_transient(failure):
                return None
            await self._poll.pause()

    async def _send(self, operation: CreateTask) -> None:
        """Send the request; keep its result or its failure."""
        try:
            self.worker = await send_once(self._settings, operation)
            self._known = "it goes on"
        except DoubtfulError as error:
            self._doubt = error.failure
        except Exception as error:
            self._refusal.keep(error)

    def _retrieve(self) -> Coroutine[Any, Any, TaskWithTurns]:
        return retrieve_task(partial(send, self._settings), self._operation)

    def _turn(self, state: TaskWithTurns) -> Turn | None:
        """Return the turn of this run; None if the task has none yet."""
        turns = sorted_turns(state)
        if self._input is None:
            return turns[-1] if turns else None
        new = turns[self._turns_before or 0 :]
        for turn in new:
            if turn.input.strip() == self._input.strip():
                return turn
        # The service may have changed the input; another caller may have continued the task.
        return new[0] if new and (self.worker is not None or self._turns_before is None) else None

    def _is_new(self, state: TaskWithTurns) -> bool:
        """Return True if the task has the turn of this run."""
        return self._turns_before is None or self._turn(state) is not None

    def _status(self, state: TaskWithTurns) -> str:
        """Return the status of this run: that of its turn, if others have followed."""
        turn = self._turn(state)
        if turn is not None and turn is not sorted_turns(state)[-1] and turn.status in _FINAL:
            return turn.status
        return state.task.status

    def _take(self, state: TaskWithTurns) -> bool:
        """Note what a state says of this run; return True if it is over.

        The status of a task that is continued may be the one of an earlier turn.
        """
        if not self._is_new(state):
            return False
        self._known = "it goes on"
        if self._status(state) not in _FINAL:
            self._ends_seen = 0
            return False
        turn = self._turn(state)
        if not self.is_over and self._turns_before is not None and turn is not None and turn.completed_at is None:
            self._ends_seen += 1
            if turn.status in ("pending", "running") or (turn.status not in _FINAL and self._ends_seen < 2):
                return False
        self._ended = state
        return True

    def _succeeded(self, state: TaskWithTurns) -> TaskWithTurns:
        """Return the final state, or raise if it is a failure."""
        status = self._status(state)
        if status != "completed":
            outcome = task_outcome(state, self._turn(state), self.worker, status)
            raise RunFailedError(f"the task ended with status {status!r}", outcome=outcome, **self.ids())
        if self.worker is not None:
            self.outcome(state)  # raises if the worker ended with an error
        return state

    def outcome(self, state: TaskWithTurns | None, worker: Worker | None = None) -> Outcome[Any]:
        """Return the outcome of this run.

        Args:
            state: The final state of the task; None if it cannot be retrieved.
            worker: The worker in its state after the run, if the response to the request was lost.

        Raises:
            RunFailedError: The worker ended with an error.
        """
        worker = self.worker or worker
        if state is not None:
            outcome = task_outcome(state, self._turn(state), worker, self._status(state))
        elif worker is not None:
            outcome = worker_outcome(worker, task_id=self._operation.task_id)
        else:
            raise RunUnknownError(NO_TASK, **self.ids())
        if worker is not None and worker.error is not None:
            raise RunFailedError(f"the worker ended with the error {worker.error!r}", outcome=outcome, **self.ids())
        return outcome


def _count_turns(state: TaskWithTurns) -> int:
    return len(state.turns) if state.turns is not None else state.task.totals.turn_count
