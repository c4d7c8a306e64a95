"""Files saved to disk: completely, or with an error that keeps the old file."""

import asyncio
import io
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from handinger_async import APIConnectionError, ConfigurationError, NotFoundError, RetryPolicy
from handinger_async._asyncio import part_files
from handinger_async.http import Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .files import BINARY, DATA, download, file, names, plan, save
from .service import Service

# Failures #############################################################################################################


def test_error_status_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "plan.md"
    target.write_bytes(b"before")
    with pytest.raises(NotFoundError):
        save(target, Response(404))
    assert target.read_bytes() == b"before"
    assert names(tmp_path) == ["plan.md"]


class FullDisk(io.FileIO):
    def write(self, data: Any) -> int:
        raise OSError(28, "No space left on device")


def open_on_a_full_disk(path: Path, mode: str, opener: Any) -> Any:
    return io.BufferedWriter(FullDisk(path, mode, opener=opener))


@pytest.mark.parametrize("size", [10, len(DATA)], ids=["found at the end", "found while writing"])
def test_full_disk_keeps_the_old_file(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_files, "open", open_on_a_full_disk, raising=False)
    target = tmp_path / "plan.md"
    target.write_bytes(b"before")
    with pytest.raises(OSError, match=r"No space left on device: '.*plan.md'$"):
        save(target, file(*(DATA[at : at + 1000] for at in range(0, size, 1000))))
    assert target.read_bytes() == b"before"
    assert names(tmp_path) == ["plan.md"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "x", None, "y"), OSError("a reason")])
@pytest.mark.parametrize("name", ["open", "chmod", "fsync", "replace"])
def test_error_of_the_disk_names_the_path_and_keeps_the_old_file(
    name: str, error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    target = tmp_path / "plan.md"
    target.write_bytes(b"before")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(type(error)) as caught:
            save(target)
    assert str(caught.value) == (f"[Errno 13] Permission denied: '{target}'" if error.errno else "a reason")
    assert target.read_bytes() == b"before"
    assert names(tmp_path) == ["plan.md"]


def test_file_is_synced_before_it_replaces_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        order.append("fsync")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", lambda part, target: (order.append("replace"), replace(part, target)))
    save(tmp_path / "f")
    assert order == ["fsync", "replace"]
    assert synced == [len(DATA)]


def test_two_downloads_to_one_path_leave_one_whole_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with Service(lambda request: plan()).session() as session:
            await asyncio.gather(*(download(session).save(tmp_path / "f") for _ in range(2)))

    run(main())
    assert (tmp_path / "f").read_bytes() == DATA
    assert names(tmp_path) == ["f"]


# Threads ##############################################################################################################

STEPS = [
    *((os, name) for name in ("stat", "open", "chmod", "fsync", "replace", "unlink")),
    (part_files.PartFile, "_write"),
]


def is_of_others(args: tuple[Any, ...], target: Path) -> bool:
    """Return True for work on a path outside of the target's directory, such as asyncio's in debug mode."""
    return isinstance(args[0], str | Path) and not str(args[0]).startswith(str(target.parent))


def interrupted() -> Iterator[bytes]:
    """Yield a body that is lost, so that the part of it is removed from the disk."""
    yield DATA
    raise APIConnectionError("lost")


ONCE = RetryPolicy(max_retries=0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    return path


def test_each_step_is_done_once_and_nothing_after_the_last(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    in_thread = part_files._in_thread

    async def record(work: Any, *args: Any) -> None:
        steps.append(work.__name__)
        await in_thread(work, *args)

    monkeypatch.setattr(part_files, "_in_thread", record)
    save(target, file(b"a", b"b"))
    assert steps == ["_create", "_restart", "_write", "_write", "_sync", "_replace"]


@pytest.mark.parametrize(("place", "name"), STEPS, ids=[name for _, name in STEPS])
def test_disk_work_is_done_in_threads(place: Any, name: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(place, name)
    threads = []

    def work(*args: Any, **options: Any) -> Any:
        if not is_of_others(args, target):
            threads.append(threading.current_thread())
        return real(*args, **options)

    async def main() -> None:
        chunks = interrupted() if name == "unlink" else iter([DATA])
        async with Service(StreamingResponse(200, BINARY, chunks)).session(retry=ONCE) as session:
            with monkeypatch.context() as patch, suppress(APIConnectionError):
                patch.setattr(place, name, work)
                await download(session).save(target)

    run(main())
    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.parametrize(("place", "name"), STEPS, ids=[name for _, name in STEPS])
def test_cancelled_save_waits_for_its_thread_and_leaves_nothing(
    place: Any, name: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(place, name)
    reached, released = asyncio.Event(), threading.Event()
    done = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def slow(*args: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread() and not is_of_others(args, target):
                loop.call_soon_threadsafe(reached.set)
                assert released.wait(10)
                done.append(name)
            return real(*args, **options)

        monkeypatch.setattr(place, name, slow)
        chunks = interrupted() if name == "unlink" else iter([DATA])
        async with Service(StreamingResponse(200, BINARY, chunks)).session(retry=ONCE) as session:
            wanted = download(session)
            saving = asyncio.ensure_future(wanted.save(target))
            await reached.wait()
            with pytest.raises((ConfigurationError, APIConnectionError), match=r"another task|closed"):
                await anext(wanted)
            for _ in range(3):
                saving.cancel()
                for _ in range(5):
                    await asyncio.sleep(0)
            assert not saving.done()
            assert not done
            released.set()
            with pytest.raises(asyncio.CancelledError):
                await saving
        assert done

    try:
        run(main())
    finally:
        released.set()
        monkeypatch.undo()
    assert target.read_bytes() == (DATA if name == "replace" else b"before")
    assert names(target.parent) == ["f"]
