"""Every operation of the API, each declared once, as an immutable value.

A declaration says where the operation goes and what comes back; the fields of the class are what is sent. A field named
in the route goes into the path, the others into the JSON body of a POST or the query of a GET, and those that are None
or False are left out. All that the library does with operations is derived from that.

An operation that exists is well formed: ids and paths that would change the structure of the URL, and arguments of a
wrong type, are refused here, before anything is sent.
"""

import re
from typing import Any, ClassVar, Generic, Self, TypeVar
from urllib.parse import unquote

import attrs

from .errors import ConfigurationError, shorten
from .http import is_plain
from .models import Budget, ScheduleCancelResponse, ScheduleListResponse, When, Worker, WorkerSchedule, to_when
from .models._checks import Field, check_flag, check_optional_text, check_text
from .models._value import value
from .sse import ServerSentEvent

__all__ = [
    "OPERATIONS",
    "CancelSchedule",
    "ContinueWorker",
    "CreateSchedule",
    "CreateWorker",
    "ListSchedules",
    "Operation",
    "RetrieveWorker",
    "RetrieveWorkerEmail",
    "RetrieveWorkerFile",
    "Route",
    "StreamWorkerUpdates",
]

R = TypeVar("R")

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
BINARY = "application/octet-stream"

#: Unicode's category Cc.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@attrs.frozen
class Route:
    """Where an operation goes and what comes back.

    Args:
        method: The HTTP method.
        path: The path; ``{name}`` stands for a field as one segment, ``{name...}`` for one that may hold slashes.
        returns: The type of the result; for a stream ``ServerSentEvent``, for a file ``bytes``.
    """

    method: str
    path: str
    returns: Any


class Operation(Generic[R]):
    """An operation of the API, with the type of its result.

    For a stream that is ``list[ServerSentEvent]``, for a file ``bytes``.
    """

    __slots__ = ()

    route: ClassVar[Route]

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.route.returns is ServerSentEvent or getattr(self, "stream", False)

    @property
    def accept(self) -> str:
        """The media type that the answer is asked for in."""
        if self.streams:
            return EVENT_STREAM
        return BINARY if self.route.returns is bytes else JSON

    def as_stream(self) -> Self:
        """Return the operation that asks for a stream of events.

        Raises:
            ConfigurationError: There is none.
        """
        if self.streams:
            return self
        if not hasattr(self, "stream"):
            raise ConfigurationError(f"{type(self).__name__} does not answer with a stream")
        operation: Any = self
        return attrs.evolve(operation, stream=True)  # type: ignore[no-any-return]


#: A hole in the path of a route.
HOLE = re.compile(r"\{(\w+)(\.\.\.)?\}")


def path_fields(cls: type[Operation[Any]]) -> dict[str, bool]:
    """Return the fields of an operation that its path holds, each with whether it may have slashes."""
    return {name: bool(many) for name, many in HOLE.findall(cls.route.path)}


def _check_segment(operation: object, field: Field, text: str) -> None:
    """Take an id, which is one segment of the path: whatever it holds, it never becomes structure."""
    check_text(operation, field, text)
    if is_plain(text):
        return
    if not text:
        raise ConfigurationError(f"{field.name} is empty")
    if unquote(text) in (".", ".."):
        raise ConfigurationError(f"{field.name} must not be {text!r}, which servers and proxies take for a folder")
    if _CONTROL.search(text):
        raise ConfigurationError(f"{field.name} holds a control character")
    if _SURROGATE.search(text):
        raise ConfigurationError(f"{field.name} holds half a surrogate pair, which UTF-8 cannot carry")


def _check_path(operation: object, field: Field, text: str) -> None:
    """Take a relative path: its slashes are structure, each of its segments is checked as an id is."""
    check_text(operation, field, text)
    for segment in text.split("/"):
        if not segment:
            raise ConfigurationError(f"{field.name} is empty, or has an empty segment: {shorten(repr(text))}")
        _check_segment(operation, field, segment)


@value
class CreateWorker(Operation[Worker]):
    """Create a worker and start it with an instruction.

    Args:
        input: The instruction.
        budget: What the worker may cost; the service's own default where None.
        stream: Ask for a stream of events instead of the worker.
    """

    route = Route("POST", "/api/workers", Worker)

    input: str = attrs.field(validator=check_text)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)
    stream: bool = attrs.field(default=False, validator=check_flag)


@value
class RetrieveWorker(Operation[Worker]):
    """Retrieve the current state of a worker.

    Args:
        worker_id: The worker.
        stream: Ask for a stream of events instead of the worker.
    """

    route = Route("GET", "/api/workers/{worker_id}", Worker)

    worker_id: str = attrs.field(validator=_check_segment)
    stream: bool = attrs.field(default=False, validator=check_flag)


@value
class ContinueWorker(Operation[Worker]):
    """Send another instruction to an existing worker.

    Args:
        worker_id: The worker.
        input: The instruction.
        budget: What the worker may cost; the service's own default where None.
        stream: Ask for a stream of events instead of the worker.
    """

    route = Route("POST", "/api/workers/{worker_id}", Worker)

    worker_id: str = attrs.field(validator=_check_segment)
    input: str = attrs.field(validator=check_text)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)
    stream: bool = attrs.field(default=False, validator=check_flag)


@value
class StreamWorkerUpdates(Operation[list[ServerSentEvent]]):
    """Subscribe to a worker.

    Args:
        worker_id: The worker.
    """

    route = Route("GET", "/api/workers/{worker_id}/stream", ServerSentEvent)

    worker_id: str = attrs.field(validator=_check_segment)


@value
class RetrieveWorkerEmail(Operation[str]):
    """Retrieve the address that a worker receives mail at.

    Args:
        worker_id: The worker.
    """

    route = Route("GET", "/api/workers/{worker_id}/email", str)

    worker_id: str = attrs.field(validator=_check_segment)


@value
class RetrieveWorkerFile(Operation[bytes]):
    """Retrieve a file that a worker has published.

    Args:
        file_path: Its path in the worker's space; slashes separate folders.
        worker_id: The worker.
    """

    route = Route("GET", "/api/workers/{worker_id}/files/{file_path...}", bytes)

    file_path: str = attrs.field(validator=_check_path)
    worker_id: str = attrs.field(validator=_check_segment)


@value
class ListSchedules(Operation[ScheduleListResponse]):
    """List the schedules of a worker.

    Args:
        worker_id: The worker.
    """

    route = Route("GET", "/api/workers/{worker_id}/schedules", ScheduleListResponse)

    worker_id: str = attrs.field(validator=_check_segment)


@value
class CreateSchedule(Operation[WorkerSchedule]):
    """Schedule an instruction for a future run, or for recurring ones.

    Args:
        worker_id: The worker.
        input: The instruction.
        when: One of the When classes, or a dict with its ``type`` and its fields.
        budget: What a run may cost; the service's own default where None.
    """

    route = Route("POST", "/api/workers/{worker_id}/schedules", WorkerSchedule)

    worker_id: str = attrs.field(validator=_check_segment)
    input: str = attrs.field(validator=check_text)
    when: When = attrs.field(converter=to_when)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)


@value
class CancelSchedule(Operation[ScheduleCancelResponse]):
    """Cancel a schedule of a worker.

    Args:
        schedule_id: The schedule.
        worker_id: The worker.
    """

    route = Route("DELETE", "/api/workers/{worker_id}/schedules/{schedule_id}", ScheduleCancelResponse)

    schedule_id: str = attrs.field(validator=_check_segment)
    worker_id: str = attrs.field(validator=_check_segment)


OPERATIONS: tuple[type[Operation[Any]], ...] = (
    CreateWorker,
    RetrieveWorker,
    ContinueWorker,
    StreamWorkerUpdates,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    ListSchedules,
    CreateSchedule,
    CancelSchedule,
)
