"""Endpoints: the base URL, the API key, and requests prepared for a transport."""

import gc
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from handinger_async._checks import has_valid_labels
from handinger_async.codec import encode_request
from handinger_async.errors import ConfigurationError
from handinger_async.http import DEFAULT_BASE_URL, Endpoint, Headers, Request
from handinger_async.operations import RetrieveWorkerFile

CANARY = "hk-canary-71f0"


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (DEFAULT_BASE_URL, "https://handinger.com/api/workers?a=b"),
        ("https://handinger.com/", "https://handinger.com/api/workers?a=b"),
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
def test_target_is_appended_to_the_base_url(base_url: str | URL, url: str) -> None:
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
        "http://a..b",
        "http://.example.com",
        f"http://{'a' * 64}.example.com",
        None,
        b"https://example.com",
        7,
    ],
)
def test_malformed_base_url_is_refused(base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        Endpoint(base_url, "key")


@pytest.mark.parametrize(
    "base_url",
    [f"https://user:{CANARY}@example.com", f"https://{CANARY}@example.com", f"https://u:{CANARY}@example.com:port"],
)
def test_credentials_in_a_base_url_are_refused_without_quoting_them(base_url: str) -> None:
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
def test_unsendable_api_key_is_refused_without_quoting_it(api_key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        Endpoint(DEFAULT_BASE_URL, api_key)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("api_key", [None, 7, CANARY.encode()])
def test_api_key_must_be_a_string(api_key: Any) -> None:
    with pytest.raises(ConfigurationError, match="api_key must be a string") as caught:
        Endpoint(DEFAULT_BASE_URL, api_key)
    assert CANARY not in str(caught.value)


def test_endpoint_masks_its_key_and_is_never_pickled() -> None:
    endpoint = Endpoint("https://example.com", CANARY)
    assert repr(endpoint) == "Endpoint('https://example.com', api_key='***')"
    assert repr(Endpoint.__new__(Endpoint)) == "Endpoint('', api_key='***')"  # in a traceback
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(endpoint)


# Prepared requests ####################################################################################################


def test_prepare_adds_authorization_and_user_agent() -> None:
    request = Request("POST", "/a", {"Accept": "x"}, b"body")
    url, sent = Endpoint(DEFAULT_BASE_URL, CANARY).prepare(request)
    assert (sent.method, sent.target, sent.body) == ("POST", "/a", b"body")
    assert sent.headers["authorization"] == f"Bearer {CANARY}"
    assert sent.headers["user-agent"].startswith("handinger-async/")
    assert "Python/3" in sent.headers["user-agent"]
    assert sent.headers["accept"] == "x"
    assert CANARY not in f"{url} {sent!r}"


@given(st.lists(st.integers(0, 2), max_size=8))
def test_header_fields_that_requests_share_are_merged_once_and_never_mixed_up(order: list[int]) -> None:
    endpoint = Endpoint("https://example.com", "key")
    shared = [Headers({"Accept": "a"}), Headers({"Accept": "b"}), Headers({"Accept": "a", "Authorization": "own"})]
    before, last = -1, None
    for index in order:
        _, prepared = endpoint.prepare(Request("GET", "/api", shared[index]))
        _, fresh = Endpoint("https://example.com", "key").prepare(Request("GET", "/api", shared[index].as_dict()))
        assert prepared == fresh
        if index < 2:
            assert (prepared.headers is last) == (index == before)
            before, last = index, prepared.headers


def test_endpoint_keeps_no_credentials_of_a_request() -> None:
    endpoint = Endpoint("https://example.com", "key")
    given = Headers({"Authorization": f"Bearer {CANARY}"})
    endpoint.prepare(Request("GET", "/api", given))
    assert not [found for found in gc.get_referrers(given) if isinstance(found, tuple)]


def test_unsendable_value_is_refused_each_time() -> None:
    endpoint = Endpoint("https://example.com", "key")
    request = Request("GET", "/api", {"X-Name": "\x7f"})
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="X-Name"):
            endpoint.prepare(request)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_authorization_of_the_caller_replaces_the_api_key(name: str) -> None:
    _, sent = Endpoint(DEFAULT_BASE_URL, "key").prepare(Request("GET", "/a", {name: "Basic x"}))
    assert [(key.lower(), value) for key, value in sent.headers.items() if key.lower() == "authorization"] == [
        ("authorization", "Basic x")
    ]


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
def test_target_must_be_a_percent_encoded_path(target: str) -> None:
    """It could end the request line early, or send the key to another host."""
    with pytest.raises(ConfigurationError, match="not a percent-encoded path"):
        Endpoint("https://example.com", "key").prepare(Request("GET", target))


@pytest.mark.parametrize("method", ["GET", "M-SEARCH", "get", "X_1", "!#$%&'*+.^`|~"])
def test_method_may_be_any_token(method: str) -> None:
    _, sent = Endpoint("https://example.com", "key").prepare(Request(method, "/a"))
    assert sent.method == method


@pytest.mark.parametrize("method", ["", "GET ", "G\r\nET", "GET /x HTTP/1.1\r\n", "é"])
def test_method_that_is_no_token_is_refused(method: str) -> None:
    with pytest.raises(ConfigurationError, match="not an HTTP method"):
        Endpoint("https://example.com", "key").prepare(Request(method, "/a"))


@pytest.mark.parametrize("value", ["\udcff", "a\x01", "\x1f", "\x7f", "\x0b"])
def test_unsendable_value_of_a_request_header_is_refused(value: str) -> None:
    """A response may contain it, where a server sends bytes that are not UTF-8; a request may not."""
    headers = Headers({"X-Name": value})
    with pytest.raises(ConfigurationError, match="X-Name contains a control character or a lone surrogate"):
        Endpoint("https://example.com", "key").prepare(Request("GET", "/a", headers))


@pytest.mark.parametrize("value", ["a\tb", "é", "\x80", "日本", " "])
def test_other_values_of_a_request_header_are_kept(value: str) -> None:
    _, sent = Endpoint("https://example.com", "key").prepare(Request("GET", "/a", {"X-Name": value}))
    assert sent.headers["x-name"] == value


@pytest.mark.parametrize("request_", [Request(5, "/a"), Request("GET", None), Request(b"GET", "/a")])  # type: ignore[arg-type]
def test_request_of_other_types_is_refused(request_: Request) -> None:
    with pytest.raises(ConfigurationError):
        Endpoint("https://example.com", "key").prepare(request_)


@pytest.mark.parametrize("fields", [5, "abc", ["ab", "c"], [("a",)], [("a", "b", "c")], object()])
def test_header_fields_must_be_a_mapping_or_pairs(fields: Any) -> None:
    with pytest.raises(ConfigurationError):
        Headers(fields)
    with pytest.raises(ConfigurationError):
        Request("GET", "/", fields)


@given(st.text())
def test_any_target_stays_on_the_origin_of_the_endpoint(target: str) -> None:
    try:
        url, _ = Endpoint("https://example.com", "key").prepare(Request("GET", target))
    except ConfigurationError:
        return
    assert url.origin() == URL("https://example.com")
    assert url.raw_path_qs == target or not target.startswith("/")
    assert (url.user, url.fragment) == (None, "")


def test_target_with_two_leading_slashes_stays_a_path() -> None:
    url, _ = Endpoint("https://example.com", "key").prepare(Request("GET", "//other.example/a"))
    assert url.host == "example.com"


def test_encoded_target_of_an_operation_is_not_encoded_again() -> None:
    request = encode_request(RetrieveWorkerFile("a b/é%2F?#.md", "w/../v"))
    url, _ = Endpoint("https://example.com/v3/", "key").prepare(request)
    assert str(url) == "https://example.com/v3/api/workers/w%2F..%2Fv/files/a%20b/%C3%A9%252F%3F%23.md"


@given(st.lists(st.sampled_from(["", "a", "a" * 63, "a" * 64]), min_size=1).map(".".join))
def test_host_names_are_those_that_name_resolution_encodes(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError:
        assert not has_valid_labels(host)
    else:
        assert has_valid_labels(host)
