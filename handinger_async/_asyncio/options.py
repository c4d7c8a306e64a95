"""Per-call options: timeouts, retries, and additions to the request."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from urllib.parse import unquote_plus

import attrs

from .._checks import encode_json, is_number
from .._forms import replace_fields
from .._json import loads
from .._query import check_names, join_queries, to_query
from .._values import by_value
from ..errors import ConfigurationError, quoted, shorten
from ..http import Headers, MultipartBody, Request, hide, is_sendable
from ..retry import RetryPolicy

__all__ = ["Options", "Timeouts", "add_custom_headers", "hide_credentials"]

_CUSTOM_HEADERS = "HANDINGER_CUSTOM_HEADERS"

#: They frame the body, which the transport does.
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def _seconds(timeouts: Timeouts, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not (is_number(value) and value > 0):
        raise ConfigurationError(f"{field.name} must be a number of seconds above zero or None, not {quoted(value)}")


def _unlimited(value: Any) -> Any:
    return None if isinstance(value, float) and value == math.inf else value


def _limit(default: float | None) -> Any:
    return attrs.field(default=default, converter=_unlimited, validator=_seconds)


def _instance(cls: type) -> Any:
    def check(options: Options, field: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, cls):
            raise ConfigurationError(f"{field.name} must be a {cls.__name__}, not {quoted(value)}")

    return check


@by_value
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Timeouts:
    """Timeouts in seconds; None and ``math.inf`` mean no limit.

    Args:
        connect: To connect: name resolution, all addresses of the server, the tunnel of a proxy, and the TLS handshake.
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


@by_value
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Options:
    """Per-call options.

    Args:
        timeouts: The timeouts.
        retry: The retry policy.
        headers: Header fields; they win over all others.
        omitted: Names, in lower case, of header fields to leave out.
        query: Query fields, each by its name as a percent-encoded query; they win over those of the operation.
        body: Fields of a JSON body; they win over those of the operation.
    """

    timeouts: Timeouts = attrs.field(validator=_instance(Timeouts))
    retry: RetryPolicy = attrs.field(validator=_instance(RetryPolicy))
    headers: Headers = attrs.field(factory=Headers)
    omitted: frozenset[str] = frozenset()
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, Any] = attrs.field(factory=dict)

    def extend(
        self,
        *,
        headers: Mapping[str, str | None] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Options:
        """Return options with further header, query and body fields, which win over these.

        Args:
            headers: Header fields; None leaves out the field of this name.
            query: Query fields.
            body: Fields of JSON bodies.

        Raises:
            ConfigurationError: An argument is not a mapping, or cannot be sent.
        """
        for argument, given in {"headers": headers, "query": query, "body": body}.items():
            if given is not None and not isinstance(given, Mapping):  # omit the value, which may contain a secret
                raise ConfigurationError(f"{argument} must be a mapping, not {type(given).__name__}")
        if not (headers or query or body):
            return self
        fields = headers or {}
        added = Headers({name: value for name, value in fields.items() if value is not None})
        omitted = frozenset(name.lower() for name in Headers(dict.fromkeys(fields, "")) if name not in added)
        for name, value in added.items():
            if name.lower() in _FRAMING:
                raise ConfigurationError(f"header {name} cannot be set: the transport sends it if there is a body")
            if name.lower() == "idempotency-key" and not value.strip():
                raise ConfigurationError("the idempotency key is empty")
            if not is_sendable(value):
                raise ConfigurationError(f"the value of header {name} contains a control character or a lone surrogate")
        return attrs.evolve(
            self,
            headers=_without(self.headers, omitted) | added,
            omitted=(self.omitted | omitted).difference(map(str.lower, added)),
            query={**self.query, **{name: to_query({name: value}) for name, value in (query or {}).items()}},
            body={**self.body, **_copy(body or {})},
        )

    def without_additions(self) -> Options:
        """Return the options for a request that the caller did not ask for: no idempotency key, body and query."""
        headers = _without(self.headers, frozenset({"idempotency-key"}))
        return attrs.evolve(self, headers=headers, body={}, query={})

    def apply(self, request: Request) -> Request:
        """Return ``request`` with these headers, query and body fields.

        Raises:
            ConfigurationError: There are body fields, but the body of the request is neither a JSON object nor a form,
                or the form cannot carry one of them: null, a list or an object.
        """
        if not (self.headers or self.query or self.body):
            return request
        target, body = request.target, request.body
        if self.query:
            path, _, query = target.partition("?")
            kept = [pair for pair in query.split("&") if pair and _name(pair) not in self.query]
            merged = join_queries(*kept, *self.query.values())
            target = f"{path}?{merged}" if merged else path
        if self.body:
            body = self._add_fields(request)
        return Request(request.method, target, request.headers | self.headers, body)

    def _add_fields(self, request: Request) -> bytes | MultipartBody:
        if isinstance(request.body, MultipartBody):
            return replace_fields(request.body, self.body)
        try:
            fields = loads(request.body)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            call = f"{request.method} {shorten(request.path)}"
            raise ConfigurationError(f"body fields cannot be added to {call}: its body is not a JSON object")
        return encode_json(fields | dict(self.body), "body")

    def replaces(self, name: str) -> bool:
        """Return True if the header field of this name, in lower case, is given here or left out."""
        return name in self.headers or name in self.omitted

    def omit(self, request: Request) -> Request:
        """Return a prepared request without the header fields to leave out."""
        if not self.omitted:
            return request
        return Request(request.method, request.target, _without(request.headers, self.omitted), request.body)


def _without(headers: Headers, names: frozenset[str]) -> Headers:
    if names.isdisjoint(map(str.lower, headers)):
        return headers
    return Headers({name: value for name, value in headers.items() if name.lower() not in names})


def hide_credentials(fields: Any) -> Any:
    """Return the argument ``headers``, unchecked, with a masked ``repr`` of credentials: tracebacks may show it."""
    return {name: hide(name, value) for name, value in fields.items()} if isinstance(fields, Mapping) else fields


def add_custom_headers(options: Options) -> Options:
    """Return options with the header fields in HANDINGER_CUSTOM_HEADERS, lines of ``Name: value``.

    Like the official client, it ignores white space around names and values, and lines without a colon. The last of
    several fields of one name wins.

    Raises:
        ConfigurationError: A field cannot be sent. The message does not quote it, since it may contain a secret.
    """
    lines = os.environ.get(_CUSTOM_HEADERS, "").split("\n")
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not colon:
            continue
        try:
            options = options.extend(headers=hide_credentials({name.strip(): value.strip()}))
        except ConfigurationError:
            refused = number
            break
    else:
        return options
    del lines, line, name, value  # tracebacks may show local variables
    raise ConfigurationError(
        f"line {refused} of the environment variable {_CUSTOM_HEADERS} is not a header that can be sent: 'Name: value'"
    )


def _name(pair: str) -> str:
    """Return the name of a field of a query."""
    return unquote_plus(pair.partition("=")[0])


def _copy(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of fields of a body, which later changes of the caller's lists and dicts do not change."""
    check_names(body, "body")
    encode_json(body, "body")
    try:
        return deepcopy(dict(body))
    except RecursionError:
        raise ConfigurationError("body cannot be encoded as JSON: nested too deeply") from None
