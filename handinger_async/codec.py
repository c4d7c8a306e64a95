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
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl, quote, unquote

import attrs

from ._checks import encode_json
from ._converter import structure, to_dict, to_json, unstructure, wire_name
from ._forms import FILES_FIELD, decode_form, encode_form, is_form
from ._hooks import describe
from ._json import dumps, loads
from ._operation import PATH_PARAMETER
from ._query import to_query
from .errors import APIError, APIResponseValidationError, shorten, status_error_class
from .http import BINARY, EVENT_STREAM, JSON, Headers, Request, Response, is_ascii_identifier
from .models import UNSET, Webhook, Worker, WorkerTemplate
from .operations import OPERATIONS, Operation
from .resume import check_event_stream
from .retry import parse_retry_after
from .sse import EventParser, ServerSentEvent, encode_event

__all__ = [
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "raise_for_status",
    "to_dict",
    "to_json",
]

R = TypeVar("R")


# Client direction #####################################################################################################

#: Characters of a path segment that need no percent-encoding, beside letters, digits and ``-._~`` (RFC 3986, pchar).
_SAFE = "!$&'()*+,;=:@"

#: The headers of a request by media type of the response, without and with a JSON body.
_HEADERS = {accept: Headers({"Accept": accept}) for accept in (JSON, EVENT_STREAM, BINARY)}
_HEADERS[EVENT_STREAM] |= {"Cache-Control": "no-cache"}  # HTML, section 9.2.2
_JSON_HEADERS = {accept: headers | {"Content-Type": JSON} for accept, headers in _HEADERS.items()}


@cache
def _placeholders(path: str) -> list[tuple[str, str, str]]:
    """Return the path parameters of a route: placeholder, field, and the characters left unescaped."""
    return [(found[0], found[1], _SAFE + "/" if found[2] else _SAFE) for found in PATH_PARAMETER.finditer(path)]


def _path(operation: Operation[Any]) -> str:
    path = operation.route.path
    for placeholder, name, safe in _placeholders(path):
        text = getattr(operation, name)
        # Percent-encoding escapes braces, so a value cannot be mistaken for a placeholder.
        path = path.replace(placeholder, text if is_ascii_identifier(text) else quote(text, safe=safe))
    return path


@cache
def _has_body(cls: Any) -> bool:
    """Return True if the operations of a class have a JSON body; False for ``POST …/regenerate-token``."""
    return bool(cls.body_fields())


def encode_request(operation: Operation[Any], *, boundary: str | None = None) -> Request:
    """Encode an operation as a request.

    Files are not read, but asked for their sizes. They are read when the request is sent.

    Args:
        operation: The operation.
        boundary: The separator of the parts if there are files; None for a random one.

    Returns:
        The request, without host and credentials: `handinger_async.http.Endpoint` adds them. With files, its body is a
        `handinger_async.http.MultipartBody`.

    Raises:
        OSError: A file does not exist any more.
        ConfigurationError: A field is nested too deeply to encode.
    """
    route, accept = operation.route, operation.accept
    target = _path(operation)
    fields = unstructure(operation)
    if _has_body(type(operation)):  # type: ignore[arg-type]
        if files := fields.pop(FILES_FIELD, None):
            form = encode_form(fields, files, boundary)
            return Request(route.method, target, _HEADERS[accept] | {"Content-Type": form.content_type}, form)
        return Request(route.method, target, _JSON_HEADERS[accept], encode_json(fields, type(operation).__name__))
    if query := to_query(fields) if fields else "":
        target = f"{target}?{query}"
    return Request(route.method, target, _HEADERS[accept])


def decode_response(operation: Operation[R], response: Response) -> R:
    """Decode the response to an operation.

    Args:
        operation: The operation that was sent.
        response: The complete response.

    Returns:
        The result: a model, ``str`` for an e-mail address, ``bytes`` for a file, a list of events for a stream.

    Raises:
        APIStatusError: The status is not 2xx.
        APIResponseValidationError: The status is 2xx, but the body cannot be decoded.
    """
    try:
        raise_for_status(response)
        return _decode_body(operation, response)  # type: ignore[no-any-return]
    except APIError as error:
        if isinstance(error, APIResponseValidationError):
            error.response = response
        error.add_context(f"{operation.route.method} {_path(operation)}")
        raise


def _decode_body(operation: Operation[Any], response: Response) -> Any:
    accept = operation.accept
    if accept == EVENT_STREAM:
        return _decode_events(response)
    if accept == BINARY:
        return response.body
    if operation.route.returns is str:
        return _decode_email(response)
    document = _decode_json(response, secret=operation.route.returns is Webhook)
    try:
        return structure(document, operation.route.returns)
    except APIResponseValidationError:
        if operation.route.returns is not Worker:
            raise
    if not _is_template(document):
        return structure(document, Worker)  # raises again: exceptions made in the handler above would be in a cycle
    raise APIResponseValidationError(
        f"{TEMPLATE_INSTEAD} {shorten(document['id'], 60)} instead of a run: this service is of the newer "
        "generation, use session.run() or session.tasks.create()"
    )


#: The beginning of the message of this error.
TEMPLATE_INSTEAD = "the response is the template"


def _is_template(document: Any) -> bool:
    """Return True for a `WorkerTemplate`, which services of the newer generation send where older ones send a run."""
    try:
        structure(document, WorkerTemplate)
    except APIResponseValidationError:
        return False
    return True


def _decode_json(response: Response, *, secret: bool = False) -> Any:
    """Parse a body; a ``secret`` one is not quoted."""
    if not response.body.strip():
        raise APIResponseValidationError("the body is empty instead of JSON")
    try:
        return loads(response.body)
    except ValueError as error:
        media_type = response.media_type or "no content type"
        reason = f"the body is not JSON ({shorten(str(error), 120)}; {shorten(media_type, 60)})"
        if not secret:
            reason += f": {quote_body(response)}"
    raise APIResponseValidationError(reason)


def _decode_email(response: Response) -> str:
    """Return the address: a JSON string, or plain text from a service that sends it without quotes."""
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
    if isinstance(address, dict) and isinstance(address.get("email"), str):  # services of the newer generation
        return str(address["email"])
    if not isinstance(address, str):
        raise APIResponseValidationError(f"$ must be a string, not {describe(address)}")
    return address


def _decode_events(response: Response) -> list[ServerSentEvent]:
    check_event_stream(response)
    parser = EventParser()
    events = parser.feed(response.body)
    if parser.truncated:
        raise APIResponseValidationError("the stream ends in the middle of an event")
    parser.close()  # raises the error of an event that was too large, after the events before it
    return events


def raise_for_status(response: Response) -> None:
    """Raise the exception for an error status.

    Args:
        response: The response.

    Raises:
        APIStatusError: The status is not 2xx.
    """
    if 200 <= response.status < 300:
        return
    body = _error_body(response)
    message, code = _error_message(body)
    raise status_error_class(response.status)(
        shorten(message),
        response=response,
        body=body,
        code=code,
        retry_after=parse_retry_after(response.headers),
    )


#: Levels. `copy.deepcopy` uses two of the interpreter's 1000 frames for each.
_MAX_ERROR_DEPTH = 100


def _error_body(response: Response) -> Any:
    """Return the body of an error: its JSON, else its text, else None."""
    text = response.body.decode("utf-8-sig", errors="replace").strip() or None
    try:
        body = loads(response.body)
    except ValueError:
        return text
    return text if _is_deep(body) else body


def _is_deep(body: Any) -> bool:
    """Return True if an exception with this body could not be copied or pickled, for its depth."""
    level = [body]
    for _ in range(_MAX_ERROR_DEPTH):
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
    """Return the beginning of a body for an error message."""
    return repr(shorten(response.body[:1000].decode(errors="replace"), 120))


# Service direction ####################################################################################################


@cache
def _path_pattern(path: str) -> re.Pattern[str]:
    """Return the pattern of the paths of a route."""
    pattern = PATH_PARAMETER.sub(lambda found: f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})", path)
    return re.compile(pattern)


def decode_request(request: Request) -> Operation[Any]:
    """Decode a request to the operation it performs.

    Args:
        request: The request; its target is the path below the base URL.

    Returns:
        The operation.

    Raises:
        LookupError: No operation has this method and path.
        ValueError: The ids, the query or the body do not fit the operation; the message says where.
    """
    path, _, query = request.target.partition("?")
    matches = {
        cls: match
        for cls in OPERATIONS
        if cls.route.method == request.method and (match := _path_pattern(cls.route.path).fullmatch(path))
    }
    if not matches:
        raise LookupError(f"there is no {shorten(request.method)} {shorten(path)}")
    first = next(iter(matches))
    if first.route.has_body:
        document = _decode_document(first, request) if _has_body(first) else {}  # type: ignore[arg-type]
    else:
        document = _from_texts(first, dict(parse_qsl(query, keep_blank_values=True)))
    if not isinstance(document, dict):
        raise ValueError("$ must be an object")
    # Two operations may share a route, as CreateWorker and CreateWorkerTemplate do: their required fields tell.
    cls: Any = next((cls for cls in matches if _required_fields(cls) <= document.keys()), first)  # type: ignore[arg-type]
    path_fields = {
        wire_name(cls, name): unquote(text, errors="strict") for name, text in matches[cls].groupdict().items()
    }
    if not cls.route.has_body and accepts_events(request):
        document["stream"] = True
    nullable = {wire_name(cls, field.name) for field in attrs.fields(cls) if field.default in (UNSET, attrs.NOTHING)}
    given = {name: item for name, item in document.items() if item is not None or name in nullable}
    try:
        operation: Operation[Any] = structure(given | path_fields, cls)
    except APIResponseValidationError as error:
        raise ValueError(str(error)) from None
    return operation


def accepts_events(request: Request) -> bool | None:
    """Return True if the request accepts an event stream by name, False if it refuses it, None if it does not name it.

    A weight of 0 refuses (RFC 9110, section 12.4.2).
    """
    for media_range in request.headers.get("accept", "").lower().split(","):
        media_type, *parameters = (part.strip() for part in media_range.split(";"))
        if media_type == EVENT_STREAM:
            return not any(re.fullmatch(_WEIGHT_0, parameter) for parameter in parameters)
    return None


_WEIGHT_0 = r"q=0(\.0{0,3})?"


@cache
def _required_fields(cls: Any) -> set[str]:
    """Return the wire names of the fields that every body of an operation has."""
    fields: Any = attrs.fields_dict(cls)
    return {wire_name(cls, name) for name in cls.body_fields() if fields[name].default is attrs.NOTHING}


def _decode_document(cls: Any, request: Request) -> Any:
    """Return the JSON of a body, or a form as JSON has it, with its files."""
    if is_form(request):
        fields, files = decode_form(request)
        if files and FILES_FIELD not in attrs.fields_dict(cls):
            raise ValueError(f"{cls.route.method} {cls.route.path} takes no files")
        return _from_texts(cls, fields) | ({FILES_FIELD: files} if files else {})
    return loads(request.read_body())


def _from_texts(cls: Any, texts: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a query or a form as JSON has them."""
    types = {wire_name(cls, field.name): field.type for field in attrs.fields(cls)}
    return {name: _from_text(text, types.get(name)) for name, text in texts.items()}


def _from_text(text: str, tp: Any) -> Any:
    """Return a value of a query or a form as JSON has it, by the type of its field."""
    members = get_args(tp) or (tp,)
    if bool in members:
        return {"true": True, "false": False}.get(text, text)
    return int(text) if int in members and re.fullmatch(_INTEGER, text) else text


_INTEGER = "-?[0-9]+"


def encode_response(operation: Operation[R], result: R) -> Response:
    """Encode a result as the response to an operation.

    Args:
        operation: The requested operation.
        result: Its result, which `decode_response` returns for the response.

    Returns:
        The response, with status 200.
    """
    value: Any = result
    accept = operation.accept
    if accept == EVENT_STREAM:
        body = b"".join(_encode_events(value))
    elif accept == BINARY:
        body = value
    else:
        body = dumps(value if isinstance(value, str) else to_dict(value))
    return Response(200, {"Content-Type": accept}, body)


def _encode_events(events: Iterable[ServerSentEvent]) -> Iterable[bytes]:
    """Encode consecutive events. An event without an id resets the id of the event before."""
    last_id = ""
    for event in events:
        yield b"id\n" if last_id and not event.id else b""
        yield encode_event(event)
        last_id = event.id
