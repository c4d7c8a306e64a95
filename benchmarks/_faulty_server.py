"""A server that drops, resets, corrupts and delays responses at random."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

WORKER = {
    "id": "w",
    "error": None,
    "files": [],
    "incomplete_details": None,
    "messages": [],
    "metadata": {},
    "object": "worker",
    "output": [],
    "output_text": "",
    "running": False,
    "sources": [],
    "status": "completed",
}
FAULTS = ("drop", "reset", "garbage", "half a head", "half a body", "503", "429", "slow", "silent")
EVENTS = 20


# The server ##########################################################################################################


class FaultyServer:
    """A service on a thread and an event loop of its own, so that tasks in the client's loop can be counted.

    Args:
        seed: Seed of the choice of requests that fail, and of their faults.
        faults: The share of requests that fail.
    """

    def __init__(self, seed: int, faults: float = 0.3) -> None:
        self._random = random.Random(seed)
        self._share = faults
        self.made: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self.open = 0
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[FaultyServer]:
        """Serve until the block exits."""
        ready = threading.Event()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def main() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            ready.set()
            async with server:
                await stop.wait()

        def serve() -> None:
            try:
                loop.run_until_complete(main())
            finally:
                loop.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        ready.wait(60)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(60)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split(" ", 2)
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.requests += 1
                await self._respond(method, target, fields, body, reader, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _respond(
        self,
        method: str,
        target: str,
        fields: dict[str, str],
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        random_ = self._random
        fault = random_.choice(FAULTS) if random_.random() < self._share else ""
        if fault:
            self.faults[fault] += 1
        if fault in ("429", "503"):  # these prove that nothing happened
            writer.write(f"HTTP/1.1 {fault} No\r\nRetry-After: 0.01\r\nContent-Length: 0\r\n\r\n".encode())
            return
        name = json.loads(body)["input"] if body else target.rpartition("/")[2]
        if method == "POST" and fields.get("idempotency-key", "") not in self.made:
            self.made[fields.get("idempotency-key", name)] += 1
        if fault == "slow":
            await asyncio.sleep(random_.random() * 0.05)
        elif fault == "silent":
            for _ in range(3000 if random_.random() < 0.1 else 20):
                if reader.at_eof() or reader.exception() is not None:
                    return
                await asyncio.sleep(0.01)
        elif fault == "reset":
            _reset(writer)
        elif fault == "drop":
            writer.close()
        elif fault in ("garbage", "half a head"):
            writer.write(b"\0garbage\r\n\r\n" if fault == "garbage" else b"HTTP/1.1 200 OK\r\nContent-")
            writer.close()
        if writer.is_closing():
            return
        if "event-stream" in fields.get("accept", ""):
            await self._stream(int(fields.get("last-event-id", 0)), fault, writer)
            return
        kind = "octet-stream" if "/files/" in target else "json"
        data = (b"x" * 100_000) if kind == "octet-stream" else json.dumps(WORKER | {"id": name}).encode()
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: application/{kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        )
        writer.write(data[: len(data) // 2] if fault == "half a body" else data)
        if fault == "half a body":
            await writer.drain()
            writer.close()

    async def _stream(self, last: int, fault: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(last + 1, EVENTS + 1):
            if writer.is_closing():
                return
            event = b"id: %d\ndata: %d\n\n" % (number, number)
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            if fault == "half a body" and number == (last + EVENTS) // 2 + 1:
                await writer.drain()
                writer.close()
                return
            if number % 8 == 0:
                await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# The callers #########################################################################################################
