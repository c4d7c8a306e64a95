"""An asyncio client for the Handinger API: a sans-IO core, pluggable transports, typed results.

::

    from handinger_async import Session

    async with Session() as session:
        outcome = await session.run("Compare three tents.")

The names below are imported on first use, so that importing this package costs next to nothing.
"""

__version__ = "0.2.0"

# Not from typing, whose import would take time. With the annotation, jedi does not take the block below for dead code.
TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from . import operations
    from ._asyncio.attempts import Attempt
    from ._asyncio.batches import RunMany, RunResult
    from ._asyncio.exchanges import Exchange
    from ._asyncio.options import Timeouts
    from ._converter import to_dict, to_json
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
        RunError,
        RunFailedError,
        RunTimeoutError,
        RunUnknownError,
        StreamInterruptedError,
        UnprocessableEntityError,
        WebhookTokenError,
    )
    from .models import (
        UNSET,
        Budget,
        Costs,
        CronWhen,
        CronWorkerSchedule,
        DelayedWhen,
        DelayedWorkerSchedule,
        DeleteTaskResponse,
        DeleteWorkerResponse,
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
        Task,
        TaskTotals,
        TaskTurnList,
        TaskWithTurns,
        Turn,
        UnknownWorkerSchedule,
        Usage,
        Webhook,
        WebhookExecution,
        WebhookExecutionList,
        When,
        Worker,
        WorkerSchedule,
        WorkerTemplate,
    )
    from .models.outcomes import Outcome
    from .retry import RetryPolicy
    from .session import Session
    from .sse import EventParser, ServerSentEvent, encode_event
    from .streams import EventStream, FileDownload
    from .uploads import Upload

__all__ = [
    "UNSET",
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
    "DeleteTaskResponse",
    "DeleteWorkerResponse",
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
    "Outcome",
    "Output",
    "OutputContent",
    "PermissionDeniedError",
    "RateLimitError",
    "RetryPolicy",
    "RunError",
    "RunFailedError",
    "RunMany",
    "RunResult",
    "RunTimeoutError",
    "RunUnknownError",
    "ScheduleCancelResponse",
    "ScheduleListResponse",
    "ScheduledWhen",
    "ScheduledWorkerSchedule",
    "ServerSentEvent",
    "Session",
    "Source",
    "StreamInterruptedError",
    "Task",
    "TaskTotals",
    "TaskTurnList",
    "TaskWithTurns",
    "Timeouts",
    "Turn",
    "UnknownWorkerSchedule",
    "UnprocessableEntityError",
    "Upload",
    "Usage",
    "Webhook",
    "WebhookExecution",
    "WebhookExecutionList",
    "WebhookTokenError",
    "When",
    "Worker",
    "WorkerSchedule",
    "WorkerTemplate",
    "encode_event",
    "operations",
    "to_dict",
    "to_json",
]

#: The module that defines each public name.
_HOMES = {
    "APIConnectionError": "errors",
    "APIError": "errors",
    "APIResponseValidationError": "errors",
    "APIStatusError": "errors",
    "APITimeoutError": "errors",
    "Attempt": "_asyncio.attempts",
    "AuthenticationError": "errors",
    "BadRequestError": "errors",
    "Budget": "models.schedules",
    "ConfigurationError": "errors",
    "ConflictError": "errors",
    "Costs": "models.workers",
    "CronWhen": "models.schedules",
    "CronWorkerSchedule": "models.schedules",
    "DelayedWhen": "models.schedules",
    "DelayedWorkerSchedule": "models.schedules",
    "DeleteTaskResponse": "models.tasks",
    "DeleteWorkerResponse": "models.workers",
    "EventParser": "sse",
    "EventStream": "_asyncio.events",
    "EventTooLargeError": "errors",
    "Exchange": "_asyncio.exchanges",
    "File": "models.workers",
    "FileDownload": "_asyncio.downloads",
    "HandingerError": "errors",
    "InternalServerError": "errors",
    "IntervalWhen": "models.schedules",
    "IntervalWorkerSchedule": "models.schedules",
    "NotFoundError": "errors",
    "Outcome": "models.outcomes",
    "Output": "models.workers",
    "OutputContent": "models.workers",
    "PermissionDeniedError": "errors",
    "RateLimitError": "errors",
    "RetryPolicy": "retry",
    "RunError": "errors",
    "RunFailedError": "errors",
    "RunMany": "_asyncio.batches",
    "RunResult": "_asyncio.batches",
    "RunTimeoutError": "errors",
    "RunUnknownError": "errors",
    "ScheduleCancelResponse": "models.schedules",
    "ScheduleListResponse": "models.schedules",
    "ScheduledWhen": "models.schedules",
    "ScheduledWorkerSchedule": "models.schedules",
    "ServerSentEvent": "sse",
    "Session": "session",
    "Source": "models.workers",
    "StreamInterruptedError": "errors",
    "Task": "models.tasks",
    "TaskTotals": "models.tasks",
    "TaskTurnList": "models.tasks",
    "TaskWithTurns": "models.tasks",
    "Timeouts": "_asyncio.options",
    "Turn": "models.tasks",
    "UNSET": "models._unset",
    "UnknownWorkerSchedule": "models.schedules",
    "UnprocessableEntityError": "errors",
    "Upload": "uploads",
    "Usage": "models.workers",
    "Webhook": "models.webhooks",
    "WebhookExecution": "models.webhooks",
    "WebhookExecutionList": "models.webhooks",
    "WebhookTokenError": "errors",
    "When": "models.schedules",
    "Worker": "models.workers",
    "WorkerSchedule": "models.schedules",
    "WorkerTemplate": "models.workers",
    "encode_event": "sse",
    "to_dict": "_converter",
    "to_json": "_converter",
}


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "operations":
        return import_module(".operations", __name__)
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
