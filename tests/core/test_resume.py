"""`ResumableStream` without I/O: its transitions, and what it delivers after interruptions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    EventTooLargeError,
    RetryPolicy,
    ServerSentEvent,
    StreamInterruptedError,
    encode_event,
)
from handinger_async.errors import status_error_class
from handinger_async.http import Request, Response
from handinger_async.resume import ResumableStream, State
from handinger_async.testing.strategies import splits

GET = Request("GET", "/api/workers/w/stream", {"Accept": "text/event-stream"})
SSE = Response(200, {"Content-Type": "text/event-stream"})
CUT = APIConnectionError("cut")
POLICY = RetryPolicy(max_retries=2, initial_delay=1.0, max_delay=1.0)


def live(*chunks: bytes, retry: RetryPolicy = POLICY) -> ResumableStream:
    """Return a stream that is open and has received some chunks."""
    stream = ResumableStream(GET, retry=retry)
    stream.connected(SSE)
    for chunk in chunks:
        stream.feed(chunk)
    return stream


def resumed(*chunks: bytes, retry: RetryPolicy = POLICY) -> ResumableStream:
    """Return a stream that has received some chunks, was interrupted, and is open again."""
    stream = live(*chunks, retry=retry)
    stream.interrupted(CUT)
    stream.connected(SSE)
    return stream


def event(id: str, data: str = "x") -> bytes:
    return encode_event(ServerSentEvent(data, id=id))


def plain(data: str) -> bytes:
    """Return an event without an id of its own."""
    return f"data: {data}\n\n".encode()


def error(status: int, headers: dict[str, str] | None = None) -> APIStatusError:
    return status_error_class(status)(response=Response(status, headers or {}))


# Transitions ##########################################################################################################

#: Events sent before the interruption: the tail is 3, and two events without an id.
BEFORE = (event("1"), event("2"), event("3", "three"), plain("a"), plain("b"))

#: State of the stream, next event, state afterwards. It is delivered if and only if that is LIVE.
RECONNECTED = ()
REPLAYING = (event("1"),)
TAIL = (event("3", "three"),)


@pytest.mark.parametrize(
    ("received", "state", "chunk", "next_state"),
    [
        (RECONNECTED, State.RECONNECTED, event("2"), State.REPLAYING),
        (RECONNECTED, State.RECONNECTED, event("3", "three"), State.IN_TAIL),
        (RECONNECTED, State.RECONNECTED, event("3", "a"), State.IN_TAIL),
        (RECONNECTED, State.RECONNECTED, event("3", "other"), State.LIVE),
        (RECONNECTED, State.RECONNECTED, event("4"), State.LIVE),
        (REPLAYING, State.REPLAYING, event("2"), State.REPLAYING),
        (REPLAYING, State.REPLAYING, event("3", "three"), State.IN_TAIL),
        (REPLAYING, State.REPLAYING, event("3", "other"), State.IN_TAIL),
        (REPLAYING, State.REPLAYING, event("1.5"), State.REPLAYING),
        (TAIL, State.IN_TAIL, event("2"), State.LIVE),
        (TAIL, State.IN_TAIL, plain("a"), State.IN_TAIL),
        (TAIL, State.IN_TAIL, plain("b"), State.LIVE),
        (TAIL, State.IN_TAIL, event("4"), State.LIVE),
    ],
)
def test_event_leads_to_the_state_of_the_table(
    received: tuple[bytes, ...], state: State, chunk: bytes, next_state: State
) -> None:
    stream = resumed(*BEFORE)
    for earlier in received:
        assert stream.feed(earlier) == []
    assert stream.state is state
    delivered = stream.feed(chunk)
    assert (stream.state, bool(delivered)) == (next_state, next_state is State.LIVE)


@pytest.mark.parametrize("chunks", [(), REPLAYING, TAIL, (event("4"),)])
def test_interruption_in_any_state_asks_for_a_reconnection(chunks: tuple[bytes, ...]) -> None:
    stream = resumed(*BEFORE)
    for chunk in chunks:
        stream.feed(chunk)
    assert stream.interrupted(CUT) > 0
    assert stream.state is State.INTERRUPTED


@pytest.mark.parametrize(("chunks", "state"), [((), State.ENDED), (TAIL, State.ENDED), ((event("4"),), State.ENDED)])
def test_end_after_a_reconnection_completes_the_stream(chunks: tuple[bytes, ...], state: State) -> None:
    stream = resumed(*BEFORE)
    for chunk in chunks:
        stream.feed(chunk)
    stream.end()
    assert stream.state is state


def test_end_in_the_middle_of_a_replay_is_an_interruption() -> None:
    stream = resumed(*BEFORE)
    stream.feed(event("1"))
    with pytest.raises(APIConnectionError, match="before the point of its interruption"):
        stream.end()
    assert stream.interrupted(CUT) > 0


def test_end_within_an_event_is_an_interruption() -> None:
    stream = live(event("1"), b"data: trunc")
    with pytest.raises(APIConnectionError, match="within an event"):
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
    with pytest.raises(APIResponseValidationError, match="the response is text/html, not text/event-stream"):
        stream.connected(Response(200, {"Content-Type": "text/html"}))
    assert stream.state is State.OPENING
    stream.connected(Response(204))
    assert stream.state is State.LIVE


def test_chunk_and_request_in_the_wrong_state_are_refused() -> None:
    for stream in (ResumableStream(GET), ResumableStream(Request("POST", "/api/workers"))):
        with pytest.raises(ConfigurationError, match="OPENING receives no chunks"):
            stream.feed(event("1"))
    stream = live(event("1"))
    with pytest.raises(ConfigurationError, match="LIVE has no next request"):
        stream.request()


# Requests #############################################################################################################


def test_first_request_is_the_given_one() -> None:
    assert ResumableStream(GET).request() == GET


def test_request_after_an_interruption_has_the_last_event_id() -> None:
    stream = live(event("1"), event("2"))
    stream.interrupted(CUT)
    request = stream.request()
    assert request.headers == {"Accept": "text/event-stream", "Last-Event-ID": "2"}
    assert (request.method, request.target) == ("GET", GET.target)


def test_interruption_in_a_replay_keeps_the_id_of_the_last_delivered_event() -> None:
    stream = resumed(*BEFORE)
    stream.feed(event("1"))
    stream.interrupted(CUT)
    assert stream.request().headers["Last-Event-ID"] == stream.last_event_id == "3"
    stream.connected(SSE)
    assert [event.id for event in stream.feed(plain("new"))] == ["3"]


def test_id_without_an_event_is_the_id_to_resume_after() -> None:
    stream = resumed(*BEFORE)
    assert stream.feed(b"id: 9\n\n") == []
    stream.interrupted(CUT)
    assert stream.request().headers["Last-Event-ID"] == "9"


# Decisions ############################################################################################################


def test_delay_is_that_of_the_policy_or_of_the_server() -> None:
    assert 0.75 <= live(event("1")).interrupted(CUT) <= 1
    assert live(b"retry: 2500\n", event("1")).interrupted(CUT) == 2.5
    stream = live(b"retry: 2500\n", event("1"))
    assert stream.interrupted(error(503, {"Retry-After": "7"})) == 7


@pytest.mark.parametrize(
    ("stream", "failure", "time_left"),
    [
        (live(), CUT, None),
        (live(plain("no id")), CUT, None),
        (live(event("1")), error(404), None),
        (live(event("1")), APIResponseValidationError("not a stream"), None),
        (live(event("1")), CUT, 0.5),
        (live(b"retry: 60001\n", event("1")), CUT, None),
        (live(event("1"), retry=RetryPolicy(max_retries=0)), CUT, None),
    ],
    ids=["no event", "no id", "404", "not a stream", "deadline", "retry too long", "no retries"],
)
def test_stream_that_cannot_be_resumed_is_given_up(
    stream: ResumableStream, failure: Any, time_left: float | None
) -> None:
    with pytest.raises(StreamInterruptedError) as caught:
        stream.interrupted(failure, time_left=time_left)
    assert stream.state is State.ENDED
    assert caught.value.__cause__ is failure
    assert (caught.value.last_event_id, caught.value.events_seen) == (stream.last_event_id, stream.events_seen)


@pytest.mark.parametrize("options", [{"resume": False}, {"request": Request("POST", "/api/workers")}])
def test_post_and_stream_without_resume_are_given_up(options: dict[str, Any]) -> None:
    stream = ResumableStream(options.pop("request", GET), **options)
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


# Nothing lost, nothing twice ##########################################################################################


@given(st.data())
def test_cuts_and_replays_at_any_place_lose_and_double_nothing(data: st.DataObject) -> None:
    """The events of the server have ids, or follow one with an id; it replays from any event on."""
    ids = data.draw(st.lists(st.booleans(), min_size=1, max_size=8).map(lambda own: [True, *own]))
    events = [event(str(n), f"d{n}") if own else plain(f"d{n}") for n, own in enumerate(ids)]
    stream = ResumableStream(GET, retry=RetryPolicy(max_retries=9))
    received: list[str] = []
    begin = 0
    for _ in range(data.draw(st.integers(0, 3))):
        stream.connected(SSE)
        body = b"".join(events[begin:])
        cut = data.draw(st.integers(len(events[begin]), len(body)))
        for chunk in data.draw(splits(body[:cut])):
            received += [event.data for event in stream.feed(chunk)]
        stream.interrupted(CUT)
        last = max(n for n in range(len(ids)) if ids[n] and n <= int(stream.last_event_id))
        begin = data.draw(st.sampled_from([n for n in range(last + 1) if ids[n]]))
    stream.connected(SSE)
    received += [event.data for event in stream.feed(b"".join(events[begin:]))]
    stream.end()
    assert received == [f"d{n}" for n in range(len(ids))]
    assert stream.events_seen == len(ids)


def test_memory_counts_ids_and_not_events() -> None:
    stream = live(*[event(str(n)) + plain("x") * 10 for n in range(200)])
    stream.interrupted(CUT)
    stream.connected(SSE)
    assert stream.feed(event("50")) == []
    assert stream.state is State.REPLAYING


def test_memory_of_a_long_stream_is_bounded() -> None:
    stream = live(*[event(str(n)) for n in range(5000)])
    stream.interrupted(CUT)
    stream.connected(SSE)
    assert stream.feed(event("1")) != []  # an id long forgotten counts as new
    stream.interrupted(CUT)
    stream.connected(SSE)
    assert stream.feed(event("0")) == []  # the first id begins a replay at any length
