"""The retry policy: which requests are retried, and after which delay."""

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async.errors import APIConnectionError, APITimeoutError, ConfigurationError, StreamInterruptedError
from handinger_async.http import Headers, MultipartBody, Part, Request, Response
from handinger_async.retry import RetryPolicy, parse_retry_after

KEY = {"Idempotency-Key": "k1"}
WAIT = {"Retry-After": "7"}
YES = {"x-should-retry": "true"}
NO = {"x-should-retry": "false"}

#: The outcome of an attempt; True if an idempotent request is retried (GET, DELETE, a POST with an idempotency key);
#: True if any other POST is retried.
TABLE: list[tuple[Response | APIConnectionError, bool, bool]] = [
    # outcome, idempotent, POST
    # nothing was sent: nothing can be doubled
    (APIConnectionError("refused", request_sent=False), True, True),
    (APITimeoutError("connecting", request_sent=False), True, True),
    # the response was lost: the effect is unknown
    (APIConnectionError("reset", request_sent=True), True, False),
    (APITimeoutError("no response", request_sent=True), True, False),
    (StreamInterruptedError(), True, False),
    # the response proves that nothing happened
    (Response(429), True, True),
    (Response(429, WAIT), True, True),
    (Response(503, WAIT), True, True),
    (Response(503, {"retry-after-ms": "7000"}), True, True),
    (Response(500, YES), True, True),
    (Response(400, YES), True, True),
    (Response(300, YES), True, True),
    # the response reports a temporary failure
    (Response(408), True, False),
    (Response(408, WAIT), True, False),
    (Response(409), True, False),
    (Response(409, WAIT), True, False),
    (Response(500), True, False),
    (Response(500, WAIT), True, False),
    (Response(502), True, False),
    (Response(503), True, False),
    (Response(503, {"Retry-After": "soon"}), True, False),
    (Response(504), True, False),
    (Response(599), True, False),
    # another attempt would get the same response
    *(
        (Response(status), False, False)
        for status in (300, 304, 307, 400, 401, 402, 403, 404, 405, 410, 413, 422, 425, 451)
    ),
    (Response(400, WAIT), False, False),
    # the server forbids it
    (Response(429, NO), False, False),
    (Response(503, WAIT | NO), False, False),
    (Response(500, NO), False, False),
    # the server asks for a longer delay than the limit
    (Response(429, {"Retry-After": "61"}), False, False),
    (Response(503, {"Retry-After": "61"}), False, False),
    (Response(500, {"Retry-After": "61"} | YES), False, False),
    # success
    (Response(200), False, False),
    (Response(200, YES), False, False),
    (Response(204, YES | WAIT), False, False),
]


def fixed() -> float:
    return 0.0


@pytest.mark.parametrize(("outcome", "idempotent", "post"), TABLE)
def test_method_and_outcome_decide_whether_a_request_is_retried(
    outcome: Response | APIConnectionError, idempotent: bool, post: bool
) -> None:
    policy = RetryPolicy()
    for request, retried in [
        (Request("GET", "/"), idempotent),
        (Request("DELETE", "/"), idempotent),
        (Request("HEAD", "/"), idempotent),
        (Request("OPTIONS", "/"), idempotent),
        (Request("PUT", "/"), idempotent),
        (Request("POST", "/", KEY), idempotent),
        (Request("POST", "/", {"idempotency-KEY": "k1"}), idempotent),
        (Request("PATCH", "/", KEY), idempotent),
        (Request("POST", "/"), post),
        (Request("POST", "/", {"Idempotency-Key": ""}), post),
        (Request("POST", "/", {"Idempotency-Key": " \t"}), post),
        (Request("PATCH", "/"), post),
        (Request("ANYTHING", "/"), post),
    ]:
        assert (policy.delay(request, outcome, attempt=1) is not None) is retried, request.method


@pytest.mark.parametrize(
    ("text", "advice"), [("TRUE", True), (" true ", True), ("False", False), ("1", None), ("", None)]
)
def test_x_should_retry_is_true_false_or_ignored(text: str, advice: bool | None) -> None:
    policy = RetryPolicy()
    headers = {"X-Should-Retry": text}
    assert (policy.delay(Request("GET", "/"), Response(500, headers), attempt=1) is not None) is (advice is not False)
    assert (policy.delay(Request("GET", "/"), Response(400, headers), attempt=1) is not None) is (advice is True)


@pytest.mark.parametrize("max_retries", [0, 1, 2, 5])
def test_request_is_retried_max_retries_times(max_retries: int) -> None:
    policy = RetryPolicy(max_retries=max_retries)
    for outcome in (Response(500), Response(429, WAIT), APIConnectionError()):
        given_up = [policy.delay(Request("GET", "/"), outcome, attempt=attempt) is None for attempt in range(1, 8)]
        assert given_up == [attempt > max_retries for attempt in range(1, 8)]


def test_request_whose_files_were_read_is_not_retried() -> None:
    class Pipe:
        length = None
        is_readable = False

        def chunks(self) -> Iterator[bytes]:
            return iter(())

    read = Request("POST", "/", KEY, MultipartBody([Part("file", Pipe())], "b"))
    for outcome in (Response(429), Response(500, YES), APIConnectionError(request_sent=False)):
        assert RetryPolicy().delay(read, outcome, attempt=1) is None


# Delays ###############################################################################################################


def test_delay_doubles_up_to_max_delay() -> None:
    policy = RetryPolicy(max_retries=100)
    delays = [policy.delay(Request("GET", "/"), Response(500), attempt=n, random=fixed) for n in range(1, 8)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert delays == [policy.backoff(n, random=fixed) for n in range(1, 8)]


@given(
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1e300),
    st.floats(0, 1e300),
)
def test_jitter_reduces_the_delay_by_at_most_a_quarter(
    attempt: int, random: float, initial: float, longest: float
) -> None:
    policy = RetryPolicy(max_retries=10**6, initial_delay=initial, max_delay=longest)
    full = policy.backoff(attempt, random=fixed)
    delay = policy.delay(Request("GET", "/"), Response(500), attempt=attempt, random=lambda: random)
    assert delay is not None
    assert full * 0.75 <= delay <= full <= longest
    assert full in (longest, initial * 2.0 ** min(attempt - 1, 1023)) or attempt > 64


@given(st.floats(0, 60), st.floats(0, 1))
def test_retry_after_is_used_exactly(seconds: float, random: float) -> None:
    policy = RetryPolicy(max_delay=0.001)
    outcome = Response(429, {"Retry-After": f"{seconds:f}"})
    delay = policy.delay(Request("GET", "/"), outcome, attempt=1, random=lambda: random)
    assert delay == float(f"{seconds:f}")


def test_retry_after_over_the_limit_ends_the_retries() -> None:
    for limit, seconds, retried in [
        (60, "60", True),
        (60, "60.1", False),
        (0, "0", True),
        (0, "1", False),
        (math.inf, "1e9", True),
    ]:
        policy = RetryPolicy(max_retry_after=limit)
        for status, headers in [(429, {}), (503, {}), (500, YES)]:
            text = f"{float(seconds):f}"
            outcome = Response(status, {"Retry-After": text, **headers})
            assert (policy.delay(Request("GET", "/"), outcome, attempt=1) is not None) is retried


# Retry-After ##########################################################################################################

DATE = "Sun, 06 Nov 1994 08:49:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": ".5"}, 0.5),
        ({"Retry-After": "1."}, 1),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "9" * 400}, math.inf),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After-Ms": "1500", "Retry-After": "7"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "7"}, 7),
        ({"retry-after-ms": "", "Retry-After": "7"}, 7),
        # the three forms of an HTTP date: RFC 9110, section 5.6.7
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": DATE}, 37),
        ({"Retry-After": "Sunday, 06-Nov-94 08:49:37 GMT", "Date": DATE}, 37),
        ({"Retry-After": "Sun Nov  6 08:49:37 1994", "Date": DATE}, 37),
        ({"Retry-After": "Sun Nov  6 08:49:37 1994", "Date": "Sun Nov  6 08:49:00 1994"}, 37),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 -0000", "Date": DATE}, 37),
        ({"Retry-After": "Sun, 06 Nov 1994 09:49:37 +0100", "Date": DATE}, 37),
        ({"Retry-After": "Sun, 06 Nov 1994 07:49:37 GMT", "Date": DATE}, 0),
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1_000"}, None),
        ({"Retry-After": "1e3"}, None),
        ({"Retry-After": "0x10"}, None),
        ({"Retry-After": "\u0661"}, None),
        ({"Retry-After": "Sun, 99 Nov 1994 08:49:37 GMT"}, None),
        ({"Retry-After": "Sun, 06 Nov 99999 08:49:37 GMT"}, None),
        ({"retry-after-ms": "-1"}, None),
    ],
)
def test_forms_of_retry_after_are_parsed(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(Headers(headers)) == seconds


def test_retry_after_date_without_date_header_uses_the_local_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 784111740.0)  # 08:49:00 on that day
    for date in ({}, {"Date": "nonsense"}, {"Date": ""}):
        assert parse_retry_after(Headers({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"} | date)) == 37


def test_date_without_zone_is_utc_in_any_local_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        headers = Headers({"Retry-After": "Sun Nov  6 08:49:37 1994", "Date": DATE})
        assert parse_retry_after(headers) == 37
    finally:
        monkeypatch.undo()
        time.tzset()


HEADER_TEXT = st.text(st.characters(exclude_characters="\r\n\0"))
DATE_TEXT = st.text('Sun,06Nov1994:+-GMTZ ()"\\@.;\t', max_size=40)


@given(HEADER_TEXT | DATE_TEXT, HEADER_TEXT | DATE_TEXT, HEADER_TEXT | st.just("7"))
def test_any_retry_after_is_none_or_not_negative(after: str, date: str, milliseconds: str) -> None:
    headers = Headers({"Retry-After": after, "Date": date, "retry-after-ms": milliseconds})
    seconds = parse_retry_after(headers)
    assert seconds is None or seconds >= 0


# Arguments ############################################################################################################


@pytest.mark.parametrize("name", ["max_retries", "initial_delay", "max_delay", "max_retry_after"])
@pytest.mark.parametrize("value", [-1, -0.5, math.nan, -math.inf, None, "2", True, [], 1j])
def test_invalid_policy_argument_is_refused(name: str, value: Any) -> None:
    noun = "integer" if name == "max_retries" else "number"
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(**{name: value})
    assert str(caught.value) == f"{name} must be a non-negative {noun}, not {value!r}"


@pytest.mark.parametrize("value", [1.5, 2.0, math.inf])
def test_max_retries_must_be_a_whole_number(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_retries must be a non-negative integer"):
        RetryPolicy(max_retries=value)


def test_policy_is_an_immutable_value() -> None:
    policy = RetryPolicy()
    assert policy == RetryPolicy(max_retries=2, initial_delay=0.5, max_delay=8.0, max_retry_after=60.0)
    assert hash(policy) == hash(RetryPolicy())
    with pytest.raises(AttributeError):
        policy.max_retries = 7  # type: ignore[misc]
    with pytest.raises(TypeError):
        RetryPolicy(7)  # type: ignore[misc]
