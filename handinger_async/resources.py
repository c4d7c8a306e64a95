"""The methods that people call: each makes an operation and hands it to the session."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Literal, Protocol, TypeVar, overload

from . import operations
from .models import Budget, ScheduleCancelResponse, ScheduleListResponse, When, Worker, WorkerSchedule, to_when
from .operations import Operation
from .streams import EventStream, FileDownload

__all__ = ["Schedules", "Workers"]

R = TypeVar("R")


class Performer(Protocol):
    """What carries out operations: the session."""

    def send(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """Perform an operation with a JSON answer."""
        ...

    def stream(self, operation: Operation[Any], *, resume: bool = True) -> EventStream:
        """Perform an operation that answers with events."""
        ...

    def download(self, operation: Operation[bytes]) -> FileDownload:
        """Perform an operation that answers with a file."""
        ...


class Workers:
    """Workers: hosted agents, each started on an instruction.

    Every method raises `ConfigurationError` at once where an argument is malformed; what is awaited or iterated raises
    an `APIError` where the call fails.
    """

    def __init__(self, session: Performer) -> None:
        self._session = session
        self.schedules = Schedules(session)

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

    def create(
        self, *, input: str, budget: Budget | None = None, stream: bool = False
    ) -> Coroutine[Any, Any, Worker] | EventStream:
        """Create a worker and start it with an instruction.

        Args:
            input: The instruction.
            budget: What the worker may cost; the service's own default where None.
            stream: Watch it from the beginning instead of getting its state.

        Returns:
            To await: the worker. With ``stream=True``, to iterate: its events.
        """
        return self._perform(operations.CreateWorker(input=input, budget=budget, stream=stream))

    @overload
    def retrieve(self, worker_id: str, *, stream: Literal[False] = False) -> Coroutine[Any, Any, Worker]: ...

    @overload
    def retrieve(self, worker_id: str, *, stream: Literal[True]) -> EventStream: ...

    @overload
    def retrieve(self, worker_id: str, *, stream: bool) -> Coroutine[Any, Any, Worker] | EventStream: ...

    def retrieve(self, worker_id: str, *, stream: bool = False) -> Coroutine[Any, Any, Worker] | EventStream:
        """Retrieve the current state of a worker.

        Args:
            worker_id: The worker.
            stream: Watch it instead of getting its state.

        Returns:
            To await: the worker. With ``stream=True``, to iterate: its events.
        """
        return self._perform(operations.RetrieveWorker(worker_id=worker_id, stream=stream))

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

    def continue_(
        self, worker_id: str, *, input: str, budget: Budget | None = None, stream: bool = False
    ) -> Coroutine[Any, Any, Worker] | EventStream:
        """Send another instruction to an existing worker.

        Args:
            worker_id: The worker.
            input: The instruction.
            budget: What the worker may cost; the service's own default where None.
            stream: Watch it instead of getting its state.

        Returns:
            To await: the worker. With ``stream=True``, to iterate: its events.
        """
        operation = operations.ContinueWorker(worker_id=worker_id, input=input, budget=budget, stream=stream)
        return self._perform(operation)

    def stream_updates(self, worker_id: str, *, resume: bool = True) -> EventStream:
        """Watch a worker.

        What the events say is not documented: take them as hints, and ask `retrieve` before you act on them.

        Args:
            worker_id: The worker.
            resume: Connect again after an interruption, and go on after the last event that had an id.

        Returns:
            To iterate: its events; ``str(event)`` is what one says.
        """
        return self._session.stream(operations.StreamWorkerUpdates(worker_id=worker_id), resume=resume)

    def retrieve_email(self, worker_id: str) -> Coroutine[Any, Any, str]:
        """Retrieve the address that a worker receives mail at.

        Args:
            worker_id: The worker.

        Returns:
            To await: the address.
        """
        return self._session.send(operations.RetrieveWorkerEmail(worker_id=worker_id))

    def retrieve_file(self, file_path: str, *, worker_id: str) -> FileDownload:
        """Retrieve a file that a worker has published.

        Args:
            file_path: Its path in the worker's space, such as ``"scratchpad/plan.md"``.
            worker_id: The worker.

        Returns:
            The file: ``await`` its ``read()`` or ``save(path)``, or iterate over its pieces.
        """
        return self._session.download(operations.RetrieveWorkerFile(file_path=file_path, worker_id=worker_id))

    def _perform(self, operation: Operation[Worker]) -> Coroutine[Any, Any, Worker] | EventStream:
        return self._session.stream(operation) if operation.streams else self._session.send(operation)


class Schedules:
    """The future runs of workers.

    Every method raises `ConfigurationError` at once where an argument is malformed; what is awaited raises an
    `APIError` where the call fails.
    """

    def __init__(self, session: Performer) -> None:
        self._session = session

    def list(self, worker_id: str) -> Coroutine[Any, Any, ScheduleListResponse]:
        """List the schedules of a worker.

        Args:
            worker_id: The worker.

        Returns:
            To await: the schedules.
        """
        return self._session.send(operations.ListSchedules(worker_id=worker_id))

    def create(
        self, worker_id: str, *, input: str, when: When | Mapping[str, Any], budget: Budget | None = None
    ) -> Coroutine[Any, Any, WorkerSchedule]:
        """Schedule an instruction for a future run, or for recurring ones.

        Args:
            worker_id: The worker.
            input: The instruction.
            when: One of the When classes, or a dict with its ``type`` and its fields:
                ``{"type": "delayed", "delay_in_seconds": 60}``.
            budget: What a run may cost; the service's own default where None.

        Returns:
            To await: the schedule.
        """
        operation = operations.CreateSchedule(worker_id=worker_id, input=input, when=to_when(when), budget=budget)
        return self._session.send(operation)

    def cancel(self, schedule_id: str, *, worker_id: str) -> Coroutine[Any, Any, ScheduleCancelResponse]:
        """Cancel a schedule of a worker.

        Args:
            schedule_id: The schedule.
            worker_id: The worker.

        Returns:
            To await: whether it was cancelled.
        """
        return self._session.send(operations.CancelSchedule(schedule_id=schedule_id, worker_id=worker_id))
