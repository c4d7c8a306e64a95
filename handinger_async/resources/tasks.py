"""The typed methods for tasks."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Literal, overload

from .. import operations
from .._asyncio.runs import retrieve_task
from ..models import Budget, DeleteTaskResponse, TaskTurnList, TaskWithTurns, Worker
from ..streams import EventStream
from ._resource import Sender, coroutine_function

__all__ = ["Tasks"]


class Tasks:
    """Tasks: conversations with workers, on services of the newer generation.

    Every method raises `ConfigurationError` at once if an argument is malformed. Awaiting its result raises an
    `APIError` if the call fails.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @overload
    def create(
        self,
        *,
        input: str,
        worker_id: str | None = None,
        task_id: str | None = None,
        budget: Budget | None = None,
        stream: Literal[False] = False,
    ) -> Coroutine[Any, Any, Worker]: ...

    @overload
    def create(
        self,
        *,
        input: str,
        worker_id: str | None = None,
        task_id: str | None = None,
        budget: Budget | None = None,
        stream: Literal[True],
    ) -> EventStream: ...

    @overload
    def create(
        self,
        *,
        input: str,
        worker_id: str | None = None,
        task_id: str | None = None,
        budget: Budget | None = None,
        stream: bool,
    ) -> Coroutine[Any, Any, Worker] | EventStream: ...

    @coroutine_function
    def create(
        self,
        *,
        input: str,
        worker_id: str | None = None,
        task_id: str | None = None,
        budget: Budget | None = None,
        stream: bool = False,
    ) -> Coroutine[Any, Any, Worker] | EventStream:
        """Start or continue a task. The response comes when the run is over.

        The call is limited by ``Timeouts.deadline``, not by ``Timeouts.attempt``. After a lost connection the run may
        go on, and a second call would be a second run: `run` knows how to find it again.

        Args:
            input: The message.
            worker_id: The id of the worker; None for a new one with the message as its instructions.
            task_id: The id of the task to continue, or a new id; None to let the service choose one.
            budget: The cost limit; None for the service's default.
            stream: Return its events instead of its final state.

        Returns:
            To await: the worker in its final state. With ``stream=True``, to iterate: its events.
        """
        operation = operations.CreateTask(
            input=input, worker_id=worker_id, task_id=task_id, budget=budget, stream=stream
        )
        return self._sender.stream(operation) if stream else self._sender.send(operation)

    @coroutine_function
    def retrieve(self, task_id: str) -> Coroutine[Any, Any, TaskWithTurns]:
        """Retrieve the current state of a task with its turns, in a second request if the service leaves them out.

        Args:
            task_id: The id of the task.

        Returns:
            To await: the task and its turns.
        """
        return retrieve_task(self._sender, operations.RetrieveTask(task_id=task_id))

    @coroutine_function
    def list_turns(self, task_id: str) -> Coroutine[Any, Any, TaskTurnList]:
        """List the turns of a task.

        Args:
            task_id: The id of the task.

        Returns:
            To await: the turns.
        """
        return self._sender.send(operations.ListTaskTurns(task_id=task_id))

    @coroutine_function
    def delete(self, task_id: str) -> Coroutine[Any, Any, DeleteTaskResponse]:
        """Archive a task: it leaves the lists, and keeps its turns and files.

        Args:
            task_id: The id of the task.

        Returns:
            To await: the result, with ``archived``.
        """
        return self._sender.send(operations.DeleteTask(task_id=task_id))
