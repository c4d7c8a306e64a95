"""2xx responses that cannot be decoded: the error says at which path, and why."""

import json
import re
from typing import Any

import pytest

from handinger_async.codec import decode_response, to_dict
from handinger_async.errors import (
    APIResponseValidationError,
)
from handinger_async.operations import (
    CancelSchedule,
    CreateWorker,
    Operation,
    RetrieveWebhook,
    RetrieveWorker,
)

from .documents import CREATE, DOCUMENTS, LIST, SCHEDULES, WORKER, is_optional, make_response, places

#: Fields that accept any value.
_ANY = {"error", "incomplete_details"}

PLACES = [
    pytest.param(operation, text, index, id=path)
    for operation, text in DOCUMENTS
    for index, (path, _, _) in enumerate(places(json.loads(text)))
]


@pytest.mark.parametrize(("operation", "text", "index"), PLACES)
def test_missing_required_field_is_reported_with_its_path(operation: Operation[Any], text: str, index: int) -> None:
    document = json.loads(text)
    path, holder, key = places(document)[index]
    del holder[key]
    if is_optional(operation, path):
        assert to_dict(decode_response(operation, make_response(json.dumps(document)))) is not None
    else:
        with pytest.raises(APIResponseValidationError, match="is missing") as caught:
            decode_response(operation, make_response(json.dumps(document)))
        assert caught.value.path == path
        assert path in str(caught.value)
        assert caught.value.response is not None


#: By the type of a field, values of other types.
WRONG: dict[type, list[Any]] = {
    str: [None, 1, True, [], {}],
    int: [None, "1", True, 1.5, [], {}],
    bool: [None, "true", 1, 0, [], {}],
    list: [None, {}, "[]", 1, True],
    dict: [None, [], "{}", 1, True],
}


@pytest.mark.parametrize(("operation", "text", "index"), PLACES)
def test_mistyped_field_is_reported_with_its_path(operation: Operation[Any], text: str, index: int) -> None:
    path, holder, key = places(json.loads(text))[index]
    for wrong in WRONG.get(type(holder[key]), []):
        if (wrong is None and is_optional(operation, path)) or (wrong == 1.5 and key.endswith("Usd")):
            continue
        document = json.loads(text)
        _, changed, _ = places(document)[index]
        changed[key] = wrong
        if key in _ANY:
            decode_response(operation, make_response(json.dumps(document)))
            continue
        with pytest.raises(APIResponseValidationError, match=r"must (be|name)") as caught:
            decode_response(operation, make_response(json.dumps(document)))
        assert caught.value.path == path


def test_mistyped_list_item_is_reported_with_its_index() -> None:
    document = json.loads(WORKER)
    document["files"].append(7)
    with pytest.raises(APIResponseValidationError, match="must be an object, not a number") as caught:
        decode_response(RetrieveWorker("w"), make_response(json.dumps(document)))
    assert caught.value.path == "$.files[1]"


def test_validation_error_names_path_type_call_and_status() -> None:
    document = json.loads(WORKER)
    document["usage"]["inputTokens"] = "many"
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(RetrieveWorker("w"), make_response(json.dumps(document)))
    assert caught.value.path == "$.usage.inputTokens"
    said = "$.usage.inputTokens must be a whole number, not a string (GET /api/workers/w, status 200)"
    assert str(caught.value) == said


@pytest.mark.parametrize("kind", [None, 1, ["cron"], {}])
def test_schedule_type_must_be_a_string(kind: Any) -> None:
    document = json.loads(SCHEDULES)
    document["schedules"].append({"type": kind})
    with pytest.raises(APIResponseValidationError, match="must be a string") as caught:
        decode_response(LIST, make_response(json.dumps(document)))
    assert caught.value.path == "$.schedules[1].type"


@pytest.mark.parametrize("operation", [RetrieveWorker("w"), CreateWorker("x"), LIST, CREATE, CancelSchedule("s", "w")])
@pytest.mark.parametrize(
    "body",
    [
        "",
        " \n",
        "null",
        "[]",
        '"text"',
        "1",
        "true",
        "{",
        "not json",
        "<!DOCTYPE html><html></html>",
        "\ufeff",
        "\ufeff<p>",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html", ""])
def test_body_that_is_no_json_object_is_a_validation_error(
    operation: Operation[Any], body: str, content_type: str
) -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(operation, make_response(body, content_type=content_type))
    assert caught.value.path == "$"
    assert caught.value.response == make_response(body, content_type=content_type)


def test_validation_error_quotes_the_start_of_a_non_json_body() -> None:
    with pytest.raises(APIResponseValidationError, match=r"text/html.*<h1>Under maintenance") as caught:
        decode_response(LIST, make_response("<h1>Under maintenance</h1>" * 10_000, content_type="text/html"))
    assert len(str(caught.value)) < 500


def test_validation_error_of_a_non_json_body_says_what_came_instead() -> None:
    with pytest.raises(APIResponseValidationError, match=r"^the body is empty instead of JSON \("):
        decode_response(LIST, make_response(" \n"))
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(LIST, make_response(b"Down \xff", content_type=""))
    assert re.fullmatch(r"the body is not JSON \(.+; no content type\): 'Down \ufffd'", caught.value.message)


def test_body_that_may_have_a_webhook_token_is_not_quoted() -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(RetrieveWebhook("w"), make_response('{"token": "whk_1'))
    assert re.fullmatch(r"the body is not JSON \(.+; application/json\)", caught.value.message)
    assert "whk_1" not in str(caught.value)
