"""Run the benchmarks: ``python -m benchmarks [NAME ...] [--rounds N] [--loop LOOP] [--json FILE]``.

A benchmark is a module of this package with a function ``run(rounds) -> dict``: it prints its tables, ratios first, and
returns its numbers for the JSON file.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

from ._measure import LOOP, machine, machine_line

#: Names of modules, in the order in which they run.
BENCHMARKS = ("sse", "decode", "encode", "layers", "requests", "streams", "startup", "memory", "scale", "soak")


def main() -> int:
    """Parse the command line and run the named benchmarks.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the library beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=9, help="number of interleaved rounds; results are medians")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="event loop of the clients")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    os.environ[LOOP] = arguments.loop
    results: dict[str, object] = {"machine": machine() | {"loop": arguments.loop}}
    print(f"{machine_line()}, {arguments.loop}")
    for name in BENCHMARKS:
        if name in arguments.names or not arguments.names:
            print(f"\n# {name}\n", flush=True)
            results[name] = importlib.import_module(f"benchmarks.{name}").run(arguments.rounds)
            if arguments.json:  # after each, so that an interrupted run keeps its results
                arguments.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
