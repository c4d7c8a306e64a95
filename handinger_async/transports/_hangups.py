"""Whether a server has closed a connection, without waiting for the event loop to look."""

from __future__ import annotations

import socket
import sys

if sys.platform == "linux":
    import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from aiohttp import AddrInfoType

__all__ = ["Hangups"]


class Hangups:
    """Watches sockets for their other ends hanging up: by epoll, so on Linux alone."""

    def __init__(self) -> None:
        if sys.platform == "linux":
            self._epoll = select.epoll()

    def new_socket(self, address: AddrInfoType) -> socket.socket:
        """Return a socket for ``address`` that is watched for as long as both are open."""
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        if sys.platform == "linux" and not self._epoll.closed:
            self._epoll.register(made, select.EPOLLRDHUP)
        return made

    def possible(self) -> bool:
        """Whether an open socket was hung up on, or may have been: elsewhere there is no telling."""
        return sys.platform != "linux" or bool(self._epoll.poll(0, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform == "linux":
            self._epoll.close()
