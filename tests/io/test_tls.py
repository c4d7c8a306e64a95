"""The aiohttp transport with TLS, also in the tunnel of a proxy."""

import asyncio
import ssl
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from handinger_async import APIConnectionError, Timeouts
from handinger_async.transports.aiohttp import AiohttpTransport

from .test_proxies import hello, session
from .wire import HANG_GUARD, Clock, WireServer, wire_server


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


async def test_server_certificate_is_verified_by_default(secure: WireServer) -> None:
    async with session(AiohttpTransport(), secure.url) as client:
        with pytest.raises(APIConnectionError, match="certificate") as caught:
            await client.request("POST", "/x")
    assert not caught.value.request_sent
    assert not secure.requests


async def test_server_name_is_verified(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    async with wire_server(hello, context) as server:
        async with session(AiohttpTransport(ssl=trusting(authority)), server.url) as client:
            with pytest.raises(APIConnectionError, match="certificate"):
                await client.request("GET", "/x")
        assert not server.requests


async def test_ssl_context_selects_trusted_authorities(secure: WireServer, authority: trustme.CA) -> None:
    async with session(AiohttpTransport(ssl=trusting(authority)), secure.url) as client:
        await client.request("GET", "/x")
        async with client.workers.stream_updates("w") as events:
            assert str(await anext(events)) == "a"
    assert len(secure.requests) == 2


async def test_certificate_verification_can_be_disabled(secure: WireServer) -> None:
    async with session(AiohttpTransport(ssl=False), secure.url) as client:
        await client.request("GET", "/x")


@asynccontextmanager
async def tunnel_server(heads: list[bytes]) -> AsyncIterator[str]:
    """Serve a proxy that opens tunnels; it appends the heads of their requests to ``heads``."""
    tasks = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = heads[-1].split()[1].decode().partition(":")
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(relay(reader, server_writer), relay(server_reader, writer), return_exceptions=True)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://somebody:canary@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.wait(tasks)


@pytest.mark.parametrize("from_environment", [False, True])
async def test_password_of_a_proxy_stays_outside_of_its_tunnel(
    from_environment: bool, secure: WireServer, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []
    async with tunnel_server(heads) as proxy:
        if from_environment:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
        transport = AiohttpTransport(ssl=trusting(authority), proxy=None if from_environment else proxy)
        async with session(transport, secure.url) as client:
            await client.request("POST", "/x")
            async with client.workers.stream_updates("w") as events:
                assert str(await anext(events)) == "a"
    assert [head.split()[0] for head in heads] == [b"CONNECT", b"CONNECT"]
    for head, request in zip(heads, secure.requests, strict=True):
        assert b"Proxy-Authorization: Basic c29tZWJvZHk6Y2FuYXJ5\r\n" in head
        assert b"\r\nAuthorization:" not in head
        assert request.header("authorization") == ["Bearer key"]
        assert not request.header("proxy-authorization")


async def test_plain_text_server_for_https_is_sent_no_request(clock: Clock) -> None:
    received = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock.advance(30)
        received.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with session(AiohttpTransport(), url) as made:
            client = made.with_options(timeouts=Timeouts(connect=20, attempt=None))
            with pytest.raises(APIConnectionError) as caught:
                await client.request("POST", "/x")
        assert not caught.value.request_sent
        assert b"POST" not in await received


async def test_two_event_loops_over_tls_leave_nothing_behind(
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
