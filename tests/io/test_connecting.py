"""Connecting: one timeout for all of it, keepalive, and a transport that is closed meanwhile."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from handinger_async import APIConnectionError, APITimeoutError, RetryPolicy, Session, Timeouts
from handinger_async.transports import _aiohttp_connections, _aiohttp_sessions
from handinger_async.transports._aiohttp_connections import Connector
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import Changes, Clock, WireRequest, chunked, forever, response, wire_server

once = RetryPolicy(max_retries=0)
minutes = Timeouts(connect=60, attempt=None)


class Resolver(aiohttp.abc.AbstractResolver):
    """Resolves every name to the addresses, but for the name that it is asked for in vain."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = Changes()
        self.names: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[Any]:
        self.names.append(host)
        self.asked.notify()
        if not self.addresses:
            await forever()
        return [
            {"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


def resolving(monkeypatch: pytest.MonkeyPatch, resolver: Resolver) -> None:
    """Let new connectors use the resolver."""

    class Resolving(Connector):
        def __init__(self, limit: int) -> None:
            super().__init__(limit)
            self._resolver = resolver

    monkeypatch.setattr(_aiohttp_sessions, "Connector", Resolving)


async def fails(session: Session, *, path: str = "/x") -> APIConnectionError:
    """Make a call that fails before it is sent, and return its error."""
    with pytest.raises(APIConnectionError) as caught:
        await session.request("POST", path, json={})
    assert not caught.value.request_sent
    return caught.value


# The connect timeout ##################################################################################################


async def test_connect_timeout_includes_name_resolution(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver()
    resolving(monkeypatch, resolver)
    async with Session(api_key="key", base_url="http://api.example", timeouts=minutes, retry=once) as session:
        call = asyncio.create_task(fails(session))
        await resolver.asked.until(lambda: bool(resolver.names))
        clock.advance(61)
        assert isinstance(await call, APITimeoutError)


async def test_connect_timeout_is_for_all_addresses_together(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Changes()
    addresses: list[Any] = []

    async def start_connection(addr_infos: Any, **_: Any) -> Any:
        addresses.append(addr_infos[0][4][0])
        tried.notify()
        if len(addresses) == 1:
            clock.advance(50)
            raise OSError("unreachable")
        await forever()

    resolving(monkeypatch, Resolver("127.0.0.1", "127.0.0.2", "127.0.0.3"))
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", start_connection)
    async with Session(api_key="key", base_url="http://api.example", timeouts=minutes, retry=once) as session:
        call = asyncio.create_task(fails(session))
        await tried.until(lambda: len(addresses) == 2)
        clock.advance(11)
        assert isinstance(await call, APITimeoutError)
    assert addresses == ["127.0.0.1", "127.0.0.2"]


async def test_connect_timeout_includes_the_tunnel_of_a_proxy(clock: Clock) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        await forever()

    async with wire_server(reply) as proxy:
        transport = AiohttpTransport(proxy=proxy.url)
        async with Session(
            api_key="key", base_url="https://api.example", timeouts=minutes, retry=once, transport=transport
        ) as session:
            call = asyncio.create_task(fails(session))
            await proxy.saw(1)
            clock.advance(61)
            assert isinstance(await call, APITimeoutError)
            await proxy.empty()


async def test_connect_timeout_includes_the_tls_handshake(clock: Clock) -> None:
    began = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        began.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Session(api_key="key", base_url=url, timeouts=minutes, retry=once) as session:
            call = asyncio.create_task(fails(session))
            await began.wait()
            clock.advance(61)
            assert isinstance(await call, APITimeoutError)


async def test_waiting_for_a_free_connection_is_not_connecting(clock: Clock) -> None:
    release = asyncio.Event()

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(response(b"{}"))

    async with wire_server(reply) as server:
        transport = AiohttpTransport(limit=1)
        async with Session(
            api_key="key", base_url=server.url, timeouts=minutes, retry=once, transport=transport
        ) as session:
            calls = [asyncio.create_task(session.request("GET", "/x")) for _ in range(2)]
            await server.saw(1)
            clock.advance(61)
            await asyncio.sleep(0)
            release.set()
            await asyncio.gather(*calls)


# Closing meanwhile ####################################################################################################


async def test_closing_ends_a_wait_for_a_connection_with_an_error_not_a_cancellation() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        await forever()

    async with wire_server(reply) as server:
        transport = AiohttpTransport(limit=1)
        session = Session(api_key="key", base_url=server.url, timeouts=minutes, retry=once, transport=transport)
        sent = asyncio.create_task(session.request("POST", "/x", json={}))
        await server.saw(1)
        waiting = [asyncio.create_task(fails(session)) for _ in range(3)]
        cancelled = asyncio.create_task(fails(session))
        connector: Any = transport._states[asyncio.get_running_loop()].plain.connector  # type: ignore[union-attr]
        while sum(map(len, connector._waiters.values())) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0)
        cancelled.cancel()
        await session.aclose()
        for error in await asyncio.gather(*waiting):
            assert "closed" in str(error)
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        with pytest.raises(APIConnectionError) as caught:
            await sent
        assert caught.value.request_sent


async def test_closing_ends_name_resolution_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver()
    resolving(monkeypatch, resolver)
    session = Session(api_key="key", base_url="http://api.example", timeouts=minutes, retry=once)
    calls = [asyncio.create_task(fails(session)) for _ in range(3)]
    await resolver.asked.until(lambda: bool(resolver.names))
    await session.aclose()
    for error in await asyncio.gather(*calls):
        assert "closed" in str(error)
    assert resolver.names == ["api.example"]


async def test_closing_interrupts_an_attempt_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    began = asyncio.Event()

    async def start_connection(**_: Any) -> Any:
        began.set()
        await forever()

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", start_connection)
    for timeouts in (minutes, Timeouts(connect=None, attempt=None)):
        began.clear()
        session = Session(api_key="key", base_url="http://127.0.0.1:9", timeouts=timeouts, retry=once)
        call = asyncio.create_task(fails(session))
        await began.wait()
        await session.aclose()
        error = await call
        assert "closed" in str(error)
        assert not isinstance(error, APITimeoutError)


async def test_closing_in_the_moment_of_a_timeout_is_harmless() -> None:
    connector = Connector(1)
    async with asyncio.timeout(None) as limit:
        connector._timeouts.add(limit)
        limit.reschedule(0)
        with suppress(asyncio.CancelledError):
            await forever()
        assert limit.expired()
        connector.interrupt()
    await connector.close()


async def test_closing_a_given_session_ends_a_wait_with_an_error() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        await forever()

    connector = aiohttp.TCPConnector(limit=1)
    async with wire_server(reply) as server, aiohttp.ClientSession(connector=connector) as given:
        session = Session(
            api_key="key", base_url=server.url, timeouts=minutes, retry=once, transport=AiohttpTransport(given)
        )
        sent = asyncio.create_task(session.request("POST", "/x", json={}))
        await server.saw(1)
        waiting = asyncio.create_task(fails(session))
        while not connector._waiters:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await given.close()
        assert "closed" in str(await waiting)
        with pytest.raises(APIConnectionError):
            await sent
        await session.aclose()


# Sockets ##############################################################################################################


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="this system has no such option")
async def test_sockets_have_tcp_keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    new: Callable[..., socket.socket] = _aiohttp_connections._new_socket

    def new_socket(address: Any) -> socket.socket:
        made.append(new(address))
        return made[-1]

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(chunked(b"data: a\n\n") if request.target.endswith("/stream") else response(b"{}"))

    monkeypatch.setattr(_aiohttp_connections, "_new_socket", new_socket)
    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url) as session:
        await session.request("GET", "/x")
        async with session.workers.stream_updates("w") as events:
            await anext(events)
            assert len(made) == 2
            for used in made:
                assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
                assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 15
                assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4


async def test_upload_that_nobody_reads_is_aborted_when_it_is_cancelled() -> None:
    """An orderly close would wait until the peer has read the rest."""
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    lost = asyncio.Event()

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.pause_reading()
            accepted.put_nowait(transport)

        def connection_lost(self, exc: BaseException | None) -> None:
            lost.set()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Deaf, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = AiohttpTransport()
    async with Session(api_key="key", base_url=url, timeouts=minutes, retry=once, transport=transport) as session:
        call = asyncio.create_task(session.request("POST", "/x", json="x" * 30_000_000))
        peer: Any = await accepted.get()
        connector: Any = transport._states[loop].plain.connector  # type: ignore[union-attr]
        while not any(getattr(connection, "writing_paused", False) for connection in connector._acquired):  # noqa: ASYNC110
            await asyncio.sleep(0)
        (connection,) = connector._acquired
        used = connection.transport
        assert used.get_write_buffer_size()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        while used.get_extra_info("socket").fileno() >= 0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        peer.resume_reading()
        await lost.wait()
    server.close()
