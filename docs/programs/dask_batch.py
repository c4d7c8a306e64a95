"""A batch on a Dask cluster: a session a process, a journal a partition."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from dask.distributed import Client, LocalCluster, as_completed

from handinger_async import RunResult, Session


async def run_all(inputs: list[str], journal: Path) -> list[RunResult[None]]:
    """Run a partition with a session of its own; key and URL are in the environment."""
    async with (
        Session() as session,
        session.run_many(inputs, concurrency=100, journal=journal) as results,
    ):
        return [result async for result in results]


def run_partition(start: int, inputs: list[str], journal: Path) -> list[Any]:
    """Run a partition, or go on with it after a worker of Dask was lost."""
    results = asyncio.run(run_all(inputs, journal))
    return [attrs.evolve(result, index=start + result.index) for result in results]


def run_batch(
    client: Any, inputs: list[str], folder: Path, size: int = 1000
) -> Iterator[RunResult[None]]:
    """Spread a batch over a cluster. All machines share the folder for journals.

    The results of a partition are yielded when it ends.
    """
    starts = range(0, len(inputs), size)
    futures = client.map(
        run_partition,
        starts,
        [inputs[start : start + size] for start in starts],
        [folder / f"{start}.sqlite" for start in starts],
        pure=False,
        retries=3,
    )
    for _, results in as_completed(futures, with_results=True):
        yield from results


def main(folder: Path) -> None:
    """Run a batch on a cluster of two processes on this machine."""
    inputs = [f"Summarise chapter {number}." for number in range(1, 101)]
    with LocalCluster(n_workers=2) as cluster, Client(cluster) as client:
        for result in run_batch(client, inputs, folder, size=25):
            print(result.index, result.error or result.outcome.output_text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
