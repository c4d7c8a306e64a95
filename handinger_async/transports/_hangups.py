"""Whether a server has closed a connection, without waiting for the event loop to look."""

from __future__ import annotations

import select
import socket
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from aiohttp import AddrInfoType

__all__ = ["Hangups"]


class Hangups:
    """Watches sockets for their other ends hanging up, by epoll; where that cannot be, there is no telling."""

    def __init__(self) -> None:
        self._epoll: Any = None
        with suppress(AttributeError, OSError):  # only Linux has it, and not beside gevent; or no descriptor is left
            self._epoll = select.epoll()

    def new_socket(self, address: AddrInfoType) -> socket.socket:
        """Return a socket for ``address`` that is watched until it is closed, in processes that were forked too."""
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        if self._epoll is not None:
            try:
                self._epoll.register(made, select.EPOLLRDHUP)
            except OSError:  # a user can watch only so many
                self.close()
        return made

    def possible(self) -> bool:
        """Whether an open socket was hung up on, or may have been."""
        return self._epoll is None or bool(self._epoll.poll(0, 1))

    def close(self) -> None:
        """Watch no more; it may be called again."""
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            epoll.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
