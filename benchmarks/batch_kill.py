"""Kill batches at random moments: ``python -m benchmarks.batch_kill [--kills N] [--inputs M] [--faults SPEC] …``.

A batch with a journal runs in a process of its own, against a service in another one. It is killed with SIGKILL and
started again, until it was killed so often, and then runs to its end. The service counts the runs of each input.

The exit status is 0 if no input was run twice, and each was run once or reported as unknown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from handinger_async import RunUnknownError, Session
from handinger_async.testing import FakeHandinger, FaultyHandler, serve
from handinger_async.testing.fault_specs import parse_faults

from ._measure import machine_line

#: Faults of every kind, at the requests that start runs and at those that ask for them.
_POST_FAULTS = ("drop", "drop:0.5", "postpone:2", "429:1", "500", "503:1", "refuse", "cut:40")
_GET_FAULTS = ("drop", "500", "delay:1")
FAULTS = ",".join(
    [f"{kind}@create-task*all%5" for kind in _POST_FAULTS] + [f"{kind}@retrieve-task*all%10" for kind in _GET_FAULTS]
)


def inputs(number: int) -> list[str]:
    """Return the inputs of the batch."""
    return [f"input {index}" for index in range(number)]


async def serve_runs(faults: str) -> None:
    """Serve, and print the number of runs of each input when standard input ends."""
    fake = FakeHandinger(api="today")
    async with serve(FaultyHandler(fake, *(parse_faults(faults) if faults else ()))) as url:
        print(url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(fake.runs))


async def run_batch(url: str, journal: str, number: int, concurrency: int, *, repeat: bool) -> None:
    """Run the batch, and print the indices of the results and of unknown runs."""
    done, unknown, failed = [], [], {}
    async with Session(api_key="key", base_url=url) as session:
        batch = session.run_many(inputs(number), concurrency=concurrency, journal=journal, repeat_unknown=repeat)
        async with batch as results:
            async for result in results:
                done.append(result.index)
                if isinstance(result.error, RunUnknownError):
                    unknown.append(result.index)
                elif result.error is not None:
                    failed[result.index] = repr(result.error)
    print(json.dumps({"done": done, "unknown": unknown, "failed": failed}))


async def start(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
    """Start this program as another process."""
    command = [sys.executable, "-m", "benchmarks.batch_kill", *arguments]
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[1], **options
    )


async def prove(options: argparse.Namespace) -> int:
    """Kill the batch, let it run to its end, and compare its results with the counts of the service."""
    chance = random.Random(options.seed)
    begun = time.monotonic()
    server = await start("--serve", "--faults", options.faults, stdin=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    url = (await server.stdout.readline()).decode().strip()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--batch", url, str(Path(folder, "batch.sqlite")), "--inputs", str(options.inputs)]
        arguments += [
            "--concurrency",
            str(options.concurrency),
            *(["--repeat-unknown"] if options.repeat_unknown else []),
        ]
        kills = early = 0
        while kills < options.kills:
            process = await start(*arguments)
            try:
                # From its beginning on, since importing the library takes a part of the time.
                await asyncio.wait_for(process.wait(), chance.uniform(options.shortest, options.longest))
            except TimeoutError:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            else:
                early += 1  # it was complete: what comes is killed while it returns its results again
                if early > 3:
                    break
            await process.wait()
        process = await start(*arguments)
        output, _ = await process.communicate()
    report = json.loads(output)
    counted, _ = await server.communicate(b"")
    runs: Counter[str] = Counter(json.loads(counted))
    names = inputs(options.inputs)
    twice = [name for name in names if runs[name] > 1]
    never = [name for index, name in enumerate(names) if not runs[name] and index not in report["unknown"]]
    unknown_and_run = sum(runs[names[index]] for index in report["unknown"])
    print(machine_line())
    print(
        f"{kills} kills of a batch of {options.inputs}, {time.monotonic() - begun:.0f} s, "
        f"faults: {options.faults or 'none'}"
    )
    print(f"results: {len(report['done'])}, each once: {sorted(report['done']) == list(range(options.inputs))}")
    print(f"run once: {sum(runs[name] == 1 for name in names)}, run twice: {len(twice)} {twice[:5]}")
    print(f"unknown: {len(report['unknown'])}, of which run: {unknown_and_run}; failed: {len(report['failed'])}")
    print(f"neither run nor reported: {len(never)} {never[:5]} {list(report['failed'].values())[:3]}")
    correct = not twice and not never and sorted(report["done"]) == list(range(options.inputs))
    print("correct" if correct else "WRONG")
    return 0 if correct else 1


def main() -> int:
    """Parse the command line, and prove, serve or run the batch."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batch_kill", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--inputs", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--shortest", type=float, default=0.5, help="seconds from a start to a kill")
    parser.add_argument("--longest", type=float, default=3.0)
    parser.add_argument("--faults", nargs="?", default="", const=FAULTS, help="of every kind, or as for serve --faults")
    parser.add_argument("--repeat-unknown", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--batch", nargs=2, metavar=("URL", "JOURNAL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve_runs(options.faults))
        return 0
    if options.batch:
        repeat = options.repeat_unknown
        asyncio.run(run_batch(*options.batch, options.inputs, options.concurrency, repeat=repeat))
        return 0
    return asyncio.run(prove(options))


if __name__ == "__main__":
    sys.exit(main())
