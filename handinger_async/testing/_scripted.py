"""A server on loopback that follows a script for each connection, byte by byte: for responses that no server sends."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

__all__ = ["Connection", "Script", "ScriptedServer"]

#: Bytes. Small, so that a large upload that nobody reads soon stalls.
_RECEIVE_BUFFER = 2**16
#: The layout of ``struct linger``.
_LINGER = "hh" if os.name == "nt" else "ii"
#: The file descriptors of this process. Windows has no such folder.
_OPEN_FILES = Path("/dev/fd")


class Connection:
    """The server's end of a connection.

    Args:
        sock: The socket, not blocking.
        client: The address of the client's end.
        number: The number of the connection, from 1.
    """

    def __init__(self, sock: socket.socket, client: object, number: int) -> None:
        self.number = number
        self._socket = sock
        self._client = client

    async def read_head(self) -> bytes:
        """Return the next request up to its body, and perhaps the beginning of the body.

        Raises:
            EOFError: The client has closed the connection.
            OSError: The connection is lost.
        """
        head = b""
        while b"\r\n\r\n" not in head:
            received = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
            if not received:
                raise EOFError
            head += received
        return head

    async def read(self) -> bytes:
        """Return more of the body of the request.

        Raises:
            EOFError: The client has closed the connection.
            OSError: The connection is lost.
        """
        received = await asyncio.get_running_loop().sock_recv(self._socket, 2**20)
        if not received:
            raise EOFError
        return received

    async def send(self, data: bytes) -> None:
        """Send raw bytes."""
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def reset(self) -> None:
        """End the connection with a reset (RST) instead of an orderly end (FIN)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
        self._socket.close()

    def held_by_client(self) -> bool:
        """Return True if this process still has the client's socket. Always False on Windows.

        The other end cannot tell: the end of a connection is queued behind the data that nobody reads.
        """
        for file in list(_OPEN_FILES.iterdir()) if _OPEN_FILES.is_dir() else ():
            with suppress(OSError):  # not a socket
                borrowed = socket.socket(fileno=int(file.name))
                try:
                    if borrowed.getsockname() == self._client:
                        return True
                finally:
                    borrowed.detach()
        return False


#: Handles a connection of a server. The connection is closed when it returns.
Script: TypeAlias = Callable[[Connection], Awaitable[None]]


class ScriptedServer:
    """A server that follows a script for each connection.

    Args:
        script: The script. It may raise what the methods of `Connection` raise.
        scheme: The scheme of the URL. The script of ``"https"`` gets the bytes of the TLS handshake.

    Attributes:
        url: The base URL.
        connections: The number of connections accepted so far.
    """

    def __init__(self, script: Script, scheme: str = "http") -> None:
        self._script = script
        self._scheme = scheme
        self._scripts: list[asyncio.Task[None]] = []
        self.url: str = ""
        self.connections: int = 0

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._listener.setblocking(False)
        self.url = f"{self._scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks = [self._accepting, *self._scripts]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._listener.close()
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _accept(self) -> None:
        while True:
            accepted, client = await asyncio.get_running_loop().sock_accept(self._listener)
            self.connections += 1
            self._scripts.append(asyncio.create_task(self._follow(accepted, client, self.connections)))

    async def _follow(self, accepted: socket.socket, client: object, number: int) -> None:
        with accepted, suppress(EOFError, OSError):
            accepted.setblocking(False)
            await self._script(Connection(accepted, client, number))
