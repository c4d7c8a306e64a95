"""Memory of a list of schedules, of a process after a thousand requests, of a long stream, a large upload and a batch.

Each number is measured and printed by a process of its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from . import _documents as documents
from ._clients import BARE, BARE_JSON, OFFICIAL, OFFICIAL_AIOHTTP, OURS, OURS_JSON, available
from ._measure import Goal, number, print_goals, table
from ._server import served

KEPT, RESIDENT, STREAM = "kept by a list of 1000", "resident after 1000 requests", "growth over a million events"
UPLOAD = "growth over an upload of 1 GiB"
BATCH, JOURNAL = "growth over a batch of 100,000", "growth over a batch of 100,000 with a journal"

#: Programs that run after the client is made; each prints a number of bytes.
PROGRAMS = {
    KEPT: """
    import gc, tracemalloc
    for _ in range(3):
        await client.schedules()
    gc.collect()
    tracemalloc.start()
    kept = [await client.schedules() for _ in range(10)]
    gc.collect()
    print(tracemalloc.get_traced_memory()[0] // len(kept))
""",
    RESIDENT: """
    for _ in range(1000):
        await client.worker("small")
    print(resident())
""",
    STREAM: """
    await client.events("bulk")
    before = resident()
    assert await client.events("million") == MILLION
    print(max(0, resident() - before))
""",
    UPLOAD: """
    import tempfile
    with tempfile.NamedTemporaryFile() as file:
        await client.upload(file.name)
        file.truncate(2**30)
        before = resident()
        await client.upload(file.name)
    print(max(0, resident("VmHWM") - before))
""",
    BATCH: "    print(await batch(None))",
    JOURNAL: """
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        print(await batch(folder + "/batch.sqlite"))
""",
}
#: The programs that only our clients can run, and one round of which is enough.
OURS_ALONE = {STREAM, UPLOAD, BATCH, JOURNAL}
MANY = 100_000
MAIN = """
import asyncio, sys
from benchmarks._clients import make
MILLION = {million}
def resident(what="VmRSS"):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))
async def batch(journal):
    # From its first hundredth on. The service is in memory, and keeps nothing.
    from handinger_async import Session, to_json
    from handinger_async.http import Response
    from handinger_async.testing import FakeHandinger
    from handinger_async.transports.memory import MemoryTransport
    async with FakeHandinger(api="today").session() as session:
        run = await session.run("x")
    responses = {{
        method: Response(200, {{"Content-Type": "application/json"}}, to_json(value).encode())
        for method, value in (("POST", run.worker), ("GET", run.task))
    }}
    transport = MemoryTransport(lambda request: responses[request.method])
    async with Session(api_key="key", transport=transport) as session:
        inputs = (f"input {{number}}" for number in range({many}))
        async with session.run_many(inputs, journal=journal, concurrency=100) as results:
            async for result in results:
                assert result.outcome, result.error
                if result.index == {many} // 100:
                    before = resident()
        return max(0, resident() - before)
async def main():
    client = make(sys.argv[1], sys.argv[2])
{program}
    await client.aclose()
asyncio.run(main())
"""


def measure(name: str, label: str, base_url: str) -> int:
    """Run one process and return the number of bytes that it prints."""
    program = MAIN.format(million=documents.MILLION, many=MANY, program=PROGRAMS[label])
    done = subprocess.run(
        [sys.executable, "-c", program, name, base_url],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    return int(done.stdout)


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians in bytes."""
    names = available()
    measured: dict[str, dict[str, list[int]]] = {label: {name: [] for name in names} for label in PROGRAMS}
    with served() as base_url:
        for round_ in range(rounds):
            for label, row in measured.items():
                for name in names:
                    if label in OURS_ALONE and (round_ or name not in (OURS, OURS_JSON)):
                        continue
                    row[name].append(measure(name, label, base_url))
    medians = {
        label: {name: statistics.median(found) for name, found in row.items() if found}
        for label, row in measured.items()
    }
    base = BARE if BARE in names else BARE_JSON
    print(f"as a multiple of {base}")
    print(
        _table(
            names,
            {
                label: {name: took / row[base] for name, took in row.items()}
                for label, row in medians.items()
                if base in row
            },
        )
    )
    print("\nMB")
    print(_table(names, {label: {name: took / 1e6 for name, took in row.items()} for label, row in medians.items()}))
    ours = OURS if OURS in names else OURS_JSON
    official = [name for name in (OFFICIAL, OFFICIAL_AIOHTTP) if name in names]
    kept, resident = medians[KEPT], medians[RESIDENT]
    least = min((kept[name] for name in official), default=None)
    goals: list[Goal] = [
        (f"{KEPT}: over the official client", kept[ours] / least if least else None, "<=", 0.5),
        (f"{RESIDENT}: over {base}", resident[ours] / resident[base], "<=", 1.08),
        (f"{STREAM}: MB", medians[STREAM][ours] / 1e6, "<=", 1),
        (f"{UPLOAD}: MB", medians[UPLOAD][ours] / 1e6, "<=", 8),
        (f"{BATCH}: MB", medians[BATCH][ours] / 1e6, "<=", 8),
        (f"{JOURNAL}: MB", medians[JOURNAL][ours] / 1e6, "<=", 8),
    ]
    print_goals(goals)
    return {"bytes": medians}


def _table(names: list[str], rows: dict[str, dict[str, float]]) -> str:
    return table(list(rows), [(name, [number(row.get(name)) for row in rows.values()]) for name in names])
