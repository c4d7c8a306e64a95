"""The file of a journal: opened, locked, refused, written and closed. In virtual time."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from handinger_async import (
    ConfigurationError,
)
from handinger_async._asyncio.journal import Journal, fingerprint
from handinger_async._asyncio.records import Records
from handinger_async.testing import FakeHandinger
from handinger_async.testing.virtual_time import run as run_in_virtual_time

from .test_batches import collect, drain, each_once, names
from .test_journals import DEFAULTS


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_journal_with_an_impossible_name_is_refused(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            with pytest.raises(ConfigurationError, match="cannot be opened"):
                await collect(session.run_many(names(1), journal=str(tmp_path / path)))

    run_in_virtual_time(main())


def test_name_that_is_special_to_sqlite_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        fake = FakeHandinger()
        async with fake.session() as session:
            for _ in range(2):
                each_once(await collect(session.run_many(names(1), journal=":memory:")), 1)
        assert fake.runs == {"input 0": 1}

    run_in_virtual_time(main())
    assert (tmp_path / ":memory:").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "statements",
    [["CREATE TABLE mine (x)"], ["PRAGMA journal_mode = WAL", "CREATE TABLE mine (x)"], ["PRAGMA application_id = 77"]],
)
def test_other_database_is_refused_and_not_changed(tmp_path: Path, statements: list[str]) -> None:
    path = tmp_path / "j"
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another kind of file"):
        Journal(path)
    assert path.read_bytes() == before


def test_journal_at_the_end_of_a_link_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "j")
    Journal(tmp_path / "link").close()
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_journal_without_its_tables_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    with sqlite3.connect(tmp_path / "j") as connection:
        connection.execute("DROP TABLE runs")
    connection.close()
    with pytest.raises(ConfigurationError, match="cannot be used: no such table"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize("ticks", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144])
def test_journal_is_free_when_the_event_loop_has_ended(tmp_path: Path, ticks: int) -> None:
    fake = FakeHandinger(api="today")

    async def main() -> None:
        async def batch() -> None:
            async with fake.session() as session:
                await collect(session.run_many(names(6), journal=tmp_path / "j", concurrency=3))

        task = asyncio.create_task(batch())
        for _ in range(ticks):
            await asyncio.sleep(0)
        assert not task.done()

    run_in_virtual_time(main())
    for thread in threading.enumerate():
        if thread.name.startswith("handinger-journal"):
            thread.join(600)
    Journal(tmp_path / "j").close()


def test_one_batch_at_a_time_uses_a_journal(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger()
        async with fake.session() as session, session.run_many(names(3), journal=tmp_path / "j") as results:
            with pytest.raises(ConfigurationError, match="in use by another batch"):
                await collect(session.run_many(names(3), journal=tmp_path / "j"))
            program = f"from handinger_async._asyncio.journal import Journal; Journal({str(tmp_path / 'j')!r})"
            done = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=600
            )
            assert "in use by another batch" in done.stderr
            each_once((await drain(results))[0], 3)
        assert fake.runs == dict.fromkeys(names(3), 1)

    run_in_virtual_time(main())


def test_journal_is_free_after_a_start_that_was_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            for ticks in range(10):
                batch = asyncio.create_task(collect(session.run_many(names(3), journal=tmp_path / "j")))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                batch.cancel()
                await asyncio.wait((batch,))
                await asyncio.sleep(1)
            each_once(await collect(session.run_many(names(3), journal=tmp_path / "j")), 3)

    run_in_virtual_time(main())


def test_other_files_are_no_journals(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database " * 100)
    database = tmp_path / "database"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = text.read_bytes(), database.read_bytes()

    async def main() -> None:
        async with FakeHandinger().session() as session:
            for path, message in (
                (text, "another kind of file"),
                (database, "another kind of file"),
                (tmp_path, "cannot be"),
                (tmp_path / "missing" / "j", "cannot be"),
            ):
                with pytest.raises(ConfigurationError, match=message):
                    await collect(session.run_many(names(3), journal=path))

    run_in_virtual_time(main())
    assert text.read_bytes() == before[0]
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    connection.close()


@pytest.mark.parametrize("method", ["post", "finish"])
def test_journal_that_cannot_be_written_ends_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async def main() -> None:
        written = 0
        write = getattr(Journal, method)

        def fail(*args: Any) -> None:
            nonlocal written
            written += 1
            if written > 3:
                raise sqlite3.OperationalError("database or disk is full")
            write(*args)

        fake = FakeHandinger()
        async with fake.session() as session:
            with monkeypatch.context() as patch:
                patch.setattr(Journal, method, fail)
                async with session.run_many(names(20), journal=tmp_path / "j", concurrency=2) as batch:
                    results, error = await drain(batch)
            assert isinstance(error, OSError)
            assert "disk is full" in str(error)
            assert all(result.outcome for result in results if result.index < 3)
            assert len(results) < 8
            each_once(await collect(session.run_many(names(20), journal=tmp_path / "j")), 20)
        assert fake.runs == dict.fromkeys(names(20), 1)

    run_in_virtual_time(main())


def test_journal_has_the_results_and_no_key(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger()
        fake.script("done")
        async with fake.session(api_key="sk-secret") as session:
            await collect(session.run_many(["x"], journal=tmp_path / "j"))

    run_in_virtual_time(main())
    with sqlite3.connect(tmp_path / "j") as connection:
        rows = connection.execute("SELECT * FROM runs").fetchall()
    connection.close()
    assert b"sk-secret" not in (tmp_path / "j").read_bytes()
    assert rows[0][1] == fingerprint(DEFAULTS | {"input": "x"})
    assert json.loads(rows[0][-1])["outcome"]["output_text"] == "done"


async def test_what_is_to_be_recorded_at_the_end_is_recorded(tmp_path: Path) -> None:
    records = Records(tmp_path / "j")
    await records.open()
    records.submit("post", 0, "digest", "tsk_a", None)
    await records.close()
    journal = Journal(tmp_path / "j")
    assert journal.find(0, "digest")
    journal.close()
