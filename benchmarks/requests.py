"""Requests over loopback: one at a time, and a hundred in flight.

Each round is a process of its own, since processes with the same code differ by up to 5 % in speed.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from ._clients import BARE, OFFICIAL, OFFICIAL_AIOHTTP, OURS, OURS_WREQ, Client, available, make
from ._measure import Goal, interleave_clients, number, print_goals, run_loop, table
from ._server import on_all_cores, served

#: By label: the call, and its number in one round.
CALLS: dict[str, tuple[Callable[[Client], Awaitable[Any]], int]] = {
    "retrieve, 3 kB": (lambda client: client.worker("small"), 100),
    "retrieve, 200 kB": (lambda client: client.worker("big"), 20),
    "list of 1000 schedules": (lambda client: client.schedules(), 20),
}
IN_FLIGHT = "100 in flight"
CONCURRENCY, EACH = 100, 5
#: The number of measured turns of each client in a process, after one warm-up turn.
TURNS = 2


async def one_by_one(client: Client, call: Callable[[Client], Awaitable[Any]], times: int) -> float:
    """Return the median time of a call, in seconds."""
    clock = time.perf_counter
    taken = []
    for _ in range(times):
        start = clock()
        await call(client)
        taken.append(clock() - start)
    return statistics.median(taken)


async def all_at_once(client: Client) -> float:
    """Return the time per request with a hundred of them in flight, in seconds."""

    async def caller() -> None:
        for _ in range(EACH):
            await client.worker("small")

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(caller())
    return (time.perf_counter() - start) / (CONCURRENCY * EACH)


async def measure(base_url: str, names: list[str]) -> dict[str, dict[str, float]]:
    """Return the median seconds of each client in this process, by label."""
    measures = {label: partial(one_by_one, call=call, times=often) for label, (call, often) in CALLS.items()}
    with on_all_cores():  # a client may start its thread when it is made, or at its first request
        clients = {name: make(name, base_url) for name in names}
        for client in clients.values():
            await client.worker("small")
    medians = await interleave_clients(clients, {**measures, IN_FLIGHT: all_at_once}, TURNS)
    for client in clients.values():
        await client.aclose()
    return medians


def measure_in_processes(base_url: str, names: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of each client over ``rounds`` processes, by label."""
    command = [sys.executable, "-m", "benchmarks.requests", base_url]
    measured = []
    for _ in range(rounds):
        done = subprocess.run([*command, *names], check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
        measured.append(json.loads(done.stdout))
        names = [*names[1:], names[0]]  # no client always follows the same one
    return {
        label: {name: statistics.median(each[label][name] for each in measured) for name in row}
        for label, row in measured[0].items()
    }


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians in seconds."""
    names = available()
    with served() as base_url:
        medians = measure_in_processes(base_url, names, rounds)
    official = [name for name in names if name in (OFFICIAL, OFFICIAL_AIOHTTP)]
    best = {label: min((row[name] for name in official), default=None) for label, row in medians.items()}

    def ratio(over: float | None, under: float) -> float | None:
        return None if over is None else over / under

    print("\nspeed as a multiple of the official client's faster backend")
    print(
        table(
            list(medians),
            [(name, [number(ratio(best[label], row[name])) for label, row in medians.items()]) for name in names],
        )
    )
    if BARE in names:
        print(f"\ntime as a multiple of {BARE}")
        print(
            table(
                list(medians), [(name, [number(row[name] / row[BARE]) for row in medians.values()]) for name in names]
            )
        )
    print("\nmicroseconds (p50) per request; requests per second")
    print(
        table(
            list(medians),
            [
                (
                    name,
                    [
                        number(1 / row[name] if label == IN_FLIGHT else row[name] * 1e6)
                        for label, row in medians.items()
                    ],
                )
                for name in names
            ],
        )
    )
    if OURS in names:
        ours = {label: row[OURS] for label, row in medians.items()}
        limits = zip(medians, (4.5, 12, 6, 6), (1.25, 1.6, 2.5, 1 / 0.75), strict=True)
        goals: list[Goal] = []
        for label, faster, longer in limits:
            goals.append(
                (
                    f"{label}: official client's faster backend over ours",
                    ratio(best[label], ours[label]),
                    ">=",
                    faster,
                )
            )
            bare = medians[label].get(BARE)
            if label == IN_FLIGHT:
                goals.append(
                    (f"{label}: our requests per second over bare", ratio(bare, ours[label]), ">=", 1 / longer)
                )
            elif bare:
                goals.append((f"{label}: ours over bare", ours[label] / bare, "<=", longer))
        if OURS_WREQ in names and BARE in names:
            over = {label: row[OURS_WREQ] / row[BARE] for label, row in medians.items()}
            one = "retrieve, 3 kB"
            goals.append((f"{one}: ours over wreq over bare", over[one], "<=", 1.1))
            goals.append((f"{IN_FLIGHT}: our requests per second over wreq over bare", 1 / over[IN_FLIGHT], ">=", 1.6))
        print_goals(goals)
    return {"seconds": medians}


if __name__ == "__main__":
    print(json.dumps(run_loop(measure(sys.argv[1], sys.argv[2:]))))
