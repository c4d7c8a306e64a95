"""The methods of a session that run instructions, on services of either generation."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar, overload

from .._asyncio.calls import Settings
from .._asyncio.polling import StartFunction, UpdateFunction
from .._asyncio.runs import Job, run
from ..models import Budget
from ..models.outcomes import Outcome
from ..uploads import FileInput
from ._resource import coroutine_function

__all__ = ["Runs"]

T = TypeVar("T")


class Runs:
    """The methods of `handinger_async.Session` that run instructions."""

    _settings: Settings

    @overload
    def run(
        self,
        input: str,
        *,
        worker_id: str | None = None,
        task_id: str | None = None,
        new_task_id: str | None = None,
        budget: Budget | None = None,
        files: Iterable[FileInput] = (),
        output_schema: type[T],
        deadline: float | None = None,
        on_start: StartFunction | None = None,
        on_update: UpdateFunction | None = None,
    ) -> Coroutine[Any, Any, Outcome[T]]: ...

    @overload
    def run(
        self,
        input: str,
        *,
        worker_id: str | None = None,
        task_id: str | None = None,
        new_task_id: str | None = None,
        budget: Budget | None = None,
        files: Iterable[FileInput] = (),
        output_schema: Mapping[str, Any],
        deadline: float | None = None,
        on_start: StartFunction | None = None,
        on_update: UpdateFunction | None = None,
    ) -> Coroutine[Any, Any, Outcome[dict[str, Any]]]: ...

    @overload
    def run(
        self,
        input: str,
        *,
        worker_id: str | None = None,
        task_id: str | None = None,
        new_task_id: str | None = None,
        budget: Budget | None = None,
        files: Iterable[FileInput] = (),
        output_schema: None = None,
        deadline: float | None = None,
        on_start: StartFunction | None = None,
        on_update: UpdateFunction | None = None,
    ) -> Coroutine[Any, Any, Outcome[None]]: ...

    @coroutine_function
    def run(
        self,
        input: str,
        *,
        worker_id: str | None = None,
        task_id: str | None = None,
        new_task_id: str | None = None,
        budget: Budget | None = None,
        files: Iterable[FileInput] = (),
        output_schema: type[Any] | Mapping[str, Any] | None = None,
        deadline: float | None = None,
        on_start: StartFunction | None = None,
        on_update: UpdateFunction | None = None,
    ) -> Coroutine[Any, Any, Outcome[Any]]:
        """Run an instruction and wait for its result, on a service of either generation.

        No call runs the input twice: see `Tasks.run`. On a service of the older generation, whose ids the client cannot
        choose, a lost response to the request that starts the run is a `RunUnknownError`.

        Args:
            input: The instruction.
            worker_id: The id of the worker; None for a new one.
            task_id: The id of a task to continue.
            new_task_id: An id for a new task. If the service knows it already, it is waited for and nothing is sent;
                see `Tasks.run`.
            budget: The cost limit; None for the service's default.
            files: Files for the worker: paths, ``(name, bytes)`` or open binary files.
            output_schema: The class, or the JSON Schema, of the structured output. Without ``worker_id``, a private
                template with it is made; with ``worker_id``, the output is only decoded.
            deadline: Seconds after which to give up; the run goes on. None for ``Timeouts.deadline``.
            on_start: Called with the ids of worker and task, before anything is sent; that of the worker may be None.
                It may be a coroutine function. What it raises ends the run before its beginning. On a service of the
                older generation it is called again, with the id of the worker and None, when the worker is there.
            on_update: Called with each new state, a `TaskWithTurns` or a `Worker`. What it raises is logged.

        Returns:
            To await: the outcome.

        Raises:
            ConfigurationError: An argument is malformed, or needs a service of the newer generation.
            RunFailedError: The run ended in failure.
            RunTimeoutError: It had not ended at the deadline.
            RunUnknownError: It may have been started, and the service does not know it.
            APIResponseValidationError: The structured output does not fit the class. Its ``outcome`` is the result.
        """
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
            output_schema=output_schema,
        )
        return run(self._settings, job)
