"""Many streams and many waits at a time on one session: memory and processor time, beside bare aiohttp.

Each number is measured by a process of its own, against a server of its own. Processor time is that of the client.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ._clients import KEY
from ._held_server import EVENTS
from ._measure import Goal, number, print_goals, run_loop, table
from ._server import cores, pin, process

T = TypeVar("T")

OURS, BARE = "handinger_async", "bare aiohttp"
WAIT, BY_HAND = "workers.wait", "retrieve, stream, retrieve"
SIZES = (1_000, 10_000)
WAITS = 1_000
#: Connections that are being opened at a time: the server's backlog is finite.
_OPENING = 100


def resident() -> int:
    """Return the memory of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


async def crowd(
    count: int,
    open_stream: Callable[[str], Awaitable[T]],
    read: Callable[[T], Coroutine[Any, Any, int]],
    go: Callable[[], Awaitable[object]],
) -> dict[str, float]:
    """Open streams, let them end, and read them; twice.

    Args:
        count: The number of streams.
        open_stream: Opens the stream of a worker.
        read: Reads a stream to its end; returns the number of its events.
        go: Sends the request that lets the streams end.

    Returns:
        The memory of an open stream in bytes, the processor time to read one in seconds, and the bytes by which the
        process grows from the first time to the second.
    """
    before = resident()
    size, seconds = await once(count, open_stream, read, go)
    again, _ = await once(count, open_stream, read, go)
    return {"bytes": (size - before) / count, "seconds": seconds / count, "growth": max(0, again - size)}


async def once(
    count: int,
    open_stream: Callable[[str], Awaitable[T]],
    read: Callable[[T], Coroutine[Any, Any, int]],
    go: Callable[[], Awaitable[object]],
) -> tuple[int, float]:
    """Return the memory of the process with all streams open in bytes, and the processor time in seconds."""
    streams: list[T] = []
    while len(streams) < count:
        names = [f"w{index}" for index in range(len(streams), min(count, len(streams) + _OPENING))]
        streams += await asyncio.gather(*map(open_stream, names))
    readers = [asyncio.create_task(read(stream)) for stream in streams]
    await asyncio.sleep(0)
    size = resident()
    start = time.process_time()
    await go()
    assert await asyncio.gather(*readers) == [EVENTS] * count
    return size, time.process_time() - start


async def our_streams(base_url: str, count: int) -> dict[str, float]:
    """Read streams with a session."""
    from handinger_async import EventStream, Session

    async with Session(api_key=KEY, base_url=base_url) as session:

        async def open_stream(worker_id: str) -> EventStream:
            return await session.workers.stream_updates(worker_id).__aenter__()

        async def read(stream: EventStream) -> int:
            found = 0
            async with stream:
                async for _ in stream:
                    found += 1
            return found

        await session.workers.retrieve("w")
        return await crowd(count, open_stream, read, lambda: session.request("GET", f"/go/{count}"))


async def bare_streams(base_url: str, count: int) -> dict[str, float]:
    """Read streams with aiohttp, by a program that splits events at blank lines and does nothing else."""
    import aiohttp

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"Authorization": f"Bearer {KEY}"},
    ) as session:

        async def get(path: str) -> bytes:
            async with session.get(base_url + path) as response:
                return await response.read()

        async def open_stream(worker_id: str) -> aiohttp.ClientResponse:
            return await session.get(f"{base_url}/api/workers/{worker_id}/stream")

        async def read(response: aiohttp.ClientResponse) -> int:
            found = 0
            buffered = b""
            async with response:
                async for chunk in response.content.iter_any():
                    *events, buffered = (buffered + chunk).split(b"\n\n")
                    found += len(events)
            return found

        await get("/api/workers/w")
        return await crowd(count, open_stream, read, lambda: get(f"/go/{count}"))


async def waits(base_url: str, count: int, *, by_hand: bool) -> dict[str, float]:
    """Wait for workers; or do what that consists of by hand: retrieve, read the stream, retrieve."""
    from handinger_async import Session

    async with Session(api_key=KEY, base_url=base_url) as session:
        workers = session.workers

        async def wait(worker_id: str) -> None:
            if not by_hand:
                await workers.wait(worker_id)
                return
            assert (await workers.retrieve(worker_id)).running
            async with workers.stream_updates(worker_id) as events:
                async for _ in events:
                    pass
            assert not (await workers.retrieve(worker_id)).running

        async def go() -> int:
            await session.request("GET", f"/go/{count}")
            return resident()

        await workers.retrieve("w")
        before, start = resident(), time.process_time()
        size, *_ = await asyncio.gather(go(), *(wait(f"w{index}") for index in range(count)))
        return {"bytes": (size - before) / count, "seconds": (time.process_time() - start) / count}


def measure(name: str, count: int) -> dict[str, float]:
    """Measure in a process of its own, against a server of its own."""
    with process("benchmarks._held_server") as base_url:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.scale", name, str(count), base_url],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians: bytes and seconds for each stream or wait, and the growth in bytes."""
    plan = [(name, size) for size in SIZES for name in (OURS, BARE)] + [(name, WAITS) for name in (WAIT, BY_HAND)]
    found: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in plan}
    for _ in range(rounds):
        for name, size in plan:
            found[name, size].append(measure(name, size))
    medians = {
        key: {unit: statistics.median(row[unit] for row in rows) for unit in rows[0]} for key, rows in found.items()
    }
    rows = [
        (
            f"{size:,}: {name}",
            [
                number(row["bytes"] / 1024),
                number(row["seconds"] * 1e6 / EVENTS),
                number(row["growth"] / 1e6 if "growth" in row else None),
            ],
        )
        for (name, size), row in medians.items()
    ]
    print(table(["KiB each", "µs an event", "growth, MB"], rows))
    goals: list[Goal] = [
        (f"{size:,} streams: {what} over {BARE}", medians[OURS, size][unit] / medians[BARE, size][unit], "<=", 1.2)
        for size in SIZES
        for what, unit in (("memory", "bytes"), ("processor time", "seconds"))
    ]
    goals += [(f"{size:,} streams again: growth, MB", medians[OURS, size]["growth"] / 1e6, "<=", 8) for size in SIZES]
    waiting, by_hand = (medians[name, WAITS]["seconds"] for name in (WAIT, BY_HAND))
    goals.append((f"{WAITS:,} waits: processor time over {BY_HAND}", waiting / by_hand, "<=", 1))
    print_goals(goals)
    return {f"{size}: {name}": row for (name, size), row in medians.items()}


def main() -> None:
    """Measure once, and print the numbers."""
    pin(cores()[0])
    name, count, base_url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    programs = {
        OURS: our_streams,
        BARE: bare_streams,
        WAIT: partial(waits, by_hand=False),
        BY_HAND: partial(waits, by_hand=True),
    }
    print(json.dumps(run_loop(programs[name](base_url, count))))


if __name__ == "__main__":
    main()
