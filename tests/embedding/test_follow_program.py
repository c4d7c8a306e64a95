"""The program that follows a worker goes on in a new process, after the first one was killed."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from handinger_async import Session
from handinger_async.testing import FakeHandinger, Step, serve

from .test_programs import load

PROGRAM = Path(__file__).parents[2] / "docs" / "programs" / "follow_after_restart.py"
#: The program, but the process is gone at the third event, without any cleanup.
FIRST_PROCESS = f"""
import asyncio, os, runpy
from handinger_async import Session

def use(event):
    if event.id == "3":
        os._exit(9)

async def main():
    follow = runpy.run_path({str(PROGRAM)!r})["follow"]
    async with Session(api_key="key") as session:
        await follow(session, os.environ["WORKER"], "place.db", use)

asyncio.run(main())
"""


async def test_next_process_goes_on_with_the_event_that_was_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    service = FakeHandinger()
    service.script(*(Step(f"{number} ", after=0) for number in range(4)))
    program: Any = load(PROGRAM)
    used: list[str] = []
    async with serve(service) as url, Session(api_key="key", base_url=url) as session:
        worker = await session.workers.create(input="x")
        environment = {**os.environ, "HANDINGER_BASE_URL": url, "WORKER": worker.id}
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", FIRST_PROCESS, env=environment)
        assert await process.wait() == 9
        status = await program.follow(session, worker.id, "place.db", lambda event: used.append(event.id))
    assert status == "completed"
    assert used == ["3", "4", "5"]
