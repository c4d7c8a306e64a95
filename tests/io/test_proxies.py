"""The aiohttp transport with proxies, and with a given aiohttp session."""

import asyncio
import traceback
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest
from yarl import URL

from handinger_async import APIConnectionError, ConfigurationError, RetryPolicy, Session
from handinger_async.testing import FakeHandinger
from handinger_async.transports._proxies import parse_proxy, proxy_from_environment
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import MemoryTransport

from .wire import WireRequest, WireServer, chunked, forever, response, wire_server

once = RetryPolicy(max_retries=0)


async def hello(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    if request.target.endswith("/stream"):
        writer.write(chunked(b"data: a\n\n", end=False))
        await forever()
    writer.write(response(b"{}"))


@pytest.fixture
async def proxy() -> AsyncIterator[WireServer]:
    async with wire_server(hello) as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUEST_METHOD", raising=False)  # `tests/conftest.py` removes the others


@asynccontextmanager
async def session(transport: AiohttpTransport, url: str = "http://api.example") -> AsyncIterator[Session]:
    async with Session(api_key="key", base_url=url, transport=transport, retry=once) as made:
        yield made


async def test_explicit_proxy_receives_all_requests(proxy: WireServer) -> None:
    async with session(AiohttpTransport(proxy=proxy.url)) as client:
        await client.request("GET", "/x?a=b")
        await client.workers.retrieve_file("f", worker_id="w").read()
    first, second = proxy.requests
    assert first.target == "http://api.example/x?a=b"
    assert first.header("host") == ["api.example"]
    assert second.target == "http://api.example/api/workers/w/files/f"


async def test_proxy_receives_user_and_password(proxy: WireServer) -> None:
    url = URL(proxy.url).with_user("us er").with_password("pa:ss-canary")
    transport = AiohttpTransport(proxy=url)
    async with session(transport) as client:
        await client.request("GET", "/x")
    (request,) = proxy.requests
    assert request.header("proxy-authorization") == ["Basic dXMgZXI6cGE6c3MtY2FuYXJ5"]
    assert request.header("authorization") == ["Bearer key"]
    assert "canary" not in repr(vars(transport))


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_proxy_is_taken_from_the_environment(
    variable: str, scheme: str, proxy: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy.url.replace("http://", f"{scheme}us%20er:pa@"))
    async with session(AiohttpTransport()) as client:
        await client.request("GET", "/x")
    assert proxy.requests[0].target == "http://api.example/x"
    assert proxy.requests[0].header("proxy-authorization") == ["Basic dXMgZXI6cGE="]


@pytest.mark.parametrize(
    ("variables", "chosen"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://a:1", "ALL_PROXY": "http://b:1"}, "http://a:1"),
        ({"HTTP_PROXY": "http://a:1", "ALL_PROXY": "http://b:1"}, "http://b:1"),
        ({"HTTP_PROXY": "http://a:1"}, None),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"}, "http://b:1"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": ""}, None),
        ({"HTTPS_PROXY": " "}, None),
        ({"HTTPS_PROXY": " ", "ALL_PROXY": "http://b:1"}, "http://b:1"),
        ({"HTTPS_PROXY": " http://a:1/ "}, "http://a:1/"),
        ({"HTTPS_PROXY": "https://a:1"}, "https://a:1"),
        ({"HTTPS_PROXY": "127.0.0.1:3128"}, "http://127.0.0.1:3128"),
        ({"HTTPS_PROXY": "proxy"}, "http://proxy"),
        ({"HTTPS_PROXY": "[::1]:3128"}, "http://[::1]:3128"),
        ({"FTP_PROXY": "http://a:1"}, None),
    ],
)
def test_proxy_variables_are_chosen_by_the_scheme_of_the_server(
    variables: dict[str, str], chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_from_environment(URL("https://api.example"))
    assert (proxy and proxy.url) == (chosen and URL(chosen))


def test_http_proxy_of_a_cgi_request_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://attacker:1")  # the header "Proxy" of a request
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    assert proxy_from_environment(URL("http://api.example")) is None
    monkeypatch.setenv("http_proxy", "http://a:1")
    assert proxy_from_environment(URL("http://api.example")) == (URL("http://a:1"), {})


EXCLUDED = [
    ("*", "https://api.example"),
    ("other, *", "https://api.example"),
    ("*:443", "https://api.example"),
    ("api.example", "https://API.example"),
    ("API.EXAMPLE", "https://api.example"),
    ("api.example.", "https://api.example"),
    ("api.example", "https://api.example."),
    ("example", "https://api.example"),
    (".example", "https://api.example"),
    (".api.example", "https://api.example"),
    ("*.example", "https://api.example"),
    (" other ,\tapi.example ", "https://api.example"),
    ("other api.example", "https://api.example"),
    ("api.example:443", "https://api.example"),
    ("example:8080", "http://api.example:8080"),
    ("xn--bcher-kva.example", "https://bücher.example"),
    ("bücher.example", "https://xn--bcher-kva.example"),
    ("127.0.0.1", "http://127.0.0.1:8080"),
    ("127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("127.0.0.0/8", "http://127.0.0.1"),
    ("10.1.2.3/8", "http://10.9.9.9"),
    ("::1", "http://[::1]:8080"),
    ("[::1]", "http://[::1]:8080"),
    ("[::1]:8080", "http://[::1]:8080"),
    ("0:0:0:0:0:0:0:1", "http://[::1]"),
    ("fd00::/8", "http://[fd12::1]"),
    ("[FD12::1]", "http://[fd12::1]"),
]

NOT_EXCLUDED = [
    ("", "https://api.example"),
    (" , ", "https://api.example"),
    (".", "https://api.example"),
    ("*:80", "https://api.example"),
    ("pi.example", "https://api.example"),
    ("api.example.org", "https://api.example"),
    ("v1.api.example", "https://api.example"),
    ("api.example:80", "https://api.example"),
    ("127.0.0.1:80", "http://127.0.0.1:8080"),
    ("10.0.0.0/8", "http://127.0.0.1"),
    ("10.0.0.0/8", "https://10.example"),
    ("10.0.0.0/99", "http://10.0.0.0"),
    ("::/0", "http://127.0.0.1"),
    ("[::1]:80", "http://[::1]:8080"),
    ("::2", "http://[::1]"),
    ("localhost", "http://127.0.0.1"),
]


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_no_proxy_variable_names_hosts_domains_addresses_and_networks(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy")

    def is_excluded(no_proxy: str, url: str) -> bool:
        monkeypatch.setenv(variable, no_proxy)
        return proxy_from_environment(URL(url)) is None

    assert [case for case in EXCLUDED if not is_excluded(*case)] == []
    assert [case for case in NOT_EXCLUDED if is_excluded(*case)] == []


@pytest.mark.parametrize("excluded", [False, True])
def test_system_settings_apply_without_variables(excluded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = []
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"https": "socks5://somebody:canary@proxy"})
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda host: hosts.append(host) or excluded)
    if excluded:
        assert proxy_from_environment(URL("https://api.example")) is None
    else:
        with pytest.raises(ConfigurationError, match="system's settings is a SOCKS proxy") as caught:
            proxy_from_environment(URL("https://api.example"))
        assert "canary" not in locals_of(caught.value)
    assert hosts == ["api.example:443"]


@pytest.mark.parametrize("names", ["127.0.0.1", "*", "localhost, 127.0.0.1", "127.0.0.1:{port}"])
async def test_no_proxy_variable_excludes_hosts(names: str, proxy: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with wire_server(hello) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", names.format(port=URL(server.url).port))
        async with session(AiohttpTransport(), server.url) as client:
            await client.request("GET", "/x")
        assert not proxy.requests
        assert len(server.requests) == 1


async def test_no_proxy_variable_ignores_other_hosts_and_explicit_proxies(
    proxy: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "other.example")
    async with session(AiohttpTransport()) as client:
        await client.request("GET", "/x")
    monkeypatch.setenv("NO_PROXY", "*")
    async with session(AiohttpTransport(proxy=proxy.url)) as client:
        await client.request("GET", "/y")
    assert len(proxy.requests) == 2


async def test_environment_is_read_at_the_first_request_to_a_server(
    proxy: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wire_server(hello) as server, session(AiohttpTransport(), server.url) as client:
        await client.request("GET", "/x")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await client.request("GET", "/x")
        assert len(server.requests) == 2
    assert not proxy.requests


async def test_trust_env_false_ignores_the_environment(proxy: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    async with wire_server(hello) as server, session(AiohttpTransport(trust_env=False), server.url) as client:
        await client.request("GET", "/x")
        assert len(server.requests) == 1
    assert not proxy.requests


@pytest.mark.parametrize(
    ("credentials", "token"),
    [("", None), ("somebody@", "c29tZWJvZHk6"), (":pa@", "OnBh"), ("@", None), ("b%C3%BCcher:%3A@", "YsO8Y2hlcjo6")],
)
def test_proxy_credentials_are_moved_to_a_header(credentials: str, token: str | None) -> None:
    proxy, problem = parse_proxy(f"http://{credentials}proxy:1")
    assert proxy == (URL("http://proxy:1"), {"Proxy-Authorization": f"Basic {token}"} if token else {})
    assert problem == ""


def locals_of(error: BaseException) -> str:
    """Return the message and the local variables of the library's frames."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_globals is not globals()]
    return f"{error} {[{**frame.f_locals, 'self': None} for frame in frames]}"


INVALID = [
    "socks5://somebody:canary@localhost:1",
    "SOCKS5H://somebody:canary@localhost:1",
    "ftp://somebody:canary@localhost:1",
    "http://somebody:canary@",
    "http://somebody:canary@localhost:99999",
    "http://somebody:canary@a..b:1",
    "http://somebody:can#ary@localhost:1",
]


@pytest.mark.parametrize("url", [*INVALID, "localhost:1", "", "http://", 5, b"http://localhost:1"])
def test_invalid_proxy_url_is_refused(url: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^proxy ") as caught:
        AiohttpTransport(proxy=url)
    assert "canary" not in locals_of(caught.value)
    assert ("SOCKS" in str(caught.value)) == ("socks" in str(url).lower())


@pytest.mark.parametrize("url", INVALID)
def test_unusable_proxy_in_the_environment_is_refused_at_construction(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("All_Proxy", url)
    for construct in (AiohttpTransport, partial(Session, api_key="key")):
        with pytest.raises(ConfigurationError, match=r"^the environment variable All_Proxy ") as caught:
            construct()
        assert "canary" not in locals_of(caught.value)
        assert ("SOCKS" in str(caught.value)) == ("socks" in url.lower())
    AiohttpTransport(trust_env=False)
    AiohttpTransport(proxy="http://127.0.0.1:1")
    Session(api_key="key", transport=MemoryTransport(FakeHandinger()))


async def test_unusable_proxy_is_an_error_only_for_servers_that_need_it(
    proxy: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://somebody:canary@localhost:1")
    monkeypatch.setenv("https_proxy", "socks4://somebody:canary@localhost:1")
    Session(api_key="key", base_url="http://api.example")
    with pytest.raises(ConfigurationError, match="https_proxy is a SOCKS proxy"):
        Session(api_key="key", base_url="https://api.example")
    async with session(AiohttpTransport(), "https://api.example") as client:
        with pytest.raises(ConfigurationError, match="https_proxy is a SOCKS proxy") as caught:
            await client.request("GET", "/x")
        assert "canary" not in locals_of(caught.value)
    monkeypatch.setenv("HTTP_PROXY", "socks5://localhost:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with session(AiohttpTransport(), proxy.url) as client:
        await client.request("GET", "/x")
    async with Session(api_key="key", base_url=proxy.url) as client:
        await client.request("GET", "/x")


async def test_unreachable_proxy_means_the_request_was_not_sent(refusing_url: str) -> None:
    proxy = refusing_url.replace("//", "//somebody:canary@")
    async with session(AiohttpTransport(proxy=proxy)) as client:
        with pytest.raises(APIConnectionError) as caught:
            await client.request("POST", "/x")
    assert not caught.value.request_sent
    assert "canary" not in str(caught.value)


async def test_refused_tunnel_means_the_request_was_not_sent() -> None:
    async def refuse(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async with wire_server(refuse) as proxy:
        url = proxy.url.replace("//", "//somebody:canary@")
        async with session(AiohttpTransport(proxy=url), "https://api.example") as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.request("POST", "/x")
        assert not caught.value.request_sent
        assert "canary" not in str(caught.value)
        assert [request.method for request in proxy.requests] == ["CONNECT"]
        assert not proxy.requests[0].header("authorization")
        assert proxy.requests[0].header("proxy-authorization") == ["Basic c29tZWJvZHk6Y2FuYXJ5"]


async def test_given_session_keeps_its_proxy(
    proxy: WireServer, refusing_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", refusing_url)
    async with aiohttp.ClientSession(proxy=proxy.url) as own:
        async with session(AiohttpTransport(own)) as client:
            await client.request("GET", "/x")
        assert not own.closed
    assert proxy.requests[0].target == "http://api.example/x"


async def test_given_session_keeps_its_middlewares() -> None:
    seen = []

    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        seen.append(request.url.path)
        request.headers["X-Mine"] = "1"
        return await handler(request)

    async with wire_server(hello) as server, aiohttp.ClientSession(middlewares=(middleware,)) as own:
        async with session(AiohttpTransport(own), server.url) as client:
            await client.request("GET", "/x")
        assert server.requests[0].header("x-mine") == ["1"]
    assert seen == ["/x"]


@pytest.mark.parametrize("size", [2, 500_000])
async def test_body_read_by_a_middleware_is_not_lost(size: int) -> None:
    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await handler(request)
        await response.read()
        return response

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"x" * size))

    async with (
        wire_server(reply) as server,
        aiohttp.ClientSession(middlewares=(middleware,)) as own,
        session(AiohttpTransport(own), server.url) as client,
    ):
        assert (await client.request("GET", "/x")).body == b"x" * size


async def test_accept_encoding_names_only_supported_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {**aiohttp.ClientRequest.DEFAULT_HEADERS, aiohttp.hdrs.ACCEPT_ENCODING: "br, zstd"}
    monkeypatch.setattr(aiohttp.ClientRequest, "DEFAULT_HEADERS", defaults)
    async with wire_server(hello) as server, aiohttp.ClientSession() as given:
        for transport in (AiohttpTransport(), AiohttpTransport(given)):
            async with session(transport, server.url) as client:
                await client.request("GET", "/x")
                await client.request("GET", "/x", headers={"accept-encoding": "identity"})
        accepted = [request.header("accept-encoding") for request in server.requests]
    assert accepted == [["gzip, deflate"], ["identity"]] * 2


async def test_closed_given_session_is_a_connection_error() -> None:
    async with aiohttp.ClientSession() as own:
        pass
    async with session(AiohttpTransport(own)) as client:
        with pytest.raises(APIConnectionError, match="closed") as caught:
            await client.request("POST", "/x")
    assert not caught.value.request_sent


async def test_connection_limit_beside_a_given_session_is_refused() -> None:
    async with aiohttp.ClientSession() as own:
        with pytest.raises(ConfigurationError, match="limit"):
            AiohttpTransport(own, limit=5)
