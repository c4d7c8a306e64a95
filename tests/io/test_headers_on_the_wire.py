"""Header fields as sent and received: none made up, none lost, no cookie and no password where it does not belong."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trustme

from handinger_async import APIConnectionError, RetryPolicy, Session
from handinger_async.transports.aiohttp import MAX_FIELD_SIZE, MAX_FIELDS, AiohttpTransport

from .service import WORKER, json_response
from .wire import WireRequest, response, wire_server

once = RetryPolicy(max_retries=0)


async def hello(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(response(b"{}", headers="Set-Cookie: session=canary; Path=/\r\n"))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
async def test_request_without_a_body_has_no_content_type(method: str) -> None:
    async with wire_server(hello) as server, Session(api_key="key", base_url=server.url) as session:
        await session.request(method, "/x")
        await session.request(method, "/x", headers={"Content-Type": "a/b"})
    first, second = server.requests
    assert not first.header("content-type")
    assert first.header("content-length") == ([] if method == "GET" else ["0"])
    assert second.header("content-type") == ["a/b"]


async def test_no_cookie_of_a_response_goes_out_with_the_next_request() -> None:
    async with wire_server(hello) as server:
        url = server.url.replace("127.0.0.1", "localhost")  # aiohttp keeps no cookies of IP addresses
        async with Session(api_key="key", base_url=url) as session:
            for _ in range(2):
                assert "set-cookie" in (await session.request("GET", "/x")).headers
    assert not any(request.header("cookie") for request in server.requests)


@pytest.mark.parametrize("long", [True, False])
async def test_id_of_a_created_worker_is_not_lost_to_a_header(long: bool) -> None:
    fields = [f"X-{number}: 1" for number in range(MAX_FIELDS - 10)]
    if long:
        fields = [f"X-Trace: {'x' * (MAX_FIELD_SIZE - 100)}"]

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(json_response(WORKER).body, headers="\r\n".join([*fields, ""])))

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        assert (await session.workers.create(input="x")).id == "id"


@pytest.mark.parametrize("long", [True, False])
async def test_header_fields_are_limited(long: bool) -> None:
    fields = (
        [f"X-Trace: {'x' * MAX_FIELD_SIZE * 2}"] if long else [f"X-{number}: 1" for number in range(MAX_FIELDS + 1)]
    )

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}", headers="\r\n".join([*fields, ""])))

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        with pytest.raises(APIConnectionError, match="malformed HTTP response"):
            await session.request("GET", "/x")


# Tunnels ##############################################################################################################


class Tunnel:
    """A proxy that completes tunnels, and keeps all that it sees."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.seen = b""
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        host, _, port = head.split(" ")[1].rpartition(":")
        upstream, out = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(self._pipe(reader, out), self._pipe(upstream, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.seen += data
                writer.write(data)
        writer.close()


@asynccontextmanager
async def tunnelled() -> AsyncIterator[Tunnel]:
    tunnel = Tunnel()
    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    tunnel.url = f"http://somebody:canary@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tunnel
    finally:
        server.close()


async def test_password_of_a_proxy_does_not_travel_inside_the_tunnel() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with wire_server(hello, context) as server, tunnelled() as tunnel:
        transport = AiohttpTransport(proxy=tunnel.url, ssl=trusting)
        async with Session(api_key="key-canary", base_url=server.url, retry=once, transport=transport) as session:
            for _ in range(3):
                await session.request("POST", "/x", json={})
        await server.empty()
    (head,) = tunnel.heads
    assert head.startswith(f"CONNECT {server.url.removeprefix('https://')} ")
    assert "Proxy-Authorization: Basic c29tZWJvZHk6Y2FuYXJ5\r\n" in head
    assert "\r\nAuthorization:" not in head
    assert b"key-canary" not in tunnel.seen
    assert len(server.requests) == 3
    for request in server.requests:
        assert request.target == "/x"
        assert request.header("authorization") == ["Bearer key-canary"]
        assert not request.header("proxy-authorization")
