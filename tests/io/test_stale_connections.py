"""Detection of stale connections without the event loop, and its effect on requests."""

import asyncio
import errno
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import aiohttp
import pytest

from handinger_async import RetryPolicy, Session
from handinger_async.transports._stale_connections import StaleConnections as StaleConnections
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import HANG_GUARD, WireRequest, half_close, response, wire_server

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has epoll")


@contextmanager
def connected(stale: StaleConnections) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return our watched end of a connection, and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(stale.new_socket(ADDRESS)) as ours:
        ours.connect(listener.getsockname())
        with closing(listener.accept()[0]) as other:
            yield ours, other


@on_linux
def test_closed_peer_is_reported_until_our_socket_is_closed() -> None:
    with StaleConnections() as stale:
        assert not stale.possible()
        with connected(stale) as (ours, peer), connected(stale):
            assert not stale.possible()
            half_close(peer)
            peer.close()
            assert stale.possible()
            assert stale.possible()
            ours.close()
            assert not stale.possible()


@on_linux
def test_half_closed_peer_is_reported_as_stale() -> None:
    with StaleConnections() as stale, connected(stale) as (_, peer):
        half_close(peer)
        assert stale.possible()


@on_linux
def test_pending_data_is_not_reported_as_stale() -> None:
    with StaleConnections() as stale, connected(stale) as (ours, peer):
        peer.sendall(b"data")
        assert ours.recv(1, socket.MSG_PEEK)
        assert not stale.possible()


@on_linux
def test_closing_releases_the_epoll_descriptor() -> None:
    with StaleConnections() as stale:
        descriptor = stale._epoll.fileno()
        os.fstat(descriptor)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_sockets_can_be_created_after_closing() -> None:
    """A connection attempt may outlive its session."""
    with StaleConnections() as stale:
        pass
    with connected(stale) as (_, peer):
        peer.close()


def without_epoll() -> Any:
    raise AttributeError("there is no epoll")


def without_descriptors() -> Any:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("epoll", [without_epoll, without_descriptors])
def test_without_epoll_a_stale_connection_is_always_possible(
    monkeypatch: pytest.MonkeyPatch, epoll: Callable[[], Any]
) -> None:
    monkeypatch.setattr(select, "epoll", epoll, raising=False)
    with StaleConnections() as stale, connected(stale):
        assert stale.possible()


@on_linux
def test_socket_that_cannot_be_watched_makes_stale_connections_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def register(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def poll(self, *_: object) -> list[object]:
            return []

        def close(self) -> None:
            pass

    monkeypatch.setattr(select, "epoll", Full)
    with StaleConnections() as stale:
        assert not stale.possible()
        with connected(stale) as (ours, _):
            assert stale.possible()
            assert ours.fileno() > 0


# Requests #############################################################################################################


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
                retry=RetryPolicy(max_retries=0),
                transport=None if own else AiohttpTransport(given),
            ) as session,
        ):
            for _ in range(5):
                await session.request("POST", "/x")
                received.set()
                assert ended.wait(HANG_GUARD)  # blocks the event loop, which sees nothing of it
                ended.clear()
        listener.shutdown(socket.SHUT_RDWR)


@on_linux
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
