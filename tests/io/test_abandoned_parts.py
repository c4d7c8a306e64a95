"""Processes killed while they save a file: the target is whole, and the next save removes what they left."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handinger_async._asyncio import part_files
from handinger_async._asyncio.part_files import PartFile
from handinger_async.testing.virtual_time import run

from .files import DATA, download, names, plan, save
from .service import Service

pytestmark = pytest.mark.skipif(part_files.fcntl is None, reason="parts are locked with fcntl")

#: Saves a file of 1000 chunks again and again, prints a line for each chunk, and hangs after a number of them.
PROGRAM = """
import asyncio, sys
from handinger_async import Session
from handinger_async.transports.memory import MemoryTransport

left = int(sys.argv[2])

async def respond(request):
    return chunks()

async def chunks():
    global left
    for index in range(1000):
        if left == 0:
            await asyncio.Event().wait()
        left -= 1
        yield bytes([index % 256]) * 100

async def main():
    async with Session(api_key="k", transport=MemoryTransport(respond)) as session:
        while True:
            file = session.workers.retrieve_file("plan.md", worker_id="w")
            await file.save(sys.argv[1], progress=lambda done, total: print(done, flush=True))

asyncio.run(main())
"""
SAVED = b"".join(bytes([index % 256]) * 100 for index in range(1000))


def kill(target: Path, *, lines: int, hang_after: int) -> None:
    """Run the program, and kill it when it has printed so many lines."""
    arguments = [sys.executable, "-c", PROGRAM, str(target), str(hang_after)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)


def test_killed_process_leaves_no_damaged_target_and_no_litter_after_the_next_save(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_bytes(b"before")
    kill(target, lines=501, hang_after=500)
    assert target.read_bytes() == b"before"
    assert len(names(tmp_path)) == 2
    kill(target, lines=random.Random(16).randrange(1002, 2002), hang_after=-1)
    assert target.read_bytes() == SAVED
    assert len(names(tmp_path)) <= 2
    save(target)
    assert names(tmp_path) == ["f"]
    assert target.read_bytes() == DATA


def test_part_of_a_killed_process_is_removed_by_the_next_save_in_its_directory(tmp_path: Path) -> None:
    (tmp_path / ".handinger-0123456789abcdef.part").write_bytes(b"part")
    others = [".handinger-0123456789abcdef.part2", ".handinger-x.part", "handinger-0123456789abcdef.part"]
    for name in others:
        (tmp_path / name).touch()
    save(tmp_path / "f")
    assert names(tmp_path) == sorted([*others, "f"])


def test_link_and_fifo_of_a_parts_name_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / ".handinger-0000000000000000.part").symlink_to("secret")
    save(tmp_path / "f")
    assert names(tmp_path) == [".handinger-0000000000000000.part", "f", "secret"]


def test_part_of_a_save_in_progress_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = PartFile(tmp_path / "a"), PartFile(tmp_path / "b")
        await first.create()
        await second.create()
        assert len(names(tmp_path)) == 2
        for part in (first, second):
            await part.write(b"x")
            await part.publish()

    asyncio.run(main())
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("moment", ["before it is locked", "when it was locked"])
def test_part_that_another_process_removes_at_once_is_made_again(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = part_files._lock
    removed: list[Path] = []

    def lose(descriptor: int, **options: Any) -> bool:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
            return moment == "when it was locked" and lock(descriptor, **options)
        return lock(descriptor, **options)

    monkeypatch.setattr(part_files, "_lock", lose)
    save(tmp_path / "f")
    assert len(removed) == 1
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == DATA


def test_file_system_without_locks_keeps_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise OSError(45, "Operation not supported")

    (tmp_path / ".handinger-0123456789abcdef.part").touch()
    monkeypatch.setattr(part_files.fcntl, "flock", fail)
    save(tmp_path / "f")
    assert names(tmp_path) == [".handinger-0123456789abcdef.part", "f"]


def test_directory_that_cannot_be_listed_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", fail)
    save(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA


def test_download_that_is_closed_before_its_part_exists_sends_nothing(tmp_path: Path) -> None:
    service = Service(lambda request: plan())

    async def main() -> None:
        async with service.session() as session:
            wanted = download(session)
            saving = asyncio.create_task(wanted.save(tmp_path / "f"))
            await asyncio.sleep(0)
            await wanted.aclose()
            with pytest.raises(Exception, match="the download was closed before its end"):
                await saving

    run(main())
    assert not service.requests
    assert not names(tmp_path)
