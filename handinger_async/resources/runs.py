"""The methods of a session that run instructions, on services of either generation."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from .._asyncio.calls import Settings
from .._asyncio.polling import StartFunction, UpdateFunction
from ..models import Budget
from ..models.outcomes import Outcome
from ..uploads import FileInput
from ._resource import coroutine_function

if TYPE_CHECKING:
    from .._asyncio.batches import RunMany

__all__ = ["Runs"]

T = TypeVar("T")

#: An input of a batch: an instruction, or arguments of `Runs.run`.
BatchInput: TypeAlias = "str | Mapping[str, Any]"


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
        from .._asyncio.runs import Job, run  # here, since many programs run nothing

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

    @overload
    def run_many(
        self,
        inputs: Iterable[BatchInput] | AsyncIterable[BatchInput],
        *,
        concurrency: int = 10,
        worker_id: str | None = None,
        budget: Budget | None = None,
        output_schema: type[T],
        deadline: float | None = None,
        on_update: Callable[[int, Any], object] | None = None,
        journal: str | os.PathLike[str] | None = None,
        repeat_unknown: bool = False,
        progress: bool = False,
    ) -> RunMany[T]: ...

    @overload
    def run_many(
        self,
        inputs: Iterable[BatchInput] | AsyncIterable[BatchInput],
        *,
        concurrency: int = 10,
        worker_id: str | None = None,
        budget: Budget | None = None,
        output_schema: Mapping[str, Any],
        deadline: float | None = None,
        on_update: Callable[[int, Any], object] | None = None,
        journal: str | os.PathLike[str] | None = None,
        repeat_unknown: bool = False,
        progress: bool = False,
    ) -> RunMany[dict[str, Any]]: ...

    @overload
    def run_many(
        self,
        inputs: Iterable[BatchInput] | AsyncIterable[BatchInput],
        *,
        concurrency: int = 10,
        worker_id: str | None = None,
        budget: Budget | None = None,
        output_schema: None = None,
        deadline: float | None = None,
        on_update: Callable[[int, Any], object] | None = None,
        journal: str | os.PathLike[str] | None = None,
        repeat_unknown: bool = False,
        progress: bool = False,
    ) -> RunMany[None]: ...

    def run_many(
        self,
        inputs: Iterable[BatchInput] | AsyncIterable[BatchInput],
        *,
        concurrency: int = 10,
        worker_id: str | None = None,
        budget: Budget | None = None,
        output_schema: type[Any] | Mapping[str, Any] | None = None,
        deadline: float | None = None,
        on_update: Callable[[int, Any], object] | None = None,
        journal: str | os.PathLike[str] | None = None,
        repeat_unknown: bool = False,
        progress: bool = False,
    ) -> RunMany[Any]:
        """Run many instructions, a number of them at a time, and iterate over their results as they complete.

        ::

            async with session.run_many(inputs, journal="batch.sqlite") as results:
                async for result in results:
                    print(result.index, result.outcome or result.error)

        Each input is run as by `run`. A failure is a result like others. When the service refuses a run with status
        429, all of them wait, and fewer are started at a time. Inputs are taken when they can be started.

        With a journal, the batch can be started again after its process has ended, at any moment and in any way, with
        the same inputs: results that are there are returned again, runs that were started are waited for, and none is
        started twice. If it cannot be known whether a run was started, its result is a `RunUnknownError`.

        Args:
            inputs: The instructions, or mappings with ``input`` and any of ``worker_id``, ``budget`` and ``files``: an
                iterable, which must not block, or an async iterable. What it raises is raised after the results of the
                inputs before.
            concurrency: The number of runs at a time.
            worker_id: The id of the worker; None for a new one for each input.
            budget: The cost limit of each run; None for the service's default.
            output_schema: The class, or the JSON Schema, of the structured output. Without ``worker_id``, one private
                template with it is made for all runs.
            deadline: Seconds after which to stop waiting for all runs, which go on. Those that have not ended have a
                `RunTimeoutError` as their result; if inputs are left, one is raised at the end.
            on_update: Called with the index of an input and each new state of its run, a `TaskWithTurns` or a `Worker`.
                What it raises is logged.
            journal: The path of the journal, an SQLite file; it is made if it is missing. One batch at a time uses it.
            repeat_unknown: Run an input again if it cannot be known whether it was run. It may be run twice then.
            progress: Show the progress on standard error: a bar in a terminal if rich is installed, else lines.

        Returns:
            The results: an async context manager and iterator.

        Raises:
            ConfigurationError: An argument is malformed; or, at the beginning of ``async with``, the journal is in use
                or of another batch.
        """
        from .._asyncio.batches import RunMany  # here, since most programs run no batch

        return RunMany(
            self._settings,
            inputs,
            concurrency=concurrency,
            defaults={"worker_id": worker_id, "budget": budget},
            output_schema=output_schema,
            deadline=deadline,
            on_update=on_update,
            journal=journal,
            repeat_unknown=repeat_unknown,
            progress=progress,
        )
