"""The texts of connection errors: nothing that the server sent, no objects of aiohttp, and the cause in plain words."""

import asyncio
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from handinger_async import APIConnectionError, APITimeoutError, RetryPolicy, Session
from handinger_async.transports._aiohttp_errors import adapt_error
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import WireRequest, response, wire_server

once = RetryPolicy(max_retries=0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
COOKIE = b"Set-Cookie: id=canary\r\n"

CUT_OR_MALFORMED = {
    "cut in a field": HEAD + COOKIE + b"X-A: can",
    "cut between fields": HEAD + COOKIE,
    "cut in a cookie": HEAD + COOKIE[:-2],
    "cut in the status": b"HTTP/1.1 20",
    "nothing": b"",
    "NUL in a field": HEAD + b"Set-Cookie: canary\0\r\n\r\n",
    "no field": HEAD + b"canary canary\r\n\r\n",
    "too long a field": HEAD + b"Set-Cookie: canary" + b"canary" * 20_000 + b"\r\n\r\n",
    "too many fields": HEAD + COOKIE * 1100 + b"\r\n",
    "no status": b"HTTP/1.1 canary\r\n\r\n",
    "no HTTP": b"canary canary canary\r\n\r\n",
    "no length": HEAD + b"Content-Length: canary\r\n\r\n",
    "no chunk": HEAD + COOKIE + b"Transfer-Encoding: chunked\r\n\r\ncanary\r\n",
    "cut in a body": HEAD + COOKIE + b"Content-Length: 10\r\n\r\ncanary",
    "cut in a chunk": HEAD + COOKIE + b"Transfer-Encoding: chunked\r\n\r\n20\r\ncanary",
}


@pytest.mark.parametrize("own", [True, False], ids=["own", "given"])
@pytest.mark.parametrize("case", CUT_OR_MALFORMED)
async def test_text_quotes_nothing_that_the_server_sent(case: str, own: bool) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(CUT_OR_MALFORMED[case])
        writer.close()

    async with wire_server(reply) as server, aiohttp.ClientSession() as given:
        transport = AiohttpTransport(None if own else given)
        async with Session(api_key="key", base_url=server.url, retry=once, transport=transport) as session:
            with pytest.raises(APIConnectionError) as caught:
                await session.request("GET", "/x")
    text = str(caught.value)
    assert "can" not in text.replace("cannot", "")
    assert not any(word in text.lower() for word in ("cookie", "aiohttp", "rawresponse", "message=", "<", "errno none"))
    assert text.endswith(" (GET /x)")
    assert text[0].islower()
    assert caught.value.request_sent


@pytest.mark.parametrize("proxied", [False, True])
async def test_refused_connection_names_host_and_cause(refusing_url: str, proxied: bool) -> None:
    address = refusing_url.removeprefix("http://")
    url = "http://api.example" if proxied else refusing_url
    transport = AiohttpTransport(proxy=refusing_url if proxied else None)
    async with Session(api_key="key", base_url=url, retry=once, transport=transport) as session:
        with pytest.raises(APIConnectionError) as caught:
            await session.request("GET", "/x")
    where = f"the proxy {address}" if proxied else address
    assert str(caught.value).startswith(f"cannot connect to {where}: ")
    assert "ssl:" not in str(caught.value)
    assert "refused" in str(caught.value) or "Connect call failed" in str(caught.value)


KEY = ConnectionKey("h", 1, True, True, None, None, None)
UNSENT = (
    aiohttp.ClientConnectorDNSError(KEY, OSError(socket.EAI_NONAME, "Name or service not known")),
    aiohttp.ClientConnectorCertificateError(KEY, OSError("certificate verify failed")),
    aiohttp.ClientConnectorSSLError(KEY, OSError(1, "wrong version number")),
    aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1),
    aiohttp.InvalidURL("http://h"),
)


@pytest.mark.parametrize("error", UNSENT, ids=lambda error: type(error).__name__)
def test_errors_before_a_connection_mean_that_nothing_was_sent(error: Exception) -> None:
    adapted = adapt_error(error)
    assert not adapted.request_sent
    assert "ssl:" not in str(adapted)
    assert "ConnectionKey" not in str(adapted)


def test_timeouts_are_told_from_other_errors() -> None:
    assert isinstance(
        adapt_error(aiohttp.ConnectionTimeoutError("Connection timeout to host http://h")), APITimeoutError
    )
    assert isinstance(adapt_error(aiohttp.SocketTimeoutError()), APITimeoutError)
    assert not isinstance(adapt_error(aiohttp.ClientError()), APITimeoutError)
    assert str(adapt_error(aiohttp.ClientError())) == "ClientError"


async def test_request_that_aiohttp_refuses_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises ValueError for what no header can carry, and for some host names."""

    async def send(self: aiohttp.ClientRequest, connection: Any) -> Any:
        raise ValueError("control character in a header")

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        with monkeypatch.context() as patch:
            patch.setattr(aiohttp.ClientRequest, "send", send)
            with pytest.raises(APIConnectionError, match="cannot be sent: control character") as caught:
                await session.request("POST", "/x", json={})
        assert not caught.value.request_sent
        await session.request("POST", "/x", json={})
        assert len(server.requests) == 1
