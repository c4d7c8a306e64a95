"""The program that follows a worker goes on in a new process, after the first one was killed."""

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from handinger_async import ServerSentEvent, Session
from handinger_async.testing import FakeHandinger, Step, serve

from .test_programs import load

PROGRAM = Path(__file__).parents[2] / "docs" / "programs" / "follow_after_restart.py"
#: The program, but the process is gone at the third event, without any cleanup, after the effect was written.
FIRST_PROCESS = f"""
import asyncio, os, runpy
from handinger_async import Session

def use(database, event):
    database.execute("INSERT INTO used VALUES (?)", (event.id,))
    if event.id == "3":
        os._exit(9)

async def main():
    follow = runpy.run_path({str(PROGRAM)!r})["follow"]
    async with Session(api_key="key") as session:
        await follow(session, os.environ["WORKER"], "place.db", use)

asyncio.run(main())
"""


async def test_next_process_goes_on_with_the_event_that_was_not_used_and_each_has_one_effect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    service = FakeHandinger()
    service.script(*(Step(f"{number} ", after=0) for number in range(4)))
    program: Any = load(PROGRAM)
    again: list[str] = []

    def use(database: sqlite3.Connection, event: ServerSentEvent) -> None:
        database.execute("INSERT INTO used VALUES (?)", (event.id,))
        again.append(event.id)

    with closing(sqlite3.connect("place.db")) as database:
        database.execute("CREATE TABLE used (event_id TEXT)")
    async with serve(service) as url, Session(api_key="key", base_url=url) as session:
        worker = await session.workers.create(input="x")
        environment = {**os.environ, "HANDINGER_BASE_URL": url, "WORKER": worker.id}
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", FIRST_PROCESS, env=environment)
        assert await process.wait() == 9
        status = await program.follow(session, worker.id, "place.db", use)
    assert status == "completed"
    assert again == ["3", "4", "5"]
    with closing(sqlite3.connect("place.db")) as database:
        assert [row[0] for row in database.execute("SELECT event_id FROM used")] == ["1", "2", "3", "4", "5"]
