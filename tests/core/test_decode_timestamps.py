"""RFC 3339 timestamps in responses."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from handinger_async.codec import decode_response, encode_response
from handinger_async.errors import (
    APIResponseValidationError,
)
from handinger_async.models import (
    ScheduledWorkerSchedule,
)

from .documents import CREATE, NOON, SCHEDULE, make_response


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
def test_rfc_3339_timestamps_are_decoded(text: str, instant: datetime) -> None:
    schedule = decode_response(CREATE, make_response(SCHEDULE.replace("2019-12-27T18:11:19.117Z", text)))
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
def test_other_timestamps_are_validation_errors(text: str, reason: str) -> None:
    body = json.dumps(json.loads(SCHEDULE) | {"nextRunAt": text})
    with pytest.raises(APIResponseValidationError, match=reason) as caught:
        decode_response(CREATE, make_response(body))
    assert caught.value.path == "$.nextRunAt"
    assert len(str(caught.value)) < 300
