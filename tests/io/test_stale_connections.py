"""Connections that are not used again: those that the server closed, and those on which anything unexpected arrived."""

import asyncio
import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from handinger_async import APIConnectionError, RetryPolicy, Session
from handinger_async.transports import _aiohttp_sessions
from handinger_async.transports._aiohttp_connections import Connector
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import HANG_GUARD, Changes, ObservedTransport, WireRequest, chunked, half_close, response, wire_server

once = RetryPolicy(max_retries=0)
FIRST = response(b'{"n": 1}')
PUSHED = response(b'{"n": "pushed"}')


class Server:
    """A server in a thread, which pushes data while the client's event loop is busy.

    Args:
        push: Sent after the first response of each connection.
    """

    def __init__(self, push: bytes) -> None:
        self._push = push
        self._proceed, self._pushed = threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1  # before the thread that responds: the test may end with the response
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            if connection.recv(10_000):
                connection.sendall(FIRST)
                self._proceed.wait(HANG_GUARD)
                self._proceed.clear()
                connection.sendall(self._push)
                self._pushed.set()
                while connection.recv(10_000):
                    connection.sendall(FIRST)

    def push(self) -> None:
        """Let the server push. Blocks the event loop, which sees nothing of it."""
        self._proceed.set()
        assert self._pushed.wait(HANG_GUARD)
        self._pushed.clear()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.parametrize("data", [PUSHED, PUSHED[:9], b"\r\n", b"\0"])
@pytest.mark.parametrize("poll", [True, False])
async def test_data_in_the_kernel_is_not_taken_for_the_next_response(
    data: bytes, poll: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not poll:  # as on Windows
        monkeypatch.delattr(select, "poll")
    server = Server(data)
    try:
        async with Session(api_key="key", base_url=server.url, retry=once) as session:
            for _ in range(3):
                assert (await session.request("POST", "/x")).body == b'{"n": 1}'
                server.push()
        assert server.connections == 3
    finally:
        server.close()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("data", [PUSHED, PUSHED[:9], PUSHED[:-20], b"\r\n", b"HTTP/1.1 408 Timeout\r\n\r\n"])
async def test_data_on_an_idle_connection_closes_it(data: bytes, stream: bool) -> None:
    finished = Changes()
    done = False

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(chunked(b"data: a\n\n") if request.target.endswith("/stream") else FIRST)
        await finished.until(lambda: done)
        writer.write(data)

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        for number in (1, 2):
            done = False
            if stream:
                async with session.workers.stream_updates("w") as events:
                    assert [str(event) async for event in events] == ["a"]
            else:
                assert (await session.request("POST", "/x")).body == b'{"n": 1}'
            done = True
            finished.notify()
            await server.empty()
            assert server.connections == number


EXTRA = {
    "a response": PUSHED,
    "half a head": PUSHED[:30],
    "a head": PUSHED[: PUSHED.index(b"{")],
    "a head but for its end": PUSHED[: PUSHED.index(b"{") - 1],
    "a byte": b"H",
}


RESPONSES = {
    "length": FIRST,
    "chunked": chunked(b'{"n": 1}', content_type="application/json"),
    "after 103": b"HTTP/1.1 103 Early Hints\r\n\r\n" + FIRST,
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("extra", EXTRA)
@pytest.mark.parametrize("first", RESPONSES)
async def test_connection_with_more_data_than_a_response_is_not_used_again(first: str, extra: str) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(RESPONSES[first] + EXTRA[extra])

    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        for number in (1, 2):
            body = (await session.request("POST", "/x")).body
            assert body == (b"" if first == "no body" else b'{"n": 1}')
            assert server.connections == number


@pytest.mark.parametrize("extra", EXTRA)
@pytest.mark.parametrize("first", ["length", "chunked"])
async def test_connection_with_more_data_than_the_rest_of_a_body_is_not_used_again(first: str, extra: str) -> None:
    transport = ObservedTransport()
    start = RESPONSES[first].index(b"{") + 4

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(RESPONSES[first][:start])
        await transport.waits_after(4)
        writer.write(RESPONSES[first][start:] + EXTRA[extra])

    async with (
        wire_server(reply) as server,
        Session(api_key="key", base_url=server.url, retry=once, transport=transport) as session,
    ):
        for number in (1, 2):
            assert (await session.request("POST", "/x")).body == b'{"n": 1}'
            assert server.connections == number


async def test_request_on_a_connection_with_earlier_data_is_not_sent() -> None:
    class Greeted(Connector):
        async def _create_connection(self, *args: Any) -> Any:
            connection = await super()._create_connection(*args)
            connection.data_received(PUSHED)  # before the request
            return connection

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(FIRST)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_aiohttp_sessions, "Connector", Greeted)
        async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
            with pytest.raises(APIConnectionError) as caught:
                await session.request("POST", "/x")
            assert not caught.value.request_sent
            assert not server.requests


@pytest.mark.parametrize("environment", [{}, {"AIOHTTP_NO_EXTENSIONS": "1"}])
async def test_connection_is_used_again_with_both_parsers_of_aiohttp(environment: dict[str, str]) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(RESPONSES[request.target.rpartition("/")[2].replace("%20", " ")])

    async with wire_server(reply) as server:
        program = f"""
            import asyncio
            from handinger_async import Session
            async def main():
                async with Session(api_key="key", base_url={server.url!r}) as session:
                    for target in {list(RESPONSES)!r}:
                        await session.request("GET", "/" + target.replace(" ", "%20"))
            asyncio.run(main())
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", textwrap.dedent(program)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONDEVMODE": "", **environment},  # which logs slow steps, and has a strict parser
        )
        output, _ = await asyncio.wait_for(process.communicate(), HANG_GUARD)
        assert (process.returncode, output.decode()) == (0, "")
        assert (len(server.requests), server.connections) == (4, 1)


# Connections that the server closed ###################################################################################


@pytest.mark.parametrize("own", [True, False])
async def test_connection_closed_while_the_loop_is_busy_is_not_used(own: bool) -> None:
    received, ended = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                with listener.accept()[0] as connection:
                    if connection.recv(10_000):
                        connection.sendall(response(b"{}"))
                        received.wait(HANG_GUARD)
                        received.clear()
                        half_close(connection)
                        ended.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        async with (
            aiohttp.ClientSession() as given,
            Session(
                api_key="key",
                base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
                retry=once,
                transport=None if own else AiohttpTransport(given),
            ) as session,
        ):
            for _ in range(5):
                await session.request("POST", "/x")
                received.set()
                assert ended.wait(HANG_GUARD)  # blocks the event loop, which sees nothing of it
                ended.clear()
        listener.shutdown(socket.SHUT_RDWR)


async def test_request_waits_an_iteration_only_for_concurrent_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))

    iteration, sent = 0, []
    real = aiohttp.ClientSession.request

    def request(*args: Any, **kwargs: Any) -> Any:
        sent.append(iteration)
        return real(*args, **kwargs)

    async def count() -> None:
        nonlocal iteration
        while True:
            iteration += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(aiohttp.ClientSession, "request", request)
    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url) as session:
        await session.request("GET", "/x")
        counting = asyncio.create_task(count())
        for together in (1, 3, 1):
            sent.clear()
            await asyncio.sleep(0)
            before = iteration
            async with asyncio.TaskGroup() as group:
                for _ in range(together):
                    group.create_task(session.request("GET", "/x"))
            first, *others = sent
            assert first - before <= 1  # the iteration in which the tasks begin
            assert all(number == first + 1 for number in others)
        counting.cancel()
