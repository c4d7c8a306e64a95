"""The typed methods of a session. Each creates an operation and sends it through the session."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property, wraps
from types import CoroutineType
from typing import Any, Literal, Protocol, TypeVar, get_type_hints, overload

from . import operations
from .http import EVENT_STREAM
from .models import Budget, ScheduleCancelResponse, ScheduleListResponse, When, Worker, WorkerSchedule, to_when
from .operations import Operation
from .streams import EventStream, FileDownload

__all__ = ["Schedules", "Workers"]

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class resource(cached_property[R]):  # noqa: N801 - as cached_property
    """A cached property. On the class it is the type of its value, where ``mock.create_autospec`` finds the methods."""

    @overload  # type: ignore[override]
    def __get__(self, instance: None, owner: type[Any] | None = None) -> type[R]: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> R: ...

    def __get__(  # pyright: ignore[reportIncompatibleMethodOverride] - without an instance, the base returns itself
        self, instance: object, owner: type[Any] | None = None
    ) -> type[R] | R:
        if instance is None:
            return get_type_hints(self.func)["return"]  # type: ignore[no-any-return]
        return super().__get__(instance, owner)


def _coroutine_function(method: F) -> F:
    """Name the coroutines of a method after it, for the warning about a forgotten ``await``.

    Mark it as a coroutine function, for decorators that retry. Python 3.11 has no such mark for a function that checks
    its arguments at once.
    """

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        if isinstance(result, CoroutineType):
            result.__name__, result.__qualname__ = method.__name__, method.__qualname__
        return result

    mark: Any = getattr(inspect, "markcoroutinefunction", lambda function: function)
    return mark(call)  # type: ignore[no-any-return]


class Sender(Protocol):
    """The part of `Session` that resources need."""

    def send(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """Send an operation with a JSON response."""
        ...

    def stream(self, operation: Operation[Any], *, resume: bool = True, last_event_id: str = "") -> EventStream:
        """Send an operation whose response is a stream of events."""
        ...

    def download(self, operation: Operation[bytes]) -> FileDownload:
        """Send an operation whose response is a file."""
        ...


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

    @_coroutine_function
    def create(
        self, *, input: str, budget: Budget | None = None, stream: bool = False
    ) -> Coroutine[Any, Any, Worker] | EventStream:
        """Create a worker and start it with an instruction.

        Args:
            input: The instruction.
            budget: The cost limit; None for the service's default.
            stream: Return its events instead of its state.

        Returns:
            To await: the worker. With ``stream=True``, to iterate: its events.
        """
        return self._send_or_stream(operations.CreateWorker(input=input, budget=budget, stream=stream))

    @overload
    def retrieve(self, worker_id: str, *, stream: Literal[False] = False) -> Coroutine[Any, Any, Worker]: ...

    @overload
    def retrieve(self, worker_id: str, *, stream: Literal[True]) -> EventStream: ...

    @overload
    def retrieve(self, worker_id: str, *, stream: bool) -> Coroutine[Any, Any, Worker] | EventStream: ...

    @_coroutine_function
    def retrieve(self, worker_id: str, *, stream: bool = False) -> Coroutine[Any, Any, Worker] | EventStream:
        """Retrieve the current state of a worker.

        Args:
            worker_id: The id of the worker.
            stream: Return its events instead of its state.

        Returns:
            To await: the worker. With ``stream=True``, to iterate: its events.
        """
        return self._send_or_stream(operations.RetrieveWorker(worker_id=worker_id, stream=stream))

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

    @_coroutine_function
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

    @_coroutine_function
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

    def _send_or_stream(self, operation: Operation[Worker]) -> Coroutine[Any, Any, Worker] | EventStream:
        sender = self._sender
        return sender.stream(operation) if operation.accept == EVENT_STREAM else sender.send(operation)


class Schedules:
    """Schedules: future and recurring runs of workers.

    Every method raises `ConfigurationError` at once if an argument is malformed. Awaiting its result raises an
    `APIError` if the call fails.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @_coroutine_function
    def list(self, worker_id: str) -> Coroutine[Any, Any, ScheduleListResponse]:
        """List the schedules of a worker.

        Args:
            worker_id: The id of the worker.

        Returns:
            To await: the schedules.
        """
        return self._sender.send(operations.ListSchedules(worker_id=worker_id))

    @_coroutine_function
    def create(
        self, worker_id: str, *, input: str, when: When | Mapping[str, Any], budget: Budget | None = None
    ) -> Coroutine[Any, Any, WorkerSchedule]:
        """Schedule an instruction for one future run or for recurring runs.

        Args:
            worker_id: The id of the worker.
            input: The instruction.
            when: One of the When classes, or a dict with its ``type`` and its fields:
                ``{"type": "delayed", "delay_in_seconds": 60}``.
            budget: The cost limit of each run; None for the service's default.

        Returns:
            To await: the schedule.
        """
        operation = operations.CreateSchedule(worker_id=worker_id, input=input, when=to_when(when), budget=budget)
        return self._sender.send(operation)

    @_coroutine_function
    def cancel(self, schedule_id: str, *, worker_id: str) -> Coroutine[Any, Any, ScheduleCancelResponse]:
        """Cancel a schedule of a worker.

        Args:
            schedule_id: The id of the schedule.
            worker_id: The id of the worker.

        Returns:
            To await: the result, with ``cancelled``.
        """
        return self._sender.send(operations.CancelSchedule(schedule_id=schedule_id, worker_id=worker_id))
