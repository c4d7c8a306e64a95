"""Start-up: imports and the first request, each in a new interpreter; then the cost of a session in a warm process."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from handinger_async import Session, Timeouts

from ._clients import BARE, KEY, OFFICIAL, OFFICIAL_AIOHTTP, OURS, OURS_JSON, available
from ._measure import Goal, interleave, number, print_goals, table
from ._server import served

NOTHING, PACKAGE, CORE, ATTRS = "bare Python", "import handinger_async", "the core", "attrs + cattrs"
BASE, NAMES, SESSION = "attrs + cattrs + asyncio + yarl", "all public names", "Session, no call"
IMPORTS = {
    NOTHING: "pass",
    PACKAGE: "import handinger_async",
    ATTRS: "import attrs, cattrs",
    CORE: (
        "import handinger_async.codec, handinger_async.errors, handinger_async.http, handinger_async.models,"
        " handinger_async.operations, handinger_async.retry, handinger_async.sse"
    ),
    BASE: "import attrs, cattrs, asyncio, yarl",
    NAMES: "from handinger_async import *",
    SESSION: "import handinger_async; handinger_async.Session(api_key='k')",
    "aiohttp": "import aiohttp",
    "handinger 0.3.0": "import handinger",
}
FIRST = """
import asyncio, sys
from benchmarks._clients import make
async def main():
    client = make(sys.argv[1], sys.argv[2])
    await client.worker("small")
    await client.aclose()
asyncio.run(main())
"""
#: The number of processes per client and round: more than one, since their times vary.
TIMES = 3
#: Sessions and views per round.
OFTEN = 200
CONSTRUCT, VIEW = "Session()", "with_options()"


def start(program: str, *arguments: str) -> None:
    """Run a program in a new interpreter."""
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, cwd=Path(__file__).parents[1])


def imports(rounds: int) -> dict[str, float]:
    """Return the median seconds of a process that imports something, by label."""
    programs = IMPORTS if OFFICIAL in available() else {k: v for k, v in IMPORTS.items() if v != "import handinger"}
    return interleave({name: lambda program=program: start(program) for name, program in programs.items()}, rounds)


def first_requests(rounds: int) -> dict[str, float]:
    """Return the median seconds of a process that makes one request, from start to exit."""
    with served() as base_url:
        return interleave(
            {name: lambda name=name: start(FIRST, name, base_url) for name in available()}, TIMES * rounds
        )


def sessions(rounds: int) -> dict[str, float]:
    """Return the median seconds to construct a session, and a view with other options."""
    timeouts = Timeouts(attempt=10)

    async def measure() -> dict[str, float]:
        async with Session(api_key=KEY) as session:
            times: dict[str, list[float]] = {CONSTRUCT: [], VIEW: []}
            for _ in range(rounds):
                begin = time.perf_counter()
                for _ in range(OFTEN):
                    Session(api_key=KEY)
                middle = time.perf_counter()
                for _ in range(OFTEN):
                    session.with_options(timeouts=timeouts)
                times[CONSTRUCT].append((middle - begin) / OFTEN)
                times[VIEW].append((time.perf_counter() - middle) / OFTEN)
        return {name: statistics.median(took) for name, took in times.items()}

    return asyncio.run(measure())


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians in seconds."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the warm-up round compiles the imported modules
    imported = imports(rounds)
    over = {name: seconds - imported[NOTHING] for name, seconds in imported.items()}
    print("imports: multiple of attrs + cattrs over bare Python; ms over bare Python; total ms")
    print(
        table(
            ["times", "ms over", "ms"],
            [
                (name, [number(over[name] / over[ATTRS]), number(over[name] * 1e3), number(seconds * 1e3)])
                for name, seconds in imported.items()
            ],
        )
    )
    first = first_requests(rounds)
    official = [first[name] for name in (OFFICIAL, OFFICIAL_AIOHTTP) if name in first]
    better = min(official, default=None)
    print("\nimport, client, first request: multiple of the official client's faster backend; ms")
    print(
        table(
            ["multiple", "ms"],
            [(name, [number(took / better if better else None), number(took * 1e3)]) for name, took in first.items()],
        )
    )
    made = sessions(rounds)
    print("\nmicroseconds in a warm process")
    print(table(["µs"], [(name, [number(seconds * 1e6)]) for name, seconds in made.items()]))
    ours = first.get(OURS, first[OURS_JSON])
    goals: list[Goal] = [
        ("import handinger_async, ms over bare Python", over[PACKAGE] * 1e3, "<=", 15),
        ("the core over attrs + cattrs", over[CORE] / over[ATTRS], "<=", 2),
        ("all public names over attrs + cattrs + asyncio + yarl", imported[NAMES] / imported[BASE], "<=", 1.45),
        ("a session over attrs + cattrs + asyncio + yarl", imported[SESSION] / imported[BASE], "<=", 1.22),
        (
            "import, session, first request: over the official client's faster backend",
            ours / better if better else None,
            "<=",
            0.70,
        ),
        (
            "import, session, first request: over bare aiohttp",
            ours / first[BARE] if BARE in first else None,
            "<=",
            1.25,
        ),
        ("Session(), µs", made[CONSTRUCT] * 1e6, "<=", 100),
        ("with_options(), µs", made[VIEW] * 1e6, "<=", 10),
    ]
    print_goals(goals)
    return {"imports": imported, "first request": first, "sessions": made}
