"""Results decoded from 2xx responses: models, e-mail addresses, files and streams of events."""

import json
from typing import Any

import pytest

from handinger_async import _json, codec
from handinger_async.codec import decode_response, encode_response, to_dict, to_json
from handinger_async.errors import (
    APIResponseValidationError,
    EventTooLargeError,
)
from handinger_async.http import Response
from handinger_async.models import (
    Costs,
    CronWorkerSchedule,
    DelayedWorkerSchedule,
    File,
    IntervalWorkerSchedule,
    Output,
    OutputContent,
    ScheduleCancelResponse,
    ScheduledWorkerSchedule,
    ScheduleListResponse,
    Source,
    UnknownWorkerSchedule,
    Usage,
    Worker,
)
from handinger_async.operations import (
    CancelSchedule,
    CreateWorker,
    Operation,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from handinger_async.sse import EventParser, ServerSentEvent

from .documents import (
    CANCELLED,
    CREATE,
    DOCUMENTS,
    LIST,
    NOON,
    SCHEDULE,
    SCHEDULES,
    STREAMS,
    TEMPLATE,
    WORKER,
    is_optional,
    make_response,
    places,
)

# The samples of the API reference #####################################################################################


def test_sample_worker_of_the_reference_decodes() -> None:
    worker = decode_response(RetrieveWorker("id"), make_response(WORKER))
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


def test_sample_schedules_of_the_reference_decode() -> None:
    listed = decode_response(LIST, make_response(SCHEDULES))
    one = ScheduledWorkerSchedule(id="id", budget="low", input="input", next_run_at=NOON)
    assert listed == ScheduleListResponse(schedules=[one], worker_id="workerId")
    assert one.type == "scheduled"
    assert decode_response(CREATE, make_response(SCHEDULE)) == one


def test_sample_cancellation_and_email_decode() -> None:
    assert decode_response(CancelSchedule("s", "w"), make_response(CANCELLED)) == ScheduleCancelResponse(cancelled=True)
    assert decode_response(RetrieveWorkerEmail("w"), make_response('"string"')) == "string"


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"type": "delayed", "delayInSeconds": 60}, DelayedWorkerSchedule),
        ({"type": "cron", "cron": "0 9 * * 1"}, CronWorkerSchedule),
        ({"type": "interval", "intervalSeconds": 60}, IntervalWorkerSchedule),
        ({"type": "lunar", "phase": "full"}, UnknownWorkerSchedule),
    ],
)
def test_type_selects_the_schedule_class(document: dict[str, Any], wanted: type[Any]) -> None:
    whole = json.loads(SCHEDULE) | document
    schedule = decode_response(CREATE, make_response(json.dumps(whole)))
    assert type(schedule) is wanted
    assert schedule.type == document["type"]
    assert to_dict(schedule) in (whole, whole | {"nextRunAt": NOON.isoformat()})


# Spellings of a JSON body #############################################################################################


def test_null_in_an_optional_field_means_absent() -> None:
    document = json.loads(WORKER)
    for path, holder, key in places(document):
        if is_optional(RetrieveWorker("w"), path):
            holder[key] = None
    worker = decode_response(RetrieveWorker("w"), make_response(json.dumps(document)))
    assert (worker.created_at, worker.costs, worker.usage, worker.files[0].filename) == (None, None, None, None)
    assert "costs" not in to_dict(worker)


def test_integer_field_accepts_a_float_without_fraction() -> None:
    worker = decode_response(RetrieveWorker("w"), make_response(WORKER.replace('"steps": 0', '"steps": 3.0')))
    assert worker.usage is not None
    assert worker.usage.steps == 3
    assert type(worker.usage.steps) is int


@pytest.mark.parametrize("status", [201, 202, 204, 299])
def test_every_2xx_is_decoded_and_an_empty_body_is_an_error(status: int) -> None:
    assert decode_response(CancelSchedule("s", "w"), make_response(CANCELLED, status)).cancelled
    with pytest.raises(APIResponseValidationError, match="empty"):
        decode_response(CancelSchedule("s", "w"), make_response("", status))


def test_decoded_result_is_the_same_without_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = decode_response(RetrieveWorker("w"), make_response(WORKER))
    monkeypatch.setattr(_json, "orjson", None)
    assert decode_response(RetrieveWorker("w"), make_response(WORKER)) == with_it


# E-mail addresses and files ###########################################################################################


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('"a@b.example"', "application/json"),
        ('"a@b.example"', "text/plain; charset=utf-8"),
        ("a@b.example", "text/plain; charset=utf-8"),
        ("a@b.example\r\n", "TEXT/PLAIN"),
        ("\ufeffa@b.example", "text/plain"),
        ("a@b.example", ""),
        ('{"email": "a@b.example"}', "application/json"),
    ],
)
def test_email_address_is_a_json_string_an_object_or_plain_text(body: str, content_type: str) -> None:
    assert decode_response(RetrieveWorkerEmail("w"), make_response(body, content_type=content_type)) == "a@b.example"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("a@b.example", "application/json"),
        ("a@b.example", "text/html"),
        ("<html>", "text/plain"),
        (" <html>", ""),
        ("null", "application/json"),
        ("null", "text/plain"),
        ('{"email": null}', "application/json"),
        ("{}", "application/json"),
        ("[]", "application/json"),
        ("7", "text/plain"),
        ("", "text/plain"),
        (" ", ""),
        (b"\xff\xfe", "text/plain"),
    ],
)
def test_any_other_body_is_no_email_address(body: str | bytes, content_type: str) -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(RetrieveWorkerEmail("w"), make_response(body, content_type=content_type))
    assert caught.value.path == "$"


def test_error_about_an_address_quotes_the_body() -> None:
    with pytest.raises(APIResponseValidationError, match=r"^the body is not JSON \(.*line 1 .*\): 'a@b\.example' \("):
        decode_response(RetrieveWorkerEmail("w"), make_response("a@b.example", content_type="text/html"))


def test_error_of_another_result_than_an_address_names_its_type() -> None:
    with pytest.raises(APIResponseValidationError, match=r"^\$ must be a string, not an array \("):
        decode_response(RetrieveWorkerEmail("w"), make_response("[]"))


def test_file_result_is_the_body_unchanged() -> None:
    body = b"<html>\xff\0{"
    assert decode_response(RetrieveWorkerFile("f", "w"), make_response(body, content_type="text/html")) == body
    assert decode_response(RetrieveWorkerFile("f", "w"), make_response(b"", 204)) == b""


# Streams of events ####################################################################################################


@pytest.mark.parametrize("operation", STREAMS)
def test_event_stream_decodes_to_its_events(operation: Operation[list[ServerSentEvent]]) -> None:
    stream = make_response("id: 1\ndata: a\n\nevent: e\ndata: b\n\n", content_type="text/event-stream; charset=utf-8")
    assert decode_response(operation, stream) == [ServerSentEvent("a", id="1"), ServerSentEvent("b", "e", "1")]
    assert decode_response(operation, Response(204)) == []


@pytest.mark.parametrize("operation", STREAMS)
@pytest.mark.parametrize("content_type", ["text/html", "application/json", ""])
def test_stream_response_of_another_media_type_is_a_validation_error(
    operation: Operation[Any], content_type: str
) -> None:
    found = content_type or "no content type"
    with pytest.raises(APIResponseValidationError, match=f"^the response is {found}, not text/event-stream"):
        decode_response(operation, make_response("data: a\n\n", content_type=content_type))


def test_truncated_event_stream_is_a_validation_error() -> None:
    with pytest.raises(APIResponseValidationError, match=r"^the stream ends in the middle of an event "):
        decode_response(STREAMS[0], make_response("data: a\n\ndata: b\n", content_type="text/event-stream"))


def test_event_over_the_size_limit_raises_event_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "EventParser", lambda: EventParser(max_event_size=10))
    body = "data: a\n\ndata: bbbbbbbbbbbbbbbbbbbbb\n\n"
    with pytest.raises(EventTooLargeError) as caught:
        decode_response(STREAMS[0], make_response(body, content_type="text/event-stream"))
    assert caught.value.call == "GET /api/workers/w/stream"


def test_event_without_id_after_one_with_id_survives_the_round_trip() -> None:
    events = [ServerSentEvent("a", id="1"), ServerSentEvent("b"), ServerSentEvent("c", id="3")]
    operation = StreamWorkerUpdates("w")
    assert decode_response(operation, encode_response(operation, events)) == events


@pytest.mark.parametrize(("operation", "document"), DOCUMENTS)
def test_encoded_result_is_decoded_to_the_same_result(operation: Operation[Any], document: str) -> None:
    result = decode_response(operation, make_response(document))
    response = encode_response(operation, result)
    assert (response.status, dict(response.headers)) == (200, {"Content-Type": "application/json"})
    assert decode_response(operation, response) == result


def test_email_address_and_file_are_encoded_as_they_are() -> None:
    address = encode_response(RetrieveWorkerEmail("w"), "a@b.example")
    assert address == Response(200, {"Content-Type": "application/json"}, b'"a@b.example"')
    file = encode_response(RetrieveWorkerFile("f", "w"), b"\xff\0{")
    assert file == Response(200, {"Content-Type": "application/octet-stream"}, b"\xff\0{")


def test_event_without_id_resets_only_an_id_before_it() -> None:
    operation = StreamWorkerUpdates("w")
    events = [ServerSentEvent("a"), ServerSentEvent("b", id="1"), ServerSentEvent("c"), ServerSentEvent("d")]
    response = encode_response(operation, events)
    assert response == Response(
        200,
        {"Content-Type": "text/event-stream"},
        b"data: a\n\nid: 1\ndata: b\n\nid\ndata: c\n\ndata: d\n\n",
    )


# Services of the other generation #####################################################################################


def test_template_instead_of_a_run_is_explained() -> None:
    response = make_response(TEMPLATE)
    with pytest.raises(APIResponseValidationError) as caught:
        decode_response(CreateWorker("x"), response)
    assert caught.value.response is response
    assert caught.value.message == (
        "the response is the template wrk_vk81XUHKHG-qr4 instead of a run: this service is of the newer generation, "
        "use session.run() or session.tasks.create()"
    )
