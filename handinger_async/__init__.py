"""An asyncio client for the Handinger API: a sans-IO core, pluggable transports, typed results.

::

    from handinger_async import Session

    async with Session() as session:
        worker = await session.workers.create(input="What's the weather today in Barcelona?")

The names below are imported when they are first used: importing this package costs next to nothing.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import operations
    from .calls import Attempt, Timeouts
    from .codec import to_dict, to_json
    from .errors import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        EventTooLargeError,
        HandingerError,
        InternalServerError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        StreamInterruptedError,
        UnprocessableEntityError,
    )
    from .models import (
        Budget,
        Costs,
        CronWhen,
        CronWorkerSchedule,
        DelayedWhen,
        DelayedWorkerSchedule,
        File,
        IntervalWhen,
        IntervalWorkerSchedule,
        Output,
        OutputContent,
        ScheduleCancelResponse,
        ScheduledWhen,
        ScheduledWorkerSchedule,
        ScheduleListResponse,
        Source,
        UnknownWorkerSchedule,
        Usage,
        When,
        Worker,
        WorkerSchedule,
    )
    from .retry import RetryPolicy
    from .session import Exchange, Session
    from .sse import EventParser, ServerSentEvent, encode_event
    from .streams import EventStream, FileDownload

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "Budget",
    "ConfigurationError",
    "ConflictError",
    "Costs",
    "CronWhen",
    "CronWorkerSchedule",
    "DelayedWhen",
    "DelayedWorkerSchedule",
    "EventParser",
    "EventStream",
    "EventTooLargeError",
    "Exchange",
    "File",
    "FileDownload",
    "HandingerError",
    "InternalServerError",
    "IntervalWhen",
    "IntervalWorkerSchedule",
    "NotFoundError",
    "Output",
    "OutputContent",
    "PermissionDeniedError",
    "RateLimitError",
    "RetryPolicy",
    "ScheduleCancelResponse",
    "ScheduleListResponse",
    "ScheduledWhen",
    "ScheduledWorkerSchedule",
    "ServerSentEvent",
    "Session",
    "Source",
    "StreamInterruptedError",
    "Timeouts",
    "UnknownWorkerSchedule",
    "UnprocessableEntityError",
    "Usage",
    "When",
    "Worker",
    "WorkerSchedule",
    "encode_event",
    "operations",
    "to_dict",
    "to_json",
]

_HOMES = {
    "Attempt": "calls",
    "EventParser": "sse",
    "EventStream": "streams",
    "Exchange": "session",
    "FileDownload": "streams",
    "RetryPolicy": "retry",
    "ServerSentEvent": "sse",
    "Session": "session",
    "Timeouts": "calls",
    "encode_event": "sse",
    "to_dict": "codec",
    "to_json": "codec",
}


def __getattr__(name: str) -> object:
    """Import a public name from the module that it lives in (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "operations":
        return import_module(".operations", __name__)
    home = _HOMES.get(name) or ("errors" if name.endswith("Error") else "models")
    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
