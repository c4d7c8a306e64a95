"""The typed methods for tasks."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, Literal, overload

from .. import operations
from .._asyncio.polling import StartFunction, UpdateFunction, check_arguments
from ..models import Budget, DeleteTaskResponse, TaskTurnList, TaskWithTurns, Worker
from ..streams import EventStream
from ..uploads import FileInput, to_uploads
from ._resource import Sender, coroutine_function, settings_of

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
        files: Iterable[FileInput] = (),
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
        files: Iterable[FileInput] = (),
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
        files: Iterable[FileInput] = (),
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
        files: Iterable[FileInput] = (),
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
            files: Files for the worker: paths, ``(name, bytes)`` or open binary files.

        Returns:
            To await: the worker in its final state. With ``stream=True``, to iterate: its events.
        """
        operation = operations.CreateTask(
            input=input, worker_id=worker_id, task_id=task_id, budget=budget, stream=stream, files=to_uploads(files)
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
        from .._asyncio.task_runs import retrieve_task

        return retrieve_task(self._sender.send, operations.RetrieveTask(task_id=task_id))

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

    @coroutine_function
    def run(
        self,
        *,
        input: str,
        worker_id: str | None = None,
        task_id: str | None = None,
        new_task_id: str | None = None,
        budget: Budget | None = None,
        files: Iterable[FileInput] = (),
        deadline: float | None = None,
        on_start: StartFunction | None = None,
        on_update: UpdateFunction | None = None,
    ) -> Coroutine[Any, Any, TaskWithTurns]:
        """Run a task once, and wait for its result.

        No call asks the service twice to run the input. If the connection is lost, the task is found again by its id,
        which the client chooses.

        Args:
            input: The message.
            worker_id: The id of the worker; None for a new one with the message as its instructions.
            task_id: The id of a task to continue.
            new_task_id: An id for a new task. If the service knows it already, it is waited for and nothing is sent. A
                request with the same id that was given up less than 30 s before may still be performed: wait first.
            budget: The cost limit; None for the service's default.
            files: Files for the worker: paths, ``(name, bytes)`` or open binary files.
            deadline: Seconds after which to give up; the run goes on. None for ``Timeouts.deadline``.
            on_start: Called with the ids of worker and task, before anything is sent; that of the worker may be None.
                It may be a coroutine function. What it raises ends the run before its beginning.
            on_update: Called with each new state, a `TaskWithTurns`. What it raises is logged.

        Returns:
            To await: the task and its turns.

        Raises:
            RunFailedError: The task ended with ``error`` or ``aborted``.
            RunTimeoutError: It had not ended at the deadline.
            RunUnknownError: It may have been started, and the service does not know it, or it is over and cannot be
                retrieved: then ``outcome`` is what there is of it.
        """
        from .._asyncio.runs import Job, run_task  # here, since many programs run nothing

        job = Job(
            input=input,
            worker_id=worker_id,
            task_id=task_id,
            new_task_id=new_task_id,
            budget=budget,
            files=files,
            deadline=deadline,
            on_start=on_start,
            on_update=on_update,
        )
        return run_task(settings_of(self._sender), job)

    @coroutine_function
    def wait(
        self, task_id: str, *, deadline: float | None = None, on_update: UpdateFunction | None = None
    ) -> Coroutine[Any, Any, TaskWithTurns]:
        """Wait until a task has ended.

        Args:
            task_id: The id of the task.
            deadline: Seconds after which to give up; the run goes on. None for ``Timeouts.deadline``.
            on_update: Called with each new state, a `TaskWithTurns`. What it raises is logged.

        Returns:
            To await: the task and its turns.

        Raises:
            RunFailedError: The task ended with ``error`` or ``aborted``.
            RunTimeoutError: It had not ended at the deadline.
        """
        from .._asyncio.runs import wait_for_task
        from .._asyncio.task_runs import TaskRun

        check_arguments(deadline, on_update=on_update)
        settings = settings_of(self._sender)
        return wait_for_task(settings, TaskRun(settings, task_id, on_update=on_update), deadline)
