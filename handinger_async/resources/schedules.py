"""The typed methods for schedules."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from .. import operations
from ..models import Budget, ScheduleCancelResponse, ScheduleListResponse, When, WorkerSchedule, to_when
from ._resource import Sender, coroutine_function

__all__ = ["Schedules"]


class Schedules:
    """Schedules: future and recurring runs of workers.

    Every method raises `ConfigurationError` at once if an argument is malformed. Awaiting its result raises an
    `APIError` if the call fails.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @coroutine_function
    def list(self, worker_id: str) -> Coroutine[Any, Any, ScheduleListResponse]:
        """List the schedules of a worker.

        Args:
            worker_id: The id of the worker.

        Returns:
            To await: the schedules.
        """
        return self._sender.send(operations.ListSchedules(worker_id=worker_id))

    @coroutine_function
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

    @coroutine_function
    def cancel(self, schedule_id: str, *, worker_id: str) -> Coroutine[Any, Any, ScheduleCancelResponse]:
        """Cancel a schedule of a worker.

        Args:
            schedule_id: The id of the schedule.
            worker_id: The id of the worker.

        Returns:
            To await: the result, with ``cancelled``.
        """
        return self._sender.send(operations.CancelSchedule(schedule_id=schedule_id, worker_id=worker_id))
