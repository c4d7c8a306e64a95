"""What tells whether a server has hung up: at once, without the event loop, and no data or error for it."""

import errno
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from handinger_async.transports._hangups import Hangups

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
def test_a_hangup_is_seen_until_our_end_is_closed_too() -> None:
    with Hangups() as hangups:
        assert not hangups.possible()
        with connected(hangups) as (ours, other), connected(hangups):
            assert not hangups.possible()
            other.close()
            assert hangups.possible()
            assert hangups.possible()
            ours.close()
            assert not hangups.possible()


@on_linux
def test_who_will_say_no_more_has_hung_up() -> None:
    with Hangups() as hangups, connected(hangups) as (_, other):
        other.shutdown(socket.SHUT_WR)
        assert hangups.possible()


@on_linux
def test_data_is_no_hangup() -> None:
    with Hangups() as hangups, connected(hangups) as (ours, other):
        other.sendall(b"data")
        assert ours.recv(1, socket.MSG_PEEK)
        assert not hangups.possible()


@on_linux
def test_watching_ends_with_its_descriptor() -> None:
    with Hangups() as hangups:
        descriptor = hangups._epoll.fileno()
        os.fstat(descriptor)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_sockets_can_be_made_when_nothing_is_watched_any_more() -> None:
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
def test_where_nothing_can_be_watched_a_hangup_is_always_possible(
    monkeypatch: pytest.MonkeyPatch, epoll: Callable[[], Any]
) -> None:
    monkeypatch.setattr(select, "epoll", epoll, raising=False)
    with Hangups() as hangups, connected(hangups):
        assert hangups.possible()


@on_linux
def test_where_no_more_can_be_watched_a_hangup_is_always_possible(monkeypatch: pytest.MonkeyPatch) -> None:
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
