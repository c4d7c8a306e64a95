"""`ResumableStream` without I/O: its transitions, and what it delivers after interruptions."""

from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    EventTooLargeError,
    RetryPolicy,
    StreamInterruptedError,
)
from handinger_async.errors import status_error_class
from handinger_async.http import Request, Response
from handinger_async.resume import ResumableStream, State

from .resumable import CUT, GET, POLICY, SSE, event, live, plain, resumed


def error(status: int, headers: dict[str, str] | None = None) -> APIStatusError:
    return status_error_class(status)(response=Response(status, headers or {}))


# Transitions ##########################################################################################################

#: Events sent before the interruption: a greeting, three with an id, and a tail of two without.
BEFORE = (plain("hello"), event("1"), event("2"), event("3", "three"), plain("a"), plain("b"))

#: Events received after it, which lead to each state.
RECONNECTED = ()
GREETED = (plain("hello"),)
REPLAYING = (event("1"),)
TAIL = (event("3", "three"),)


@pytest.mark.parametrize(
    ("received", "state", "chunk", "next_state", "delivered"),
    [
        (RECONNECTED, State.RECONNECTED, event("2"), State.REPLAYING, []),  # OLD
        (RECONNECTED, State.RECONNECTED, event("3", "three"), State.IN_TAIL, []),  # LAST
        (RECONNECTED, State.RECONNECTED, event("3", "other"), State.LIVE, ["other"]),  # NEW
        (RECONNECTED, State.RECONNECTED, event("4"), State.LIVE, ["x"]),
        (RECONNECTED, State.RECONNECTED, event("1", "a"), State.LIVE, ["a"]),
        (RECONNECTED, State.RECONNECTED, plain("hello"), State.RECONNECTED, []),  # REPEAT
        (RECONNECTED, State.RECONNECTED, plain("a"), State.RECONNECTED, []),
        (RECONNECTED, State.RECONNECTED, plain("three"), State.RECONNECTED, ["three"]),  # PLAIN
        (RECONNECTED, State.RECONNECTED, plain("b"), State.RECONNECTED, ["b"]),
        (GREETED, State.RECONNECTED, plain("hello"), State.RECONNECTED, ["hello", "hello"]),
        (GREETED, State.RECONNECTED, event("4"), State.LIVE, ["hello", "x"]),
        (GREETED, State.RECONNECTED, event("3", "three"), State.IN_TAIL, []),
        ((plain("a"),), State.RECONNECTED, plain("b"), State.RECONNECTED, []),  # COMPLETE
        ((plain("a"),), State.RECONNECTED, event("4"), State.LIVE, ["a", "x"]),
        ((plain("a"), plain("b")), State.RECONNECTED, event("4"), State.LIVE, ["x"]),
        ((plain("a"), plain("b")), State.RECONNECTED, plain("a"), State.RECONNECTED, ["a"]),
        (REPLAYING, State.REPLAYING, event("2"), State.REPLAYING, []),
        (REPLAYING, State.REPLAYING, event("3", "three"), State.IN_TAIL, []),
        (REPLAYING, State.REPLAYING, event("3", "other"), State.LIVE, ["x", "other"]),
        (REPLAYING, State.REPLAYING, event("1.5"), State.LIVE, ["x", "x"]),
        (REPLAYING, State.REPLAYING, plain("other"), State.REPLAYING, []),
        ((*REPLAYING, plain("other")), State.REPLAYING, event("3", "three"), State.IN_TAIL, ["other"]),
        ((*REPLAYING, plain("other")), State.REPLAYING, event("4"), State.LIVE, ["x", "other", "x"]),
        (TAIL, State.IN_TAIL, event("2"), State.LIVE, ["x"]),
        (TAIL, State.IN_TAIL, plain("a"), State.IN_TAIL, []),
        (TAIL, State.IN_TAIL, plain("b"), State.LIVE, ["b"]),
        (TAIL, State.IN_TAIL, event("4"), State.LIVE, ["x"]),
        ((*TAIL, plain("a")), State.IN_TAIL, plain("b"), State.LIVE, []),
        ((*TAIL, plain("a")), State.IN_TAIL, event("4"), State.LIVE, ["a", "x"]),
        ((*TAIL, plain("a")), State.IN_TAIL, plain("a"), State.LIVE, ["a", "a"]),
    ],
)
def test_event_leads_to_the_state_of_the_table(
    received: tuple[bytes, ...], state: State, chunk: bytes, next_state: State, delivered: list[str]
) -> None:
    stream = resumed(*BEFORE)
    for earlier in received:
        assert stream.feed(earlier) == []
    assert stream.state is state
    assert [event.data for event in stream.feed(chunk)] == delivered
    assert stream.state is next_state


@pytest.mark.parametrize("chunks", [(), REPLAYING, TAIL, (event("4"),)])
def test_interruption_in_any_state_asks_for_a_reconnection(chunks: tuple[bytes, ...]) -> None:
    stream = resumed(*BEFORE)
    for chunk in chunks:
        stream.feed(chunk)
    assert stream.interrupted(CUT) > 0
    assert stream.state is State.INTERRUPTED


@pytest.mark.parametrize(
    ("chunks", "held"),
    [((), []), (GREETED, ["hello"]), (TAIL, []), ((*TAIL, plain("a")), ["a"]), ((event("4"),), [])],
)
def test_end_after_a_reconnection_completes_the_stream(chunks: tuple[bytes, ...], held: list[str]) -> None:
    stream = resumed(*BEFORE)
    for chunk in chunks:
        stream.feed(chunk)
    seen = stream.events_seen
    assert [event.data for event in stream.end()] == held
    assert (stream.state, stream.events_seen) == (State.ENDED, seen + len(held))


def test_end_in_the_middle_of_a_replay_is_an_interruption() -> None:
    stream = resumed(*BEFORE)
    stream.feed(event("1"))
    with pytest.raises(
        APIConnectionError, match=r"^the stream started again, and ended before the point of its interruption$"
    ):
        stream.end()
    assert stream.interrupted(CUT) > 0


def test_end_within_an_event_is_an_interruption() -> None:
    stream = live(event("1"), b"data: trunc")
    with pytest.raises(APIConnectionError, match=r"^the stream ended within an event$"):
        stream.end()
    assert stream.state is State.LIVE


@pytest.mark.parametrize("method", ["end", "connected", "interrupted"])
def test_transition_that_the_table_lacks_is_refused(method: str) -> None:
    stream = live(event("1"))
    stream.end()
    arguments: Any = {"end": (), "connected": (SSE,), "interrupted": (CUT,)}[method]
    with pytest.raises(ConfigurationError, match="ENDED"):
        getattr(stream, method)(*arguments)


def test_response_that_is_no_stream_of_events_is_refused() -> None:
    stream = ResumableStream(GET)
    with pytest.raises(
        APIResponseValidationError, match=r"^the response is text/html, not text/event-stream \(status 200\)$"
    ):
        stream.connected(Response(200, {"Content-Type": "text/html"}))
    assert stream.state is State.OPENING
    older = Response(200, {"Content-Type": "application/json"})
    with pytest.raises(APIResponseValidationError) as caught:
        stream.connected(older)
    assert caught.value.response is older
    assert caught.value.message == (
        "the response is application/json, not text/event-stream: services of the newer generation have no streams, "
        "use session.run(), or tasks.wait()"
    )
    stream.connected(Response(204))
    assert stream.state is State.LIVE


def test_chunk_and_request_in_the_wrong_state_are_refused() -> None:
    for stream in (ResumableStream(GET), ResumableStream(Request("POST", "/api/workers"))):
        with pytest.raises(ConfigurationError, match="OPENING receives no chunks"):
            stream.feed(event("1"))
    stream = live(event("1"))
    with pytest.raises(ConfigurationError, match="LIVE has no next request"):
        stream.request()
    stream.interrupted(CUT)
    with pytest.raises(ConfigurationError, match="INTERRUPTED receives no chunks"):
        stream.feed(event("2"))
    stream.connected(SSE)
    stream.end()
    with pytest.raises(ConfigurationError, match="ENDED receives no chunks"):
        stream.feed(event("2"))


# Requests #############################################################################################################


def test_first_request_is_the_given_one() -> None:
    assert ResumableStream(GET).request() == GET


def test_request_after_an_interruption_has_the_last_event_id() -> None:
    stream = live(event("1"), event("2"))
    stream.interrupted(CUT)
    request = stream.request()
    assert dict(request.headers) == {"Accept": "text/event-stream", "Last-Event-ID": "2"}
    assert (request.method, request.target) == ("GET", GET.target)


def test_interruption_in_a_replay_keeps_the_id_of_the_last_delivered_event() -> None:
    stream = resumed(*BEFORE)
    stream.feed(event("1"))
    stream.interrupted(CUT)
    assert stream.request().headers["Last-Event-ID"] == stream.last_event_id == "3"
    stream.connected(SSE)
    assert [event.id for event in stream.feed(plain("new"))] == ["3"]


@pytest.mark.parametrize("split", [False, True])
def test_replay_that_begins_with_an_id_without_an_event_keeps_the_id(split: bool) -> None:
    stream = resumed(*BEFORE)
    for chunk in [b"id: 1\n\n", event("1")] if split else [b"id: 1\n\n" + event("1")]:
        stream.feed(chunk)
    stream.interrupted(CUT)
    assert stream.last_event_id == "3"


def test_id_without_an_event_is_the_id_to_resume_after() -> None:
    stream = resumed(*BEFORE)
    assert stream.feed(event("8") + b"id: 9\n\n")
    stream.interrupted(CUT)
    assert stream.request().headers["Last-Event-ID"] == "9"


# Decisions ############################################################################################################


@pytest.mark.parametrize(
    ("failure", "delays"),
    [
        (CUT, (2.5, 2.5)),
        (error(503), (2.5, 2.5)),
        (error(503, {"Retry-After": "7"}), (7, 7)),
        (error(503, {"Retry-After": "1"}), (1, 1)),
        (error(429, {"retry-after-ms": "50"}), (0.05, 0.05)),
    ],
    ids=["cut", "503", "503 and later", "503 and sooner", "429 in milliseconds"],
)
def test_retry_after_of_an_error_wins_over_the_retry_field(failure: Any, delays: tuple[float, float]) -> None:
    stream = live(b"retry: 2500\n", event("1"))
    assert delays[0] <= stream.interrupted(failure) <= delays[1]


def test_delay_is_that_of_the_policy_without_a_retry_field() -> None:
    assert 0.75 <= live(event("1")).interrupted(CUT) <= 1
    stream = ResumableStream(GET)
    assert 0.375 <= stream.interrupted(CUT) <= RetryPolicy().initial_delay


def test_retry_field_may_ask_for_the_longest_delay_of_the_policy() -> None:
    assert live(b"retry: 60000\n", event("1")).interrupted(CUT) == POLICY.max_retry_after


@pytest.mark.parametrize(
    ("chunks", "failure", "message"),
    [
        ([plain("a"), plain("b")], CUT, "the stream was interrupted after 2 events: cut"),
        ([plain("a")], APIConnectionError(""), "the stream was interrupted after 1 events: APIConnectionError"),
        (
            [event("\x7f")],
            CUT,
            "the stream was interrupted after 1 events: cut, and its last event id cannot be sent in a header",
        ),
    ],
)
def test_error_of_a_stream_that_is_given_up_names_the_reason(chunks: list[bytes], failure: Any, message: str) -> None:
    with pytest.raises(StreamInterruptedError) as caught:
        live(*chunks).interrupted(failure)
    assert caught.value.message == message


def test_error_status_is_not_followed_sooner_than_the_policy_says() -> None:
    assert live(b"retry: 1\n", event("1")).interrupted(error(503)) >= 0.75


@pytest.mark.parametrize(
    ("chunks", "failure", "options"),
    [
        ([plain("no id")], CUT, {}),
        ([event("1"), b"id\ndata: no id any more\n\n"], CUT, {}),
        ([event("a\x01b")], CUT, {}),
        ([event("\x7f")], CUT, {}),
        ([event("\t ")], CUT, {}),
        ([event("1")], error(404), {}),
        ([event("1")], APIResponseValidationError("not a stream"), {}),
        ([event("1")], CUT, {"time_left": 0.5}),
        ([event("1")], error(503, {"Retry-After": "7"}), {"time_left": 7.0}),
        ([b"retry: 60001\n", event("1")], CUT, {}),
        ([event("1")], CUT, {"retry": RetryPolicy(max_retries=0)}),
    ],
    ids=[
        "no id",
        "reset",
        "control",
        "DEL",
        "blank",
        "404",
        "not a stream",
        "deadline",
        "exactly at the deadline",
        "retry too long",
        "no retries",
    ],
)
def test_stream_that_cannot_be_resumed_is_given_up(chunks: list[bytes], failure: Any, options: dict[str, Any]) -> None:
    stream = live(*chunks, retry=options.get("retry", POLICY))
    with pytest.raises(StreamInterruptedError) as caught:
        stream.interrupted(failure, time_left=options.get("time_left"))
    assert stream.state is State.ENDED
    assert caught.value.__cause__ is failure
    assert (caught.value.last_event_id, caught.value.events_seen) == (stream.last_event_id, stream.events_seen)


@pytest.mark.parametrize("options", [{"resume": False}, {"request": Request("POST", "/api/workers")}])
def test_post_and_stream_without_resume_end_or_are_given_up(options: dict[str, Any]) -> None:
    ended = ResumableStream(**{"request": GET} | options)
    ended.connected(SSE)
    assert len(ended.feed(event("1"))) == 1
    assert (ended.end(), ended.state) == ([], State.ENDED)
    stream = ResumableStream(**{"request": GET} | options)
    stream.connected(SSE)
    stream.feed(event("1"))
    with pytest.raises(StreamInterruptedError):
        stream.interrupted(CUT)


def test_reconnections_are_limited_until_the_last_id_advances() -> None:
    stream = live(event("1"))
    for _ in range(2):
        stream.interrupted(CUT)
    stream.connected(SSE)
    stream.feed(event("1") + event("2"))
    for _ in range(2):
        stream.interrupted(CUT)
    with pytest.raises(StreamInterruptedError):
        stream.interrupted(CUT)


@pytest.mark.parametrize("first", [b"", event("8")])
def test_events_without_an_id_of_their_own_do_not_renew_the_reconnections(first: bytes) -> None:
    stream = ResumableStream(Request("GET", GET.target, {"Last-Event-ID": "7"}), retry=POLICY)
    stream.connected(SSE)
    stream.feed(first)
    for data in ("a", "b"):
        stream.interrupted(CUT)
        stream.connected(SSE)
        assert len(stream.feed(plain(data))) == 1
    with pytest.raises(StreamInterruptedError):
        stream.interrupted(CUT)


def test_error_of_a_large_event_survives_an_interruption() -> None:
    stream = live()
    assert len(stream.feed(event("1") + b"data: " + b"x" * 2**25)) == 1
    stream.interrupted(CUT)
    with pytest.raises(EventTooLargeError):
        stream.connected(SSE)


def test_event_that_is_too_large_is_an_error() -> None:
    stream = live(*[b"data: " + b"x" * 2**20 + b"\n"] * 15)
    with pytest.raises(EventTooLargeError):
        stream.feed(b"data: " + b"x" * 2**21 + b"\n")
    limited = ResumableStream(GET, max_event_size=10)
    limited.connected(SSE)
    with pytest.raises(EventTooLargeError):
        limited.feed(b"data: 12345\n\n")


# The beginning ########################################################################################################


def test_stream_begins_after_the_last_event_id_of_its_request_and_advances() -> None:
    request = Request("GET", GET.target, {"last-event-id": "7"})
    stream = ResumableStream(request, retry=POLICY)
    assert (stream.request(), stream.last_event_id) == (request, "7")
    stream.connected(SSE)
    assert [event.id for event in stream.feed(plain("a") + event("8"))] == ["7", "8"]
    stream.interrupted(CUT)
    assert stream.request().headers == {"Last-Event-ID": "8"}


def test_event_without_an_id_after_the_given_one_is_recognised() -> None:
    stream = ResumableStream(Request("GET", GET.target, {"Last-Event-ID": "7"}), retry=POLICY)
    stream.connected(SSE)
    assert len(stream.feed(plain("a"))) == 1
    stream.interrupted(CUT)
    stream.connected(SSE)
    assert [event.data for event in stream.feed(plain("a") + event("8"))] == ["x"]


@pytest.mark.parametrize("chunk", [b"", b": comment\n\n", b"retry: 10\n\n", b"data: unfin", b"id: 5\n\n"])
def test_stream_without_an_event_is_opened_again(chunk: bytes) -> None:
    stream = live(chunk)
    assert stream.interrupted(CUT) > 0
    expected = {"Last-Event-ID": "5"} if b"5" in chunk else {}
    assert stream.request().headers == GET.headers | expected
    stream.connected(SSE)
    assert stream.state is State.LIVE
    assert [event.data for event in stream.feed(plain("a") + event("6"))] == ["a", "x"]


def test_stream_without_an_event_is_opened_as_often_as_the_policy_permits() -> None:
    stream = live()
    stream.interrupted(CUT)
    stream.connected(SSE)
    stream.interrupted(CUT)
    with pytest.raises(StreamInterruptedError):
        stream.interrupted(CUT)
