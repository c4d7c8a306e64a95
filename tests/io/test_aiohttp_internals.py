"""The private parts of aiohttp that the transport relies on: they exist, and without them it does with less."""

import asyncio
import inspect
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import BaseConnector

from handinger_async import APIConnectionError, RetryPolicy, Session
from handinger_async.transports import _aiohttp_connections
from handinger_async.transports._aiohttp_connections import CheckedConnection, Connector
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import WireRequest, response, wire_server

once = RetryPolicy(max_retries=0)


async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(response(b"{}"))


async def test_connector_has_a_factory_of_connections() -> None:
    connector = aiohttp.TCPConnector()
    assert isinstance(connector._factory, partial)
    assert connector._factory.func is ResponseHandler
    own = Connector(5)
    assert own.checks
    assert isinstance(own._factory(), CheckedConnection)
    await connector.close()
    await own.close()


def test_connector_has_a_method_that_only_connects() -> None:
    assert list(inspect.signature(BaseConnector._create_connection).parameters) == ["self", "req", "traces", "timeout"]


OVERRIDDEN = ("is_connected", "set_response_params", "data_received", "feed_data", "eof_received", "connection_lost")
CALLED = ("set_exception", "close", "abort", "closed", "transport")


@pytest.mark.parametrize("name", [*OVERRIDDEN, *CALLED])
def test_connection_has_the_methods_that_are_overridden_or_called(name: str) -> None:
    assert hasattr(ResponseHandler, name)


async def test_session_has_middlewares() -> None:
    async with aiohttp.ClientSession(middlewares=(middlewares := (object(),))) as given:  # type: ignore[arg-type]
        assert given._middlewares is middlewares


def test_request_tells_if_it_was_sent() -> None:
    assert aiohttp.ClientRequest.response is None


async def test_response_has_a_connection_with_a_protocol() -> None:
    seen = []

    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> Any:
        got = await handler(request)
        seen.append(got.connection)
        assert isinstance(got.connection.protocol.closed, asyncio.Future)
        return got

    async def begin(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
        writer.close()

    async with wire_server(begin) as server, aiohttp.ClientSession(middlewares=(middleware,)) as given:
        transport = AiohttpTransport(given)
        async with Session(api_key="key", base_url=server.url, retry=once, transport=transport) as session:
            await session.request("GET", "/x")
    assert seen


async def test_connector_without_the_factory_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_aiohttp_connections, "ResponseHandler", object)  # the factory makes something else
    transport = AiohttpTransport()
    async with wire_server(reply) as server:
        async with Session(api_key="key", base_url=server.url, retry=once, transport=transport) as session:
            for _ in range(3):
                await session.request("POST", "/x")
            assert not transport._states[asyncio.get_running_loop()].checks
        assert server.connections == 1


async def test_connection_without_a_socket_counts_as_connected() -> None:
    class Transport(asyncio.Transport):
        def is_closing(self) -> bool:
            return False

        def get_write_buffer_size(self) -> int:
            return 0

    connection = CheckedConnection(asyncio.get_running_loop())
    assert not connection.is_connected()
    connection.transport = Transport()
    assert connection.is_connected()
    assert _aiohttp_connections._is_orderly(None)


async def test_error_of_an_unsent_request_without_the_attribute_counts_as_sent(
    refusing_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(aiohttp.ClientRequest, "response")

    async def connect(*_: Any) -> Any:
        raise aiohttp.ClientConnectionError("somewhere")

    monkeypatch.setattr(Connector, "_create_connection", connect)
    async with Session(api_key="key", base_url=refusing_url, retry=once) as session:
        with pytest.raises(APIConnectionError, match="somewhere") as caught:
            await session.request("POST", "/x")
    assert caught.value.request_sent
