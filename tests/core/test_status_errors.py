"""Responses with other statuses than 2xx: the exception class, its message and its attributes."""

import json
from typing import Any

import pytest

from handinger_async.codec import decode_response
from handinger_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from handinger_async.operations import (
    Operation,
    RetrieveWorker,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)

from .documents import make_response


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (503, InternalServerError),
        (599, InternalServerError),
        (999, InternalServerError),
        *(
            (status, APIStatusError)
            for status in (100, 199, 300, 301, 302, 304, 307, 308, 402, 405, 408, 410, 418, 451)
        ),
    ],
)
@pytest.mark.parametrize("operation", [RetrieveWorker("w"), RetrieveWorkerFile("f", "w"), StreamWorkerUpdates("w")])
def test_status_selects_the_exception_class(operation: Operation[Any], status: int, cls: type[APIStatusError]) -> None:
    response = make_response('{"message": "no"}', status, x_request_id="req_1")
    with pytest.raises(APIStatusError) as caught:
        decode_response(operation, response)
    error = caught.value
    assert type(error) is cls
    assert (error.status_code, error.response, error.message) == (status, response, "no")
    assert (error.request_id, error.attempts, error.retry_after) == ("req_1", 1, None)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ('{"error": {"message": "m", "code": "c"}}', "m", "c"),
        ('{"error": {"message": "m"}}', "m", None),
        ('{"error": {"message": "m", "code": null}}', "m", None),
        ('{"error": {"message": "m"}, "code": "c"}', "m", "c"),
        ('{"error": {"code": 7}, "message": "m"}', "m", "7"),
        ('{"message": "m", "code": "c"}', "m", "c"),
        ('{"message": "m", "error": "Not Found", "statusCode": 404}', "m", None),
        ('{"error": "m"}', "m", None),
        ('{"error": "m", "code": "c"}', "m", "c"),
        ('{"error": null, "message": "m"}', "m", None),
        ('{"error": ["m"], "message": {"m": 1}, "code": ["c"]}', "", None),
        ('{"message": ""}', "", None),
        ("{}", "", None),
        ("[]", "", None),
        ("null", "", None),
        ("7", "", None),
        ('"m"', "m", None),
        ("m", "m", None),
        ("  m \r\n  n ", "m n", None),
        ("\ufeffm", "m", None),
        ("\x1b[2Jm", "�[2Jm", None),
        ('{"message": "m\\ud83d"}', "m�", None),
        ("<html><body>Bad gateway</body></html>", "", None),
        ("\n <!DOCTYPE html>", "", None),
        ("", "", None),
        ("   ", "", None),
    ],
)
def test_message_and_code_are_read_from_every_error_body_shape(body: str, message: str, code: str | None) -> None:
    with pytest.raises(APIStatusError) as caught:
        decode_response(RetrieveWorker("w"), make_response(body, 502))
    assert (caught.value.message, caught.value.code) == (message, code)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ('{"message": "m", "more": [1]}', {"message": "m", "more": [1]}),
        ("[]", []),
        ("null", None),
        ("", None),
        (" text ", "text"),
        (b"\xff", "�"),
        ("<p>" * 1000, "<p>" * 1000),
    ],
)
def test_error_keeps_the_decoded_body(body: str | bytes, kept: Any) -> None:
    with pytest.raises(APIStatusError) as caught:
        decode_response(RetrieveWorker("w"), make_response(body, 502))
    assert caught.value.body == kept


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ("[0, ", ", 0]"), ('{"a": ', "}"), ('{"a": 0, "b": ', "}")]
)
def test_error_body_that_is_nested_too_deep_to_be_copied_is_kept_as_text(opening: str, closing: str) -> None:
    for depth, is_text in ((99, False), (100, True)):
        body = opening * depth + "0" + closing * depth
        with pytest.raises(APIStatusError) as caught:
            decode_response(RetrieveWorker("w"), make_response(body, 502))
        assert caught.value.body == (body if is_text else json.loads(body))


def test_error_text_has_status_message_call_attempts_and_ids() -> None:
    body = '{"error": {"message": "No such worker.", "code": "worker_not_found"}}'
    with pytest.raises(NotFoundError) as caught:
        decode_response(RetrieveWorker("w"), make_response(body, 404, x_request_id="req_1"))
    caught.value.attempts = 3
    assert str(caught.value) == (
        "404 Not Found: No such worker. (GET /api/workers/w, 3 attempts, code worker_not_found, request id req_1)"
    )


def test_html_error_page_is_not_quoted() -> None:
    with pytest.raises(InternalServerError) as caught:
        decode_response(RetrieveWorker("w"), make_response("<html>" + "x" * 10**6, 502, "text/html"))
    assert str(caught.value) == "502 Bad Gateway (GET /api/workers/w)"


def test_request_id_is_x_request_id_else_cf_ray() -> None:
    assert make_response("", X_Request_Id="a", CF_Ray="b").request_id == "a"
    assert make_response("", CF_Ray="b").request_id == "b"
    assert make_response("", X_Request_Id="", CF_Ray="b").request_id == "b"
    assert make_response("").request_id is None


def test_error_has_retry_after_in_seconds() -> None:
    with pytest.raises(RateLimitError) as caught:
        decode_response(RetrieveWorker("w"), make_response("", 429, Retry_After="90.5"))
    assert caught.value.retry_after == 90.5
