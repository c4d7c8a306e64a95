"""Every operation of the API, each declared once, as an immutable value.

The fields of an operation class are its arguments. Its `Route` says how they are sent: fields named in the path go into
the path, the others into the JSON body or the query, depending on the method. Fields that equal their default are left
out.

An operation that exists is well-formed: arguments of a wrong type, and ids that would change the structure of the URL,
are refused at construction, before anything is sent.
"""

import re
from typing import Any, ClassVar, Generic, Self, TypeVar
from urllib.parse import unquote

import attrs

from .errors import ConfigurationError, quoted
from .http import BINARY, EVENT_STREAM, JSON, is_ascii_identifier
from .models import Budget, ScheduleCancelResponse, ScheduleListResponse, When, Worker, WorkerSchedule, to_when
from .models._checks import Field, check_flag, check_optional_text, check_text
from .models._model import frozen_model
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

#: Unicode category Cc.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
#: A placeholder in the path of a route: ``{name}`` or ``{name...}``.
PATH_PARAMETER = re.compile(r"\{(\w+)(\.\.\.)?\}")

#: True: the fields outside the path are sent as a JSON body. False: as the query.
_HAS_BODY = {"GET": False, "DELETE": False, "POST": True, "PUT": True, "PATCH": True}


@attrs.frozen
class Route:
    """The request line of an operation, and the type of its result.

    Fields outside the path go into a JSON body (POST, PUT, PATCH) or into the query (GET, DELETE).

    Args:
        method: The HTTP method, one of these five.
        path: The path. ``{name}`` stands for a field as one segment, ``{name...}`` for a field that may have slashes.
        returns: The type of the result: a model or ``str``; ``ServerSentEvent`` for a stream, ``bytes`` for a file.

    Attributes:
        has_body: True if fields outside the path are sent as a JSON body, False if they are sent as the query.
        path_parameters: The fields in the path, each with True if it may contain slashes.

    Raises:
        ConfigurationError: There is no rule where to send fields with this method.
    """

    method: str
    path: str
    returns: Any
    has_body: bool = attrs.field(init=False, eq=False, repr=False)
    path_parameters: dict[str, bool] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.method not in _HAS_BODY:
            raise ConfigurationError(
                f"a route has no rule for the fields of a {self.method} request: its method must be one of "
                f"{', '.join(_HAS_BODY)}"
            )
        object.__setattr__(self, "has_body", _HAS_BODY[self.method])
        parameters = {name: bool(dots) for name, dots in PATH_PARAMETER.findall(self.path)}
        object.__setattr__(self, "path_parameters", parameters)


class Operation(Generic[R]):
    """An operation of the API.

    Its type parameter is the type of the result: ``list[ServerSentEvent]`` for a stream, ``bytes`` for a file.
    """

    __slots__ = ()

    route: ClassVar[Route]

    @property
    def streams(self) -> bool:
        """True if the response is a stream of events."""
        return self.route.returns is ServerSentEvent or getattr(self, "stream", False)

    @property
    def accept(self) -> str:
        """The media type of the response: JSON, an event stream, or ``application/octet-stream`` for a file."""
        if self.streams:
            return EVENT_STREAM
        return BINARY if self.route.returns is bytes else JSON

    def as_stream(self) -> Self:
        """Return the operation that requests a stream of events.

        Raises:
            ConfigurationError: The operation has no such form.
        """
        if self.accept == EVENT_STREAM:
            return self
        if not hasattr(self, "stream"):
            raise ConfigurationError(f"{type(self).__name__} cannot respond with a stream")
        operation: Any = self
        return attrs.evolve(operation, stream=True)  # type: ignore[no-any-return]


def _check_segment(operation: object, field: Field, text: str) -> None:
    """Accept an id as one path segment. The codec percent-encodes it, so it cannot change the structure of the URL."""
    check_text(operation, field, text)
    if is_ascii_identifier(text):
        return
    if not text:
        raise ConfigurationError(f"{field.name} is empty")
    if unquote(text) in (".", ".."):
        raise ConfigurationError(f"{field.name} must not be {text!r}, which servers and proxies resolve as a directory")
    if _CONTROL.search(text):
        raise ConfigurationError(f"{field.name} contains a control character")
    if _SURROGATE.search(text):
        raise ConfigurationError(f"{field.name} contains a lone surrogate, which UTF-8 cannot encode")


def _check_path(operation: object, field: Field, text: str) -> None:
    """Accept a relative path. Its slashes are structure; each segment is checked as an id is."""
    check_text(operation, field, text)
    for segment in text.split("/"):
        if not segment:
            raise ConfigurationError(f"{field.name} is empty, or has an empty segment: {quoted(text)}")
        _check_segment(operation, field, segment)


@frozen_model
class CreateWorker(Operation[Worker]):
    """Create a worker and start it with an instruction.

    Args:
        input: The instruction.
        budget: The cost limit; None for the service's default.
        stream: Request a stream of events instead of the worker.
    """

    route = Route("POST", "/api/workers", Worker)

    input: str = attrs.field(validator=check_text)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)
    stream: bool = attrs.field(default=False, validator=check_flag)


@frozen_model
class RetrieveWorker(Operation[Worker]):
    """Retrieve the current state of a worker.

    Args:
        worker_id: The id of the worker.
        stream: Request a stream of events instead of the worker.
    """

    route = Route("GET", "/api/workers/{worker_id}", Worker)

    worker_id: str = attrs.field(validator=_check_segment)
    stream: bool = attrs.field(default=False, validator=check_flag)


@frozen_model
class ContinueWorker(Operation[Worker]):
    """Send another instruction to an existing worker.

    Args:
        worker_id: The id of the worker.
        input: The instruction.
        budget: The cost limit; None for the service's default.
        stream: Request a stream of events instead of the worker.
    """

    route = Route("POST", "/api/workers/{worker_id}", Worker)

    worker_id: str = attrs.field(validator=_check_segment)
    input: str = attrs.field(validator=check_text)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)
    stream: bool = attrs.field(default=False, validator=check_flag)


@frozen_model
class StreamWorkerUpdates(Operation[list[ServerSentEvent]]):
    """Subscribe to the updates of a worker.

    Args:
        worker_id: The id of the worker.
    """

    route = Route("GET", "/api/workers/{worker_id}/stream", ServerSentEvent)

    worker_id: str = attrs.field(validator=_check_segment)


@frozen_model
class RetrieveWorkerEmail(Operation[str]):
    """Retrieve the e-mail address of a worker.

    Args:
        worker_id: The id of the worker.
    """

    route = Route("GET", "/api/workers/{worker_id}/email", str)

    worker_id: str = attrs.field(validator=_check_segment)


@frozen_model
class RetrieveWorkerFile(Operation[bytes]):
    """Retrieve a file published by a worker.

    Args:
        file_path: Its path in the worker's space; slashes separate directories.
        worker_id: The id of the worker.
    """

    route = Route("GET", "/api/workers/{worker_id}/files/{file_path...}", bytes)

    file_path: str = attrs.field(validator=_check_path)
    worker_id: str = attrs.field(validator=_check_segment)


@frozen_model
class ListSchedules(Operation[ScheduleListResponse]):
    """List the schedules of a worker.

    Args:
        worker_id: The id of the worker.
    """

    route = Route("GET", "/api/workers/{worker_id}/schedules", ScheduleListResponse)

    worker_id: str = attrs.field(validator=_check_segment)


@frozen_model
class CreateSchedule(Operation[WorkerSchedule]):
    """Schedule an instruction for one future run or for recurring runs.

    Args:
        worker_id: The id of the worker.
        input: The instruction.
        when: One of the When classes, or a dict with its ``type`` and its fields.
        budget: The cost limit of each run; None for the service's default.
    """

    route = Route("POST", "/api/workers/{worker_id}/schedules", WorkerSchedule)

    worker_id: str = attrs.field(validator=_check_segment)
    input: str = attrs.field(validator=check_text)
    when: When = attrs.field(converter=to_when)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)


@frozen_model
class CancelSchedule(Operation[ScheduleCancelResponse]):
    """Cancel a schedule of a worker.

    Args:
        schedule_id: The id of the schedule.
        worker_id: The id of the worker.
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
