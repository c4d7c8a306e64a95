"""Handlers of schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....codec import encode_response
from ....http import Response
from ....models import DelayedWhen, IntervalWhen, ScheduleCancelResponse, ScheduleListResponse
from ....operations import CancelSchedule, CreateSchedule, ListSchedules
from ..errors import invalid, missing
from ..schedules import KnownSchedule, plan
from ..service import Call, Service

__all__ = ["HANDLERS"]

#: The longest delay and interval of the newer generation, in seconds.
_YEAR = 31_536_000


def _list(service: Service, operation: ListSchedules, call: Call) -> Response:
    state = service.worker(operation.worker_id, call.user_id)
    state.advance()
    newer = service.view_of(state, call).newer
    listed = ScheduleListResponse(
        schedules=[planned.schedule for planned in state.schedules.values()],
        worker_id=state.id,
        timezone="UTC" if newer else None,
    )
    return encode_response(operation, listed)


def _create(service: Service, operation: CreateSchedule, call: Call) -> Response:
    if service.api == "today":
        _check_seconds(operation)

    def create() -> KnownSchedule:
        state = service.worker(operation.worker_id, call.user_id)
        planned = plan(operation, service.context.ids.new("sch"), service.clock, state.advance())
        state.schedules[planned.schedule.id] = planned
        return planned.schedule

    return encode_response(operation, service.once(call, create))


def _check_seconds(operation: CreateSchedule) -> None:
    match operation.when:
        case DelayedWhen(delay_in_seconds=seconds) | IntervalWhen(interval_seconds=seconds):
            if not 1 <= seconds <= _YEAR:
                raise invalid(f"when: the seconds must be from 1 to {_YEAR}")


def _cancel(service: Service, operation: CancelSchedule, call: Call) -> Response:
    def cancel() -> ScheduleCancelResponse:
        state = service.worker(operation.worker_id, call.user_id)
        state.advance()
        if state.schedules.pop(operation.schedule_id, None) is None and not service.lenient:
            raise missing("schedule", operation.schedule_id)
        return ScheduleCancelResponse(cancelled=True)

    return encode_response(operation, service.once(call, cancel))


HANDLERS: dict[type, Callable[..., Any]] = {
    ListSchedules: _list,
    CreateSchedule: _create,
    CancelSchedule: _cancel,
}
