"""The codec against the words of the API's reference, and against everything else that a server may say."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from handinger_async import _json, codec, converter, models
from handinger_async.codec import decode_request, decode_response, encode_request, encode_response, to_dict, to_json
from handinger_async.errors import (
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    EventTooLargeError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from handinger_async.http import Request, Response
from handinger_async.models import (
    Costs,
    CronWhen,
    CronWorkerSchedule,
    DelayedWhen,
    DelayedWorkerSchedule,
    File,
    IntervalWhen,
    IntervalWorkerSchedule,
    Output,
    OutputContent,
    ScheduleCancelResponse,
    ScheduledWhen,
    ScheduledWorkerSchedule,
    ScheduleListResponse,
    Source,
    UnknownWorkerSchedule,
    Usage,
    Worker,
)
from handinger_async.operations import (
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateWorker,
    ListSchedules,
    Operation,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from handinger_async.sse import EventParser, ServerSentEvent

WORKER = """
{"id": "id", "created_at": 0, "error": null,
 "files": [{"filename": "filename", "mediaType": "mediaType", "url": "url"}],
 "incomplete_details": null, "messages": [{}], "metadata": {"foo": "bar"}, "object": "worker",
 "output": [{"id": "id", "content": [{"text": "text", "type": "output_text"}],
             "role": "assistant", "status": "completed", "type": "message"}],
 "output_text": "output_text", "running": true,
 "sources": [{"id": "id", "title": "title", "type": "url", "url": "url"}], "status": "running",
 "costs": {"internalCostUsd": 0, "modelCostUsd": 0, "sandboxCostUsd": 0, "toolCostUsd": 0},
 "usage": {"cacheReadTokens": 0, "cacheWriteTokens": 0, "costUsd": 0, "inputTokens": 0, "outputTokens": 0,
           "reasoningTokens": 0, "steps": 0, "totalTokens": 0, "credits": 0}}
"""
SCHEDULES = """
{"schedules": [{"id": "id", "budget": "low", "input": "input",
                "nextRunAt": "2019-12-27T18:11:19.117Z", "type": "scheduled"}],
 "workerId": "workerId"}
"""
SCHEDULE = json.dumps(json.loads(SCHEDULES)["schedules"][0])
CANCELLED = '{"cancelled": true}'
NOON = datetime(2019, 12, 27, 18, 11, 19, 117000, UTC)

LIST = ListSchedules("w")
CREATE = CreateSchedule("w", "x", CronWhen("0 9 * * 1"))


def answer(body: str | bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> Response:
    fields = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Response(status, fields, body if isinstance(body, bytes) else body.encode())


# The reference's samples ##############################################################################################


def test_the_sample_worker() -> None:
    worker = decode_response(RetrieveWorker("id"), answer(WORKER))
    assert worker == Worker(
        id="id",
        created_at=0,
        error=None,
        files=[File(filename="filename", media_type="mediaType", url="url")],
        incomplete_details=None,
        messages=[{}],
        metadata={"foo": "bar"},
        object="worker",
        output=[
            Output(
                id="id",
                content=[OutputContent(text="text", type="output_text")],
                role="assistant",
                status="completed",
                type="message",
            )
        ],
        output_text="output_text",
        running=True,
        sources=[Source(id="id", title="title", type="url", url="url")],
        status="running",
        costs=Costs(internal_cost_usd=0, model_cost_usd=0, sandbox_cost_usd=0, tool_cost_usd=0),
        usage=Usage(
            cache_read_tokens=0,
            cache_write_tokens=0,
            cost_usd=0,
            input_tokens=0,
            output_tokens=0,
            reasoning_tokens=0,
            steps=0,
            total_tokens=0,
            credits=0,
        ),
    )
    assert to_dict(worker) == json.loads(to_json(worker)) == json.loads(WORKER)
    assert type(worker.costs.model_cost_usd) is float  # type: ignore[union-attr]


def test_the_sample_schedules() -> None:
    listed = decode_response(LIST, answer(SCHEDULES))
    one = ScheduledWorkerSchedule(id="id", budget="low", input="input", next_run_at=NOON)
    assert listed == ScheduleListResponse(schedules=[one], worker_id="workerId")
    assert one.type == "scheduled"
    assert decode_response(CREATE, answer(SCHEDULE)) == one


def test_the_sample_cancellation_and_email() -> None:
    assert decode_response(CancelSchedule("s", "w"), answer(CANCELLED)) == ScheduleCancelResponse(cancelled=True)
    assert decode_response(RetrieveWorkerEmail("w"), answer('"string"')) == "string"


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"type": "delayed", "delayInSeconds": 60}, DelayedWorkerSchedule),
        ({"type": "cron", "cron": "0 9 * * 1"}, CronWorkerSchedule),
        ({"type": "interval", "intervalSeconds": 60}, IntervalWorkerSchedule),
        ({"type": "lunar", "phase": "full"}, UnknownWorkerSchedule),
    ],
)
def test_schedules_are_told_apart_by_their_type(document: dict[str, Any], wanted: type[Any]) -> None:
    whole = json.loads(SCHEDULE) | document
    schedule = decode_response(CREATE, answer(json.dumps(whole)))
    assert type(schedule) is wanted
    assert schedule.type == document["type"]
    assert to_dict(schedule) in (whole, whole | {"nextRunAt": NOON.isoformat()})


@pytest.mark.parametrize(
    ("operation", "method", "target", "accept", "body"),
    [
        (CreateWorker("x"), "POST", "/api/workers", "application/json", {"input": "x"}),
        (
            CreateWorker("x", budget="low", stream=True),
            "POST",
            "/api/workers",
            "text/event-stream",
            {"input": "x", "budget": "low", "stream": True},
        ),
        (RetrieveWorker("w"), "GET", "/api/workers/w", "application/json", None),
        (RetrieveWorker("w", stream=True), "GET", "/api/workers/w?stream=true", "text/event-stream", None),
        (ContinueWorker("w", "x"), "POST", "/api/workers/w", "application/json", {"input": "x"}),
        (StreamWorkerUpdates("w"), "GET", "/api/workers/w/stream", "text/event-stream", None),
        (RetrieveWorkerEmail("w"), "GET", "/api/workers/w/email", "application/json", None),
        (
            RetrieveWorkerFile("scratchpad/plan.md", "w"),
            "GET",
            "/api/workers/w/files/scratchpad/plan.md",
            "application/octet-stream",
            None,
        ),
        (LIST, "GET", "/api/workers/w/schedules", "application/json", None),
        (
            CreateSchedule("w", "x", {"date": datetime.fromisoformat("2019-12-27T18:11:19.117"), "type": "scheduled"}),  # type: ignore[arg-type]
            "POST",
            "/api/workers/w/schedules",
            "application/json",
            {"input": "x", "when": {"date": "2019-12-27T18:11:19.117000", "type": "scheduled"}},
        ),
        (
            CreateSchedule("w", "x", DelayedWhen(60), budget="high"),
            "POST",
            "/api/workers/w/schedules",
            "application/json",
            {"input": "x", "when": {"delayInSeconds": 60, "type": "delayed"}, "budget": "high"},
        ),
        (
            CreateSchedule("w", "x", IntervalWhen(60)),
            "POST",
            "/api/workers/w/schedules",
            "application/json",
            {"input": "x", "when": {"intervalSeconds": 60, "type": "interval"}},
        ),
        (CancelSchedule("s", "w"), "DELETE", "/api/workers/w/schedules/s", "application/json", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Operation) else "",
)
def test_requests_are_what_the_reference_says(
    operation: Operation[Any], method: str, target: str, accept: str, body: Any
) -> None:
    request = encode_request(operation)
    assert (request.method, request.target, request.headers["accept"]) == (method, target, accept)
    if body is None:
        assert request.body == b""
        assert request.headers == {"Accept": accept}
    else:
        assert json.loads(request.body) == body
        assert request.headers == {"Accept": accept, "Content-Type": "application/json"}


def test_bodies_are_compact_utf_8() -> None:
    assert encode_request(CreateWorker("où, 天", budget="low")).body == '{"input":"où, 天","budget":"low"}'.encode()


def test_half_a_surrogate_pair_goes_out_and_comes_back() -> None:
    operation = CreateWorker("\ud83d")
    assert encode_request(operation).body == rb'{"input":"\ud83d"}'
    assert decode_request(encode_request(operation)) == operation


@pytest.mark.parametrize(("character"), "!$&'()*+,;=:@-._~aZ09")
def test_a_segment_keeps_what_rfc_3986_lets_it_keep(character: str) -> None:
    assert encode_request(RetrieveWorker(f"w{character}")).target == f"/api/workers/w{character}"


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("/", "%2F"),
        ("?", "%3F"),
        ("#", "%23"),
        ("%", "%25"),
        ("%2F", "%252F"),
        (" ", "%20"),
        ("é", "%C3%A9"),
        ("\\", "%5C"),
    ],
)
def test_a_segment_escapes_everything_else(text: str, encoded: str) -> None:
    assert encode_request(RetrieveWorker(f"w{text}")).target == f"/api/workers/w{encoded}"


# Wire names ###########################################################################################################

#: The reference's fields, as the wire spells them.
FIELDS = {
    Worker: "id created_at error files incomplete_details messages metadata object output output_text running sources "
    "status costs usage",
    File: "filename mediaType url",
    Output: "id content role status type",
    OutputContent: "text type",
    Source: "id title type url",
    Costs: "internalCostUsd modelCostUsd sandboxCostUsd toolCostUsd",
    Usage: "cacheReadTokens cacheWriteTokens costUsd inputTokens outputTokens reasoningTokens steps totalTokens "
    "credits durationMs",
    ScheduledWorkerSchedule: "id budget input nextRunAt",
    DelayedWorkerSchedule: "id budget input nextRunAt delayInSeconds",
    CronWorkerSchedule: "id budget input nextRunAt cron",
    IntervalWorkerSchedule: "id budget input nextRunAt intervalSeconds",
    ScheduleListResponse: "schedules workerId",
    ScheduleCancelResponse: "cancelled",
    ScheduledWhen: "date",
    DelayedWhen: "delayInSeconds",
    CronWhen: "cron",
    IntervalWhen: "intervalSeconds",
}
MODELS = {cls for cls in vars(models).values() if isinstance(cls, type) and attrs.has(cls)}


def test_every_model_has_the_fields_of_the_reference() -> None:
    assert FIELDS.keys() == MODELS - {UnknownWorkerSchedule}
    for cls, names in FIELDS.items():
        own = {converter.wire_name(cls, field.name) for field in attrs.fields(cls) if field.name != "extra"}
        assert own == set(names.split()), cls


def test_every_answer_keeps_unknown_fields() -> None:
    for cls in MODELS - {UnknownWorkerSchedule, ScheduledWhen, DelayedWhen, CronWhen, IntervalWhen}:
        assert "extra" in attrs.fields_dict(cls), cls


def test_attributes_are_snake_case() -> None:
    assert all(field.name == field.name.lower() for cls in MODELS for field in attrs.fields(cls))


# What does not fit ####################################################################################################

_OPTIONAL = {"created_at", "filename", "title", "costs", "usage", "credits", "durationMs"}
_ANYTHING = {"error", "incomplete_details"}
_INSIDE = {"messages", "metadata"}


def places(document: Any, path: str = "$") -> list[tuple[str, dict[str, Any], str]]:
    """Every field of ``document``: its path, the object that holds it and its key."""
    if isinstance(document, list):
        return [place for index, item in enumerate(document) for place in places(item, f"{path}[{index}]")]
    if not isinstance(document, dict):
        return []
    own = [(f"{path}.{key}", document, key) for key in document]
    return own + [
        place for key, item in document.items() if key not in _INSIDE for place in places(item, f"{path}.{key}")
    ]


FULL_WORKER = WORKER.replace('"credits": 0', '"credits": 0, "durationMs": 0')
FULL_SCHEDULES = json.dumps(
    {
        "workerId": "w",
        "schedules": [
            json.loads(SCHEDULE),
            json.loads(SCHEDULE) | {"type": "delayed", "delayInSeconds": 60},
            json.loads(SCHEDULE) | {"type": "cron", "cron": "* * * * *"},
            json.loads(SCHEDULE) | {"type": "interval", "intervalSeconds": 60},
        ],
    }
)
DOCUMENTS = [(RetrieveWorker("w"), FULL_WORKER), (LIST, FULL_SCHEDULES), (CancelSchedule("s", "w"), CANCELLED)]
PLACES = [
    pytest.param(operation, text, index, id=path)
    for operation, text in DOCUMENTS
    for index, (path, _, _) in enumerate(places(json.loads(text)))
]


def test_every_field_of_the_reference_is_in_the_documents_below() -> None:
    keys = {key for _, text in DOCUMENTS for _, _, key in places(json.loads(text))}
    assert keys == {name for names in FIELDS.values() for name in names.split()} - {"date"} | {"type"}


@pytest.mark.parametrize(("operation", "text", "index"), PLACES)
def test_a_required_field_that_is_missing_is_named_by_its_path(
    operation: Operation[Any], text: str, index: int
) -> None:
    document = json.loads(text)
    path, holder, key = places(document)[index]
    del holder[key]
    if key in _OPTIONAL:
        assert to_dict(decode_response(operation, answer(json.dumps(document)))) is not None
    else:
        with pytest.raises(APIResponseValidationError, match="is missing") as caught:
            decode_response(operation, answer(json.dumps(document)))
        assert caught.value.path == path
        assert path in str(caught.value)
        assert caught.value.response is not None


#: For each type of a field the values that are none of it.
WRONG: dict[type, list[Any]] = {
    str: [None, 1, True, [], {}],
    int: [None, "1", True, 1.5, [], {}],
    bool: [None, "true", 1, 0, [], {}],
    list: [None, {}, "[]", 1, True],
    dict: [None, [], "{}", 1, True],
}


@pytest.mark.parametrize(("operation", "text", "index"), PLACES)
def test_a_field_of_another_type_is_named_by_its_path(operation: Operation[Any], text: str, index: int) -> None:
    _, holder, key = places(json.loads(text))[index]
    for wrong in WRONG.get(type(holder[key]), []):
        if (wrong is None and key in _OPTIONAL) or (wrong == 1.5 and key.endswith("Usd")):
            continue
        document = json.loads(text)
        path, changed, _ = places(document)[index]
        changed[key] = wrong
        if key in _ANYTHING:
            decode_response(operation, answer(json.dumps(document)))
            continue
        with pytest.raises(APIResponseValidationError, match=r"must (be|name)") as caught:
            decode_response(operation, answer(json.dumps(document)))
        assert caught.value.path == path


def test_an_item_of_a_list_of_another_type_is_named_by_its_index() -> None:
    document = json.loads(WORKER)
    document["files"].append(7)
    with pytest.raises(APIResponseValidationError, match="must be an object, not a number") as caught:
        decode_response(RetrieveWorker("w"), answer(json.dumps(document)))
    assert caught.value.path == "$.files[1]"


def test_the_path_goes_down_to_what_is_wrong() -> None:
    document = json.loads(WORKER)
    document["usage"]["inputTokens"] = "many"
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(RetrieveWorker("w"), answer(json.dumps(document)))
    assert caught.value.path == "$.usage.inputTokens"
    said = "$.usage.inputTokens must be a whole number, not a string (GET /api/workers/w, status 200)"
    assert str(caught.value) == said


@pytest.mark.parametrize("kind", [None, 1, ["cron"], {}])
def test_the_type_of_a_schedule_is_a_string(kind: Any) -> None:
    document = json.loads(SCHEDULES)
    document["schedules"].append({"type": kind})
    with pytest.raises(APIResponseValidationError, match="must be a string") as caught:
        decode_response(LIST, answer(json.dumps(document)))
    assert caught.value.path == "$.schedules[1].type"


def test_null_stands_for_an_optional_field_that_is_absent() -> None:
    document = json.loads(WORKER)
    for _, holder, key in places(document):
        if key in _OPTIONAL:
            holder[key] = None
    worker = decode_response(RetrieveWorker("w"), answer(json.dumps(document)))
    assert (worker.created_at, worker.costs, worker.usage, worker.files[0].filename) == (None, None, None, None)
    assert "costs" not in to_dict(worker)


def test_a_whole_number_may_be_spelled_with_a_fraction_of_zero() -> None:
    worker = decode_response(RetrieveWorker("w"), answer(WORKER.replace('"steps": 0', '"steps": 3.0')))
    assert worker.usage is not None
    assert worker.usage.steps == 3
    assert type(worker.usage.steps) is int


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
def test_what_is_no_json_object_cannot_be_read(operation: Operation[Any], body: str, content_type: str) -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(operation, answer(body, content_type=content_type))
    assert caught.value.path == "$"
    assert caught.value.response == answer(body, content_type=content_type)


def test_the_error_shows_how_a_body_begins_that_is_not_json() -> None:
    with pytest.raises(APIResponseValidationError, match=r"text/html.*<h1>Under maintenance") as caught:
        decode_response(LIST, answer("<h1>Under maintenance</h1>" * 10_000, content_type="text/html"))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("status", [201, 202, 204, 299])
def test_a_2xx_is_read_like_a_200_so_204_cannot_be(status: int) -> None:
    assert decode_response(CancelSchedule("s", "w"), answer(CANCELLED, status)).cancelled
    with pytest.raises(APIResponseValidationError, match="empty"):
        decode_response(CancelSchedule("s", "w"), answer("", status))


# Unknown is not an error ##############################################################################################


def test_unknown_fields_are_kept_wherever_they_are() -> None:
    document = json.loads(FULL_WORKER)
    for index, holder in enumerate([document, *document["files"], *document["output"], document["usage"]]):
        holder["new"] = {"deep": [index]}
    worker = decode_response(RetrieveWorker("w"), answer(json.dumps(document)))
    assert worker.extra == {"new": {"deep": [0]}}
    assert worker.files[0].extra == {"new": {"deep": [1]}}
    assert to_dict(worker) == document


@pytest.mark.parametrize("name", ["extra", "\0extra", "media_type", "", "self", "type"])
def test_an_unknown_field_may_have_any_name(name: str) -> None:
    document = json.loads(WORKER)
    document["files"][0][name] = 1
    worker = decode_response(RetrieveWorker("w"), answer(json.dumps(document)))
    assert worker.files[0].extra == {name: 1}
    assert to_dict(worker) == document


def test_an_extra_field_never_hides_one_that_is_known() -> None:
    """Only a program can say so: what a server sends under a known name is that field."""
    file = File(media_type="text/plain", url="u", extra={"mediaType": "image/png", "size": 1})
    assert to_dict(file) == {"mediaType": "text/plain", "url": "u", "size": 1}


def test_unknown_values_of_enums_are_kept() -> None:
    document = json.loads(WORKER)
    document |= {"status": "dreaming", "object": "robot"}
    document["output"][0] |= {"role": "chorus", "status": "hummed", "type": "song"}
    worker = decode_response(RetrieveWorker("w"), answer(json.dumps(document)))
    assert (worker.status, worker.object, worker.output[0].role) == ("dreaming", "robot", "chorus")
    assert to_dict(worker) == document


def test_an_unknown_schedule_is_kept_whole() -> None:
    document = {"type": "lunar", "phase": "full", "nextRunAt": 7}
    schedule = decode_response(CREATE, answer(json.dumps(document)))
    assert schedule == UnknownWorkerSchedule(type="lunar", raw=document)
    assert to_dict(schedule) == document


def test_errors_and_details_that_the_reference_says_are_null_are_kept() -> None:
    document = json.loads(WORKER) | {"error": {"message": "m"}, "incomplete_details": ["d"]}
    worker = decode_response(RetrieveWorker("w"), answer(json.dumps(document)))
    assert (worker.error, worker.incomplete_details) == ({"message": "m"}, ["d"])


# Instants #############################################################################################################


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2019-12-27T18:11:19.117Z", NOON),
        ("2019-12-27T18:11:19.117z", NOON),
        ("2019-12-27t18:11:19.117z", NOON),
        ("2019-12-27 18:11:19.117Z", NOON),
        ("2019-12-27T18:11:19.117+00:00", NOON),
        ("2019-12-27T18:11:19.117-00:00", NOON),
        ("2019-12-27T23:41:19.117+05:30", NOON),
        ("2019-12-27T10:11:19.117-08:00", NOON),
        ("2019-12-27T18:11:19Z", NOON.replace(microsecond=0)),
        ("2019-12-27T18:11:19.1Z", NOON.replace(microsecond=100_000)),
        ("2019-12-27T18:11:19.1234567Z", NOON.replace(microsecond=123_456)),
        ("2019-12-27T18:11:19.117" + "0" * 40 + "Z", NOON),
        ("0001-01-01T00:00:00+23:59", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23, minutes=59)))),
        ("9999-12-31T23:59:59-23:59", datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(minutes=1439)))),
    ],
)
def test_instants_of_rfc_3339_are_read(text: str, instant: datetime) -> None:
    schedule = decode_response(CREATE, answer(SCHEDULE.replace("2019-12-27T18:11:19.117Z", text)))
    assert isinstance(schedule, ScheduledWorkerSchedule)
    assert schedule.next_run_at == instant
    assert decode_response(CREATE, encode_response(CREATE, schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2019-12-27T18:11:19.117", "offset"),
        ("2019-12-27", "offset"),
        ("", "RFC 3339"),
        ("tomorrow", "RFC 3339"),
        ("1577470279", "RFC 3339"),
        ("2019-13-27T18:11:19Z", "RFC 3339"),
        ("2019-12-27T18:11:19+24:00", "RFC 3339"),
        ("\uff12\uff10\uff11\uff19-12-27T18:11:19Z", "RFC 3339"),
        ("Fri, 27 Dec 2019 18:11:19 GMT", "RFC 3339"),
        ("\ud800" * 1000, "RFC 3339"),
    ],
)
def test_other_instants_are_refused(text: str, reason: str) -> None:
    body = json.dumps(json.loads(SCHEDULE) | {"nextRunAt": text})
    with pytest.raises(APIResponseValidationError, match=reason) as caught:
        decode_response(CREATE, answer(body))
    assert caught.value.path == "$.nextRunAt"
    assert len(str(caught.value)) < 300


def test_a_date_goes_out_in_iso_8601_with_the_zone_it_has_or_none() -> None:
    def date(given: datetime | str) -> Any:
        return json.loads(encode_request(CreateSchedule("w", "x", ScheduledWhen(given))).body)["when"]["date"]

    assert date(datetime(2030, 1, 2, 3, 4, 5)) == "2030-01-02T03:04:05"
    assert date(datetime(2030, 1, 2, 3, 4, 5, 6, UTC)) == "2030-01-02T03:04:05.000006+00:00"
    assert date("next tuesday") == "next tuesday"


# E-mail addresses, files and streams ##################################################################################


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('"a@b.example"', "application/json"),
        ('"a@b.example"', "text/plain; charset=utf-8"),
        ("a@b.example", "text/plain; charset=utf-8"),
        ("a@b.example\r\n", "TEXT/PLAIN"),
        ("\ufeffa@b.example", "text/plain"),
        ("a@b.example", ""),
    ],
)
def test_an_email_address_is_a_json_string_or_plain_text(body: str, content_type: str) -> None:
    assert decode_response(RetrieveWorkerEmail("w"), answer(body, content_type=content_type)) == "a@b.example"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("a@b.example", "application/json"),
        ("a@b.example", "text/html"),
        ("<html>", "text/plain"),
        (" <html>", ""),
        ("null", "application/json"),
        ("null", "text/plain"),
        ('{"email": "a@b.example"}', "application/json"),
        ("[]", "application/json"),
        ("7", "text/plain"),
        ("", "text/plain"),
        (" ", ""),
        (b"\xff\xfe", "text/plain"),
    ],
)
def test_any_other_answer_is_no_email_address(body: str | bytes, content_type: str) -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(RetrieveWorkerEmail("w"), answer(body, content_type=content_type))
    assert caught.value.path == "$"


def test_a_file_is_its_bytes_whatever_they_are() -> None:
    body = b"<html>\xff\0{"
    assert decode_response(RetrieveWorkerFile("f", "w"), answer(body, content_type="text/html")) == body
    assert decode_response(RetrieveWorkerFile("f", "w"), answer(b"", 204)) == b""


STREAMS = [
    StreamWorkerUpdates("w"),
    RetrieveWorker("w", stream=True),
    CreateWorker("x", stream=True),
    ContinueWorker("w", "x", stream=True),
]


@pytest.mark.parametrize("operation", STREAMS)
def test_a_stream_is_its_events(operation: Operation[list[ServerSentEvent]]) -> None:
    stream = answer("id: 1\ndata: a\n\nevent: e\ndata: b\n\n", content_type="text/event-stream; charset=utf-8")
    assert decode_response(operation, stream) == [ServerSentEvent("a", id="1"), ServerSentEvent("b", "e", "1")]
    assert decode_response(operation, Response(204)) == []


@pytest.mark.parametrize("operation", STREAMS)
@pytest.mark.parametrize("content_type", ["text/html", "application/json", ""])
def test_a_200_that_is_no_stream_of_events_cannot_be_read(operation: Operation[Any], content_type: str) -> None:
    with pytest.raises(APIResponseValidationError, match=content_type or "no content type"):
        decode_response(operation, answer("data: a\n\n", content_type=content_type))


def test_a_stream_that_ends_in_an_event_cannot_be_read() -> None:
    with pytest.raises(APIResponseValidationError, match="in the middle of an event"):
        decode_response(STREAMS[0], answer("data: a\n\ndata: b\n", content_type="text/event-stream"))


def test_an_event_that_is_too_large_is_not_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "EventParser", lambda: EventParser(max_event_size=10))
    body = "data: a\n\ndata: bbbbbbbbbbbbbbbbbbbbb\n\n"
    with pytest.raises(EventTooLargeError) as caught:
        decode_response(STREAMS[0], answer(body, content_type="text/event-stream"))
    assert caught.value.call == "GET /api/workers/w/stream"


def test_events_of_which_only_the_first_has_an_id_come_back_so() -> None:
    events = [ServerSentEvent("a", id="1"), ServerSentEvent("b"), ServerSentEvent("c", id="3")]
    operation = StreamWorkerUpdates("w")
    assert decode_response(operation, encode_response(operation, events)) == events


# Error answers ########################################################################################################


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
def test_each_status_has_its_class(operation: Operation[Any], status: int, cls: type[APIStatusError]) -> None:
    response = answer('{"message": "no"}', status, x_request_id="req_1")
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
def test_error_bodies_of_every_shape(body: str, message: str, code: str | None) -> None:
    with pytest.raises(APIStatusError) as caught:
        decode_response(RetrieveWorker("w"), answer(body, 502))
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
def test_the_body_of_an_error_is_kept(body: str | bytes, kept: Any) -> None:
    with pytest.raises(APIStatusError) as caught:
        decode_response(RetrieveWorker("w"), answer(body, 502))
    assert caught.value.body == kept


def test_the_text_of_an_error_says_what_is_needed_to_report_it() -> None:
    body = '{"error": {"message": "No such worker.", "code": "worker_not_found"}}'
    with pytest.raises(NotFoundError) as caught:
        decode_response(RetrieveWorker("w"), answer(body, 404, x_request_id="req_1"))
    caught.value.attempts = 3
    assert str(caught.value) == (
        "404 Not Found: No such worker. (GET /api/workers/w, 3 attempts, code worker_not_found, request id req_1)"
    )


def test_an_error_page_is_not_quoted() -> None:
    with pytest.raises(InternalServerError) as caught:
        decode_response(RetrieveWorker("w"), answer("<html>" + "x" * 10**6, 502, "text/html"))
    assert str(caught.value) == "502 Bad Gateway (GET /api/workers/w)"


def test_the_request_id_comes_from_x_request_id_or_cf_ray() -> None:
    assert answer("", X_Request_Id="a", CF_Ray="b").request_id == "a"
    assert answer("", CF_Ray="b").request_id == "b"
    assert answer("", X_Request_Id="", CF_Ray="b").request_id == "b"
    assert answer("").request_id is None


def test_an_error_knows_how_long_to_wait() -> None:
    with pytest.raises(RateLimitError) as caught:
        decode_response(RetrieveWorker("w"), answer("", 429, Retry_After="90.5"))
    assert caught.value.retry_after == 90.5


# The service's direction ##############################################################################################


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "api/workers/w"),
        ("GET", "/api/workers"),
        ("GET", "/api/workers/"),
        ("POST", "/api/workers/"),
        ("GET", "/api/workers/w/"),
        ("GET", "/api/workers//stream"),
        ("GET", "/api/workers/w/nothing"),
        ("GET", "/api/workers/w/files"),
        ("GET", "/api/workers/w/files/"),
        ("GET", "/api/workers/%FF/nothing"),
        ("PUT", "/api/workers/w"),
        ("get", "/api/workers/w"),
        ("DELETE", "/api/workers/w/schedules"),
        ("GET", "//api/workers/w"),
        ("GET", "/api/workers/w\n/x"),
    ],
)
def test_a_path_that_is_nobodys_is_a_lookup_error(method: str, path: str) -> None:
    with pytest.raises(LookupError):
        decode_request(Request(method, path, {}, b"{}"))


@pytest.mark.parametrize(
    "path",
    [
        "%FF",
        "%2e%2e",
        "..",
        ".",
        "%0A",
        "\ud800",
        "w/files/a//b",
        "w/files/a/",
        "w/files/a%2F..%2Fb",
        "w?stream=1",
        "w?stream=TRUE",
    ],
)
def test_ids_paths_and_queries_that_do_not_fit_are_value_errors(path: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        decode_request(Request("GET", f"/api/workers/{path}"))
    assert not isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "line 1"),
        (b"[]", r"^\$ must be an object"),
        (b"{}", r"^\$\.input is missing"),
        (b'{"input": 1}', r"^\$\.input must be a string"),
        (b'{"input": "x"}', r"^\$\.when is missing"),
        (b'{"input": "x", "when": null}', r"^\$\.when is missing"),
        (b'{"input": "x", "when": []}', r"^\$\.when must be an object"),
        (b'{"input": "x", "when": {}}', r"^\$\.when\.type is missing"),
        (b'{"input": "x", "when": {"type": 1}}', r"^\$\.when\.type must be a string"),
        (
            b'{"input": "x", "when": {"type": "lunar"}}',
            r"^\$\.when\.type must be one of 'scheduled', 'delayed', 'cron'",
        ),
        (b'{"input": "x", "when": {"type": "cron"}}', r"^\$\.when\.cron is missing"),
        (b'{"input": "x", "when": {"type": "cron", "cron": "* * * * *", "x": 1}}', r"^\$\.when\.x is not a key"),
        (b'{"input": "x", "when": {"type": "delayed", "delayInSeconds": true}}', r"^\$\.when\.delayInSeconds must be"),
        (b'{"input": "x", "when": {"type": "delayed", "delay_in_seconds": 1}}', r"^\$\.when\.delay"),
        (b'{"input": "x", "when": {"type": "delayed", "delayInSeconds": 1e300}}', r"^\$\.when"),
        (b'{"input": "x", "when": {"type": "cron", "cron": "x"}, "budget": 1}', r"^\$\.budget must be a string"),
        (b"\xff", "utf-8"),
    ],
)
def test_a_body_that_does_not_fit_is_a_value_error_that_says_where(body: bytes, where: str) -> None:
    with pytest.raises(ValueError, match=where):
        decode_request(Request("POST", "/api/workers/w/schedules", {}, body))


def test_null_in_a_request_is_an_argument_that_is_not_given() -> None:
    body = b'{"input": "x", "budget": null, "stream": null, "unknown": 1}'
    assert decode_request(Request("POST", "/api/workers", {}, body)) == CreateWorker("x")


def test_the_path_wins_over_a_body_and_a_query_that_name_its_fields() -> None:
    body = b'{"input": "x", "worker_id": "other"}'
    assert decode_request(Request("POST", "/api/workers/w", {}, body)) == ContinueWorker("w", "x")
    assert decode_request(Request("GET", "/api/workers/w?worker_id=other")) == RetrieveWorker("w")


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "TEXT/Event-Stream", "application/json, text/event-stream;q=0.9"]
)
def test_retrieve_streams_where_events_are_accepted(accept: str) -> None:
    assert decode_request(Request("GET", "/api/workers/w", {"Accept": accept})) == RetrieveWorker("w", stream=True)


# to_dict ##############################################################################################################


@pytest.mark.parametrize(
    "value", [None, 1, "text", {}, [], CreateWorker("x"), ServerSentEvent("a"), Response(200), Worker]
)
def test_to_dict_takes_models_only(value: object) -> None:
    with pytest.raises(TypeError, match="takes a model"):
        to_dict(value)


def test_to_dict_takes_each_kind_of_when() -> None:
    assert to_dict(DelayedWhen(60)) == {"delayInSeconds": 60, "type": "delayed"}
    assert to_dict(ScheduledWhen(NOON)) == {"date": "2019-12-27T18:11:19.117000+00:00", "type": "scheduled"}


def test_to_json_is_compact_and_keeps_characters_as_they_are() -> None:
    assert to_json(CronWhen("à 9 h")) == '{"cron":"à 9 h","type":"cron"}'


def test_a_worker_nested_too_deeply_for_python_is_a_value_error_to_write() -> None:
    document = WORKER.replace('{"foo": "bar"}', '{"foo": ' + "[" * 900 + "]" * 900 + "}")
    worker = decode_response(RetrieveWorker("w"), answer(document))
    with pytest.raises(ValueError, match="nested too deeply"):
        to_dict(worker)


def test_results_are_the_same_without_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = decode_response(RetrieveWorker("w"), answer(WORKER))
    monkeypatch.setattr(_json, "orjson", None)
    assert decode_response(RetrieveWorker("w"), answer(WORKER)) == with_it
