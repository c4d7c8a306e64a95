"""The benchmark server: minimal work per HTTP response, in a process and on a core of its own.

``python -m benchmarks._server`` prints its port and serves until its standard input ends. It has no event loop,
which would take half as long per response as a client does.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import _documents as documents

HEAD_END = b"\r\n\r\n"
KIB = 1024


def cores() -> tuple[int, int]:
    """Return a core for the client and one for the server; the same one if there is only one."""
    found = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return found[0], found[-1]


def pin(core: int) -> None:
    """Pin this process to one core, if the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


@contextmanager
def on_all_cores() -> Iterator[None]:
    """Unpin this thread for a while, and so the threads that are started meanwhile.

    A client with a thread of its own is made to use a second core.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


#: Busy loop at idle priority until the parent exits. Arguments: core, process id of the parent.
RESTLESS = """
import os, sys
core, parent = map(int, sys.argv[1:])
os.sched_setaffinity(0, {core})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    pass
"""


@contextmanager
def awake() -> Iterator[None]:
    """Keep the cores from going idle, if the system can.

    On a virtual machine, waking a core, which happens twice per request, may take half as long as a request itself,
    depending on other tenants.
    """
    restless = []
    if hasattr(os, "SCHED_IDLE"):
        restless = [
            subprocess.Popen([sys.executable, "-c", RESTLESS, str(core), str(os.getpid())]) for core in {*cores()}
        ]
    try:
        yield
    finally:
        for process in restless:
            process.kill()
            process.wait()


@contextmanager
def process(module: str) -> Iterator[str]:
    """Run the module of a server in a process of its own; yield the server's base URL."""
    server = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.stdin.close()
        server.wait(10)
        server.stdout.close()


@contextmanager
def served() -> Iterator[str]:
    """Run the server, keep this process off its core and both cores awake; yield the server's base URL."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        with process("benchmarks._server") as base_url, awake():
            pin(cores()[0])
            yield base_url
    finally:
        if before:
            os.sched_setaffinity(0, before)


def plain(body: bytes) -> bytes:
    """Return a response with a JSON body."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(chunks: list[bytes]) -> bytes:
    """Return a response whose body is a stream of events in these HTTP chunks."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def responses() -> dict[bytes, bytes]:
    """Return the response to every path."""
    events = documents.events()
    together = b"".join(events)
    blocks = [together[start : start + 16 * KIB] for start in range(0, len(together), 16 * KIB)]
    return {
        b"/api/workers/small": plain(documents.small()),
        b"/api/tasks": plain(documents.small()),
        b"/api/workers/big": plain(documents.big()),
        b"/api/workers/many/schedules": plain(documents.schedules()),
        b"/api/workers/each/stream": chunked(events),
        b"/api/workers/bulk/stream": chunked(blocks),
        b"/api/workers/million/stream": chunked(blocks * (documents.MILLION // len(events))),
    }


class Connection:
    """A connection that sends the response to each request in one write. Bodies of requests are read and dropped.

    Args:
        accepted: The socket.
        known: The responses by path.
    """

    def __init__(self, accepted: socket.socket, known: dict[bytes, bytes]) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = accepted
        self.known = known
        self.data = b""
        #: The path of a request whose body is arriving, and the bytes of it that are missing.
        self.path = b""
        self.missing = 0

    def receive(self) -> bool:
        """Read available data and respond to complete requests; return False once the client has disconnected."""
        try:
            received = self.socket.recv(64 * KIB)
            if self.missing:
                self.drop(len(received))
                return bool(received)
            *heads, self.data = (self.data + received).split(HEAD_END)
            for head in heads:
                if head.startswith(b"POST "):
                    self.path = head[5 : head.index(b" ", 5)]
                    self.missing = int(head.lower().partition(b"content-length:")[2].split()[0])
                    begun = HEAD_END.join((*heads[heads.index(head) + 1 :], self.data))
                    self.data = b""
                    self.drop(len(begun))
                    break
                path = head[4 : head.index(b" ", 4)].partition(b"?")[0]
                self.socket.sendall(self.known[path])
        except ConnectionError:
            return False
        return bool(received)

    def drop(self, size: int) -> None:
        """Drop bytes of a body, and respond at its end."""
        self.missing -= size
        if not self.missing:
            self.socket.sendall(self.known[self.path])


def serve(listener: socket.socket, known: dict[bytes, bytes]) -> None:
    """Serve forever."""
    with selectors.DefaultSelector() as ready:
        ready.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is listener:
                    accepted, _ = listener.accept()
                    ready.register(accepted, selectors.EVENT_READ, Connection(accepted, known))
                elif not key.data.receive():
                    ready.unregister(key.fileobj)
                    key.data.socket.close()


def main() -> None:
    """Print the port, and serve until the standard input ends."""
    pin(cores()[1])
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=serve, args=(listener, responses()), daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
