"""Operations and results to HTTP messages, and back: four pure functions.

::

    encode_request(operation)             -> Request        the client's direction
    decode_response(operation, Response)  -> result

    decode_request(Request)               -> operation      the service's direction
    encode_response(operation, result)    -> Response

The lower two undo the upper two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

from ._json import dumps, loads
from .converter import describe, structure, to_dict, to_json, unstructure
from .errors import APIResponseValidationError, ConfigurationError, shorten, status_error_class
from .http import Headers, Request, Response, is_plain, new_request
from .operations import BINARY, EVENT_STREAM, HOLE, JSON, OPERATIONS, Operation
from .retry import parse_retry_after
from .sse import EventParser, ServerSentEvent, encode_event

__all__ = ["decode_request", "decode_response", "encode_request", "encode_response", "to_dict", "to_json"]

R = TypeVar("R")


# The client's direction ###############################################################################################

#: What stands unescaped in a segment beside letters, digits and ``-._~``: the rest of RFC 3986's pchar.
_SAFE = "!$&'()*+,;=:@"

#: The header fields of a request by what it accepts, without a body and with one: checked and merged once.
_BARE = {accept: Headers({"Accept": accept}) for accept in (JSON, EVENT_STREAM, BINARY)}
_WITH_JSON = {accept: headers | {"Content-Type": JSON} for accept, headers in _BARE.items()}


@cache
def _holes(path: str) -> list[tuple[str, str, str]]:
    """Return each hole in the path of a route, the field that fills it, and what stands unescaped there."""
    return [(hole[0], hole[1], _SAFE + "/" if hole[2] else _SAFE) for hole in HOLE.finditer(path)]


def _fill(operation: Operation[Any]) -> str:
    path = operation.route.path
    for hole, name, safe in _holes(path):
        text = getattr(operation, name)
        # What is filled in has no braces, so it is not taken for a hole.
        path = path.replace(hole, text if is_plain(text) else quote(text, safe=safe))
    return path


def _query_value(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def to_query(fields: Mapping[str, Any]) -> str:
    """Return ``fields`` as the query of a URL, percent-encoded; booleans are ``true`` and ``false``, None is left out.

    Raises:
        ConfigurationError: It is no mapping, or holds half a surrogate pair.
    """
    if not isinstance(fields, Mapping):
        raise ConfigurationError(f"query must be a mapping, not {type(fields).__name__}")
    try:
        return urlencode([(name, _query_value(value)) for name, value in fields.items() if value is not None])
    except UnicodeEncodeError:
        raise ConfigurationError("query holds half a surrogate pair, which UTF-8 cannot carry") from None


def encode_request(operation: Operation[Any]) -> Request:
    """Return the request that performs an operation.

    Args:
        operation: The operation.

    Returns:
        The request, without authentication: `handinger_async.http.Endpoint` adds it.
    """
    target = _fill(operation)
    fields = unstructure(operation)
    method, accept = operation.route.method, operation.accept
    if method == "POST":
        return new_request("POST", target, _WITH_JSON[accept], dumps(fields))
    if query := to_query(fields) if fields else "":
        target = f"{target}?{query}"
    return new_request(method, target, _BARE[accept], b"")


def decode_response(operation: Operation[R], response: Response) -> R:
    """Return what an operation was answered.

    Args:
        operation: The operation that was sent.
        response: The whole answer.

    Returns:
        The result: a model, ``str`` for an e-mail address, ``bytes`` for a file, a list of events for a stream.

    Raises:
        APIStatusError: The status is not 2xx.
        APIResponseValidationError: The status is, but the body cannot be read.
    """
    if not 200 <= response.status < 300:
        raise_for_status(response, _call(operation))
    try:
        return _decode_body(operation, response)  # type: ignore[no-any-return]
    except APIResponseValidationError as error:
        error.response, error.call = response, _call(operation)
        raise


def _call(operation: Operation[Any]) -> str:
    return f"{operation.route.method} {_fill(operation)}"


def _decode_body(operation: Operation[Any], response: Response) -> Any:
    if operation.streams:
        return _decode_events(response)
    if operation.route.returns is bytes:
        return response.body
    if operation.route.returns is str:
        return _decode_email(response)
    return structure(_decode_json(response), operation.route.returns)


def _decode_json(response: Response) -> Any:
    if not response.body.strip():
        raise APIResponseValidationError("the body is empty, where JSON was expected")
    try:
        return loads(response.body)
    except ValueError as error:
        media_type = response.media_type or "no content type"
        reason = f"the body is not JSON ({shorten(str(error), 120)}; {shorten(media_type, 60)}): {quote_body(response)}"
    raise APIResponseValidationError(reason)


def _decode_email(response: Response) -> str:
    """Return the address, which is a JSON string, or plain text from a service that sends it bare."""
    try:
        address = _decode_json(response)
    except APIResponseValidationError:
        if response.media_type not in ("text/plain", "") or response.body.lstrip().startswith(b"<"):
            raise
        try:
            address = response.body.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            address = None
        if not address:
            raise
    if not isinstance(address, str):
        raise APIResponseValidationError(f"$ must be a string, not {describe(address)}")
    return address


def _decode_events(response: Response) -> list[ServerSentEvent]:
    check_event_stream(response)
    parser = EventParser()
    events = parser.feed(response.body)
    if parser.truncated:
        raise APIResponseValidationError("the stream ends in the middle of an event")
    parser.close()  # raises what was due after events that were complete
    return events


def check_event_stream(response: Response) -> None:
    """Refuse a 2xx that is no stream of events; a 204 is one that has ended (HTML, section 9.2.2).

    Raises:
        APIResponseValidationError: The content type is another.
    """
    if response.status != 204 and response.media_type != EVENT_STREAM:
        found = shorten(response.media_type or "no content type", 60)
        raise APIResponseValidationError(f"the answer is {found}, not {EVENT_STREAM}", response=response)


def raise_for_status(response: Response, call: str) -> None:
    """Raise the error that an answer stands for, if it stands for one.

    Args:
        response: The answer.
        call: What was asked: ``"GET /api/workers/w1"``.

    Raises:
        APIStatusError: The status is not 2xx.
    """
    if 200 <= response.status < 300:
        return
    body = _error_body(response)
    message, code = _error_message(body)
    error = status_error_class(response.status)(
        shorten(message),
        response=response,
        body=body,
        code=code,
        retry_after=parse_retry_after(response.headers),
    )
    error.call = call
    raise error


#: `copy.deepcopy` takes two of the interpreter's 1000 frames a level.
_DEEPEST_ERROR_BODY = 100


def _error_body(response: Response) -> Any:
    """Return what an error says: its JSON, else its text, else None."""
    text = response.body.decode("utf-8-sig", errors="replace").strip() or None
    try:
        body = loads(response.body)
    except ValueError:
        return text
    return text if _is_deep(body) else body


def _is_deep(body: Any) -> bool:
    """Whether ``body`` is nested so deeply that an error which holds it could not be copied or pickled."""
    level = [body]
    for _ in range(_DEEPEST_ERROR_BODY):
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return False
    return True


def _error_message(body: Any) -> tuple[str, str | None]:
    """Return message and code of ``{"error": {"message", "code"}}``, ``{"message", "code"}``, ``{"error"}`` or text."""
    if isinstance(body, str) and not body.startswith("<"):
        return body, None
    if not isinstance(body, dict):
        return "", None
    error = body.get("error")
    places = [error, body] if isinstance(error, dict) else [body, {"message": error}]
    messages = [place.get("message") for place in places]
    codes = [place.get("code") for place in places]
    return (
        next((message for message in messages if message and isinstance(message, str)), ""),
        next((str(code) for code in codes if code and isinstance(code, str | int)), None),
    )


def quote_body(response: Response) -> str:
    """Return the beginning of a body, for an error message."""
    return repr(shorten(response.body[:1000].decode(errors="replace"), 120))


# The service's direction ##############################################################################################


@cache
def _path_pattern(path: str) -> re.Pattern[str]:
    """Return what matches the paths of a route; no segment of them is empty, but perhaps in a ``{hole...}``."""
    pattern = HOLE.sub(lambda hole: f"(?P<{hole[1]}>{'.+' if hole[2] else '[^/]+'})", path)
    return re.compile(pattern)


def decode_request(request: Request) -> Operation[Any]:
    """Return the operation that a request performs.

    Args:
        request: The request; its target is the path below the base URL.

    Returns:
        The operation.

    Raises:
        LookupError: No operation has this method and path.
        ValueError: One has, but the ids, the query or the body do not fit it; the message says where.
    """
    path, _, query = request.target.partition("?")
    for cls in OPERATIONS:
        if cls.route.method == request.method and (match := _path_pattern(cls.route.path).fullmatch(path)):
            holes = {name: unquote(text, errors="strict") for name, text in match.groupdict().items()}
            return _decode_operation(cls, holes, query, request)
    raise LookupError(f"there is no {shorten(request.method)} {shorten(path)}")


def _decode_operation(cls: type[Operation[Any]], holes: dict[str, str], query: str, request: Request) -> Operation[Any]:
    if cls.route.method == "POST":
        document = loads(request.body)
        if not isinstance(document, dict):
            raise ValueError("$ must be an object")
    else:
        document = {name: _QUERY_VALUES.get(value, value) for name, value in parse_qsl(query)}
        if EVENT_STREAM in request.headers.get("accept", "").lower():
            document["stream"] = True
    given = {name: item for name, item in document.items() if item is not None}
    try:
        operation: Operation[Any] = structure({**given, **holes}, cls)
    except APIResponseValidationError as error:
        raise ValueError(str(error)) from None
    return operation


_QUERY_VALUES = {"true": True, "false": False}


def encode_response(operation: Operation[R], result: R) -> Response:
    """Return the answer that carries a result.

    Args:
        operation: The operation that was asked for.
        result: What `decode_response` is to return for it.

    Returns:
        The answer, with status 200.
    """
    if operation.streams:
        return _answer(EVENT_STREAM, b"".join(_encode_events(result)))  # type: ignore[arg-type]
    if isinstance(result, bytes):
        return _answer(BINARY, result)
    return _answer(JSON, dumps(result if isinstance(result, str) else to_dict(result)))


def _answer(content_type: str, body: bytes) -> Response:
    return Response(200, {"Content-Type": content_type}, body)


def _encode_events(events: Iterable[ServerSentEvent]) -> Iterable[bytes]:
    """Encode events that follow each other: one without an id forgets the id of the one before."""
    last_id = ""
    for event in events:
        yield b"id\n" if last_id and not event.id else b""
        yield encode_event(event)
        last_id = event.id
