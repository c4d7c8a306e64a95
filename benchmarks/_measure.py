"""Interleaved rounds, medians, and tables of ratios, shared by the benchmarks."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

#: The environment variable that names the event loop of the clients, in this process and its children.
LOOP = "BENCHMARK_LOOP"


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine like ``asyncio.run``, in the event loop that ``--loop`` names."""
    factory = None
    if os.environ.get(LOOP) == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def interleave(
    contenders: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Time every contender once a round, so that disturbances of the machine affect all alike.

    Args:
        contenders: Functions to time, by name.
        rounds: The number of rounds; one uncounted round goes first as a warm-up.
        clock: Returns the time in seconds. ``time.process_time`` suits contenders that only compute: it excludes the
            time of other processes.

    Returns:
        The median of each, in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders.items())
    gc.collect()
    gc.freeze()  # the collector skips the benchmarks' own objects during the rounds
    for number in range(rounds + 1):
        for name, call in order:
            gc.collect()
            start = clock()
            call()
            seconds = clock() - start
            if number:
                times[name].append(seconds)
        order.append(order.pop(0))  # no contender always follows the same one
    gc.unfreeze()
    return {name: statistics.median(values) for name, values in times.items()}


async def interleave_clients(
    clients: Mapping[str, T], measures: Mapping[str, Callable[[T], Awaitable[float]]], rounds: int
) -> dict[str, dict[str, float]]:
    """Take every measure of every client once a round; see `interleave`.

    Args:
        clients: Clients, by name.
        measures: Coroutine functions from a client to seconds, by label.
        rounds: The number of rounds; one uncounted round goes first as a warm-up.

    Returns:
        By label, the median of each client, in seconds.
    """
    times: dict[str, dict[str, list[float]]] = {label: {name: [] for name in clients} for label in measures}
    order = list(clients.items())
    gc.collect()
    gc.freeze()
    for number in range(rounds + 1):
        order.append(order.pop(0))
        for name, client in order:
            for label, measure in measures.items():
                gc.collect()
                seconds = await measure(client)
                if number:
                    times[label][name].append(seconds)
    gc.unfreeze()
    return {label: {name: statistics.median(took) for name, took in row.items()} for label, row in times.items()}


def table(columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Format a table: names on the left, numbers right-aligned."""
    lines = [("", columns), *rows]
    first = max(len(name) for name, _ in lines)
    widths = [max(len(cells[index]) for _, cells in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))]).rstrip()
        for name, cells in lines
    )


def number(value: float | None, unit: str = "") -> str:
    """Format a number with three significant digits and no exponent; None is ``-``."""
    if value is None:
        return "-"
    return f"{value:.{max(0, 2 - len(str(int(abs(value)))) + 1) if value < 100 else 0}f}{unit}"


#: A description, the measured value (None: a peer is missing), ``">="`` or ``"<="``, and the goal.
Goal = tuple[str, float | None, str, float]


def print_goals(goals: Iterable[Goal]) -> None:
    """Print measured values beside their goals."""
    rows = []
    for name, value, relation, wanted in goals:
        met = value is not None and (value >= wanted if relation == ">=" else value <= wanted)
        verdict = "not measured" if value is None else "reached" if met else "MISSED"
        rows.append((name, [number(value), f"{relation} {wanted:g}", verdict]))
    print("\n" + table(["measured", "goal", ""], rows))


def version(distribution: str) -> str | None:
    """Return the installed version; None if there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, str]:
    """Describe the machine and the interpreter."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor,
        "cores": str(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()),
    }


def machine_line() -> str:
    """Return :func:`machine` on one line."""
    facts = machine()
    return f"{facts['python']}, {facts['system']}, {facts['processor']}, {facts['cores']} cores"
