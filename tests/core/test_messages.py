"""Headers, requests and responses: immutable values that mask credentials."""

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from handinger_async.errors import ConfigurationError
from handinger_async.http import Headers, ReceivedHeaders, Request, Response, Secret

CANARY = "hk-canary-71f0"


# Headers ##############################################################################################################

NAMES = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)

VALUES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=8)

FIELDS = st.dictionaries(NAMES, VALUES, max_size=4)


def test_header_names_are_case_insensitive() -> None:
    headers = Headers({"Content-Type": "a/b", "X-One": "1"})
    assert headers["content-type"] == headers["CONTENT-TYPE"] == headers.get("Content-type") == "a/b"
    assert "content-TYPE" in headers
    assert "content" not in headers
    assert 7 not in headers
    assert headers.get("accept") is None
    assert headers == {"content-type": "a/b", "x-one": "1"} == headers
    assert headers != {"content-type": "a/b"}
    assert headers != {"Content-Type": "A/B", "X-One": "1"}
    assert headers != [("Content-Type", "a/b"), ("X-One", "1")]


def test_header_names_keep_their_case() -> None:
    headers = Headers({"X-One": "1", "ACCEPT": "2"})
    assert list(headers) == ["X-One", "ACCEPT"]
    assert dict(headers.items()) == {"X-One": "1", "ACCEPT": "2"}
    assert len(headers) == 2


def test_repeated_fields_are_joined_with_commas() -> None:
    """See RFC 9110, section 5.3."""
    assert Headers([("Accept", "a"), ("X", "1"), ("accept", "b")]) == {"accept": "a, b", "x": "1"}


@given(FIELDS, FIELDS)
def test_merge_prefers_the_right_operand(left: dict[str, str], right: dict[str, str]) -> None:
    ours, theirs = Headers(left), Headers(right)
    before = repr(ours)
    merged = ours | theirs
    assert merged == ours | right
    assert {name.lower() for name in merged} == {name.lower() for name in [*ours, *theirs]}
    assert all(merged[name] == value for name, value in theirs.items())
    assert all(merged[name] == value for name, value in ours.items() if name not in theirs)
    assert repr(ours) == before


def test_headers_are_immutable() -> None:
    headers: Any = Headers({"a": "1"})
    with pytest.raises(TypeError):
        headers["a"] = "2"
    with pytest.raises(TypeError):
        del headers["a"]
    with pytest.raises(TypeError):
        hash(headers)
    with pytest.raises(AttributeError):
        headers.anything = 1


def test_headers_copy_the_given_mapping() -> None:
    fields = {"a": "1"}
    headers = Headers(fields)
    fields["a"] = "2"
    assert headers == {"a": "1"}


@pytest.mark.parametrize("value", [f"{CANARY}\r\nX: y", f"{CANARY}\n", f"\r{CANARY}", f"{CANARY}\0"])
def test_cr_lf_or_nul_in_a_value_is_refused_without_quoting_it(value: str) -> None:
    with pytest.raises(ConfigurationError, match="X-Token contains CR, LF or NUL") as caught:
        Headers({"X-Token": value})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\n", "é", "a\0", "(a)", b"a", None, 7])
def test_header_name_must_be_a_token(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a header name"):
        Headers({name: "1"})


@pytest.mark.parametrize("value", [None, 7, b"1", ["1"]])
def test_header_value_must_be_a_string(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="header a must be a string"):
        Headers({"a": value})


@pytest.mark.parametrize("name", ["a" * 10**6, "\n" * 10**6])
def test_refused_header_name_is_shortened_in_the_message(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Headers({name: None})  # type: ignore[dict-item]
    assert len(str(caught.value).encode()) < 2000


# Received headers #####################################################################################################

PAIRS = st.lists(st.tuples(NAMES | st.sampled_from(["Set-Cookie", "set-cookie", "A", "a"]), VALUES), max_size=6)


def receive(pairs: list[tuple[str, str]]) -> ReceivedHeaders:
    return ReceivedHeaders(CIMultiDictProxy(CIMultiDict(pairs)))


@given(PAIRS, NAMES)
def test_received_headers_behave_as_headers(pairs: list[tuple[str, str]], absent: str) -> None:
    expected = Headers(pairs)
    for name in (*expected, *map(str.upper, expected), absent):
        assert repr(receive(pairs).get(name)) == repr(expected.get(name))
        assert (name in receive(pairs)) is (name in expected)
    received = receive(pairs)
    assert list(received.items()) == list(expected.items())
    assert receive(pairs) == expected == receive(pairs)
    assert repr(receive(pairs)) == repr(expected)
    assert repr(receive(pairs) | {"a": "1"}) == repr(expected | {"a": "1"})
    assert repr(pickle.loads(pickle.dumps(receive(pairs)))) == repr(pickle.loads(pickle.dumps(expected)))
    assert copy.deepcopy(received) is received
    assert len(receive(pairs)) == len(expected)
    assert received.get(absent, 7) == expected.get(absent, 7)


def test_received_headers_have_no_other_attributes() -> None:
    with pytest.raises(AttributeError, match="anything"):
        receive([]).anything  # noqa: B018


# Credentials ##########################################################################################################

SENSITIVE = ["Authorization", "authorization", "PROXY-AUTHORIZATION", "Cookie", "Set-Cookie", "X-Api-Key"]


@pytest.mark.parametrize("name", SENSITIVE)
def test_credential_headers_are_usable_but_masked(name: str) -> None:
    headers = Headers([(name, CANARY), (name.lower(), CANARY)])
    for holder in (
        headers,
        Headers() | headers,
        Headers(headers),
        Request("GET", "/", headers),
        Response(200, headers),
    ):
        assert CANARY not in f"{holder!r} {holder}"
        assert CANARY.encode() not in pickle.dumps(holder)
    assert CANARY not in repr(dict(headers))
    assert headers[name] == f"{CANARY}, {CANARY}"
    assert f"{headers[name]}" == str(headers[name]) == f"{CANARY}, {CANARY}"


def test_pickled_headers_keep_all_but_credentials() -> None:
    headers = Headers({"Authorization": CANARY, "Accept": "a"})
    assert pickle.loads(pickle.dumps(headers)) == {"authorization": "***", "accept": "a"}
    assert copy.copy(headers) == copy.deepcopy(headers) == headers


def test_secret_is_masked_in_repr_and_never_pickled() -> None:
    secret = Secret(CANARY)
    assert secret == CANARY
    assert f"{secret}" == CANARY
    assert CANARY not in f"{secret!r} {[secret]} {secret!a} {(secret,)!s}"
    assert copy.deepcopy([secret]) == [CANARY]
    assert CANARY not in repr(copy.deepcopy([secret]))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(secret, protocol)


# Requests and responses ###############################################################################################


def test_requests_and_responses_are_immutable_values() -> None:
    request = Request("GET", "/a?b=c", {"Accept": "x"}, b"body")
    assert request == Request("GET", "/a?b=c", Headers({"accept": "x"}), b"body")
    assert request.path == "/a"
    assert pickle.loads(pickle.dumps(request)) == request
    assert Request("GET", "/a") == Request("GET", "/a", {}, b"")
    response = Response(200, [("A", "1"), ("a", "2")], b"body")  # type: ignore[arg-type]
    assert response.headers == {"a": "1, 2"}
    assert copy.deepcopy(response) == pickle.loads(pickle.dumps(response)) == response
    for message in (request, response):
        with pytest.raises(AttributeError):
            message.headers = Headers()  # type: ignore[misc]
        with pytest.raises(AttributeError):
            del message.headers  # type: ignore[misc]
        with pytest.raises(AttributeError):
            message.new = 1  # type: ignore[union-attr]


def test_repr_omits_the_body() -> None:
    assert CANARY not in repr(Request("POST", "/", {}, CANARY.encode())) + repr(Response(200, {}, CANARY.encode()))


@pytest.mark.parametrize(
    ("status", "reason"), [(200, "OK"), (404, "Not Found"), (418, "I'm a Teapot"), (299, ""), (999, "")]
)
def test_reason_is_the_standard_phrase(status: int, reason: str) -> None:
    assert Response(status).reason == reason


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        ("application/json", "application/json"),
        ("Text/HTML; charset=utf-8", "text/html"),
        (" text/plain ;x", "text/plain"),
        ("", ""),
        (";", ""),
    ],
)
def test_media_type_is_the_content_type_without_parameters(value: str, media_type: str) -> None:
    assert Response(200, {"content-TYPE": value}).media_type == media_type
    assert Response(200).media_type == ""


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        ("text/event-stream, Text/Event-Stream", "text/event-stream"),
        ("text/event-stream; charset=utf-8,text/event-stream", "text/event-stream"),
        (", text/event-stream,", "text/event-stream"),
        ('text/plain; x="a,b"', "text/plain"),
        ("text/html, text/event-stream", "text/html, text/event-stream"),
        ("text/event-stream; charset=utf-8, text/html", "text/event-stream, text/html"),
        ("text", "text"),
        ("text, text", "text"),
    ],
)
def test_content_type_that_is_sent_twice_is_one_if_both_are_equal(value: str, media_type: str) -> None:
    assert Response(200, {"Content-Type": value}).media_type == media_type
    assert Response(200, Headers([("Content-Type", part) for part in value.split(",")])).media_type == media_type
