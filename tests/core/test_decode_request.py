"""Operations decoded from requests, as a service does it."""

import pytest

from handinger_async.codec import accepts_events, decode_request
from handinger_async.http import Request
from handinger_async.operations import (
    ContinueWorker,
    CreateWorker,
    RetrieveWorker,
)


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
def test_unknown_method_or_path_is_a_lookup_error(method: str, path: str) -> None:
    with pytest.raises(LookupError) as caught:
        decode_request(Request(method, f"{path}?page=1", {}, b"{}"))
    assert caught.value.args == (f"there is no {method} {' '.join(path.split())}",)


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
def test_malformed_path_parameter_or_query_is_a_value_error(path: str) -> None:
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
        (b'{"input": "x", "when": null}', r"^\$\.when must be an object, not null"),
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
def test_malformed_request_body_is_a_value_error_with_its_path(body: bytes, where: str) -> None:
    with pytest.raises(ValueError, match=where):
        decode_request(Request("POST", "/api/workers/w/schedules", {}, body))


def test_null_in_a_request_body_means_left_out() -> None:
    body = b'{"input": "x", "budget": null, "stream": null, "unknown": 1}'
    assert decode_request(Request("POST", "/api/workers", {}, body)) == CreateWorker("x")


def test_path_parameter_wins_over_body_and_query() -> None:
    body = b'{"input": "x", "worker_id": "other"}'
    assert decode_request(Request("POST", "/api/workers/w", {}, body)) == ContinueWorker("w", "x")
    assert decode_request(Request("GET", "/api/workers/w?worker_id=other")) == RetrieveWorker("w")


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "TEXT/Event-Stream", "application/json, text/event-stream;q=0.9"]
)
def test_accept_header_makes_retrieve_a_stream(accept: str) -> None:
    assert decode_request(Request("GET", "/api/workers/w", {"Accept": accept})) == RetrieveWorker("w", stream=True)


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        ("text/event-stream", True),
        ("TEXT/Event-Stream", True),
        ("application/json, text/event-stream", True),
        ("text/event-stream;q=0.001", True),
        ("text/event-stream; charset=utf-8; q=1", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream ; charset=utf-8 ; Q=0.000", False),
        ("text/event-stream;q=0, text/event-stream", False),
        ("*/*", None),
        ("text/event-streams", None),
        ("", None),
    ],
)
def test_accept_header_names_event_streams_refuses_them_or_neither(accept: str, accepted: bool | None) -> None:
    assert accepts_events(Request("GET", "/", {"Accept": accept})) is accepted


def test_request_without_an_accept_header_does_not_name_event_streams() -> None:
    assert accepts_events(Request("GET", "/")) is None
