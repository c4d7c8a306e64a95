"""Files: read, iterated over or saved, completely or with an error that keeps the old file."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    APIResponseValidationError,
    ConfigurationError,
    FileDownload,
    InternalServerError,
    NotFoundError,
    RetryPolicy,
    Session,
    Timeouts,
)
from handinger_async.http import Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .service import Service, truncated

BINARY = {"Content-Type": "application/octet-stream"}
DATA = bytes(range(256)) * 100


def file(*chunks: bytes, **headers: str) -> StreamingResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return StreamingResponse(200, BINARY | named, iter(chunks))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def download(session: Session) -> FileDownload:
    return session.workers.retrieve_file("dir/plan.md", worker_id="w")


def plan() -> StreamingResponse:
    return file(*(DATA[at : at + 1000] for at in range(0, len(DATA), 1000)), Content_Length=str(len(DATA)))


def test_reading_iterating_and_saving_give_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with Service(lambda request: plan()).session() as session:
            assert await download(session).read() == DATA
            async with download(session) as opened:
                assert opened.response.headers["content-length"] == str(len(DATA))
                assert b"".join([chunk async for chunk in opened]) == DATA
                assert [chunk async for chunk in opened] == []
            async with download(session) as opened:
                assert await opened.read() == DATA
            assert b"".join([chunk async for chunk in download(session)]) == DATA
            target = tmp_path / "plan.md"
            assert await download(session).save(target) == target
            assert target.read_bytes() == DATA
            assert await download(session).save(str(target)) == target

    run(main())


def test_read_returns_the_rest_after_iteration() -> None:
    async def main() -> None:
        async with Service(lambda request: plan()).session() as session, download(session) as opened:
            assert await anext(opened) == DATA[:1000]
            assert await opened.read() == DATA[1000:]
            assert await opened.read() == b""

    run(main())


@pytest.mark.parametrize("failure", [truncated(DATA[:1000]), None])
def test_truncated_file_is_an_error_and_keeps_the_old_file(failure: Any, tmp_path: Path) -> None:
    async def main() -> None:
        def respond(request: Any) -> StreamingResponse:
            chunks = truncated(DATA[:1000]) if failure else iter([DATA[:1000]])
            return StreamingResponse(200, BINARY | {"Content-Length": "2000"}, chunks)

        target = tmp_path / "plan.md"
        target.write_bytes(b"before")
        async with Service(respond).session() as session:
            for work in (download(session).save(target), download(session).read(), iterate(download(session))):
                with pytest.raises(APIConnectionError) as caught:
                    await work
                assert "GET /api/workers/w/files/dir/plan.md" in str(caught.value)
        assert target.read_bytes() == b"before"
        assert names(tmp_path) == ["plan.md"]

    run(main())


async def iterate(opened: FileDownload) -> None:
    async with opened:
        async for _ in opened:
            pass


def test_file_closed_by_another_task_is_an_error(tmp_path: Path) -> None:
    async def slow() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(1)

    async def main() -> None:
        async with Service(lambda request: StreamingResponse(200, BINARY, slow())).session() as session:
            for use in (iterate, FileDownload.read, lambda opened: opened.save(tmp_path / "f")):
                opened = download(session)
                if use is FileDownload.read:
                    await opened.__aenter__()
                using = asyncio.ensure_future(use(opened))
                await asyncio.sleep(3.5)
                await opened.aclose()
                with pytest.raises(APIConnectionError, match="closed"):
                    await using
        assert not names(tmp_path)

    run(main())


def test_file_that_was_partially_read_or_closed_cannot_be_saved(tmp_path: Path) -> None:
    async def main() -> None:
        async with Service(lambda request: plan()).session() as session:
            async with download(session) as opened:
                await anext(opened)
                with pytest.raises(ConfigurationError, match="read"):
                    await opened.save(tmp_path / "f")
            with pytest.raises(ConfigurationError):
                await opened.save(tmp_path / "f")
            with pytest.raises(APIConnectionError):
                await opened.read()
        assert not names(tmp_path)

    run(main())


def test_error_status_keeps_the_old_file(tmp_path: Path) -> None:
    async def main() -> None:
        target = tmp_path / "plan.md"
        target.write_bytes(b"before")
        async with Service(Response(404)).session() as session:
            with pytest.raises(NotFoundError):
                await download(session).save(target)
        assert target.read_bytes() == b"before"
        assert names(tmp_path) == ["plan.md"]

    run(main())


def test_unwritable_target_is_an_os_error_before_any_request(tmp_path: Path) -> None:
    async def main() -> None:
        service = Service(lambda request: plan())
        async with service.session() as session:
            with pytest.raises(FileNotFoundError):
                await download(session).save(tmp_path / "nowhere" / "plan.md")
            assert not service.requests
            (tmp_path / "folder").mkdir()
            with pytest.raises(OSError, match="folder"):
                await download(session).save(tmp_path / "folder")
        assert names(tmp_path) == ["folder"]

    run(main())


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    async def main() -> None:
        target = tmp_path / "plan.md"
        target.write_bytes(b"before")
        async with Service(lambda request: plan()).session() as session:
            with pytest.raises(OSError, match="No space"):
                await download(session).save(target)
        assert target.read_bytes() == b"before"
        assert names(tmp_path) == ["plan.md"]

    run(main())


def test_file_is_synced_before_it_replaces_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda path, target: (order.append("replace"), replace(path, target))[1])

    async def main() -> None:
        async with Service(lambda request: plan()).session() as session:
            await download(session).save(tmp_path / "f")

    run(main())
    assert order == ["fsync", "replace"]


def test_saved_file_has_default_permissions_and_follows_links(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "link").symlink_to(tmp_path / "target")
        async with Service(lambda request: plan()).session() as session:
            await download(session).save(tmp_path / "link")
        (tmp_path / "usual").touch()
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").read_bytes() == DATA
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("target", "usual")}
        assert len(modes) == 1

    run(main())


@pytest.mark.parametrize("opened", [False, True])
def test_file_over_the_size_limit_can_be_saved_but_not_read(opened: bool, tmp_path: Path) -> None:
    async def main() -> None:
        async with Service(lambda request: plan()).session(max_body_size=10_000) as session:
            wanted = download(session)
            if opened:
                await wanted.__aenter__()
            with pytest.raises(APIResponseValidationError, match="max_body_size"):
                await wanted.read()
            await download(session).save(tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == DATA

    run(main())


def test_file_name_from_the_server_is_ignored(tmp_path: Path) -> None:
    async def main() -> None:
        name = {"Content_Disposition": 'attachment; filename="../../evil"'}
        async with Service(lambda request: file(b"x", **name)).session() as session:
            await download(session).save(tmp_path / "f")
        assert names(tmp_path) == ["f"]

    run(main())


async def slow(gate: asyncio.Event) -> AsyncIterator[bytes]:
    yield DATA[:1000]
    await gate.wait()
    yield DATA[1000:]


@pytest.mark.parametrize("second", [FileDownload.read, FileDownload.__anext__])
@pytest.mark.parametrize("first", [FileDownload.read, "save", "iterate"])
def test_second_reader_of_a_file_is_refused(first: Any, second: Any, tmp_path: Path) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        service = Service(lambda request: StreamingResponse(200, BINARY, slow(gate)))

        async def read_all(opened: FileDownload) -> bytes:
            if first == "save":
                return (await opened.save(tmp_path / "plan.md")).read_bytes()
            return await first(opened) if callable(first) else b"".join([chunk async for chunk in opened])

        async with service.session() as session:
            opened = download(session)
            reading = asyncio.create_task(read_all(opened))
            await asyncio.sleep(1)
            with pytest.raises(ConfigurationError, match="already being read by another task"):
                await second(opened)
            gate.set()
            assert await reading == DATA
        assert len(service.requests) == 1

    run(main())


def test_interrupted_read_starts_again_and_has_one_retry_budget() -> None:
    async def main() -> None:
        attempts: list[Any] = []
        service = Service(file(DATA[:500], Content_Length=str(len(DATA))), Response(503), lambda request: plan())
        async with service.session(observe=attempts.append) as session:
            assert await download(session).read() == DATA
        assert [(attempt.number, attempt.status) for attempt in attempts] == [(1, 200), (2, 503), (3, 200)]

        service = Service(file(DATA[:500], Content_Length=str(len(DATA))), Response(503))
        async with service.session(retry=RetryPolicy(max_retries=2)) as session:
            with pytest.raises(InternalServerError, match="3 attempts"):
                await download(session).read()
        assert len(service.requests) == 3

    run(main())


def test_second_read_has_a_deadline_and_retries_of_its_own() -> None:
    async def main() -> None:
        service = Service(Response(503), lambda request: plan(), Response(503), lambda request: plan())
        async with service.session(timeouts=Timeouts(deadline=60), retry=RetryPolicy(max_retries=1)) as session:
            opened = download(session)
            assert await opened.read() == DATA
            await asyncio.sleep(100)
            assert await opened.read() == DATA

    run(main())
