"""Exact bytes of every operation: an operation, and the method, target, headers and body of its request."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from handinger_async import _json
from handinger_async.codec import decode_request, encode_request
from handinger_async.models import CronWhen, DelayedWhen, IntervalWhen, ScheduledWhen
from handinger_async.operations import (
    OPERATIONS,
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateTask,
    CreateWorker,
    CreateWorkerTemplate,
    DeleteTask,
    DeleteWebhook,
    DeleteWorker,
    ListSchedules,
    ListTaskTurns,
    ListWebhookExecutions,
    Operation,
    RegenerateWebhookToken,
    RetrieveTask,
    RetrieveWebhook,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
    UpdateWebhook,
    UpdateWorker,
)
from handinger_async.testing import strategies

GET_JSON = {"Accept": "application/json"}
GET_EVENTS = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
GET_BYTES = {"Accept": "application/octet-stream"}
POST_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
POST_EVENTS = {"Accept": "text/event-stream", "Cache-Control": "no-cache", "Content-Type": "application/json"}
POST_FORM = {"Accept": "application/json", "Content-Type": "multipart/form-data; boundary=b0undary"}
POST_FORM_EVENTS = GET_EVENTS | {"Content-Type": "multipart/form-data; boundary=b0undary"}

#: An id whose characters would change the URL, and the same as a percent-encoded path segment.
ODD, ENCODED = "a/é ?#%2F", "a%2F%C3%A9%20%3F%23%252F"


class Row(NamedTuple):
    """An operation and its request."""

    operation: Operation[Any]
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


ROWS = [
    # CreateWorker
    Row(CreateWorker("x"), "POST", "/api/workers", POST_JSON, b'{"input":"x"}'),
    Row(CreateWorker("x", budget=None), "POST", "/api/workers", POST_JSON, b'{"input":"x"}'),
    Row(CreateWorker("x", budget="low"), "POST", "/api/workers", POST_JSON, b'{"input":"x","budget":"low"}'),
    Row(CreateWorker("x", stream=True), "POST", "/api/workers", POST_EVENTS, b'{"input":"x","stream":true}'),
    Row(
        CreateWorker("x", budget="unlimited", stream=True),
        "POST",
        "/api/workers",
        POST_EVENTS,
        b'{"input":"x","budget":"unlimited","stream":true}',
    ),
    Row(CreateWorker("où, 天"), "POST", "/api/workers", POST_JSON, '{"input":"où, 天"}'.encode()),
    Row(CreateWorker('"\\\n\x00'), "POST", "/api/workers", POST_JSON, rb'{"input":"\"\\\n\u0000"}'),
    Row(CreateWorker("\ud83d"), "POST", "/api/workers", POST_JSON, rb'{"input":"\ud83d"}'),
    Row(CreateWorker(""), "POST", "/api/workers", POST_JSON, b'{"input":""}'),
    # RetrieveWorker
    Row(RetrieveWorker("w"), "GET", "/api/workers/w", GET_JSON),
    Row(RetrieveWorker("w", stream=True), "GET", "/api/workers/w?stream=true", GET_EVENTS),
    Row(RetrieveWorker("w", task_id=ODD), "GET", "/api/workers/w?taskId=a%2F%C3%A9+%3F%23%252F", GET_JSON),
    Row(RetrieveWorker("A-z_0.9~"), "GET", "/api/workers/A-z_0.9~", GET_JSON),
    Row(RetrieveWorker("!$&'()*+,;=:@"), "GET", "/api/workers/!$&'()*+,;=:@", GET_JSON),
    Row(RetrieveWorker(ODD), "GET", f"/api/workers/{ENCODED}", GET_JSON),
    Row(RetrieveWorker(ODD, stream=True), "GET", f"/api/workers/{ENCODED}?stream=true", GET_EVENTS),
    # ContinueWorker
    Row(ContinueWorker("w", "x"), "POST", "/api/workers/w", POST_JSON, b'{"input":"x"}'),
    Row(
        ContinueWorker("w", "x", budget="standard"),
        "POST",
        "/api/workers/w",
        POST_JSON,
        b'{"input":"x","budget":"standard"}',
    ),
    Row(ContinueWorker("w", "x", stream=True), "POST", "/api/workers/w", POST_EVENTS, b'{"input":"x","stream":true}'),
    Row(ContinueWorker(ODD, "天"), "POST", f"/api/workers/{ENCODED}", POST_JSON, '{"input":"天"}'.encode()),
    # StreamWorkerUpdates
    Row(StreamWorkerUpdates("w"), "GET", "/api/workers/w/stream", GET_EVENTS),
    Row(StreamWorkerUpdates(ODD), "GET", f"/api/workers/{ENCODED}/stream", GET_EVENTS),
    # RetrieveWorkerEmail
    Row(RetrieveWorkerEmail("w"), "GET", "/api/workers/w/email", GET_JSON),
    Row(RetrieveWorkerEmail(ODD), "GET", f"/api/workers/{ENCODED}/email", GET_JSON),
    # RetrieveWorkerFile
    Row(RetrieveWorkerFile("plan.md", "w"), "GET", "/api/workers/w/files/plan.md", GET_BYTES),
    Row(RetrieveWorkerFile("scratchpad/plan.md", "w"), "GET", "/api/workers/w/files/scratchpad/plan.md", GET_BYTES),
    Row(
        RetrieveWorkerFile("a b/é%2F?#.md", ODD),
        "GET",
        f"/api/workers/{ENCODED}/files/a%20b/%C3%A9%252F%3F%23.md",
        GET_BYTES,
    ),
    # ListSchedules
    Row(ListSchedules("w"), "GET", "/api/workers/w/schedules", GET_JSON),
    Row(ListSchedules(ODD), "GET", f"/api/workers/{ENCODED}/schedules", GET_JSON),
    # CreateSchedule
    Row(
        CreateSchedule("w", "x", ScheduledWhen("2030-01-02")),
        "POST",
        "/api/workers/w/schedules",
        POST_JSON,
        b'{"input":"x","when":{"date":"2030-01-02","type":"scheduled"}}',
    ),
    Row(
        CreateSchedule("w", "x", ScheduledWhen(datetime(2019, 12, 27, 18, 11, 19, 117000))),
        "POST",
        "/api/workers/w/schedules",
        POST_JSON,
        b'{"input":"x","when":{"date":"2019-12-27T18:11:19.117000","type":"scheduled"}}',
    ),
    Row(
        CreateSchedule("w", "x", ScheduledWhen(datetime(2030, 1, 2, tzinfo=UTC))),
        "POST",
        "/api/workers/w/schedules",
        POST_JSON,
        b'{"input":"x","when":{"date":"2030-01-02T00:00:00+00:00","type":"scheduled"}}',
    ),
    Row(
        CreateSchedule("w", "x", DelayedWhen(60), budget="high"),
        "POST",
        "/api/workers/w/schedules",
        POST_JSON,
        b'{"input":"x","when":{"delayInSeconds":60,"type":"delayed"},"budget":"high"}',
    ),
    Row(
        CreateSchedule("w", "x", {"type": "delayed", "delay_in_seconds": 60}),  # type: ignore[arg-type]
        "POST",
        "/api/workers/w/schedules",
        POST_JSON,
        b'{"input":"x","when":{"delayInSeconds":60,"type":"delayed"}}',
    ),
    Row(
        CreateSchedule("w", "x", CronWhen("0 9 * * 1")),
        "POST",
        "/api/workers/w/schedules",
        POST_JSON,
        b'{"input":"x","when":{"cron":"0 9 * * 1","type":"cron"}}',
    ),
    Row(
        CreateSchedule(ODD, "天", IntervalWhen(3600)),
        "POST",
        f"/api/workers/{ENCODED}/schedules",
        POST_JSON,
        '{"input":"天","when":{"intervalSeconds":3600,"type":"interval"}}'.encode(),
    ),
    # CreateWorkerTemplate
    Row(CreateWorkerTemplate(), "POST", "/api/workers", POST_JSON, b"{}"),
    Row(
        CreateWorkerTemplate("i", "p", "t", "s", "private", {"type": "object", "$ref": None}),
        "POST",
        "/api/workers",
        POST_JSON,
        b'{"instructions":"i","prompt":"p","title":"t","summary":"s","visibility":"private",'
        b'"outputSchema":{"type":"object","$ref":null}}',
    ),
    # UpdateWorker
    Row(UpdateWorker("w"), "PATCH", "/api/workers/w", POST_JSON, b"{}"),
    Row(
        UpdateWorker("w", title="t", output_schema=None),
        "PATCH",
        "/api/workers/w",
        POST_JSON,
        b'{"title":"t","outputSchema":null}',
    ),
    Row(
        UpdateWorker(ODD, "i", None, "s", "public", {}),
        "PATCH",
        f"/api/workers/{ENCODED}",
        POST_JSON,
        b'{"instructions":"i","summary":"s","visibility":"public","outputSchema":{}}',
    ),
    # DeleteWorker
    Row(DeleteWorker(ODD), "DELETE", f"/api/workers/{ENCODED}", GET_JSON),
    # CreateTask
    Row(CreateTask("x"), "POST", "/api/tasks", POST_JSON, b'{"input":"x"}'),
    Row(
        CreateTask("x", "w", "t", "low", stream=True),
        "POST",
        "/api/tasks",
        POST_EVENTS,
        b'{"input":"x","workerId":"w","taskId":"t","budget":"low","stream":true}',
    ),
    Row(
        CreateTask("où\n", files=[("a.txt", b"one\r\n")]),
        "POST",
        "/api/tasks",
        POST_FORM,
        b'--b0undary\r\nContent-Disposition: form-data; name="input"\r\n\r\no\xc3\xb9\n\r\n'
        b'--b0undary\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\none\r\n\r\n--b0undary--\r\n",
    ),
    Row(
        CreateTask("x", "w", "t", "low", stream=True, files=[('"é\r\n%', b"\x00"), ("b.png", b"")]),
        "POST",
        "/api/tasks",
        POST_FORM_EVENTS,
        b'--b0undary\r\nContent-Disposition: form-data; name="input"\r\n\r\nx\r\n'
        b'--b0undary\r\nContent-Disposition: form-data; name="workerId"\r\n\r\nw\r\n'
        b'--b0undary\r\nContent-Disposition: form-data; name="taskId"\r\n\r\nt\r\n'
        b'--b0undary\r\nContent-Disposition: form-data; name="budget"\r\n\r\nlow\r\n'
        b'--b0undary\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
        b'--b0undary\r\nContent-Disposition: form-data; name="files[]"; filename="%22\xc3\xa9%0D%0A%"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\r\n"
        b'--b0undary\r\nContent-Disposition: form-data; name="files[]"; filename="b.png"\r\n'
        b"Content-Type: image/png\r\n\r\n\r\n--b0undary--\r\n",
    ),
    # RetrieveTask, ListTaskTurns, DeleteTask
    Row(RetrieveTask(ODD), "GET", f"/api/tasks/{ENCODED}", GET_JSON),
    Row(ListTaskTurns(ODD), "GET", f"/api/tasks/{ENCODED}/turns", GET_JSON),
    Row(DeleteTask(ODD), "DELETE", f"/api/tasks/{ENCODED}", GET_JSON),
    # RetrieveWebhook, UpdateWebhook, DeleteWebhook
    Row(RetrieveWebhook(ODD), "GET", f"/api/workers/{ENCODED}/webhook", GET_JSON),
    Row(UpdateWebhook("w", None), "PUT", "/api/workers/w/webhook", POST_JSON, b'{"url":null}'),
    Row(
        UpdateWebhook(ODD, "https://example.com/hook"),
        "PUT",
        f"/api/workers/{ENCODED}/webhook",
        POST_JSON,
        b'{"url":"https://example.com/hook"}',
    ),
    Row(DeleteWebhook(ODD), "DELETE", f"/api/workers/{ENCODED}/webhook", GET_JSON),
    # ListWebhookExecutions
    Row(ListWebhookExecutions("w"), "GET", "/api/workers/w/webhook/executions", GET_JSON),
    Row(ListWebhookExecutions(ODD, 2), "GET", f"/api/workers/{ENCODED}/webhook/executions?page=2", GET_JSON),
    # RegenerateWebhookToken
    Row(RegenerateWebhookToken(ODD), "POST", f"/api/workers/{ENCODED}/webhook/regenerate-token", GET_JSON),
    # CancelSchedule
    Row(CancelSchedule("s", "w"), "DELETE", "/api/workers/w/schedules/s", GET_JSON),
    Row(CancelSchedule(ODD, ODD), "DELETE", f"/api/workers/{ENCODED}/schedules/{ENCODED}", GET_JSON),
]
by_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{type(row.operation).__name__}-{row.target}")


def check(row: Row) -> None:
    request = encode_request(row.operation, boundary="b0undary")
    assert (request.method, request.target) == (row.method, row.target)
    assert dict(request.headers) == row.headers
    assert request.read_body() == row.body


@by_row
def test_request_has_these_exact_bytes(row: Row) -> None:
    check(row)


@by_row
def test_request_has_the_same_bytes_without_orjson(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_json, "orjson", None)
    check(row)


@by_row
def test_decoded_request_is_encoded_to_the_same_bytes(row: Row) -> None:
    check(row._replace(operation=decode_request(encode_request(row.operation, boundary="b0undary"))))


@pytest.mark.parametrize("cls", OPERATIONS)
def test_every_operation_has_a_row(cls: type[Operation[Any]]) -> None:
    if not any(type(row.operation) is cls for row in ROWS):
        pytest.fail(
            f"no row for {cls.__name__}: add its exact bytes to ROWS in tests/core/test_wire_table.py", pytrace=False
        )


@pytest.mark.parametrize("cls", OPERATIONS)
def test_every_operation_is_drawn_by_the_strategy(cls: type[Operation[Any]]) -> None:
    look = settings(
        max_examples=2000,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    drawn = True
    try:
        find(strategies.operations(), lambda operation: type(operation) is cls, settings=look)
    except NoSuchExample:
        drawn = False
    if not drawn:
        pytest.fail(
            f"no strategy for {cls.__name__}: let operations() in handinger_async.testing.strategies draw it",
            pytrace=False,
        )
