"""Parse server-sent events: bytes in chunks to events, beside other parsers that work without a network.

The long line (f) is bimodal under glibc's default settings: the 8 MiB block is either mapped anew for each event, which
costs page faults, or taken from the heap, depending on earlier allocations. So the process restarts itself with
``MALLOC_TOP_PAD_`` and ``MALLOC_MMAP_THRESHOLD_`` pinned: every contender allocates from the heap.

Each contender is checked before it is timed, and marked ``*`` where its events are wrong. If the check takes more than
two seconds, its time is the result and the contender skips the rounds. All times are processor times, since nothing
here waits; only node's are wall-clock times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handinger_async.sse import EventParser

from ._measure import interleave, number, table
from ._sse_peers import BASE, LIMITS, NATIVE, NODE, OURS, Run, in_node, load_peers, ours, split_only, split_tuple
from ._sse_workloads import KIB, MIB, Chunks, cut, workloads

#: The largest values that every glibc accepts, in bytes.
PINNED = {"MALLOC_TOP_PAD_": str(256 * MIB), "MALLOC_MMAP_THRESHOLD_": str(32 * MIB)}
#: The longest check, in seconds, of a contender that takes part in the rounds.
SLOW = 2.0


def _is_right(run: Run, chunks: Chunks, expected: list[str]) -> bool:
    try:
        return [event.data for event in run(chunks)] == expected
    except Exception as error:
        print(f"  raised {type(error).__name__}: {error}"[:200])
        return False


def _timed(run: Run, chunks: Chunks) -> Callable[[], object]:
    return lambda: deque(run(chunks), maxlen=0)


def scaling(rounds: int) -> dict[str, float]:
    """Measure the growth of the time when the input doubles.

    Returns:
        The factor, by case.
    """
    line = b"data: 0123456789abcdef0123456789abcdef\n"

    def contender(size: int, chunk: int, stream: Callable[[int], bytes]) -> Callable[[], object]:
        chunks = cut(stream(size), chunk)

        def call() -> None:
            parser = EventParser(max_event_size=64 * MIB)
            deque(map(parser.feed, [*chunks, b"\n\n"]), maxlen=0)

        return call

    cases = {
        "short events in 16-byte chunks, 1 to 2 MiB": (MIB, 16, lambda size: (line + b"\n") * (size // len(line))),
        "one event of short lines in 16-byte chunks, 1 to 2 MiB": (MIB, 16, lambda size: line * (size // len(line))),
        "one line in 16-byte chunks, 1 to 2 MiB": (MIB, 16, lambda size: b"data: " + b"x" * size),
        "one line in 4 KiB chunks, 8 to 16 MiB": (8 * MIB, 4 * KIB, lambda size: b"data: " + b"x" * size),
    }
    contenders = {}
    for name, (size, chunk, stream) in cases.items():
        contenders[name] = contender(size, chunk, stream)
        contenders[f"{name}, doubled"] = contender(2 * size, chunk, stream)
    seconds = interleave(contenders, rounds, time.process_time)
    return {name: seconds[f"{name}, doubled"] / seconds[name] for name in cases}


def run(rounds: int) -> dict[str, Any]:
    """Measure, print and return the results.

    Args:
        rounds: The number of interleaved rounds.

    Returns:
        Ratios, MB/s and the scaling factors, by workload and contender.
    """
    if sys.platform == "linux" and any(os.environ.get(name) != value for name, value in PINNED.items()):
        return _restart(rounds)
    print("allocator pinned: " + ", ".join(f"{name}={value}" for name, value in PINNED.items()))
    peers = load_peers()
    streams = workloads()
    speeds: dict[str, dict[str, float]] = {}
    wrong: dict[str, list[str]] = {}
    for workload, (title, chunks, expected) in streams.items():
        contenders = {}
        slow = {}
        for name, peer in {OURS: ours, **peers}.items():
            start = time.process_time()
            if not _is_right(peer, chunks, expected):
                print(f"  {name} is wrong on {workload}")
                wrong.setdefault(name, []).append(workload)
            seconds = time.process_time() - start
            if seconds > SLOW:
                slow[name] = seconds
            else:
                contenders[name] = _timed(peer, chunks)
        contenders[LIMITS[0]] = _timed(split_only, chunks)
        contenders[LIMITS[1]] = _timed(split_tuple, chunks)
        size = sum(map(len, chunks)) / 1e6
        measured = interleave(contenders, rounds, time.process_time) | slow
        speeds[workload] = {name: size / seconds for name, seconds in measured.items()}
        print(f"measured {workload}: {title}, {size:.1f} MB", flush=True)
    for workload, seconds in in_node(streams, rounds).items():
        speeds[workload][NODE] = sum(map(len, streams[workload].chunks)) / 1e6 / seconds
    growth = scaling(rounds)
    ratios = _report(speeds, wrong, list(peers), growth)
    return {"ratios": ratios, "megabytes_per_second": speeds, "wrong": wrong, "scaling": growth}


def _report(
    speeds: dict[str, dict[str, float]], wrong: dict[str, list[str]], peers: list[str], growth: dict[str, float]
) -> dict[str, dict[str, float]]:
    columns = list(speeds)
    ratios: dict[str, dict[str, float]] = {}
    for column, measured in speeds.items():
        mine = measured[OURS]
        python = [name for name in peers if name != NATIVE and column not in wrong.get(name, [])]
        best = max((measured[name] for name in python), default=None)
        ratios[column] = {f"x {name}": mine / measured[name] for name in (BASE, NATIVE, NODE) if name in measured}
        if best is not None:
            ratios[column]["x the fastest Python peer"] = mine / best
    labels = ("x the fastest Python peer", f"x {BASE}", f"x {NATIVE}", f"x {NODE}")
    print("\nOur speed as a multiple of theirs (a peer with wrong events does not count as the fastest)\n")
    print(table(columns, [(label, [number(ratios[column].get(label)) for column in columns]) for label in labels]))
    print("\nMB/s (* wrong events)\n")
    rows = []
    for name in [OURS, *peers, NODE, *LIMITS]:
        marks = ["*" if column in wrong.get(name, []) else "" for column in columns]
        cells = [mark + number(speeds[column].get(name)) for mark, column in zip(marks, columns, strict=True)]
        rows.append((name, cells))
    print(table(columns, rows))
    print("\nGrowth of the time when the input doubles (goal: at most 2.3)\n")
    print("\n".join(f"{name}: {factor:.2f}" for name, factor in growth.items()))
    return ratios


def _restart(rounds: int) -> dict[str, Any]:
    """Run in a new process with the allocator pinned, since glibc reads these variables only at start-up."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sse.json")
        command = [sys.executable, "-m", __name__, str(rounds), str(file)]
        subprocess.run(command, env={**os.environ, **PINNED}, check=True)
        results: dict[str, Any] = json.loads(file.read_text())
        return results


if __name__ == "__main__":  # the new process
    Path(sys.argv[2]).write_text(json.dumps(run(int(sys.argv[1]))))
