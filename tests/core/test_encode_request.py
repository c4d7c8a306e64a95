"""Requests that operations encode to: percent-encoded path segments and dates. Exact bytes: `test_wire_table`."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from handinger_async import ConfigurationError
from handinger_async.codec import decode_request, encode_request
from handinger_async.models import (
    ScheduledWhen,
)
from handinger_async.operations import (
    CreateSchedule,
    CreateWorker,
    CreateWorkerTemplate,
    RetrieveWorker,
    UpdateWorker,
)


def test_lone_surrogate_survives_the_round_trip() -> None:
    operation = CreateWorker("\ud83d")
    assert encode_request(operation).body == rb'{"input":"\ud83d"}'
    assert decode_request(encode_request(operation)) == operation


@pytest.mark.parametrize(("character"), "!$&'()*+,;=:@-._~aZ09")
def test_pchar_characters_stay_unescaped_in_a_segment(character: str) -> None:
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
def test_other_characters_are_percent_encoded_in_a_segment(text: str, encoded: str) -> None:
    assert encode_request(RetrieveWorker(f"w{text}")).target == f"/api/workers/w{encoded}"


def test_date_is_encoded_in_iso_8601_with_its_own_offset_or_none() -> None:
    def date(given: datetime | str) -> Any:
        return json.loads(encode_request(CreateSchedule("w", "x", ScheduledWhen(given))).body)["when"]["date"]

    assert date(datetime(2030, 1, 2, 3, 4, 5)) == "2030-01-02T03:04:05"
    assert date(datetime(2030, 1, 2, 3, 4, 5, 6, UTC)) == "2030-01-02T03:04:05.000006+00:00"
    assert date("next tuesday") == "next tuesday"


@pytest.mark.parametrize(
    "depth", [100, 300, 700, 1200, 5000, 100_000]
)  # versions of CPython differ in what is too deep
@pytest.mark.parametrize("make", [CreateWorkerTemplate, lambda **given: UpdateWorker("w", **given)])
def test_schema_of_any_depth_is_encoded_or_a_configuration_error(make: Any, depth: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    try:
        outcome = encode_request(make(output_schema=schema)).body
    except ConfigurationError as error:
        outcome = str(error)
    if isinstance(outcome, str):
        assert outcome.endswith("cannot be encoded as JSON: nested too deeply")
        assert depth > 300
    else:
        assert outcome == b'{"outputSchema":' + b'{"not":' * depth + b"{}" + b"}" * depth + b"}"


def test_schema_changed_after_its_check_is_a_configuration_error() -> None:
    operation = CreateWorkerTemplate(output_schema={"type": "object"})
    assert operation.output_schema is not None
    operation.output_schema["default"] = math.nan
    with pytest.raises(ConfigurationError, match="CreateWorkerTemplate cannot be encoded as JSON: Out of range"):
        encode_request(operation)
