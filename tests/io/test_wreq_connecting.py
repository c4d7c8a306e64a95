"""Connecting over wreq: names, certificates, timeouts, and the reasons why there is no connection."""

import asyncio
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from yarl import URL

from handinger_async import APIConnectionError, APITimeoutError
from handinger_async.http import Request

from .wire import HANG_GUARD, WireRequest, WireServer, chunked, forever, response, wire_server

pytest.importorskip("wreq")

from wreq import exceptions

from handinger_async.transports import _wreq_clients
from handinger_async.transports._wreq_clients import MAX_CLIENTS, Clients
from handinger_async.transports._wreq_errors import adapt_error
from handinger_async.transports.wreq import WreqTransport


async def get(transport: WreqTransport, url: str, connect_timeout: float | None = HANG_GUARD) -> bytes:
    """Return the first chunk of a response."""
    request = Request("GET", "/", {"Authorization": "Bearer SECRET"})
    opened = await transport.open(URL(url, encoded=True), request, connect_timeout=connect_timeout)
    chunk = await opened.read_chunk()
    await opened.aclose()
    return chunk


async def failure(url: str, connect_timeout: float | None = HANG_GUARD, **options: Any) -> APIConnectionError:
    """Return the error of a request that is not sent."""
    transport = WreqTransport(**options)
    with pytest.raises(APIConnectionError) as caught:
        await get(transport, url, connect_timeout)
    await transport.aclose()
    assert not caught.value.request_sent
    assert "SECRET" not in str(caught.value)
    return caught.value


# Names and certificates ###############################################################################################


@pytest.mark.skipif(sys.platform == "win32", reason="a short form that POSIX resolvers know")
async def test_names_are_resolved_by_the_system(server: WireServer) -> None:
    transport = WreqTransport()
    assert await get(transport, server.url.replace("127.0.0.1", "127.1")) == b"{}"
    await transport.aclose()


async def test_certificates_in_directories_of_the_environment_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    directories = [tmp_path / "empty", tmp_path / "full"]
    for directory in directories:
        directory.mkdir()
    authority.cert_pem.write_to_path(str(tmp_path / "full" / "0a1b2c3d.0"))
    (tmp_path / "full" / "0a1b2c3d.1").write_text("not a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join(map(str, directories)))

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))

    async with wire_server(reply, context) as server:
        transport = WreqTransport()
        assert await get(transport, server.url) == b"{}"
        await transport.aclose()


def test_certificates_are_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    loads = []
    monkeypatch.setattr(
        _wreq_clients, "_system_certificates", lambda: loads.append(1) or _wreq_clients.load_certificates(path)
    )
    clients = Clients(True)
    for timeout in range(3):
        clients.get(float(timeout), tls=True)
    clients.close()
    assert len(loads) == 1


# Timeouts #############################################################################################################


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue of connections refuses others")
@pytest.mark.parametrize("through_proxy", [False, True])
async def test_connect_timeout_of_tcp_is_a_timeout_error(through_proxy: bool) -> None:
    with socket.socket() as listening, socket.socket() as queued:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        queued.connect(listening.getsockname())
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if through_proxy:
            error = await failure("http://api.example", 0.001, proxy=url)
        else:
            error = await failure(url, 0.001)
    assert isinstance(error, APITimeoutError)


async def test_longest_connect_timeout_is_no_error(server: WireServer) -> None:
    transport = WreqTransport()
    assert await get(transport, server.url, sys.float_info.max) == b"{}"
    await transport.aclose()


async def test_many_connect_timeouts_have_few_pools_and_lose_no_request() -> None:
    released = asyncio.Event()

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target == "/forever":
            await forever()
        if request.target == "/late":
            await released.wait()
        if request.target == "/stream":
            writer.write(chunked(b"a", end=False))
            await released.wait()
            writer.write(b"1\r\nb\r\n0\r\n\r\n")
        else:
            writer.write(response(b"{}"))

    async with wire_server(reply) as server:
        transport = WreqTransport()
        late, never = (asyncio.ensure_future(get(transport, server.url + path, 1e3)) for path in ("/late", "/forever"))
        stream = await transport.open(URL(server.url + "/stream"), Request("GET", "/stream"), connect_timeout=1e3)
        assert await stream.read_chunk() == b"a"
        await server.saw(3)
        for timeout in range(MAX_CLIENTS * 2):
            await get(transport, server.url, 2e3)
            await get(transport, server.url, 3e3 + timeout)
        assert len(transport._clients._pools) == MAX_CLIENTS
        kept = {timeout for timeout, _ in transport._clients._pools}
        assert 2e3 in kept
        assert 1e3 not in kept
        await server.empty(but=3 + MAX_CLIENTS)  # without those of the pools that were dropped
        released.set()
        assert await late == b"{}"
        assert await stream.read_chunk() == b"b"
        await transport.aclose()
        with pytest.raises(APIConnectionError, match="the transport was closed"):
            await never
        await server.empty()


# Reasons ##############################################################################################################


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("407 Proxy Authentication Required", "it wants a user and password"),
        ("502 Bad Gateway", "it refused the tunnel"),
        ("", "it disconnected"),
    ],
)
async def test_refused_tunnel_tells_why(status: str, reason: str) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if status:
            writer.write(response(b"", status=status))
        writer.close()

    async with wire_server(reply) as proxy:
        error = await failure("https://api.example/?SECRET", proxy=proxy.url)
    assert str(error) == f"cannot connect to the proxy {URL(proxy.url).authority}: {reason}"


async def test_failed_handshake_tells_why() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await failure(f"https://127.0.0.1:{port}/?SECRET", ssl=False)
    assert str(error) == f"cannot connect to 127.0.0.1:{port}: TLS: WRONG_VERSION_NUMBER"


def test_name_that_cannot_be_decoded_is_shown_as_it_is() -> None:
    text = 'wreq::Error { kind: Request, source: Error { kind: Connect, source: Some(ConnectError("dns error")) } }'
    error = adapt_error(exceptions.ConnectionError(text), URL("http://xn--a", encoded=True))
    assert str(error) == "cannot connect to xn--a:80: the name of the host cannot be resolved"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://api.example/?signature=SECRET", "BadScheme"),
        ("http://api.example/SECRET" + "x" * 2**16, "its URL is too long"),
    ],
)
async def test_unsendable_request_does_not_show_its_url(url: str, reason: str) -> None:
    assert str(await failure(url)) == f"the request cannot be sent: {reason}"
