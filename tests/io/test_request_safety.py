"""Requests go to the given host alone, with the given key, and with no header that was smuggled in."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from handinger_async import APIError, ConfigurationError, Session
from handinger_async.http import Endpoint
from handinger_async.transports.aiohttp import AiohttpTransport

from .service import Service, ok
from .wire import WireRequest, response, wire_server

KEY = "sk-canary-1234567890"


async def collect(session: Session) -> Any:
    async with session.workers.stream_updates("w") as events:
        return [event async for event in events]


CALLS: list[Callable[[Session], Any]] = [
    lambda session: session.workers.retrieve("w"),
    lambda session: session.workers.create(input="x"),
    collect,
    lambda session: session.workers.retrieve_file("f", worker_id="w").read(),
]


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        f"{KEY} ",
        f" {KEY}",
        f"{KEY}\n",
        f"{KEY}\r\nX-Evil: 1",
        f"{KEY}\0",
        f"{KEY}é",
        f"{KEY}\t",
        f"{KEY}\x7f",
        f"{KEY}\u2028",
    ],
)
@pytest.mark.parametrize("source", ["argument", "environment"])
def test_invalid_key_is_refused_without_showing_it(key: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if source == "environment":  # a mapping in its place, since the real one cannot hold NUL
        monkeypatch.setattr("os.environ", {"HANDINGER_API_KEY": key})
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        Session(api_key=key if source == "argument" else None)
    assert KEY not in str(caught.value) + repr(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        Endpoint("https://example.com", key)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_line_breaks_in_headers_are_refused(value: str) -> None:
    session = Service(ok).session()
    for make in (
        lambda: Session(api_key=KEY, headers={"X-A": value}),
        lambda: session.with_options(headers={"X-A": value}),
        lambda: session.with_options(idempotency_key=value),
        lambda: session.with_options(headers={f"X-A{value}": "b"}),
        lambda: asyncio.run(session.request("GET", "/x", headers={"X-A": value})),
        lambda: asyncio.run(session.request(f"GET{value}", "/x")),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert value not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/x",
        "http://evil.example",
        "//evil.example/x",
        "///evil.example/x",
        "/\\evil.example",
        "\\\\evil.example",
        "HTTPS://evil.example",
        "/https://evil.example",
        "javascript:alert(1)",
        "@evil.example/x",
        ".evil.example",
        "/..//evil.example",
        "/%2e%2e/x",
        "/x\r\nHost: evil.example",
        "/x HTTP/1.1\r\nHost: evil.example",
        "/x#fragment",
        "",
    ],
)
async def test_custom_requests_stay_on_the_host(path: str) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))

    async with wire_server(reply) as server, Session(api_key=KEY, base_url=server.url) as session:
        try:
            await session.request("GET", path)
        except ConfigurationError:
            assert not server.requests
        else:
            (request,) = server.requests
            assert request.target.startswith("/")
            assert not request.target.startswith("//")
            assert request.header("host") == [server.url.removeprefix("http://")]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("call", CALLS)
async def test_no_redirect_is_followed_but_of_files_without_the_key(call: Any, status: str) -> None:
    async def elsewhere(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))

    async with wire_server(elsewhere) as evil:

        async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(response(b"", status=status, headers=f"Location: {evil.url}/x\r\nSet-Cookie: a=b\r\n"))

        async with wire_server(reply) as server, Session(api_key=KEY, base_url=server.url) as session:
            for _ in range(2):
                with suppress(APIError):
                    await call(session)
        assert len(evil.requests) == (2 if server.requests[0].header("accept") == ["application/octet-stream"] else 0)
        assert not any(request.header("authorization") or request.header("cookie") for request in evil.requests)
        assert len(server.requests) == 2
        assert not server.requests[1].header("cookie")


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("default login somebody password else\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("own", ["none", "trust_env", "auth", "header"])
async def test_netrc_and_aiohttp_auth_do_not_replace_the_key(own: str) -> None:
    import aiohttp

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))

    options: dict[str, Any] = {
        "none": {},
        "trust_env": {"trust_env": True},
        "header": {"headers": {"Authorization": "Basic x"}},
        "auth": {},
    }[own]
    async with wire_server(reply) as server, aiohttp.ClientSession(**options) as given:
        if own == "auth":  # its argument is deprecated, but there
            with pytest.warns(DeprecationWarning, match="BasicAuth"):
                given._default_auth = aiohttp.BasicAuth("somebody", "else")
        transport = AiohttpTransport(None if own == "none" else given)
        async with Session(api_key=KEY, base_url=server.url, transport=transport) as session:
            await session.request("GET", "/x")
            await session.request("POST", "/x", json={})
    for request in server.requests:
        assert request.header("authorization") == [f"Bearer {KEY}"]
