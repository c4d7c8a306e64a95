"""Requests and responses that nobody should send: decoded, or refused with a short and printable error."""

import copy
import json
import math
import pickle
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handinger_async import errors
from handinger_async.codec import decode_request, decode_response, encode_request, encode_response, to_dict
from handinger_async.errors import APIError, APIResponseValidationError, APIStatusError, HandingerError
from handinger_async.http import Headers, Request, Response
from handinger_async.models import ScheduledWhen
from handinger_async.operations import (
    CancelSchedule,
    CreateSchedule,
    ListSchedules,
    Operation,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
)
from handinger_async.testing.strategies import (
    json_mutations,
    json_values,
    operations,
    results,
)

from .documents import make_response

pytestmark = pytest.mark.long

#: Characters that a terminal obeys or UTF-8 cannot encode.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


# Requests #############################################################################################################

SEGMENTS = st.sampled_from(
    ["api", "workers", "w", "..", "%2e%2e", "", "%", "%FF", "stream", "files", "email", "schedules"]
)

PATHS = st.text() | st.lists(SEGMENTS | st.text()).map(lambda segments: "/" + "/".join(segments))

QUERIES = st.sampled_from(["", "?stream=true", "?stream=1", "?stream=%ff&;=", "?worker_id=x", "?&&=="]) | st.text()

BODIES = st.binary() | json_values().map(lambda value: json.dumps(value).encode())


def decode_or_refuse(request: Request) -> None:
    operation, problem = None, ""
    try:
        operation = decode_request(request)
    except (LookupError, ValueError) as error:
        problem = str(error)
    assert len(problem.encode()) < 2000
    if operation is not None:
        assert decode_request(encode_request(operation)) == operation


@given(st.sampled_from(["GET", "POST", "DELETE", "PUT", "get"]), PATHS, QUERIES, BODIES)
@example("GET", "/api/workers/\ud800", "", b"")
@example("GET", "/api/workers/a" + "b" * 5000 + "/", "", b"")
@example("POST", "/api/workers", "", b"[" * 2000)
@example("POST", "/api/workers", "", b'{"input": ' + b"[" * 900 + b"]" * 900 + b"}")
@example("POST", "/api/workers", "", b'{"input": "x", "budget": NaN}')
def test_decode_request_raises_only_lookup_error_and_value_error(
    method: str, path: str, query: str, body: bytes
) -> None:
    decode_or_refuse(Request(method, path + query, {"Accept": "text/event-stream"}, body))


@given(st.data())
def test_mutated_request_body_is_decoded_or_refused(data: st.DataObject) -> None:
    requests = operations().map(encode_request)
    request = data.draw(requests.filter(lambda request: request.headers.get("content-type") == "application/json"))
    body = data.draw(json_mutations(json.loads(request.read_body())))
    decode_or_refuse(Request(request.method, request.target, request.headers, json.dumps(body).encode()))


# Responses ############################################################################################################

CONTENT_TYPES = st.sampled_from(["application/json", "text/plain", "text/html; charset=utf-8", "text/event-stream", ""])

STATUSES = st.sampled_from([200, 200, 200, 201, 204, 299, 304, 400, 404, 418, 429, 500, 599]) | st.integers(100, 999)

MODELS = st.sampled_from(
    [RetrieveWorker("w"), ListSchedules("w"), CreateSchedule("w", "x", ScheduledWhen("now")), CancelSchedule("s", "w")]
)


def check(error: HandingerError) -> None:
    """Check that an exception is short, printable, copyable and picklable."""
    for text in (str(error), error.message):
        assert len(text.encode()) < 2000
        assert not UNSAFE.search(text)
    for twin in (
        copy.copy(error),
        copy.deepcopy(error),
        *(pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
    ):
        assert type(twin) is type(error)
        assert twin.args == error.args
        assert twin.__dict__ == error.__dict__
        assert str(twin) == str(error)


def decode_or_fail(operation: Operation[Any], response: Response) -> None:
    """Decode a response and check the result, or the error."""
    problem: APIError | None = None
    try:
        result = decode_response(operation, response)
    except (APIResponseValidationError, APIStatusError) as error:
        problem = error
    if problem is None:
        assert 200 <= response.status < 300
        assert decode_response(operation, encode_response(operation, result)) == result
    else:
        assert isinstance(problem, APIStatusError) is not (200 <= response.status < 300)
        assert problem.response is response
        assert problem.call.startswith(f"{operation.route.method} /api/")
        check(problem)


@given(operations(), STATUSES, CONTENT_TYPES, json_values())
@example(RetrieveWorkerEmail("w"), 200, "application/json", None)
@example(RetrieveWorker("w"), 500, "application/json", {"message": {"a": 1}, "code": [1]})
def test_any_json_decodes_or_raises_an_api_error(
    operation: Operation[Any], status: int, content_type: str, document: Any
) -> None:
    decode_or_fail(operation, Response(status, {"Content-Type": content_type}, json.dumps(document).encode()))


@given(operations(), STATUSES, CONTENT_TYPES, st.binary())
@example(RetrieveWorker("w"), 200, "application/json", b"[" * 5000)
@example(RetrieveWorker("w"), 500, "application/json", b"[" * 5000)
@example(RetrieveWorker("w"), 200, "application/json", b"\xef\xbb\xbf{}")
@example(RetrieveWorkerEmail("w"), 200, "text/plain", b"\xff")
@example(RetrieveWorker("w"), 500, "text/html", b"\xef\xbb\xbf<html>")
def test_any_bytes_decode_or_raise_an_api_error(
    operation: Operation[Any], status: int, content_type: str, body: bytes
) -> None:
    decode_or_fail(operation, Response(status, {"Content-Type": content_type}, body))


@given(MODELS, st.data())
def test_mutated_response_decodes_or_raises_an_api_error(operation: Operation[Any], data: st.DataObject) -> None:
    document = data.draw(json_mutations(to_dict(data.draw(results(operation)))))
    decode_or_fail(operation, make_response(json.dumps(document)))


@pytest.mark.parametrize("depth", [90, 300, 900, 1100])
@pytest.mark.parametrize(
    "template",
    [
        "%s",
        '{"message": %s}',
        '{"error": %s}',
        '{"error": {"message": %s, "code": %s}}',
        '{"code": %s, "message": "m"}',
    ],
)
def test_error_body_is_kept_at_any_nesting_depth(template: str, depth: int) -> None:
    body = template.replace("%s", "[" * depth + "]" * depth).encode()
    with pytest.raises(errors.InternalServerError) as caught:
        decode_response(RetrieveWorker("w"), Response(500, {}, body))
    check(caught.value)
    assert caught.value.body


# Exceptions ###########################################################################################################

HOSTILE = st.text() | st.text("a\ud800\x1b\r\n\0\U0001f600<", min_size=1).map(lambda text: text * 1000)

HEADER_VALUES = HOSTILE.map(lambda text: text.translate(dict.fromkeys(b"\r\n\0")))


@st.composite
def exceptions(draw: st.DrawFn) -> HandingerError:
    cls = getattr(errors, draw(st.sampled_from(errors.__all__)))
    if issubclass(cls, APIStatusError):
        names = st.sampled_from(["x-request-id", "cf-ray", "content-type"])
        response = Response(draw(st.integers(100, 999)), draw(st.dictionaries(names, HEADER_VALUES)), draw(st.binary()))
        error = cls(
            draw(HOSTILE),
            response=response,
            body=draw(json_values()),
            code=draw(st.none() | HOSTILE),
            retry_after=draw(st.none() | st.floats(0, math.inf)),
        )
    elif issubclass(cls, APIResponseValidationError):
        error = cls(draw(HOSTILE), path=draw(st.text()), response=draw(st.none() | st.just(Response(200, {}, b"{}"))))
    elif cls is errors.StreamInterruptedError:
        error = cls(draw(HOSTILE), last_event_id=draw(st.text()), events_seen=draw(st.integers(0)))
    elif issubclass(cls, errors.APIConnectionError):
        error = cls(draw(HOSTILE), request_sent=draw(st.booleans()))
    else:
        error = cls(draw(HOSTILE))
    if isinstance(error, errors.APIError):
        error.call = draw(HOSTILE)
        error.attempts = draw(st.integers(1, 1000))
    return error  # type: ignore[no-any-return]


@given(exceptions())
def test_exceptions_pickle_and_copy_with_all_attributes(error: HandingerError) -> None:
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert twin.__dict__ == error.__dict__
        assert (twin.args, str(twin)) == (error.args, str(error))


@given(exceptions())
def test_text_of_an_api_error_is_short_and_printable(error: HandingerError) -> None:
    if isinstance(error, errors.APIError):
        text = str(error)
        assert len(text.encode()) < 2000
        assert not UNSAFE.search(text)


@given(st.data(), HOSTILE, HOSTILE, HEADER_VALUES)
def test_hostile_response_to_a_hostile_id_has_a_short_error(
    data: st.DataObject, message: str, code: str, header: str
) -> None:
    operation = RetrieveWorkerFile("p" * 2500, data.draw(st.sampled_from(["\U0001f600" * 700, "w"])))
    document = data.draw(
        st.sampled_from(
            [
                {"error": {"message": message, "code": code}},
                {"message": message, "code": code},
                {"error": message},
                message,
                [message],
            ]
        )
    )
    headers = Headers({"X-Request-Id": header, "Content-Type": header})
    response = Response(data.draw(st.sampled_from([200, 304, 404, 503])), headers, json.dumps(document).encode())
    decode_or_fail(operation, response)
    decode_or_fail(ListSchedules(operation.worker_id), response)
    decode_or_fail(RetrieveWorker(operation.worker_id, stream=True), response)
