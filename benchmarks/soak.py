"""Thousands of calls, streams and downloads against a server that fails at random, with cancellations at random.

This is a check, not a measurement: nothing is lost, doubled or leaked. Afterwards no connections are open, no tasks are
left, memory is flat, each worker that the server created belongs to one call that returned or raised, and the attempts
reported as sent are the requests that the server received.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from handinger_async import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    Attempt,
    HandingerError,
    RetryPolicy,
    Session,
    Timeouts,
)

SECONDS = 40.0
SEED = 20260101
CALLERS = 40

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


class Record:
    """The outcomes of all calls."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.creates: dict[str, str] = {}
        self.sent = 0
        self.timed_out = 0

    def observe(self, attempt: Attempt) -> None:
        self.timed_out += isinstance(attempt.error, APITimeoutError)
        self.sent += attempt.request_sent


async def call(session: Session, number: int, random_: random.Random, record: Record) -> None:
    """Make one call of a random kind."""
    kind = random_.choice(("retrieve", "create", "create with a key", "stream", "left stream", "download", "custom"))
    outcome = "cancelled"
    name = f"{kind}/{number}"
    try:
        if kind == "retrieve":
            assert (await session.workers.retrieve(f"w{number}")).id == f"w{number}"
        elif kind == "create":
            record.creates[name] = "begun"
            assert (await session.workers.create(input=name)).id == name
        elif kind == "create with a key":
            record.creates[name] = "begun"
            assert (await session.with_options(idempotency_key=name).workers.create(input=name)).id == name
        elif kind == "stream":
            async with session.workers.stream_updates(f"w{number}") as events:
                assert [int(event.data) async for event in events] == list(range(1, EVENTS + 1))
        elif kind == "left stream":
            async with session.workers.stream_updates(f"w{number}") as events:
                async for event in events:
                    if int(event.data) > 3:
                        break
        elif kind == "download":
            assert len(await session.workers.retrieve_file("f", worker_id="w").read()) == 100_000
        else:
            await session.request("DELETE", f"/api/custom/{number}")
        outcome = "returned"
    except HandingerError as error:
        if not isinstance(error, APIError):
            raise
        outcome = "raised, not sent" if isinstance(error, APIConnectionError) and not error.request_sent else "raised"
    finally:
        record.outcomes[f"{kind}: {outcome}"] += 1
        if name in record.creates:
            record.creates[name] = outcome


async def caller(session: Session, seed: int, end: float, record: Record) -> None:
    """Make one call after another, and cancel some of them."""
    random_ = random.Random(seed)
    number = seed * 1_000_000
    while number < seed * 1_000_000 + least or time.monotonic() < end:
        number += 1
        task = asyncio.create_task(call(session, number, random_, record))
        if random_.random() < 0.15:
            await asyncio.wait((task,), timeout=random_.random() * 0.02)
            task.cancel()
            if random_.random() < 0.5:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def soak(seconds: float = SECONDS, seed: int = SEED, callers: int = CALLERS) -> dict[str, Any]:
    """Run the soak.

    Args:
        seconds: The duration.
        seed: Seed of the random choices; timing still varies.
        callers: The number of tasks that share the session.

    Returns:
        The counts.

    Raises:
        AssertionError: Something was lost, doubled or leaked.
    """
    record = Record()
    tasks_before = asyncio.all_tasks()
    with FaultyServer(seed).running() as server:
        async with Session(
            api_key="soak",
            base_url=server.url,
            retry=RetryPolicy(initial_delay=0.001),
            timeouts=Timeouts(attempt=0.5, idle=0.5, deadline=5),
            observe=record.observe,
        ) as session:
            memory = []
            for part in range(4):
                end = time.monotonic() + seconds / 4
                async with asyncio.TaskGroup() as group:
                    for index in range(callers):
                        group.create_task(caller(session, seed + part * callers + index, end, record))
                gc.collect()
                memory.append(_resident())
        gc.collect()
        left = asyncio.all_tasks() - tasks_before
        for _ in range(6000):  # the server may still read the last requests
            if server.open == 0 and record.sent <= _received_at_most(record, server):
                break
            await asyncio.sleep(0.01)
        connections = server.open
    _reconcile(record, server)
    assert not left, f"{len(left)} tasks are left: {left}"
    assert connections == 0, f"{connections} connections are left open"
    growth = memory[-1] - memory[1]
    assert growth < 8 * 2**20, f"memory grew by {growth / 2**20:.1f} MiB in the second half"
    return {
        "calls": sum(record.outcomes.values()),
        "outcomes": dict(sorted(record.outcomes.items())),
        "faults": dict(sorted(server.faults.items())),
        "requests seen": server.requests,
        "attempts sent": record.sent,
        "workers made": sum(server.made.values()),
        "memory growth, MiB": round(growth / 2**20, 2),
    }


def _reconcile(record: Record, server: FaultyServer) -> None:
    """Compare the outcomes of the callers with the record of the server."""
    for name, times in server.made.items():
        assert name in record.creates, f"no call created {name}"
        assert times == 1, f"{name} was created {times} times"
        assert record.creates[name] != "begun", f"{name} was created, but its call never ended"
        assert record.creates[name] != "raised, not sent", f"{name} was created by a request reported as not sent"
    for name, outcome in record.creates.items():
        assert outcome != "returned" or name in server.made, f"{name} was returned, but never created"
    assert server.requests <= record.sent <= _received_at_most(record, server)


def _received_at_most(record: Record, server: FaultyServer) -> int:
    """Return the requests that the server received, with those that a cancellation or a drop may have kept from it."""
    cancelled = sum(count for name, count in record.outcomes.items() if name.endswith("cancelled"))
    return server.requests + cancelled + server.faults["drop"]


def _resident() -> int:
    """Return the resident memory of this process in bytes; 0 where it is unknown."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * 4096


def run(rounds: int) -> dict[str, Any]:
    """Run the soak once; ``rounds`` is ignored. It takes less than a minute."""
    result = asyncio.run(soak())
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, count in value.items():
                print(f"  {key:40} {count:>8}")
        else:
            print(f"{name:42} {value:>8}")
    print("nothing lost, nothing doubled, nothing leaked")
    return result
