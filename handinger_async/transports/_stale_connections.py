"""Detect connections that the server has closed, without waiting for the event loop to notice.

Why: without this check, every request would wait for two event-loop iterations before it is sent, so that asyncio can
process closed sockets. Measured with one request at a time: 1.21 instead of 1.146 times the duration of bare aiohttp.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Self

    from aiohttp import AddrInfoType

__all__ = ["StaleConnections"]


class StaleConnections:
    """Detects stale connections with epoll. Without epoll, `possible()` is always True."""

    def __init__(self) -> None:
        self._epoll: Any = None
        with suppress(AttributeError, OSError):  # no epoll (not Linux, or under gevent), or no file descriptor left
            self._epoll = select.epoll()

    def new_socket(self, address: AddrInfoType) -> socket.socket:
        """Create a socket for ``address``, and watch it until it is closed in this process and in forked ones."""
        family, kind, protocol, *_ = address
        new = socket.socket(family, kind, protocol)
        if self._epoll is not None:
            try:
                self._epoll.register(new, select.EPOLLRDHUP)
            except OSError:  # the limit of watches per user is reached
                self.close()
        return new

    def possible(self) -> bool:
        """Return True if the peer of an open socket has closed the connection, or if that is unknown."""
        return self._epoll is None or bool(self._epoll.poll(0, 1))

    def close(self) -> None:
        """Stop watching. Can be called more than once."""
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            epoll.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
