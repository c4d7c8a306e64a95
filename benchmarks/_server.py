"""The server of the benchmarks: as little work as an answer over HTTP can be, in a process and on a core of its own.

``python -m benchmarks._server CORE`` prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import _documents as documents

HEAD_END = b"\r\n\r\n"
KIB = 1024


def cores() -> tuple[int, int]:
    """Return a core for the client and one for the server: the same one, where there is no other."""
    found = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return found[0], found[-1]


def pin(core: int) -> None:
    """Keep this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


@contextmanager
def served() -> Iterator[str]:
    """Run the server, keep this process off its core, and give the server's base URL."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    mine, its = cores()
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._server", str(its)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        port = int(server.stdout.readline())
        pin(mine)
        yield f"http://127.0.0.1:{port}"
    finally:
        if before:
            os.sched_setaffinity(0, before)
        server.stdin.close()
        server.wait(10)
        server.stdout.close()


def plain(body: bytes) -> bytes:
    """Write an answer with a JSON body."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(pieces: list[bytes]) -> bytes:
    """Write an answer whose body is a stream of events, each piece as one HTTP chunk."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def answers() -> dict[bytes, bytes]:
    """Write the answer to every path."""
    events = documents.events()
    together = b"".join(events)
    blocks = [together[start : start + 16 * KIB] for start in range(0, len(together), 16 * KIB)]
    return {
        b"/api/workers/small": plain(documents.small()),
        b"/api/workers/big": plain(documents.big()),
        b"/api/workers/many/schedules": plain(documents.schedules()),
        b"/api/workers/each/stream": chunked(events),
        b"/api/workers/bulk/stream": chunked(blocks),
        b"/api/workers/million/stream": chunked(blocks * (documents.MILLION // len(events))),
    }


class Answering(asyncio.Protocol):
    """Answers GET requests in one write each."""

    def __init__(self, known: dict[bytes, bytes]) -> None:
        self.known = known
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while HEAD_END in self.data:
            head, _, self.data = self.data.partition(HEAD_END)
            path = head[4 : head.index(b" ", 4)].partition(b"?")[0]
            self.transport.write(self.known[path])


async def serve() -> None:
    """Serve until the standard input ends."""
    known = answers()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(known), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    pin(int(sys.argv[1]))
    asyncio.run(serve())
