"""Requests, responses, headers and endpoints: case is ignored, nothing is smuggled, the key is not shown."""

import copy
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from handinger_async.codec import encode_request
from handinger_async.errors import ConfigurationError
from handinger_async.http import DEFAULT_BASE_URL, Endpoint, Headers, Request, Response, Secret
from handinger_async.operations import RetrieveWorkerFile

CANARY = "hk-canary-71f0"

# Headers ##############################################################################################################

NAMES = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
VALUES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=8)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=4)


def test_names_are_compared_without_case() -> None:
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


def test_names_keep_the_case_that_they_were_given_in() -> None:
    headers = Headers({"X-One": "1", "ACCEPT": "2"})
    assert list(headers) == ["X-One", "ACCEPT"]
    assert dict(headers.items()) == {"X-One": "1", "ACCEPT": "2"}
    assert len(headers) == 2


def test_fields_of_one_name_are_joined() -> None:
    """RFC 9110, section 5.3."""
    assert Headers([("Accept", "a"), ("X", "1"), ("accept", "b")]) == {"accept": "a, b", "x": "1"}


@given(FIELDS, FIELDS)
def test_merging_takes_the_right_hand_where_both_name_a_field(left: dict[str, str], right: dict[str, str]) -> None:
    ours, theirs = Headers(left), Headers(right)
    before = repr(ours)
    merged = ours | theirs
    assert merged == ours | right
    assert {name.lower() for name in merged} == {name.lower() for name in [*ours, *theirs]}
    assert all(merged[name] == value for name, value in theirs.items())
    assert all(merged[name] == value for name, value in ours.items() if name not in theirs)
    assert repr(ours) == before


def test_headers_cannot_be_changed() -> None:
    headers: Any = Headers({"a": "1"})
    with pytest.raises(TypeError):
        headers["a"] = "2"
    with pytest.raises(TypeError):
        del headers["a"]
    with pytest.raises(TypeError):
        hash(headers)
    with pytest.raises(AttributeError):
        headers.anything = 1


def test_headers_do_not_follow_the_mapping_that_they_were_made_of() -> None:
    fields = {"a": "1"}
    headers = Headers(fields)
    fields["a"] = "2"
    assert headers == {"a": "1"}


@pytest.mark.parametrize("value", [f"{CANARY}\r\nX: y", f"{CANARY}\n", f"\r{CANARY}", f"{CANARY}\0"])
def test_what_would_end_a_header_early_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(ConfigurationError, match="X-Token holds CR, LF or NUL") as caught:
        Headers({"X-Token": value})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\n", "é", "a\0", "(a)", b"a", None, 7])
def test_what_is_no_token_is_no_name(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a header name"):
        Headers({name: "1"})


@pytest.mark.parametrize("value", [None, 7, b"1", ["1"]])
def test_a_value_is_a_string(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="header a must be a string"):
        Headers({"a": value})


@pytest.mark.parametrize("name", ["a" * 10**6, "\n" * 10**6])
def test_a_refused_name_is_not_repeated_at_length(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Headers({name: None})  # type: ignore[dict-item]
    assert len(str(caught.value).encode()) < 2000


SENSITIVE = ["Authorization", "authorization", "PROXY-AUTHORIZATION", "Cookie", "Set-Cookie", "X-Api-Key"]


@pytest.mark.parametrize("name", SENSITIVE)
def test_values_that_let_somebody_in_are_used_but_not_shown(name: str) -> None:
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


def test_a_pickle_of_headers_keeps_the_rest() -> None:
    headers = Headers({"Authorization": CANARY, "Accept": "a"})
    assert pickle.loads(pickle.dumps(headers)) == {"authorization": "***", "accept": "a"}
    assert copy.copy(headers) == copy.deepcopy(headers) == headers


def test_a_secret_is_shown_to_nobody_who_only_looks() -> None:
    secret = Secret(CANARY)
    assert secret == CANARY
    assert f"{secret}" == CANARY
    assert CANARY not in f"{secret!r} {[secret]} {secret!a} {(secret,)!s}"
    assert copy.deepcopy([secret]) == [CANARY]
    assert CANARY not in repr(copy.deepcopy([secret]))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret, protocol)


# Requests and responses ###############################################################################################


def test_messages_are_values() -> None:
    request = Request("GET", "/a?b=c", {"Accept": "x"}, b"body")
    assert request == Request("GET", "/a?b=c", Headers({"accept": "x"}), b"body")
    assert request.path == "/a"
    assert pickle.loads(pickle.dumps(request)) == request
    assert Request("GET", "/a") == Request("GET", "/a", {}, b"")
    response = Response(200, [("A", "1"), ("a", "2")], b"body")  # type: ignore[arg-type]
    assert response.headers == {"a": "1, 2"}
    assert copy.deepcopy(response) == pickle.loads(pickle.dumps(response)) == response
    with pytest.raises(AttributeError):
        response.status = 404  # type: ignore[misc]


def test_a_body_is_not_in_the_repr() -> None:
    assert CANARY not in repr(Request("POST", "/", {}, CANARY.encode())) + repr(Response(200, {}, CANARY.encode()))


@pytest.mark.parametrize(
    ("status", "reason"), [(200, "OK"), (404, "Not Found"), (418, "I'm a Teapot"), (299, ""), (999, "")]
)
def test_the_reason_is_the_standard_phrase(status: int, reason: str) -> None:
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
def test_the_media_type_is_the_content_type_without_its_parameters(value: str, media_type: str) -> None:
    assert Response(200, {"content-TYPE": value}).media_type == media_type
    assert Response(200).media_type == ""


# Endpoints ############################################################################################################


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (DEFAULT_BASE_URL, "https://v3.handinger.com/api/workers?a=b"),
        ("https://v3.handinger.com/", "https://v3.handinger.com/api/workers?a=b"),
        ("http://localhost:8790", "http://localhost:8790/api/workers?a=b"),
        ("http://127.0.0.1:8790///", "http://127.0.0.1:8790/api/workers?a=b"),
        ("http://[::1]:8790/", "http://[::1]:8790/api/workers?a=b"),
        ("HTTPS://Example.COM/Prefix/v3/", "https://example.com/Prefix/v3/api/workers?a=b"),
        ("https://example.com/a%2Fb", "https://example.com/a%2Fb/api/workers?a=b"),
        ("https://example.com/a b".replace(" ", "%20"), "https://example.com/a%20b/api/workers?a=b"),
        ("https://bücher.example", "https://xn--bcher-kva.example/api/workers?a=b"),
        (URL("https://example.com/p"), "https://example.com/p/api/workers?a=b"),
    ],
)
def test_a_target_goes_below_the_base_url(base_url: str | URL, url: str) -> None:
    called, _ = Endpoint(base_url, "key").prepare(Request("GET", "/api/workers?a=b"))
    assert str(called) == url


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "example.com",
        "//example.com",
        "/api",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https:example.com",
        "https://example.com:99999",
        "https://example.com:port",
        "https://[::1",
        "https://example.com?a=b",
        "https://example.com/#a",
        "https://example.com /",
        " https://example.com",
        "https://example.com\n",
        "https://exa\tmple.com",
        "https://example.com\\@other.example",
        "https://example.com/\ud800",
        None,
        b"https://example.com",
        7,
    ],
)
def test_what_is_no_base_url_is_refused(base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        Endpoint(base_url, "key")


@pytest.mark.parametrize(
    "base_url",
    [f"https://user:{CANARY}@example.com", f"https://{CANARY}@example.com", f"https://u:{CANARY}@example.com:port"],
)
def test_a_password_in_a_base_url_is_refused_without_being_repeated(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        Endpoint(base_url, "key")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "api_key",
    [
        "",
        " ",
        CANARY + "\n",
        CANARY + "\r\nX: y",
        " " + CANARY,
        CANARY + " b",
        CANARY + "\t",
        CANARY + "\0",
        CANARY + "é",
        CANARY + "\x7f",
        CANARY + "\ud800",
    ],
)
def test_a_key_that_could_not_be_sent_is_refused_without_being_repeated(api_key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        Endpoint(DEFAULT_BASE_URL, api_key)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("api_key", [None, 7, CANARY.encode()])
def test_a_key_is_a_string(api_key: Any) -> None:
    with pytest.raises(ConfigurationError, match="api_key must be a string") as caught:
        Endpoint(DEFAULT_BASE_URL, api_key)
    assert CANARY not in str(caught.value)


def test_a_request_is_sent_with_the_key_and_the_name_of_this_library() -> None:
    request = Request("POST", "/a", {"Accept": "x"}, b"body")
    url, sent = Endpoint(DEFAULT_BASE_URL, CANARY).prepare(request)
    assert (sent.method, sent.target, sent.body) == ("POST", "/a", b"body")
    assert sent.headers["authorization"] == f"Bearer {CANARY}"
    assert sent.headers["user-agent"].startswith("handinger-async/")
    assert "Python/3" in sent.headers["user-agent"]
    assert sent.headers["accept"] == "x"
    assert CANARY not in f"{url} {sent!r}"


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_authorization_of_the_caller_replaces_ours_once(name: str) -> None:
    _, sent = Endpoint(DEFAULT_BASE_URL, "key").prepare(Request("GET", "/a", {name: "Basic x"}))
    assert [(key.lower(), value) for key, value in sent.headers.items() if key.lower() == "authorization"] == [
        ("authorization", "Basic x")
    ]


def test_an_endpoint_does_not_show_or_pickle_its_key() -> None:
    endpoint = Endpoint("https://example.com", CANARY)
    assert repr(endpoint) == "Endpoint('https://example.com', api_key='***')"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(endpoint)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "api",
        "@other.example/",
        ".other.example/",
        ":80/",
        "https://other.example/",
        "/a\r\nX: y",
        "/a b",
        "/é",
        "/a#b",
        "/\x7f",
        "?a",
        "/\ud800",
    ],
)
def test_a_target_that_is_no_encoded_path_is_not_sent(target: str) -> None:
    """It could end the request line early, or take the key to another host."""
    with pytest.raises(ConfigurationError, match="not a percent-encoded path"):
        Endpoint("https://example.com", "key").prepare(Request("GET", target))


@pytest.mark.parametrize("method", ["GET", "M-SEARCH", "get", "X_1", "!#$%&'*+.^`|~"])
def test_any_token_is_a_method(method: str) -> None:
    _, sent = Endpoint("https://example.com", "key").prepare(Request(method, "/a"))
    assert sent.method == method


@pytest.mark.parametrize("method", ["", "GET ", "G\r\nET", "GET /x HTTP/1.1\r\n", "é"])
def test_a_method_that_is_no_token_is_not_sent(method: str) -> None:
    with pytest.raises(ConfigurationError, match="not an HTTP method"):
        Endpoint("https://example.com", "key").prepare(Request(method, "/a"))


def test_half_a_surrogate_pair_in_a_header_is_not_sent() -> None:
    """An answer may hold one, where a server sends bytes that are not UTF-8; a request cannot."""
    headers = Headers({"X-Name": "\udcff"})
    with pytest.raises(ConfigurationError, match="surrogate"):
        Endpoint("https://example.com", "key").prepare(Request("GET", "/a", headers))


@given(st.text())
def test_whatever_the_target_the_call_goes_to_the_endpoint(target: str) -> None:
    try:
        url, _ = Endpoint("https://example.com", "key").prepare(Request("GET", target))
    except ConfigurationError:
        return
    assert url.origin() == URL("https://example.com")
    assert url.raw_path_qs == target or not target.startswith("/")
    assert (url.user, url.fragment) == (None, "")


def test_a_target_that_looks_like_a_host_stays_a_path() -> None:
    url, _ = Endpoint("https://example.com", "key").prepare(Request("GET", "//other.example/a"))
    assert url.host == "example.com"


def test_the_target_of_an_operation_is_called_as_it_is_encoded() -> None:
    request = encode_request(RetrieveWorkerFile("a b/é%2F?#.md", "w/../v"))
    url, _ = Endpoint("https://example.com/v3/", "key").prepare(request)
    assert str(url) == "https://example.com/v3/api/workers/w%2F..%2Fv/files/a%20b/%C3%A9%252F%3F%23.md"
