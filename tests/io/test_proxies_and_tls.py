"""How the aiohttp transport reaches a server: through proxies, over TLS, with a session of the caller's."""

import asyncio
import ssl
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import trustme
from yarl import URL

from handinger_async import APIConnectionError, ConfigurationError, RetryPolicy, Session, Timeouts
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import HANG_GUARD, WireRequest, WireServer, chunked, forever, response, wire_server

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
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def session(transport: AiohttpTransport, url: str = "http://api.example") -> AsyncIterator[Session]:
    async with Session(api_key="key", base_url=url, transport=transport, retry=once) as made:
        yield made


# Proxies ##############################################################################################################


async def test_an_explicit_proxy_gets_everything(proxy: WireServer) -> None:
    async with session(AiohttpTransport(proxy=proxy.url)) as client:
        await client.request("GET", "/x?a=b")
        await client.workers.retrieve_file("f", worker_id="w").read()
    first, second = proxy.requests
    assert first.target == "http://api.example/x?a=b"
    assert first.header("host") == ["api.example"]
    assert second.target == "http://api.example/api/workers/w/files/f"


async def test_a_proxy_may_ask_for_a_user_and_a_password(proxy: WireServer) -> None:
    url = URL(proxy.url).with_user("us er").with_password("pa:ss-canary")
    transport = AiohttpTransport(proxy=url)
    async with session(transport) as client:
        await client.request("GET", "/x")
    (request,) = proxy.requests
    assert request.header("proxy-authorization") == ["Basic dXMgZXI6cGE6c3MtY2FuYXJ5"]
    assert request.header("authorization") == ["Bearer key"]
    assert "canary" not in repr(vars(transport))


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_environment_names_proxies(variable: str, proxy: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, proxy.url)
    async with session(AiohttpTransport()) as client:
        await client.request("GET", "/x")
    assert proxy.requests[0].target == "http://api.example/x"


@pytest.mark.parametrize("names", ["127.0.0.1", "*", "localhost, 127.0.0.1", "127.0.0.1:{port}"])
async def test_the_environment_names_exceptions(names: str, proxy: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with wire_server(hello) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", names.format(port=URL(server.url).port))
        async with session(AiohttpTransport(), server.url) as client:
            await client.request("GET", "/x")
        assert not proxy.requests
        assert len(server.requests) == 1


async def test_exceptions_do_not_hold_for_others_nor_for_an_explicit_proxy(
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


async def test_the_environment_counts_as_it_is_when_a_server_is_first_called(
    proxy: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wire_server(hello) as server, session(AiohttpTransport(), server.url) as client:
        await client.request("GET", "/x")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await client.request("GET", "/x")
        assert len(server.requests) == 2
    assert not proxy.requests


async def test_the_environment_can_be_left_alone(proxy: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    async with wire_server(hello) as server, session(AiohttpTransport(trust_env=False), server.url) as client:
        await client.request("GET", "/x")
        assert len(server.requests) == 1
    assert not proxy.requests


@pytest.mark.parametrize("url", ["socks5://localhost:1", "localhost:1", "", "http://", 5])
def test_a_proxy_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="proxy"):
        AiohttpTransport(proxy=url)


async def test_a_proxy_in_the_environment_that_cannot_be_used_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://somebody:canary@localhost:1")
    async with session(AiohttpTransport()) as client:
        with pytest.raises(ConfigurationError, match="environment") as caught:
            await client.request("GET", "/x")
    assert "canary" not in str(caught.value)


async def test_a_proxy_that_is_not_there_was_not_sent_anything(refusing_url: str) -> None:
    proxy = refusing_url.replace("//", "//somebody:canary@")
    async with session(AiohttpTransport(proxy=proxy)) as client:
        with pytest.raises(APIConnectionError) as caught:
            await client.request("POST", "/x")
    assert not caught.value.request_sent
    assert "canary" not in str(caught.value)


async def test_a_proxy_that_refuses_a_tunnel_was_not_sent_the_request() -> None:
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


async def test_a_given_session_keeps_its_own_proxy(
    proxy: WireServer, refusing_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", refusing_url)
    async with aiohttp.ClientSession(proxy=proxy.url) as own:
        async with session(AiohttpTransport(own)) as client:
            await client.request("GET", "/x")
        assert not own.closed
    assert proxy.requests[0].target == "http://api.example/x"


async def test_a_given_session_keeps_its_middlewares() -> None:
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
async def test_what_a_middleware_has_read_is_not_lost(size: int) -> None:
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


async def test_compression_is_asked_for_as_it_can_be_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {**aiohttp.ClientRequest.DEFAULT_HEADERS, aiohttp.hdrs.ACCEPT_ENCODING: "br, zstd"}
    monkeypatch.setattr(aiohttp.ClientRequest, "DEFAULT_HEADERS", defaults)
    async with wire_server(hello) as server, aiohttp.ClientSession() as given:
        for transport in (AiohttpTransport(), AiohttpTransport(given)):
            async with session(transport, server.url) as client:
                await client.request("GET", "/x")
                await client.request("GET", "/x", headers={"accept-encoding": "identity"})
        asked = [request.header("accept-encoding") for request in server.requests]
    assert asked == [["gzip, deflate"], ["identity"]] * 2


async def test_a_given_session_that_is_closed_is_a_clear_error() -> None:
    async with aiohttp.ClientSession() as own:
        pass
    async with session(AiohttpTransport(own)) as client:
        with pytest.raises(APIConnectionError, match="closed") as caught:
            await client.request("POST", "/x")
    assert not caught.value.request_sent


async def test_a_limit_beside_a_given_session_is_refused() -> None:
    async with aiohttp.ClientSession() as own:
        with pytest.raises(ConfigurationError, match="limit"):
            AiohttpTransport(own, limit=5)


# TLS ##################################################################################################################


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secure(authority: trustme.CA) -> AsyncIterator[WireServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with wire_server(hello, context) as server:
        yield server


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_servers_are_verified_by_default(secure: WireServer) -> None:
    async with session(AiohttpTransport(), secure.url) as client:
        with pytest.raises(APIConnectionError, match="certificate") as caught:
            await client.request("POST", "/x")
    assert not caught.value.request_sent
    assert not secure.requests


async def test_the_name_of_a_server_is_verified(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    async with wire_server(hello, context) as server:
        async with session(AiohttpTransport(ssl=trusting(authority)), server.url) as client:
            with pytest.raises(APIConnectionError, match="certificate"):
                await client.request("GET", "/x")
        assert not server.requests


async def test_a_context_says_whom_to_trust(secure: WireServer, authority: trustme.CA) -> None:
    async with session(AiohttpTransport(ssl=trusting(authority)), secure.url) as client:
        await client.request("GET", "/x")
        async with client.workers.stream_updates("w") as events:
            assert str(await anext(events)) == "a"
    assert len(secure.requests) == 2


async def test_verification_can_be_turned_off(secure: WireServer) -> None:
    async with session(AiohttpTransport(ssl=False), secure.url) as client:
        await client.request("GET", "/x")


async def test_plain_text_where_tls_is_expected_was_not_sent_anything() -> None:
    async with wire_server(hello) as server:
        async with session(AiohttpTransport(), server.url.replace("http:", "https:")) as made:
            client = made.with_options(timeouts=Timeouts(connect=0.05))
            with pytest.raises(APIConnectionError) as caught:
                await client.request("POST", "/x")
        assert not caught.value.request_sent
        assert not server.requests


async def test_two_loops_in_a_row_over_tls_leave_nothing_behind(
    secure: WireServer, authority: trustme.CA, tmp_path: Any
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    program = f"""
        import asyncio, gc, logging, ssl
        from handinger_async import Session
        from handinger_async.transports.aiohttp import AiohttpTransport
        logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))
        transport = AiohttpTransport(ssl=ssl.create_default_context(cafile={str(tmp_path / "ca.pem")!r}))
        session = Session(api_key="key", base_url={secure.url!r}, transport=transport)
        async def main():
            await session.request("GET", "/x")
            async with session.workers.stream_updates("w") as events:
                async for event in events:
                    break
            await asyncio.gather(*(session.request("GET", "/x") for _ in range(5)))
        asyncio.run(main())
        asyncio.run(main())
        del session, transport
        gc.collect()
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), HANG_GUARD)
    assert (process.returncode, output.decode()) == (0, "")
