"""The typed methods for workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Literal, overload

from .. import operations
from .._asyncio.polling import StartFunction, UpdateFunction, check_arguments
from ..models import UNSET, Budget, DeleteWorkerResponse, Unset, Visibility, Worker, WorkerTemplate
from ..operations import Operation
from ..streams import EventStream, FileDownload
from ._resource import Sender, coroutine_function, resource, settings_of, to_schema
from .schedules import Schedules
from .webhooks import Webhooks

__all__ = ["Workers"]


class Workers:
    """Workers: hosted agents, each created with an instruction.

    Every method raises `ConfigurationError` at once if an argument is malformed. Awaiting or iterating its result
    raises an `APIError` if the call fails.

    From Python 3.12, ``inspect.iscoroutinefunction`` is true for the methods whose result is awaited, so that
    decorators such as ``tenacity.retry`` and ``stamina.retry`` await it. On 3.11, decorate an ``async def`` that calls
    the method.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @resource
    def schedules(self) -> Schedules:
        """The schedules of workers."""
        return Schedules(self._sender)

    @resource
    def webhooks(self) -> Webhooks:
        """The webhooks of workers."""
        return Webhooks(self._sender)

    @overload
    def create(
        self, *, input: str, budget: Budget | None = None, stream: Literal[False] = False
    ) -> Coroutine[Any, Any, Worker]: ...

    @overload
    def create(self, *, input: str, budget: Budget | None = None, stream: Literal[True]) -> EventStream: ...

    @overload
    def create(
        self, *, input: str, budget: Budget | None = None, stream: bool
    ) -> Coroutine[Any, Any, Worker] | EventStream: ...

    @coroutine_function
    def create(
        self, *, input: str, budget: Budget | None = None, stream: bool = False
    ) -> Coroutine[Any, Any, Worker] | EventStream:
        """Create a worker and start it with an instruction, on a service of the older generation.

        Newer ones create a template instead: use `Session.run`, or `Tasks.create`.

        Args:
            input: The instruction.
            budget: The cost limit; None for the service's default.
            stream: Return its events instead of its state.

        Returns:
            To await: the worker. With ``stream=True``, to iterate: its events.
        """
        return self._send_or_stream(operations.CreateWorker(input=input, budget=budget, stream=stream))

    @overload
    def retrieve(
        self, worker_id: str, *, stream: Literal[False] = False, task_id: str | None = None
    ) -> Coroutine[Any, Any, Worker]: ...

    @overload
    def retrieve(self, worker_id: str, *, stream: Literal[True], task_id: str | None = None) -> EventStream: ...

    @overload
    def retrieve(
        self, worker_id: str, *, stream: bool, task_id: str | None = None
    ) -> Coroutine[Any, Any, Worker] | EventStream: ...

    @coroutine_function
    def retrieve(
        self, worker_id: str, *, stream: bool = False, task_id: str | None = None
    ) -> Coroutine[Any, Any, Worker] | EventStream:
        """Retrieve the current state of a worker.

        Args:
            worker_id: The id of the worker.
            stream: Return its events instead of its state.
            task_id: The id of the task to show; None for the most recent. Only services of the newer generation have
                tasks.

        Returns:
            To await: the worker. With ``stream=True``, to iterate: its events.
        """
        return self._send_or_stream(operations.RetrieveWorker(worker_id=worker_id, stream=stream, task_id=task_id))

    @overload
    def continue_(
        self, worker_id: str, *, input: str, budget: Budget | None = None, stream: Literal[False] = False
    ) -> Coroutine[Any, Any, Worker]: ...

    @overload
    def continue_(
        self, worker_id: str, *, input: str, budget: Budget | None = None, stream: Literal[True]
    ) -> EventStream: ...

    @overload
    def continue_(
        self, worker_id: str, *, input: str, budget: Budget | None = None, stream: bool
    ) -> Coroutine[Any, Any, Worker] | EventStream: ...

    @coroutine_function
    def continue_(
        self, worker_id: str, *, input: str, budget: Budget | None = None, stream: bool = False
    ) -> Coroutine[Any, Any, Worker] | EventStream:
        """Send another instruction to an existing worker.

        Args:
            worker_id: The id of the worker.
            input: The instruction.
            budget: The cost limit; None for the service's default.
            stream: Return its events instead of its state.

        Returns:
            To await: the worker. With ``stream=True``, to iterate: its events.
        """
        operation = operations.ContinueWorker(worker_id=worker_id, input=input, budget=budget, stream=stream)
        return self._send_or_stream(operation)

    def stream_updates(self, worker_id: str, *, resume: bool = True, last_event_id: str = "") -> EventStream:
        """Watch a worker.

        The content of the events is not documented by the service. Treat them as hints, and call `retrieve` before you
        act on them.

        Args:
            worker_id: The id of the worker.
            resume: Reconnect after an interruption, and continue after the last event id.
            last_event_id: Begin after the event with this id, such as that of a `StreamInterruptedError`.

        Returns:
            To iterate: its events; ``str(event)`` is the data of an event.
        """
        operation = operations.StreamWorkerUpdates(worker_id=worker_id)
        return self._sender.stream(operation, resume=resume, last_event_id=last_event_id)

    @coroutine_function
    def retrieve_email(self, worker_id: str) -> Coroutine[Any, Any, str]:
        """Retrieve the e-mail address of a worker.

        Args:
            worker_id: The id of the worker.

        Returns:
            To await: the address.
        """
        return self._sender.send(operations.RetrieveWorkerEmail(worker_id=worker_id))

    def retrieve_file(self, file_path: str, *, worker_id: str) -> FileDownload:
        """Retrieve a file published by a worker.

        Args:
            file_path: Its path in the worker's space, such as ``"scratchpad/plan.md"``.
            worker_id: The id of the worker.

        Returns:
            The file: ``await`` its ``read()`` or ``save(path)``, or iterate over its chunks.
        """
        return self._sender.download(operations.RetrieveWorkerFile(file_path=file_path, worker_id=worker_id))

    @coroutine_function
    def create_template(
        self,
        *,
        instructions: str | None = None,
        prompt: str | None = None,
        title: str | None = None,
        summary: str | None = None,
        visibility: Visibility | None = None,
        output_schema: type[Any] | Mapping[str, Any] | None = None,
    ) -> Coroutine[Any, Any, WorkerTemplate]:
        """Create a worker without running it. Arguments that are None are left to the service.

        Args:
            instructions: The instructions that every task follows, at most 20,000 characters.
            prompt: A description that the service expands into instructions, at most 10,000 characters.
            title: The title, at most 200 characters.
            summary: A summary, at most 80 characters.
            visibility: ``"public"`` or ``"private"``.
            output_schema: JSON Schema, Draft 7, of the structured output, or a class; None for free text. See
                `handinger_async.schema`.

        Returns:
            To await: the template.
        """
        operation = operations.CreateWorkerTemplate(
            instructions=instructions,
            prompt=prompt,
            title=title,
            summary=summary,
            visibility=visibility,
            output_schema=to_schema(output_schema),
        )
        return self._sender.send(operation)

    @coroutine_function
    def update(
        self,
        worker_id: str,
        *,
        instructions: str | None = None,
        title: str | None = None,
        summary: str | None = None,
        visibility: Visibility | None = None,
        output_schema: type[Any] | Mapping[str, Any] | Unset | None = UNSET,
    ) -> Coroutine[Any, Any, WorkerTemplate]:
        """Change a worker. Arguments that are left out keep their values.

        Args:
            worker_id: The id of the worker.
            instructions: The instructions of later tasks, at most 20,000 characters.
            title: The title, at most 200 characters.
            summary: A summary, at most 80 characters.
            visibility: ``"public"`` or ``"private"``.
            output_schema: JSON Schema, Draft 7, of the structured output, or a class; None for free text.

        Returns:
            To await: the template.
        """
        operation = operations.UpdateWorker(
            worker_id=worker_id,
            instructions=instructions,
            title=title,
            summary=summary,
            visibility=visibility,
            output_schema=UNSET if output_schema is UNSET else to_schema(output_schema),
        )
        return self._sender.send(operation)

    @coroutine_function
    def delete(self, worker_id: str) -> Coroutine[Any, Any, DeleteWorkerResponse]:
        """Delete a worker. Its tasks, files and schedules stay stored.

        Args:
            worker_id: The id of the worker.

        Returns:
            To await: the result, with ``deleted``.
        """
        return self._sender.send(operations.DeleteWorker(worker_id=worker_id))

    @coroutine_function
    def run(
        self,
        *,
        input: str,
        budget: Budget | None = None,
        deadline: float | None = None,
        on_start: StartFunction | None = None,
        on_update: UpdateFunction | None = None,
    ) -> Coroutine[Any, Any, Worker]:
        """Create a worker on a service of the older generation, and wait for its result; see also `Session.run`.

        Args:
            input: The instruction.
            budget: The cost limit; None for the service's default.
            deadline: Seconds after which to give up; the run goes on. None for ``Timeouts.deadline``.
            on_start: Called with the id of the worker, and None, when the service has made it. It may be a coroutine
                function.
            on_update: Called with each new state, a `Worker`. What it raises is logged.

        Returns:
            To await: the worker in its final state.

        Raises:
            RunFailedError: The worker ended with an error.
            RunTimeoutError: It had not completed at the deadline.
            RunUnknownError: It may have been created, and its id is not known.
        """
        from .._asyncio.runs import Job, run_worker  # here, since many programs run nothing

        job = Job(input=input, budget=budget, deadline=deadline, on_start=on_start, on_update=on_update)
        return run_worker(settings_of(self._sender), job)

    @coroutine_function
    def wait(
        self, worker_id: str, *, deadline: float | None = None, on_update: UpdateFunction | None = None
    ) -> Coroutine[Any, Any, Worker]:
        """Wait until a worker has completed. Its stream is followed where there is one; else it is asked for.

        Args:
            worker_id: The id of the worker.
            deadline: Seconds after which to give up; the run goes on. None for ``Timeouts.deadline``.
            on_update: Called with each new state, a `Worker`. What it raises is logged.

        Returns:
            To await: the worker in its final state.

        Raises:
            RunFailedError: The worker ended with an error.
            RunTimeoutError: It had not completed at the deadline.
        """
        from .._asyncio.runs import wait_for_worker
        from .._asyncio.worker_runs import WorkerRun

        check_arguments(deadline, on_update=on_update)
        settings = settings_of(self._sender)
        return wait_for_worker(settings, WorkerRun(settings, worker_id, on_update), deadline)

    @coroutine_function
    def download_files(
        self,
        worker: Worker | str,
        directory: str | os.PathLike[str],
        *,
        concurrency: int = 4,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Coroutine[Any, Any, list[Path]]:
        """Save all files that a worker has published; each one as `FileDownload.save` does.

        Args:
            worker: The worker, or its id: then it is retrieved first.
            directory: The directory, which exists. Each file gets its plain name there, without directories. Names that
                would be the same are numbered: ``plan.md``, ``plan (2).md``. Files that were there are replaced.
            concurrency: The number of files to download at a time.
            progress: Called with the number of bytes of all files written so far, and their size, None as long as one
                is not known. What it raises is logged.

        Returns:
            To await: the paths, in the order of ``Worker.files``.

        Raises:
            ExceptionGroup: Some files could not be saved: it has the APIError or OSError of each, with a note that
                names the file. The others are complete.
        """
        from .._asyncio.worker_files import download_worker_files  # here, since most programs save no files

        return download_worker_files(settings_of(self._sender), worker, directory, concurrency, progress)

    def _send_or_stream(self, operation: Operation[Worker]) -> Coroutine[Any, Any, Worker] | EventStream:
        sender = self._sender
        return sender.stream(operation) if operation.streams else sender.send(operation)
