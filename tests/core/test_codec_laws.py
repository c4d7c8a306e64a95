"""The laws of the codec: two of its functions undo the other two, and nothing that a server sends gets out of hand."""

import copy
import json
import math
import pickle
import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from yarl import URL

from handinger_async import errors
from handinger_async.codec import decode_request, decode_response, encode_request, encode_response, to_dict, to_json
from handinger_async.errors import APIError, APIResponseValidationError, APIStatusError, HandingerError
from handinger_async.http import Endpoint, Headers, Request, Response
from handinger_async.models import ScheduledWhen
from handinger_async.operations import (
    CancelSchedule,
    CreateSchedule,
    ListSchedules,
    Operation,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    path_fields,
)
from handinger_async.testing.strategies import (
    json_mutations,
    json_values,
    operations,
    results,
    schedules,
    workers,
)

#: What a terminal would obey, or a log file could not hold.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def answer(document: Any, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


# Requests #############################################################################################################


def holds_datetime(operation: Operation[Any]) -> bool:
    when = getattr(operation, "when", None)
    return isinstance(when, ScheduledWhen) and isinstance(when.date, datetime)


@given(operations())
def test_decode_request_undoes_encode_request(operation: Operation[Any]) -> None:
    request = encode_request(operation)
    decoded = decode_request(request)
    assert encode_request(decoded) == request
    if not holds_datetime(operation):
        assert decoded == operation


@given(st.datetimes() | st.datetimes(timezones=st.timezones()))
def test_a_datetime_comes_back_as_its_iso_text(date: datetime) -> None:
    decoded = decode_request(encode_request(CreateSchedule("w", "x", ScheduledWhen(date))))
    assert decoded == CreateSchedule("w", "x", ScheduledWhen(date.isoformat()))


@given(operations())
def test_a_target_has_the_segments_of_its_route_whatever_the_ids_are(operation: Operation[Any]) -> None:
    request = encode_request(operation)
    path, mark, query = request.target.partition("?")
    assert "?" not in query
    assert "#" not in request.target
    assert query == ("stream=true" if mark else "")
    assert request.target.isascii()
    assert request.target.isprintable()
    wanted = []
    for piece in operation.route.path.split("/"):
        if not piece.startswith("{"):
            wanted.append([piece])
        elif piece.endswith("...}"):
            wanted.append(getattr(operation, piece[1:-4]).split("/"))
        else:
            wanted.append([getattr(operation, piece[1:-1])])
    assert [unquote(segment) for segment in path.split("/")] == [segment for part in wanted for segment in part]


@given(operations(), st.sampled_from(["https://example.com", "http://localhost:8790/a/b/", "https://h/%2Fp"]))
def test_the_url_that_is_called_ends_in_the_target(operation: Operation[Any], base_url: str) -> None:
    request = encode_request(operation)
    url, sent = Endpoint(base_url, "key").prepare(request)
    base = URL(base_url)
    assert url.origin() == base.origin()
    assert url.raw_path == base.raw_path.rstrip("/") + request.path
    assert str(url) == base_url.rstrip("/") + request.target
    assert URL(str(url), encoded=True).raw_path_qs == url.raw_path_qs
    assert (sent.method, sent.target, sent.body) == (request.method, request.target, request.body)


@given(operations(), st.data())
def test_a_path_that_says_more_than_the_ids_is_never_built(operation: Operation[Any], data: st.DataObject) -> None:
    """An id is refused, or arrives as it was given: it cannot come to mean another worker or another operation."""
    text = data.draw(
        st.text(min_size=1) | st.sampled_from(["..", "a/../b", "%2e%2e", "a?stream=true", "a#b", "a%2Fb", "", "a/"])
    )
    names = list(path_fields(type(operation)))
    assume(names)
    try:
        changed = attrs.evolve(operation, **{data.draw(st.sampled_from(names)): text})  # type: ignore[misc]
    except errors.ConfigurationError:
        return
    decoded = decode_request(encode_request(changed))
    assert type(decoded) is type(operation)
    assert all(getattr(decoded, name) == getattr(changed, name) for name in names)


PIECES = st.sampled_from(
    ["api", "workers", "w", "..", "%2e%2e", "", "%", "%FF", "stream", "files", "email", "schedules"]
)
PATHS = st.text() | st.lists(PIECES | st.text()).map(lambda pieces: "/" + "/".join(pieces))
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
def test_decode_request_of_anything_raises_only_lookup_error_and_value_error(
    method: str, path: str, query: str, body: bytes
) -> None:
    decode_or_refuse(Request(method, path + query, {"Accept": "text/event-stream"}, body))


@given(st.data())
def test_a_mutated_request_body_is_understood_or_refused(data: st.DataObject) -> None:
    operation = data.draw(operations())
    request = encode_request(operation)
    assume(request.body)
    body = data.draw(json_mutations(json.loads(request.body)))
    decode_or_refuse(Request(request.method, request.target, request.headers, json.dumps(body).encode()))


# Results ##############################################################################################################


@given(st.data())
def test_decode_response_undoes_encode_response(data: st.DataObject) -> None:
    operation = data.draw(operations())
    result = data.draw(results(operation))
    assert decode_response(operation, encode_response(operation, result)) == result


#: The fields of the reference that "may be missing or null".
OPTIONAL = {"created_at", "costs", "usage", "filename", "title", "credits", "durationMs"}


def means_the_same(wire: Any, ours: Any) -> bool:
    """Whether two documents differ in nothing but how numbers and instants are spelled, and null against absent."""
    if isinstance(wire, dict) and isinstance(ours, dict):
        gone = wire.keys() - ours.keys()
        return (
            ours.keys() <= wire.keys()
            and all(key in OPTIONAL and wire[key] is None for key in gone)
            and all(means_the_same(wire[key], item) for key, item in ours.items())
        )
    if isinstance(wire, list) and isinstance(ours, list):
        return len(wire) == len(ours) and all(map(means_the_same, wire, ours))
    if type(wire) in (int, float) and type(ours) in (int, float):
        return float(wire) == float(ours)
    if isinstance(wire, str) and isinstance(ours, str) and wire != ours:
        return datetime.fromisoformat(wire) == datetime.fromisoformat(ours)
    return type(wire) is type(ours) and wire == ours


def respell(wire: Any, choose: Any) -> Any:
    """Say the same in the words of another server: 1.0 for 1, Z for +00:00, null for what is left out."""
    if isinstance(wire, list):
        return [respell(item, choose) for item in wire]
    if isinstance(wire, dict):
        document = {key: respell(item, choose) for key, item in wire.items()}
        missing: set[str] = set()
        if "internalCostUsd" not in wire and {"mediaType", "url"} <= wire.keys():
            missing = {"filename"}
        elif "totalTokens" in wire:
            missing = {"credits", "durationMs"}
        elif "output_text" in wire:
            missing = {"created_at", "costs", "usage"}
        return document | {key: None for key in sorted(missing - wire.keys()) if choose()}
    if type(wire) is int and abs(wire) <= 2**53 and choose():
        return float(wire)
    if isinstance(wire, str) and wire.endswith("+00:00") and choose():
        return wire.removesuffix("+00:00") + "Z"
    return wire


MODELS = st.sampled_from(
    [RetrieveWorker("w"), ListSchedules("w"), CreateSchedule("w", "x", ScheduledWhen("now")), CancelSchedule("s", "w")]
)


@given(MODELS, st.data())
def test_to_dict_of_what_was_decoded_is_what_the_wire_said(operation: Operation[Any], data: st.DataObject) -> None:
    document = to_dict(data.draw(results(operation)))
    if data.draw(st.booleans(), label="a newer service"):
        document = data.draw(json_mutations(document, breaking=False))
    random = data.draw(st.randoms(use_true_random=False))
    wire = json.loads(json.dumps(respell(document, lambda: random.random() < 0.5)))
    result = decode_response(operation, answer(wire))
    assert means_the_same(wire, to_dict(result))
    assert means_the_same(wire, json.loads(to_json(result)))
    assert decode_response(operation, answer(to_dict(result))) == result


@given(workers() | schedules())
def test_changing_what_to_dict_gave_leaves_the_value_alone(value: Any) -> None:
    before = copy.deepcopy(value)
    document = to_dict(value)
    holders = [document]
    for holder in holders:
        holders += [
            item for item in (holder.values() if isinstance(holder, dict) else holder) if isinstance(item, dict | list)
        ]
    for holder in holders:
        holder.clear()
    assert value == before


# Anything else ########################################################################################################

CONTENT_TYPES = st.sampled_from(["application/json", "text/plain", "text/html; charset=utf-8", "text/event-stream", ""])
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 299, 304, 400, 404, 418, 429, 500, 599]) | st.integers(100, 999)


def decode_or_fail(operation: Operation[Any], response: Response) -> None:
    """Decode ``response``; where that fails, look at how."""
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
        assert problem.call.startswith(f"{operation.route.method} /api/workers")
        check(problem)


def check(error: HandingerError) -> None:
    """Check what every exception promises."""
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


@given(operations(), STATUSES, CONTENT_TYPES, json_values())
@example(RetrieveWorkerEmail("w"), 200, "application/json", None)
@example(RetrieveWorker("w"), 500, "application/json", {"message": {"a": 1}, "code": [1]})
def test_decoding_any_json_gives_a_value_or_an_error_of_ours(
    operation: Operation[Any], status: int, content_type: str, document: Any
) -> None:
    decode_or_fail(operation, Response(status, {"Content-Type": content_type}, json.dumps(document).encode()))


@given(operations(), STATUSES, CONTENT_TYPES, st.binary())
@example(RetrieveWorker("w"), 200, "application/json", b"[" * 5000)
@example(RetrieveWorker("w"), 500, "application/json", b"[" * 5000)
@example(RetrieveWorker("w"), 200, "application/json", b"\xef\xbb\xbf{}")
@example(RetrieveWorkerEmail("w"), 200, "text/plain", b"\xff")
@example(RetrieveWorker("w"), 500, "text/html", b"\xef\xbb\xbf<html>")
def test_decoding_any_bytes_gives_a_value_or_an_error_of_ours(
    operation: Operation[Any], status: int, content_type: str, body: bytes
) -> None:
    decode_or_fail(operation, Response(status, {"Content-Type": content_type}, body))


@given(MODELS, st.data())
def test_decoding_a_broken_answer_gives_a_value_or_an_error_of_ours(
    operation: Operation[Any], data: st.DataObject
) -> None:
    decode_or_fail(operation, answer(data.draw(json_mutations(to_dict(data.draw(results(operation)))))))


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
def test_an_error_body_is_kept_however_deep_it_is(template: str, depth: int) -> None:
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
def test_exceptions_pickle_and_copy_with_all_that_they_know(error: HandingerError) -> None:
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert twin.__dict__ == error.__dict__
        assert (twin.args, str(twin)) == (error.args, str(error))


@given(exceptions())
def test_the_text_of_an_api_error_is_short_and_safe_to_print(error: HandingerError) -> None:
    if isinstance(error, errors.APIError):
        text = str(error)
        assert len(text.encode()) < 2000
        assert not UNSAFE.search(text)


@given(st.data(), HOSTILE, HOSTILE, HEADER_VALUES)
def test_a_hostile_answer_to_a_hostile_id_has_a_short_error(
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
