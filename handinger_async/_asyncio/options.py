"""Per-call options: timeouts, retries, and additions to the request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from .._json import dumps, loads
from ..codec import to_query
from ..errors import ConfigurationError, shorten
from ..http import Headers, Request
from ..retry import RetryPolicy

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
    """Timeouts in seconds; None and ``math.inf`` mean no limit.

    Args:
        connect: To connect.
        attempt: For one attempt: the complete response, or the headers of a streamed one.
        idle: Between two chunks of a streamed body.
        deadline: For the whole call: all attempts, the delays between them, and the body.

    Raises:
        ConfigurationError: A value is not a number above zero.
    """

    connect: float | None = _limit(5.0)
    attempt: float | None = _limit(60.0)
    idle: float | None = _limit(300.0)
    deadline: float | None = _limit(None)


@attrs.frozen(kw_only=True)
class Options:
    """Per-call options.

    Args:
        timeouts: The timeouts.
        retry: The retry policy.
        headers: Header fields; they win over all others.
        query: Query fields; they win over those of the operation.
        body: Fields of a JSON body; they win over those of the operation.
    """

    timeouts: Timeouts = attrs.field(validator=_instance(Timeouts))
    retry: RetryPolicy = attrs.field(validator=_instance(RetryPolicy))
    headers: Headers = attrs.field(factory=Headers, converter=Headers)
    query: Mapping[str, Any] = attrs.field(factory=dict, converter=dict)
    body: Mapping[str, Any] = attrs.field(factory=dict, converter=dict)

    def apply(self, request: Request) -> Request:
        """Return ``request`` with these headers, query and body fields.

        Raises:
            ConfigurationError: A body field cannot be encoded as JSON.
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
