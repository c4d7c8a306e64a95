"""Run tasks: each once, and found again after a lost connection.

The client chooses the id of a task, so that the task can be asked for, whatever becomes of the request that starts it:

- The request is repeated only while it cannot have reached the service, or was refused with 429.
- It is not abandoned while the run goes on. Beside it and after it, the task is asked for.
- A lost response, or a status from 500, leaves a doubt: the service may not have performed the request, or not yet. A
  task that stays unknown for `SETTLING` seconds after that is reported as unknown, never started again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import attrs

from ..errors import (
    APIConnectionError,
    APIError,
    ConfigurationError,
    NotFoundError,
    RunFailedError,
    RunUnknownError,
)
from ..http import Request, Response
from ..models import TaskWithTurns, Worker
from ..models.outcomes import last_turn, task_outcome
from ..operations import CreateTask, ListTaskTurns, Operation, RetrieveTask
from ..retry import RetryPolicy
from .calls import Settings, send
from .polling import Poll, UpdateFunction, is_doubtful, is_transient

__all__ = ["SETTLING", "TaskRun", "new_task_id", "retrieve_task"]

R = TypeVar("R")

#: Seconds for which a task that may have been started is looked for.
SETTLING = 30.0
#: The states in which a task stays.
_FINAL = frozenset({"completed", "error", "aborted"})


def new_task_id() -> str:
    """Return a new id, in the form of the service's own."""
    return f"tsk_{secrets.token_urlsafe(11)[:14]}"


async def retrieve_task(send: Callable[[Operation[Any]], Awaitable[Any]], operation: RetrieveTask) -> TaskWithTurns:
    """Return a task with its turns, in a second request if the service leaves them out."""
    task: TaskWithTurns = await send(operation)
    if task.turns is not None:
        return task
    turns = await send(ListTaskTurns(task_id=operation.task_id))
    return attrs.evolve(task, turns=turns.items)  # type: ignore[misc]


@attrs.frozen
class _OncePolicy(RetryPolicy):
    """The retry policy of a request that must not be performed twice, whatever the session's policy permits."""

    policy: RetryPolicy = attrs.field(kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Check nothing: the numbers are those of the policy."""

    def delay(self, request: Request, outcome: Response | APIConnectionError, **options: Any) -> float | None:
        """Decide as the policy does, if the request cannot have been performed."""
        refused = outcome.status == 429 if isinstance(outcome, Response) else not outcome.request_sent
        return self.policy.delay(request, outcome, **options) if refused else None


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
        #: The number of turns before this run; None if the run is the first.
        self._turns_before: int | None = None
        self._poll = Poll(settings, self._retrieve, on_update)
        self._refusal: APIError | None = None
        self.worker: Worker | None = None

    def ids(self) -> dict[str, str | None]:
        """Return the ids of worker and task for an error."""
        state = self._poll.state
        return {"worker_id": state.task.worker_id if state else self._worker_id, "task_id": self._operation.task_id}

    async def wait(self) -> TaskWithTurns:
        """Wait until the task has ended.

        Returns:
            Its final state.

        Raises:
            RunFailedError: It ended in failure.
            APIError: The service does not know it, or refuses the question.
        """
        state = await self._wait()
        if state is None:
            self._poll.raise_failure()
        return state

    async def find(self) -> TaskWithTurns | None:
        """Return the task as it is now; None if there is none.

        Raises:
            APIError: The service does not say.
        """
        try:
            return await self._retrieve()
        except NotFoundError:
            return None

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
            APIError: The request was refused: nothing has been started.
        """
        posting = asyncio.create_task(self._send(operation))
        try:
            return await self._follow(posting)
        except ConfigurationError as error:  # the session was closed
            if posting.done() and not posting.cancelled() and posting.exception() is not None:
                raise  # before anything was sent
            raise RunUnknownError(f"the run may go on: {error}", **self.ids()) from error
        finally:
            posting.cancel()
            await asyncio.wait((posting,))

    async def settle(self, doubt: APIError | None = None) -> TaskWithTurns:
        """Look for a run that may have been started, and wait until it is over.

        Args:
            doubt: The failure of the request that should have started it.

        Raises:
            RunFailedError: The run ended in failure.
            RunUnknownError: The service does not know the task, or does not say.
        """
        state = await self._wait(SETTLING)
        if state is None:
            failure = self._poll.failure
            known = f"; its task cannot be retrieved: {failure}" if failure else ""
            reason = f"the run may have been started: {doubt}" if doubt else "the run was started"
            raise RunUnknownError(reason + known, **self.ids()) from doubt or failure
        return state

    async def _follow(self, posting: asyncio.Task[None]) -> TaskWithTurns | None:
        """Ask for the task while it is being posted, then according to the response."""
        while not posting.done():
            await self._poll.pause(posting)
            state = None if posting.done() else await self._poll.ask()
            if state is not None and self._is_over(state) and not posting.done():
                return self._succeeded(state)  # the response is lost, or about to come
        posting.result()
        self._poll.hurry()
        if self._refusal is not None:
            if is_doubtful(self._refusal):
                return await self.settle(self._take_refusal())
            raise self._take_refusal() or RunUnknownError()
        if self.worker is None or self.worker.running or self.worker.status != "completed":
            return await self.settle()
        return await self._wait(SETTLING, confirmed=True)

    async def _wait(self, grace: float = 0.0, *, confirmed: bool = False) -> TaskWithTurns | None:
        """Ask for the task until its run is over.

        Args:
            grace: Seconds for which the service may not know the run.
            confirmed: The service has said that the run is over: the task has as long to show it.

        Returns:
            The final state; None if the service does not know the run, or refuses the question.

        Raises:
            RunFailedError: The run ended in failure.
        """
        loop = asyncio.get_running_loop()
        settled = loop.time() + grace
        while True:
            state = await self._poll.ask()
            if state is not None and self._is_over(state, confirmed=confirmed):
                return self._succeeded(state)
            unknown = confirmed or isinstance(self._poll.failure, NotFoundError)
            if unknown or (state is not None and not self._is_new(state)):
                if loop.time() >= settled:
                    return None
            elif self._poll.failure is not None and not is_transient(self._poll.failure):
                return None
            await self._poll.pause()

    async def _send(self, operation: CreateTask) -> None:
        """Send the request; keep its result or its failure."""
        options = self._settings.options
        timeouts = attrs.evolve(options.timeouts, attempt=None, deadline=None)
        options = attrs.evolve(options, timeouts=timeouts, retry=_OncePolicy(policy=options.retry))
        try:
            self.worker = await send(attrs.evolve(self._settings, options=options), operation)
        except APIError as error:
            self._refusal = error.with_traceback(None)

    def _take_refusal(self) -> APIError | None:
        """Return the failure of the request, and forget it: with a reference to it here, it would be in a cycle."""
        refusal, self._refusal = self._refusal, None
        return refusal

    def _retrieve(self) -> Coroutine[Any, Any, TaskWithTurns]:
        return retrieve_task(partial(send, self._settings), self._operation)

    def _is_new(self, state: TaskWithTurns) -> bool:
        """Return True if the task has the turn of this run."""
        return self._turns_before is None or _count_turns(state) > self._turns_before

    def _is_over(self, state: TaskWithTurns, *, confirmed: bool = False) -> bool:
        """Return True if this run is over.

        Args:
            state: The state of the task.
            confirmed: The service has said so. If not, the status of a task that is continued may be an earlier one.
        """
        if state.task.status not in _FINAL or not self._is_new(state):
            return False
        if confirmed or self._turns_before is None or state.task.status != "completed":
            return True
        turn = last_turn(state)
        return turn is not None and turn.completed_at is not None

    def _succeeded(self, state: TaskWithTurns) -> TaskWithTurns:
        """Return the final state, or raise if it is a failure."""
        if state.task.status != "completed":
            reason = f"the task ended with status {state.task.status!r}"
        elif self.worker is not None and self.worker.error is not None:
            reason = f"the worker ended with the error {self.worker.error!r}"
        else:
            return state
        raise RunFailedError(reason, outcome=task_outcome(state, self.worker), **self.ids())


def _count_turns(state: TaskWithTurns) -> int:
    return len(state.turns) if state.turns is not None else state.task.totals.turn_count
