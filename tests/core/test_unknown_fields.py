"""Fields, enum values and schedule types of a later service: kept as they are, never an error."""

import json
from datetime import UTC, datetime

import pytest

from handinger_async.codec import decode_response, to_dict
from handinger_async.models import (
    File,
    UnknownWorkerSchedule,
)
from handinger_async.operations import (
    RetrieveWorker,
)

from .documents import CREATE, FULL_WORKER, WORKER, make_response


def test_unknown_fields_are_kept_at_every_level() -> None:
    document = json.loads(FULL_WORKER)
    for index, holder in enumerate([document, *document["files"], *document["output"], document["usage"]]):
        holder["new"] = {"deep": [index]}
    worker = decode_response(RetrieveWorker("w"), make_response(json.dumps(document)))
    assert worker.extra == {"new": {"deep": [0]}}
    assert worker.files[0].extra == {"new": {"deep": [1]}}
    assert to_dict(worker) == document


@pytest.mark.parametrize("name", ["extra", "\0extra", "media_type", "", "self", "type"])
def test_unknown_field_may_have_any_name(name: str) -> None:
    document = json.loads(WORKER)
    document["files"][0][name] = 1
    worker = decode_response(RetrieveWorker("w"), make_response(json.dumps(document)))
    assert worker.files[0].extra == {name: 1}
    assert to_dict(worker) == document


def test_extra_never_overrides_a_known_field() -> None:
    """Only a program can cause the clash: a known name in a response is decoded as its field."""
    file = File(media_type="text/plain", url="u", extra={"mediaType": "image/png", "size": 1})
    assert to_dict(file) == {"mediaType": "text/plain", "url": "u", "size": 1}


def test_unknown_enum_values_are_kept() -> None:
    document = json.loads(WORKER)
    document |= {"status": "dreaming", "object": "robot"}
    document["output"][0] |= {"role": "chorus", "status": "hummed", "type": "song"}
    worker = decode_response(RetrieveWorker("w"), make_response(json.dumps(document)))
    assert (worker.status, worker.object, worker.output[0].role) == ("dreaming", "robot", "chorus")
    assert to_dict(worker) == document


def test_unknown_schedule_type_keeps_the_whole_object() -> None:
    document = {"type": "lunar", "phase": "full", "nextRunAt": 7}
    schedule = decode_response(CREATE, make_response(json.dumps(document)))
    assert schedule == UnknownWorkerSchedule(type="lunar", raw=document)
    assert to_dict(schedule) == document


@pytest.mark.parametrize(
    ("next_run_at", "instant"),
    [
        ("2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-01-02t03:04:05z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05", None),
        ("soon", None),
        (7, None),
        (None, None),
    ],
)
def test_unknown_schedule_has_the_fields_that_all_schedules_have(next_run_at: object, instant: datetime | None) -> None:
    document = {"type": "lunar", "id": "s", "budget": "vast", "input": "x", "nextRunAt": next_run_at}
    schedule = decode_response(CREATE, make_response(json.dumps(document)))
    assert (schedule.id, schedule.budget, schedule.input, schedule.next_run_at) == ("s", "vast", "x", instant)
    bare = UnknownWorkerSchedule(type="lunar", raw={"type": "lunar", "id": 7, "input": ["x"]})
    assert (bare.id, bare.budget, bare.input, bare.next_run_at) == ("", None, None, None)


def test_error_and_incomplete_details_accept_any_value() -> None:
    document = json.loads(WORKER) | {"error": {"message": "m"}, "incomplete_details": ["d"]}
    worker = decode_response(RetrieveWorker("w"), make_response(json.dumps(document)))
    assert (worker.error, worker.incomplete_details) == ({"message": "m"}, ["d"])
