"""Thousands of calls, streams and downloads against a server that fails at random, with cancellations at random.

This is a check, not a measurement: nothing is lost, doubled or leaked. Afterwards no connections are open, no tasks are
left, memory is flat, each worker that the server created belongs to one call that returned or raised, and the attempts
reported as sent are the requests that the server received.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections import Counter
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

from ._faulty_server import EVENTS, FaultyServer

SECONDS = 40.0
SEED = 20260101
CALLERS = 40


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


async def caller(session: Session, seed: int, end: float, record: Record, min_calls: int = 0) -> None:
    """Make one call after another until ``end``, at least ``min_calls``, and cancel some of them."""
    random_ = random.Random(seed)
    number = seed * 1_000_000
    while number < seed * 1_000_000 + min_calls or time.monotonic() < end:
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


async def soak(
    seconds: float = SECONDS, seed: int = SEED, callers: int = CALLERS, min_calls: int = 0
) -> dict[str, Any]:
    """Run the soak.

    Args:
        seconds: The duration.
        seed: Seed of the random choices; timing still varies.
        callers: The number of tasks that share the session.
        min_calls: The number of calls that each task makes in each quarter, however long they take.

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
                        group.create_task(caller(session, seed + part * callers + index, end, record, min_calls))
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
    """Return the requests received, and those that a cancellation, a timeout or a drop may have kept from it."""
    cancelled = sum(count for name, count in record.outcomes.items() if name.endswith("cancelled"))
    return server.requests + cancelled + record.timed_out + server.faults["drop"]


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
