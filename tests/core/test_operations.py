"""Operations: their routes, and arguments that are refused before anything is sent."""

import json
from datetime import datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async import models, operations
from handinger_async.codec import encode_request
from handinger_async.errors import ConfigurationError
from handinger_async.models import CronWhen, DelayedWhen, IntervalWhen, ScheduledWhen, to_when
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
from handinger_async.sse import ServerSentEvent

from .test_wire_table import ROWS

# Routes ###############################################################################################################

#: The table of the API reference: route, fields (optional ones with a star), type of the result.
ROUTES: list[tuple[type[Operation[Any]], str, str, Any]] = [
    (CreateWorker, "POST /api/workers", "input budget* stream*", models.Worker),
    (RetrieveWorker, "GET /api/workers/{worker_id}", "worker_id stream* task_id*", models.Worker),
    (ContinueWorker, "POST /api/workers/{worker_id}", "worker_id input budget* stream*", models.Worker),
    (StreamWorkerUpdates, "GET /api/workers/{worker_id}/stream", "worker_id", ServerSentEvent),
    (RetrieveWorkerEmail, "GET /api/workers/{worker_id}/email", "worker_id", str),
    (RetrieveWorkerFile, "GET /api/workers/{worker_id}/files/{file_path...}", "file_path worker_id", bytes),
    (ListSchedules, "GET /api/workers/{worker_id}/schedules", "worker_id", models.ScheduleListResponse),
    (CreateSchedule, "POST /api/workers/{worker_id}/schedules", "worker_id input when budget*", models.WorkerSchedule),
    (
        CancelSchedule,
        "DELETE /api/workers/{worker_id}/schedules/{schedule_id}",
        "schedule_id worker_id",
        models.ScheduleCancelResponse,
    ),
    (
        CreateWorkerTemplate,
        "POST /api/workers",
        "instructions* prompt* title* summary* visibility* output_schema*",
        models.WorkerTemplate,
    ),
    (
        UpdateWorker,
        "PATCH /api/workers/{worker_id}",
        "worker_id instructions* title* summary* visibility* output_schema*",
        models.WorkerTemplate,
    ),
    (DeleteWorker, "DELETE /api/workers/{worker_id}", "worker_id", models.DeleteWorkerResponse),
    (CreateTask, "POST /api/tasks", "input worker_id* task_id* budget* stream* files*", models.Worker),
    (RetrieveTask, "GET /api/tasks/{task_id}", "task_id", models.TaskWithTurns),
    (ListTaskTurns, "GET /api/tasks/{task_id}/turns", "task_id", models.TaskTurnList),
    (DeleteTask, "DELETE /api/tasks/{task_id}", "task_id", models.DeleteTaskResponse),
    (RetrieveWebhook, "GET /api/workers/{worker_id}/webhook", "worker_id", models.Webhook),
    (UpdateWebhook, "PUT /api/workers/{worker_id}/webhook", "worker_id url", models.Webhook),
    (DeleteWebhook, "DELETE /api/workers/{worker_id}/webhook", "worker_id", models.Webhook),
    (
        ListWebhookExecutions,
        "GET /api/workers/{worker_id}/webhook/executions",
        "worker_id page*",
        models.WebhookExecutionList,
    ),
    (
        RegenerateWebhookToken,
        "POST /api/workers/{worker_id}/webhook/regenerate-token",
        "worker_id",
        models.Webhook,
    ),
]


@pytest.mark.parametrize(("cls", "route", "arguments", "returns"), ROUTES)
def test_route_and_fields_match_the_reference(
    cls: type[Operation[Any]], route: str, arguments: str, returns: Any
) -> None:
    assert f"{cls.route.method} {cls.route.path}" == route
    fields = [field.name + ("" if field.default is attrs.NOTHING else "*") for field in attrs.fields(cls)]
    assert fields == arguments.split()
    assert cls.route.returns is returns


def test_operations_lists_every_declaration_once() -> None:
    declared = {cls for cls in vars(operations).values() if isinstance(cls, type) and issubclass(cls, Operation)}
    assert sorted(map(str, OPERATIONS)) == sorted(map(str, declared - {Operation}))
    assert {cls.__name__ for cls in OPERATIONS} <= set(operations.__all__)


def test_as_stream_returns_the_streaming_operation_or_raises() -> None:
    assert RetrieveWorker("w").as_stream() == RetrieveWorker("w", stream=True)
    assert CreateWorker("x", "low").as_stream() == CreateWorker("x", "low", stream=True)
    for operation in (StreamWorkerUpdates("w"), RetrieveWorker("w", stream=True)):
        assert operation.as_stream() is operation
    with pytest.raises(ConfigurationError, match="ListSchedules"):
        ListSchedules("w").as_stream()


# Path parameters ######################################################################################################


def make(cls: Any, **changes: Any) -> Operation[Any]:
    """Make an operation of the class, with changes to the arguments of an example."""
    example: Any = next(row.operation for row in ROWS if type(row.operation) is cls)
    return attrs.evolve(example, **changes)  # type: ignore[no-any-return]


SEGMENTS = [(cls, name) for cls in OPERATIONS for name in cls.route.path_parameters]


@pytest.mark.parametrize(("cls", "name"), SEGMENTS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "%2e",
        "%2E%2e",
        ".%2e",
        "%2E.",
        "a\0",
        "a\n",
        "\r",
        "\x1f",
        "a\x7f",
        "\x85",
        "\x9f",
        "\ud800",
        "a\udfff",
    ],
)
def test_path_parameter_that_could_change_the_url_is_refused(cls: type[Operation[Any]], name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        make(cls, **{name: text})


@pytest.mark.parametrize(
    "text", ["a//b", "/a", "a/", "/", "a/../b", "../a", "a/..", "./a", "a/%2E%2e/b", "a/%2e", "a/\n/b"]
)
def test_file_path_with_an_empty_or_dot_segment_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="empty segment" if "" in text.split("/") else "file_path"):
        RetrieveWorkerFile(text, "w")


@pytest.mark.parametrize(
    "text", ["...", ". ", "a..b", "..a", "%", "%2", "%zz", "%2e%2e%2e", "a/../b", "~", "-", " ", "é", "天", "😀"]
)
def test_any_other_id_is_accepted_unchanged(text: str) -> None:
    assert make(RetrieveWorker, worker_id=text) == RetrieveWorker(text)


# Other arguments ######################################################################################################


@pytest.mark.parametrize("value", [None, 7, b"w", ["w"], True])
@pytest.mark.parametrize("name", ["worker_id", "schedule_id", "file_path", "input"])
def test_text_field_must_be_a_string(name: str, value: object) -> None:
    cls = next(cls for cls in OPERATIONS if name in attrs.fields_dict(cls))
    with pytest.raises(ConfigurationError, match=f"{name} must be a string, not {type(value).__name__}"):
        make(cls, **{name: value})


@pytest.mark.parametrize("value", [None, 0, 1, "true"])
def test_stream_must_be_a_bool(value: object) -> None:
    with pytest.raises(ConfigurationError, match="stream must be True or False"):
        make(CreateWorker, stream=value)


@pytest.mark.parametrize("value", [1, b"low", ["low"], False])
def test_budget_must_be_a_string_or_none(value: object) -> None:
    with pytest.raises(ConfigurationError, match="budget must be a string or None"):
        make(CreateWorker, budget=value)


def test_unknown_budget_is_sent_unchanged() -> None:
    assert json.loads(encode_request(make(CreateWorker, budget="cosmic")).body)["budget"] == "cosmic"


@pytest.mark.parametrize("text", ["\ud800" * 5000, "\n" * 5000, "a//" * 5000, "\U0001f600//" * 5000, "//\x1b" * 5000])
@pytest.mark.parametrize("name", ["worker_id", "file_path"])
def test_refusal_message_is_short_and_printable(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        make(RetrieveWorkerFile, **{name: text + "\x1b"})
    assert len(str(caught.value).encode()) < 2000
    assert str(caught.value).isprintable()


# When #################################################################################################################


@pytest.mark.parametrize(
    ("given", "when"),
    [
        ({"type": "scheduled", "date": "2030-01-01"}, ScheduledWhen("2030-01-01")),
        ({"date": datetime(2019, 12, 27), "type": "scheduled"}, ScheduledWhen(datetime(2019, 12, 27))),
        ({"type": "delayed", "delay_in_seconds": 60}, DelayedWhen(60)),
        ({"type": "cron", "cron": "0 9 * * 1"}, CronWhen("0 9 * * 1")),
        ({"type": "interval", "interval_seconds": 60}, IntervalWhen(60)),
    ],
)
def test_when_may_be_a_dict(given: Any, when: models.When) -> None:
    assert CreateSchedule("w", "x", given) == CreateSchedule("w", "x", when)
    assert to_when(when) is when
    assert given["type"] == when.type


ALL_TYPES = "'scheduled' or 'delayed' or 'cron' or 'interval'"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "when must be a When or a dict, not NoneType"),
        ("cron", "when must be a When or a dict, not str"),
        ([("type", "cron")], "when must be a When or a dict, not list"),
        ({}, f"when needs the key 'type': {ALL_TYPES}"),
        ({"cron": "* * * * *"}, f"when needs the key 'type': {ALL_TYPES}"),
        ({"type": "lunar"}, f"when['type'] must be {ALL_TYPES}, not 'lunar'"),
        ({"type": None}, f"when['type'] must be {ALL_TYPES}, not None"),
        ({"type": ["cron"]}, f"when['type'] must be {ALL_TYPES}, not ['cron']"),
        ({"type": "cron"}, "when of type 'cron' needs the key 'cron': its keys are 'type', 'cron'"),
        (
            {"type": "delayed", "delayInSeconds": 60},
            "when of type 'delayed' needs the key 'delay_in_seconds': its keys are 'type', 'delay_in_seconds'",
        ),
        (
            {"type": "cron", "cron": "* * * * *", "date": "now"},
            "when of type 'cron' does not take the key 'date': its keys are 'type', 'cron'",
        ),
        (
            {"type": "cron", "cron": "* * * * *", 7: 7},
            "when of type 'cron' does not take the key 7: its keys are 'type', 'cron'",
        ),
        ({"type": "scheduled", "date": 7}, "date must be a datetime or a string, not int"),
        ({"type": "scheduled", "date": None}, "date must be a datetime or a string, not NoneType"),
        ({"type": "delayed", "delay_in_seconds": "60"}, "delay_in_seconds must be a whole number, not str"),
        ({"type": "delayed", "delay_in_seconds": 1.5}, "delay_in_seconds must be a whole number, not float"),
        ({"type": "delayed", "delay_in_seconds": True}, "delay_in_seconds must be a whole number, not bool"),
        ({"type": "interval", "interval_seconds": None}, "interval_seconds must be a whole number, not NoneType"),
        (
            {"type": "interval", "interval_seconds": 2**63},
            "interval_seconds must be a whole number of at most 64 bits",
        ),
        ({"type": "cron", "cron": 7}, "cron must be a string, not int"),
    ],
)
def test_malformed_when_is_refused_with_the_allowed_keys(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CreateSchedule("w", "x", given)
    assert str(caught.value) == message


@given(
    st.dictionaries(st.text() | st.sampled_from(["type", "cron"]), st.text() | st.integers() | st.just("cron" * 9999))
)
def test_any_dict_is_a_when_or_refused_briefly(given: dict[str, Any]) -> None:
    try:
        to_when(given)
    except ConfigurationError as error:
        message = str(error)
        assert len(message.encode()) < 2000
