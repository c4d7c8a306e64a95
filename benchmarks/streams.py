"""Streams of events over loopback, from the socket to the caller.

The official client and the bare ones parse the JSON of every event; ours returns events with a ``json()`` method.
"""

from __future__ import annotations

import time
from functools import partial

from . import _documents as documents
from ._clients import BARE, OFFICIAL, OFFICIAL_AIOHTTP, OURS, OURS_JSON, Client, Ours, available, make
from ._measure import Goal, interleave_clients, number, print_goals, run_loop, table
from ._server import on_all_cores, served

EACH, BULK = "an event per HTTP chunk", "16 KiB of events per chunk"
WORKERS = {EACH: "each", BULK: "bulk"}
ASYNC_FOR, BATCHES = "handinger_async, async for", "handinger_async, batches()"


async def once(client: Client, worker_id: str) -> float:
    """Read one stream and return the seconds per event."""
    start = time.perf_counter()
    count = await client.events(worker_id)
    seconds = time.perf_counter() - start
    assert count == documents.EVENTS, count
    return seconds / count


async def measure(names: list[str], base_url: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds per event of each client, by the kind of stream."""
    measures = {label: partial(once, worker_id=worker_id) for label, worker_id in WORKERS.items()}
    with on_all_cores():  # a client may start its thread when it is made, or at its first request
        clients = {name: make(name, base_url) for name in names}
        clients[ASYNC_FOR] = Ours(base_url, fast_json=False)
        clients[BATCHES] = Ours(base_url, fast_json=False, batches=True)
        for client in clients.values():
            await client.worker("small")
    medians = await interleave_clients(clients, measures, rounds)
    for client in clients.values():
        await client.aclose()
    return medians


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians in seconds per event."""
    names = [name for name in available() if name not in (OURS, OURS_JSON)]
    with served() as base_url:
        medians = run_loop(measure(names, base_url, rounds))
    names = [*names, ASYNC_FOR, BATCHES]
    official = [name for name in names if name in (OFFICIAL, OFFICIAL_AIOHTTP)]
    best = {label: min((row[name] for name in official), default=None) for label, row in medians.items()}
    if official:
        print("speed as a multiple of the official client's faster backend")
        rows = [(name, [number(best[label] / row[name]) for label, row in medians.items()]) for name in names]
        print(table(list(medians), rows))
    if BARE in names:
        print(f"\nspeed as a multiple of {BARE}")
        print(
            table(
                list(medians), [(name, [number(row[BARE] / row[name]) for row in medians.values()]) for name in names]
            )
        )
    print("\nthousands of events per second")
    print(table(list(medians), [(name, [number(1e-3 / row[name]) for row in medians.values()]) for name in names]))
    goals: list[Goal] = [
        (f"{label}, {name}: over the official client's faster backend", over, ">=", wanted)
        for label, name, wanted in ((EACH, ASYNC_FOR, 4), (BULK, BATCHES, 8))
        for over in [best[label] / medians[label][name] if official else None]
    ]
    print_goals(goals)
    return {"seconds": medians}
