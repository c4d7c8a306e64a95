"""The base of the resources: the part of a session that they need, and decorators of their methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property, wraps
from types import CoroutineType
from typing import Any, Protocol, TypeVar, get_type_hints

from .._asyncio.calls import Settings
from ..models import File
from ..operations import Operation
from ..streams import EventStream, FileDownload

__all__ = ["Sender", "coroutine_function", "resource", "settings_of", "to_schema"]

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class resource(cached_property[R]):  # noqa: N801 - as cached_property
    """A cached property. On the class it is the type of its value, where ``mock.create_autospec`` finds the methods."""

    # Not overloaded for type checkers: editors that use jedi would show each method twice, with and without self.
    def __get__(self, instance: object, owner: type[Any] | None = None) -> R:  # type: ignore[override]
        if instance is None:
            on_class: Any = get_type_hints(self.func)["return"]
            return on_class  # type: ignore[no-any-return]
        return super().__get__(instance, owner)


def coroutine_function(method: F) -> F:
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

    def download(self, source: Operation[bytes] | File) -> FileDownload:
        """Send an operation whose response is a file, or download a published file."""
        ...


def to_schema(output_schema: type[Any] | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the JSON Schema of an argument ``output_schema``."""
    if output_schema is None:
        return None
    from ..schema import make_schema  # here, since most programs make no schema

    return make_schema(output_schema)


def settings_of(sender: Sender) -> Settings:
    """Return the settings of a session, for runs, which consist of several calls."""
    session: Any = sender
    return session._settings  # type: ignore[no-any-return]  # noqa: SLF001 - the resources are a part of the session
