"""Requests over loopback: one after the other, and a hundred at a time."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ._clients import BARE, OURS, VENDOR, VENDOR_AIOHTTP, Client, available, make
from ._measure import Goal, interleave_clients, number, print_goals, table
from ._server import served

#: What is asked for, and how often in one round.
CALLS: dict[str, tuple[Callable[[Client], Awaitable[Any]], int]] = {
    "retrieve, 3 kB": (lambda client: client.worker("small"), 100),
    "retrieve, 200 kB": (lambda client: client.worker("big"), 20),
    "list of 1000 schedules": (lambda client: client.schedules(), 20),
}
IN_FLIGHT = "100 in flight"
CONCURRENCY, EACH = 100, 5


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
    """Return the time per request with a hundred of them under way, in seconds."""

    async def caller() -> None:
        for _ in range(EACH):
            await client.worker("small")

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(caller())
    return (time.perf_counter() - start) / (CONCURRENCY * EACH)


async def measure(names: list[str], base_url: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of each client, by what was asked for."""
    clients = {name: make(name, base_url) for name in names}
    measures = {label: partial(one_by_one, call=call, times=often) for label, (call, often) in CALLS.items()}
    medians = await interleave_clients(clients, {**measures, IN_FLIGHT: all_at_once}, rounds)
    for client in clients.values():
        await client.aclose()
    return medians


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians in seconds."""
    names = available()
    with served() as base_url:
        medians = asyncio.run(measure(names, base_url, rounds))
    vendors = [name for name in names if name in (VENDOR, VENDOR_AIOHTTP)]
    best = {label: min((row[name] for name in vendors), default=None) for label, row in medians.items()}

    def ratio(over: float | None, under: float) -> float | None:
        return None if over is None else over / under

    print("\ntimes as fast as the vendor's better backend")
    print(
        table(
            list(medians),
            [(name, [number(ratio(best[label], row[name])) for label, row in medians.items()]) for name in names],
        )
    )
    if BARE in names:
        print(f"\ntimes as long as {BARE}")
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
                (f"{label}: the vendor's better backend over ours", ratio(best[label], ours[label]), ">=", faster)
            )
            bare = medians[label].get(BARE)
            if label == IN_FLIGHT:
                goals.append(
                    (f"{label}: our requests per second over bare", ratio(bare, ours[label]), ">=", 1 / longer)
                )
            elif bare:
                goals.append((f"{label}: ours over bare", ours[label] / bare, "<=", longer))
        print_goals(goals)
    return {"seconds": medians}
