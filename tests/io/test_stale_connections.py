"""What tells whether a server has hung up, at once and without the event loop, and how long requests wait for that."""

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
from handinger_async.transports._hangups import Hangups
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import HANG_GUARD, WireRequest, half_close, response, wire_server

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@contextmanager
def connected(hangups: Hangups) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection, which is watched, and the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(hangups.new_socket(ADDRESS)) as ours:
        ours.connect(listener.getsockname())
        with closing(listener.accept()[0]) as other:
            yield ours, other


@on_linux
def test_closed_peer_is_reported_until_our_socket_is_closed() -> None:
    with Hangups() as hangups:
        assert not hangups.possible()
        with connected(hangups) as (ours, other), connected(hangups):
            assert not hangups.possible()
            half_close(other)
            assert hangups.possible()
            assert hangups.possible()
            ours.close()
            assert not hangups.possible()


@on_linux
def test_half_closed_peer_is_reported_as_stale() -> None:
    with Hangups() as hangups, connected(hangups) as (_, other):
        half_close(other)
        assert hangups.possible()


@on_linux
def test_pending_data_is_not_reported_as_stale() -> None:
    with Hangups() as hangups, connected(hangups) as (ours, other):
        other.sendall(b"data")
        assert ours.recv(1, socket.MSG_PEEK)
        assert not hangups.possible()


@on_linux
def test_closing_releases_the_epoll_descriptor() -> None:
    with Hangups() as hangups:
        descriptor = hangups._epoll.fileno()
        os.fstat(descriptor)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_sockets_can_be_created_after_closing() -> None:
    """A connection attempt may outlive the session that it was for."""
    with Hangups() as hangups:
        pass
    with connected(hangups) as (_, other):
        other.close()


def without_epoll() -> Any:
    raise AttributeError("there is no epoll")


def without_descriptors() -> Any:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("epoll", [without_epoll, without_descriptors])
def test_without_epoll_a_stale_connection_is_always_possible(
    monkeypatch: pytest.MonkeyPatch, epoll: Callable[[], Any]
) -> None:
    monkeypatch.setattr(select, "epoll", epoll, raising=False)
    with Hangups() as hangups, connected(hangups):
        assert hangups.possible()


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
    with Hangups() as hangups:
        assert not hangups.possible()
        with connected(hangups) as (ours, _):
            assert hangups.possible()
            assert ours.fileno() > 0


# What is made of it ###################################################################################################


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

    turns, sent = 0, []
    real = aiohttp.ClientSession.request

    def request(*args: Any, **kwargs: Any) -> Any:
        sent.append(turns)
        return real(*args, **kwargs)

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(aiohttp.ClientSession, "request", request)
    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url) as session:
        await session.request("GET", "/x")
        counting = asyncio.create_task(count())
        for together in (1, 3, 1):
            sent.clear()
            await asyncio.sleep(0)
            before = turns
            async with asyncio.TaskGroup() as group:
                for _ in range(together):
                    group.create_task(session.request("GET", "/x"))
            first, *others = sent
            assert first - before <= 1  # the turn in which the tasks begin
            assert all(turn == first + 1 for turn in others)
        counting.cancel()
