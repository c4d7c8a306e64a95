"""The program for a Dask cluster, on a cluster of two processes: ``tox run -e cluster``."""

import asyncio
import importlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from handinger_async import RunUnknownError
from handinger_async.http import Request
from handinger_async.testing import FakeHandinger, serve
from handinger_async.transports.memory import HandlerResult, call_handler

distributed = pytest.importorskip("dask.distributed")

PROGRAMS = Path(__file__).parents[2] / "docs" / "programs"
INPUTS = [f"Summarise chapter {number}." for number in range(200)]


class Counting:
    """A service that tells when so many runs were requested."""

    def __init__(self, fake: FakeHandinger, number: int) -> None:
        self._fake = fake
        self._missing = number
        self.reached = asyncio.Event()

    async def __call__(self, request: Request) -> HandlerResult:
        if request.method == "POST":
            self._missing -= 1
            if self._missing == 0:
                self.reached.set()
        return await call_handler(self._fake, request)


def run_batch(url: str, folder: Path, started: Any) -> list[Any]:
    """Run the batch in this thread. ``started`` gets the process ids of the cluster."""
    environment = {"HANDINGER_BASE_URL": url, "HANDINGER_API_KEY": "key"}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, env=environment, local_directory=str(folder)
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        started(list(client.run(os.getpid).values()))
        return list(importlib.import_module("dask_batch").run_batch(client, INPUTS, folder, size=50))


async def test_each_input_runs_once_though_a_process_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROGRAMS)  # also in the processes of the cluster
    fake = FakeHandinger(api="today")
    service = Counting(fake, 60)
    loop = asyncio.get_running_loop()
    pids: asyncio.Future[list[int]] = loop.create_future()
    async with serve(service) as url:
        batch = asyncio.create_task(
            asyncio.to_thread(
                run_batch, str(url), tmp_path, lambda found: loop.call_soon_threadsafe(pids.set_result, found)
            )
        )
        reached = asyncio.create_task(service.reached.wait())
        await asyncio.wait((reached, batch), return_when=asyncio.FIRST_COMPLETED)
        if reached.done():
            os.kill((await pids)[0], signal.SIGKILL)
        results = await batch
    assert sorted(result.index for result in results) == list(range(200))
    for result in results:
        assert result.input == INPUTS[result.index]
        if result.error is None:
            assert fake.runs[result.input] == 1
        else:  # killed between the record and the request
            assert isinstance(result.error, RunUnknownError)
            assert result.input not in fake.runs
    assert max(fake.runs.values()) == 1
