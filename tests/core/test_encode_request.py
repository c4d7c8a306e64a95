"""Requests that operations encode to: percent-encoded path segments and dates. Exact bytes: `test_wire_table`."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from handinger_async.codec import decode_request, encode_request
from handinger_async.models import (
    ScheduledWhen,
)
from handinger_async.operations import (
    CreateSchedule,
    CreateWorker,
    RetrieveWorker,
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
