"""Bodies that are cut by a reset, or by an end of TLS that nobody announced: never taken for complete."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from handinger_async import APIConnectionError, RetryPolicy, Session, StreamInterruptedError
from handinger_async.transports._aiohttp_connections import CheckedConnection
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import Changes, ObservedTransport, WireRequest, chunked, reset, wire_server

once = RetryPolicy(max_retries=0)
#: Without length and chunks: the end of the connection is the end of the body (RFC 9112, section 6.3).
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: {type}\r\n\r\n"


def cut(writer: asyncio.StreamWriter) -> None:
    """End the connection below TLS, without close_notify."""
    tls: Any = writer.transport
    tls._ssl_protocol._transport.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def whole(session: Session, path: Path) -> Any:
    return (await session.request("GET", "/x")).body


async def saved(session: Session, path: Path) -> Any:
    await session.workers.retrieve_file("f", worker_id="w").save(path)
    return path.read_bytes()  # noqa: ASYNC240


async def streamed(session: Session, path: Path) -> Any:
    async with session.workers.create(input="x", stream=True) as events:
        return b"".join([event.data.encode() async for event in events])


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("call", [whole, saved, streamed])
@pytest.mark.parametrize("how", ["reset", "cut", "close"])
async def test_only_an_orderly_end_completes_a_body_without_length(
    call: Callable[[Session, Path], Any], how: str, tls: bool, authority: trustme.CA, tmp_path: Path
) -> None:
    if how == "cut" and not tls:
        pytest.skip("for TLS only")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    transport = ObservedTransport(AiohttpTransport(ssl=trusting))
    body = b"data: half\n\n"

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(UNTIL_CLOSE.replace(b"{type}", request.header("accept")[0].encode()) + body)
        await transport.waits_after(len(body))
        if how == "close":
            writer.close()
        elif how == "reset":
            reset(writer)
        else:
            cut(writer)

    path = tmp_path / "file"
    async with (
        wire_server(reply, context if tls else None) as server,
        Session(api_key="key", base_url=server.url, retry=once, transport=transport) as session,
    ):
        if how == "close":
            assert await call(session, path) == (b"half" if call is streamed else body)
        else:
            with pytest.raises(APIConnectionError, match="truncated") as caught:
                await call(session, path)
            assert ("the connection was reset" if how == "reset" else "close_notify") in str(caught.value)
            assert caught.value.request_sent
            assert isinstance(caught.value, StreamInterruptedError) == (call is streamed)
            assert not path.exists()


async def test_reset_beside_the_head_is_noticed_too() -> None:
    """The head, the body and the reset arrive before the client's task runs again."""

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(UNTIL_CLOSE + b"half")

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        arrived = Changes()
        real, feed = aiohttp.ClientResponse.start, CheckedConnection.feed_data

        def feed_data(self: CheckedConnection, *args: Any) -> None:
            feed(self, *args)
            arrived.notify()

        async def start(self: aiohttp.ClientResponse, connection: Any) -> Any:
            protocol = connection.protocol
            await arrived.until(lambda: len(protocol) > 0)
            protocol.connection_lost(ConnectionResetError())
            return await real(self, connection)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aiohttp.ClientResponse, "start", start)
            patch.setattr(CheckedConnection, "feed_data", feed_data)
            with pytest.raises(APIConnectionError, match="truncated"):
                await session.request("GET", "/x")


async def test_reset_is_noticed_over_a_given_session() -> None:
    async with aiohttp.ClientSession() as given:
        transport = ObservedTransport(AiohttpTransport(given))

        async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(UNTIL_CLOSE + b"half")
            await transport.waits_after(4)
            reset(writer)

        async with (
            wire_server(reply) as server,
            Session(api_key="key", base_url=server.url, retry=once, transport=transport) as session,
        ):
            with pytest.raises(APIConnectionError, match="truncated"):
                await session.request("GET", "/x")


@pytest.mark.parametrize("own", [True, False])
async def test_malformed_chunk_wakes_the_reader(own: bool) -> None:
    async with aiohttp.ClientSession() as given:
        transport = ObservedTransport(AiohttpTransport(None if own else given))

        async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(chunked(b"half", end=False))
            await transport.waits_after(4)
            writer.write(b"zz\r\n")

        async with (
            wire_server(reply) as server,
            Session(api_key="key", base_url=server.url, retry=once, transport=transport) as session,
        ):
            with pytest.raises(APIConnectionError, match="malformed HTTP response"):
                await session.request("GET", "/x")
