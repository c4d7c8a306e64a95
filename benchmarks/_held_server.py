"""A server that holds streams open: ``python -m benchmarks._held_server`` prints its port.

A worker is running until ``GET /go/N``, and until N streams are open. Then each stream gets its events, in turn with
the others, and its end. Streams opened later are held until the next ``GET /go/N``.
"""

from __future__ import annotations

import selectors
import socket
import sys
import threading

from . import _documents as documents
from ._server import cores, pin, plain

#: The number of events in each stream.
EVENTS = 20

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = b'data: {"type":"text","text":"lorem ipsum dolor sit amet"}\n\n'
_RUNNING = plain(documents.small())
_DONE = plain(
    documents.small()
    .replace(b'"running":true', b'"running":false')
    .replace(b'"status":"running"', b'"status":"completed"')
)


class Held:
    """The server.

    Args:
        listener: Its socket.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._streams: list[socket.socket] = []
        self._wanted = 0
        self._go: socket.socket | None = None
        self._done = False

    def serve(self) -> None:
        """Serve forever."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is self._listener:
                        connection, _ = self._listener.accept()
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        ready.register(connection, selectors.EVENT_READ, connection)
                    elif not self._respond(key.data):
                        ready.unregister(key.data)
                        key.data.close()

    def _respond(self, connection: socket.socket) -> bool:
        """Respond to a request, which arrives whole; return False at the end of the connection."""
        try:
            path = connection.recv(4096).partition(b" ")[2].partition(b" ")[0]
            if path.endswith(b"/stream"):
                connection.sendall(_HEAD)
                self._streams.append(connection)
            elif path.startswith(b"/go/"):
                self._wanted, self._go = int(path[4:]), connection
            elif path:
                connection.sendall(_DONE if self._done else _RUNNING)
            if self._go is not None and len(self._streams) >= self._wanted:
                self._finish(self._go)
                self._go = None
        except ConnectionError:
            return False
        return bool(path)

    def _finish(self, go: socket.socket) -> None:
        """Respond to the request that wanted it, and send the events, one to each stream at a time."""
        self._done = True
        go.sendall(plain(b"{}"))
        for _ in range(EVENTS):
            for stream in self._streams:
                stream.sendall(b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT))
        for stream in self._streams:
            stream.sendall(b"0\r\n\r\n")
        self._streams = []


def main() -> None:
    """Print the port, and serve until the standard input ends."""
    pin(cores()[1])
    with socket.create_server(("127.0.0.1", 0), backlog=10_000) as listener:
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=Held(listener).serve, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
