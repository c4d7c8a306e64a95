"""What can differ from call to call: how long to wait, what to repeat, what to add to the request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from ._json import dumps, loads
from .codec import to_query
from .errors import ConfigurationError, shorten
from .http import Headers, Request
from .retry import RetryPolicy

__all__ = ["Options", "Timeouts"]


def _seconds(timeouts: Timeouts, field: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ConfigurationError(f"{field.name} must be a number of seconds above zero or None, not {value!r}")


def _unlimited(value: Any) -> Any:
    return None if value == math.inf else value


def _limit(default: float | None) -> Any:
    return attrs.field(default=default, converter=_unlimited, validator=_seconds)


def _instance(cls: type) -> Any:
    def check(options: Options, field: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, cls):
            raise ConfigurationError(f"{field.name} must be a {cls.__name__}, not {shorten(repr(value))}")

    return check


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long to wait, in seconds; None and ``math.inf`` mean for ever.

    Args:
        connect: For a connection.
        attempt: For one attempt: the whole answer, or the headers of a streamed one.
        idle: For the next byte of a streamed body.
        deadline: For everything together: all attempts, the pauses between them, and the body.

    Raises:
        ConfigurationError: A number is not above zero.
    """

    connect: float | None = _limit(5.0)
    attempt: float | None = _limit(60.0)
    idle: float | None = _limit(300.0)
    deadline: float | None = _limit(None)


@attrs.frozen(kw_only=True)
class Options:
    """What can differ from call to call.

    Args:
        timeouts: How long to wait.
        retry: What to repeat.
        headers: Header fields that win over all others.
        query: Query fields that win over the operation's.
        body: Fields of a JSON body that win over the operation's.
    """

    timeouts: Timeouts = attrs.field(validator=_instance(Timeouts))
    retry: RetryPolicy = attrs.field(validator=_instance(RetryPolicy))
    headers: Headers = attrs.field(factory=Headers, converter=Headers)
    query: Mapping[str, Any] = attrs.field(factory=dict, converter=dict)
    body: Mapping[str, Any] = attrs.field(factory=dict, converter=dict)

    def apply(self, request: Request) -> Request:
        """Return ``request`` with these headers, query and body fields.

        Raises:
            ConfigurationError: The body holds what JSON cannot.
        """
        if not (self.headers or self.query or self.body):
            return request
        target, body = request.target, request.body
        if self.query:
            path, _, query = target.partition("?")
            merged = to_query(dict(parse_qsl(query, keep_blank_values=True)) | dict(self.query))
            target = f"{path}?{merged}" if merged else path
        if self.body and isinstance(fields := loads(body) if body else None, dict):
            try:
                body = dumps(fields | dict(self.body))
            except (TypeError, ValueError) as error:
                raise ConfigurationError(f"body cannot be sent: {shorten(str(error))}") from None
        return Request(request.method, target, request.headers | self.headers, body)
