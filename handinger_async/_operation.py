"""`Operation` and `Route`: the base of the declarations in `handinger_async.operations`, and checks of their paths."""

import re
from typing import Any, ClassVar, Generic, Self, TypeVar
from urllib.parse import unquote

import attrs

from ._checks import has_surrogate
from ._values import by_value
from .errors import ConfigurationError, quoted
from .http import BINARY, EVENT_STREAM, JSON, is_ascii_identifier
from .models._checks import Field, check_text
from .sse import ServerSentEvent

__all__ = ["PATH_PARAMETER", "Operation", "Route", "check_path", "check_segment"]

R = TypeVar("R")

#: Unicode category Cc.
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
#: A placeholder in the path of a route: ``{name}`` or ``{name...}``.
PATH_PARAMETER = re.compile(r"\{(\w+)(\.\.\.)?\}")

#: True: the fields outside the path are sent as a JSON body. False: as the query.
_HAS_BODY = {"GET": False, "DELETE": False, "POST": True, "PUT": True, "PATCH": True}


@by_value
@attrs.frozen(eq=False, repr=False)
class Route:
    """The request line of an operation, and the type of its result.

    Fields outside the path go into a JSON body (POST, PUT, PATCH) or into the query (GET, DELETE).

    Args:
        method: The HTTP method, one of these five.
        path: The path. ``{name}`` stands for a field as one segment, ``{name...}`` for a field that may have slashes.
        returns: The type of the result: a model or ``str``; ``ServerSentEvent`` for a stream, ``bytes`` for a file.
        blocking: True if the response comes when a run is over, perhaps hours later.

    Attributes:
        has_body: True if fields outside the path are sent as a JSON body, False if they are sent as the query.
        path_parameters: The fields in the path, each with True if it may contain slashes.
        accept: The media type of the response: JSON, an event stream, or ``application/octet-stream`` for a file.

    Raises:
        ConfigurationError: There is no rule where to send fields with this method.
    """

    method: str
    path: str
    returns: Any
    blocking: bool = False
    has_body: bool = attrs.field(init=False, eq=False, repr=False)
    path_parameters: dict[str, bool] = attrs.field(init=False, eq=False, repr=False)
    accept: str = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.method not in _HAS_BODY:
            raise ConfigurationError(
                f"a route has no rule for the fields of a {self.method} request: its method must be one of "
                f"{', '.join(_HAS_BODY)}"
            )
        object.__setattr__(self, "has_body", _HAS_BODY[self.method])
        parameters = {name: bool(dots) for name, dots in PATH_PARAMETER.findall(self.path)}
        object.__setattr__(self, "path_parameters", parameters)
        accept = EVENT_STREAM if self.returns is ServerSentEvent else BINARY if self.returns is bytes else JSON
        object.__setattr__(self, "accept", accept)


class Operation(Generic[R]):
    """An operation of the API.

    Its type parameter is the type of the result: ``list[ServerSentEvent]`` for a stream, ``bytes`` for a file.
    """

    __slots__ = ()

    route: ClassVar[Route]

    @classmethod
    def body_fields(cls) -> list[str]:
        """Return the names of the fields that are sent as a JSON body; without any, there is no body."""
        if not cls.route.has_body:
            return []
        fields: Any = cls
        return [name for name in attrs.fields_dict(fields) if name not in cls.route.path_parameters]

    @property
    def accept(self) -> str:
        """The media type of the response; that of the route unless ``stream`` is true."""
        return EVENT_STREAM if getattr(self, "stream", False) else self.route.accept

    @property
    def streams(self) -> bool:
        """True if the response is a stream of events."""
        return self.accept == EVENT_STREAM

    def as_stream(self) -> Self:
        """Return the operation that requests a stream of events.

        Raises:
            ConfigurationError: The operation has no such form.
        """
        if self.streams:
            return self
        if not hasattr(self, "stream"):
            raise ConfigurationError(f"{type(self).__name__} cannot respond with a stream")
        operation: Any = self
        return attrs.evolve(operation, stream=True)  # type: ignore[no-any-return]


def check_segment(operation: object, field: Field, text: str) -> None:
    """Accept an id as one path segment. The codec percent-encodes it, so it cannot change the structure of the URL."""
    check_text(operation, field, text)
    if is_ascii_identifier(text):
        return
    if not text:
        raise ConfigurationError(f"{field.name} is empty")
    if unquote(text) in (".", ".."):
        raise ConfigurationError(f"{field.name} must not be {text!r}, which servers and proxies resolve as a directory")
    if re.search(_CONTROL, text):
        raise ConfigurationError(f"{field.name} contains a control character")
    if has_surrogate(text):
        raise ConfigurationError(f"{field.name} contains a lone surrogate, which UTF-8 cannot encode")


def check_path(operation: object, field: Field, text: str) -> None:
    """Accept a relative path. Its slashes are structure; each segment is checked as an id is."""
    check_text(operation, field, text)
    for segment in text.split("/"):
        if not segment:
            raise ConfigurationError(f"{field.name} is empty, or has an empty segment: {quoted(text)}")
        check_segment(operation, field, segment)
