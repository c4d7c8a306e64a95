"""All files of a worker, saved in a directory."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from handinger_async import APIConnectionError, ConfigurationError, NotFoundError, RetryPolicy, Session, Worker
from handinger_async.http import Request, Response
from handinger_async.testing import FakeHandinger
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .files import file, names
from .service import WORKER, Service, json_response


def published(*files: dict[str, Any]) -> dict[str, Any]:
    return {**WORKER, "files": [{"mediaType": "text/plain", **file} for file in files]}


def downloads(worker: dict[str, Any], respond: Any = lambda request: file(request.path.encode())) -> Service:
    """Return a service with a worker and its files."""

    def handle(request: Request) -> Any:
        return json_response(worker) if request.path == "/api/workers/w" else respond(request)

    return Service(handle)


def save(service: Service, directory: Any, **options: Any) -> list[Path]:
    async def main() -> list[Path]:
        async with service.session(retry=RetryPolicy(max_retries=0)) as session:
            return await session.workers.download_files("w", directory, **options)

    return run(main())


def test_files_are_saved_under_plain_names_in_their_order(tmp_path: Path) -> None:
    service = downloads(
        published(
            {"url": "/files/1", "filename": "scratchpad/plan.md"},
            {"url": "/files/2", "filename": "../../plan.md"},
            {"url": "/files/dir/PLAN.md?x=1"},
            {"url": "/files/4", "filename": "con"},
            {"url": "/files/5", "filename": "plan (2).md"},
        )
    )
    paths = save(service, tmp_path)
    assert [path.name for path in paths] == ["plan.md", "plan (2).md", "PLAN (3).md", "_con", "plan (2) (2).md"]
    contents = [b"/files/1", b"/files/2", b"/files/dir/PLAN.md", b"/files/4", b"/files/5"]
    assert [path.read_bytes() for path in paths] == contents
    assert len(names(tmp_path)) == 5


def test_file_that_ends_before_its_published_size_is_truncated(tmp_path: Path) -> None:
    service = downloads(
        published({"url": "/1", "filename": "a", "size": 5}), lambda request: StreamingResponse(200, {}, [b"abc"])
    )
    with pytest.raises(ExceptionGroup) as caught:
        save(service, tmp_path)
    assert "after 3 bytes instead of 5" in str(caught.value.exceptions[0])
    assert names(tmp_path) == []
    service = downloads(
        published({"url": "/1", "filename": "a", "size": 3}), lambda request: StreamingResponse(200, {}, [b"abc"])
    )
    assert [path.read_bytes() for path in save(service, tmp_path)] == [b"abc"]


def test_name_of_the_response_does_not_matter(tmp_path: Path) -> None:
    service = downloads(
        published({"url": "/1", "filename": "a"}, {"url": "/2", "filename": "b"}),
        lambda request: file(b"x", Content_Disposition='; filename="same"'),
    )
    save(service, str(tmp_path))
    assert names(tmp_path) == ["a", "b"]


def test_second_download_replaces_the_files_of_the_first_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "folder" / "b").symlink_to(tmp_path / "secret")
    service = downloads(published({"url": "/1", "filename": "a"}, {"url": "/2", "filename": "b"}))
    for _ in range(2):
        assert [path.read_bytes() for path in save(service, tmp_path / "folder")] == [b"/1", b"/2"]
    assert names(tmp_path / "folder") == ["a", "b"]
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_failed_files_leave_the_others_and_are_raised_together(tmp_path: Path) -> None:
    def respond(request: Request) -> Any:
        if request.path == "/2":
            return Response(404)
        return APIConnectionError("lost") if request.path == "/4" else file(b"x")

    def handle(request: Request) -> Any:
        result = json_response(worker) if request.path == "/api/workers/w" else respond(request)
        if isinstance(result, Exception):
            raise result
        return result

    worker = published(
        {"url": "/1", "filename": "a"},
        {"url": "/2", "filename": "b\nb"},
        {"url": "file:///etc/passwd", "filename": "c"},
        {"url": "/4"},
        {"url": "/5", "filename": "d"},
        {"url": "/6", "filename": "e"},
    )
    (tmp_path / "d").mkdir()
    with pytest.raises(ExceptionGroup, match="4 of 6 files could not be saved") as caught:
        save(Service(handle), tmp_path)
    kinds = [type(error) for error in caught.value.exceptions]
    assert kinds == [NotFoundError, ConfigurationError, APIConnectionError, IsADirectoryError]
    assert caught.value.exceptions[0].__notes__ == [r"while saving 'b\nb' as 'b_b'"]
    assert names(tmp_path) == ["a", "d", "e"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_files_than_asked_for_are_downloaded_at_a_time(concurrency: int, tmp_path: Path) -> None:
    active, most = 0, 0

    async def respond(request: Request) -> Any:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(1)
        active -= 1
        return file(b"x")

    service = downloads(published(*({"url": f"/{number}"} for number in range(7))), respond)
    save(service, tmp_path, concurrency=concurrency)
    assert most == concurrency
    assert len(names(tmp_path)) == 7


def test_progress_is_that_of_all_files(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    service = downloads(
        published({"url": "/1"}, {"url": "/2", "size": 2}),
        lambda request: file(b"abc", b"d", Content_Length="4") if request.path == "/1" else file(b"xy"),
    )
    save(service, tmp_path, concurrency=1, progress=lambda *args: calls.append(args))
    assert calls == [(0, 6), (3, 6), (4, 6), (4, 6), (6, 6)]


def test_total_is_none_as_long_as_a_size_is_not_known(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    service = downloads(
        published({"url": "/1", "size": 1}, {"url": "/2"}), lambda request: file(b"x", Content_Length="1")
    )
    save(service, tmp_path, concurrency=1, progress=lambda *args: calls.append(args))
    assert calls == [(0, None), (1, None), (1, 2), (2, 2)]


def test_cancellation_leaves_no_parts(tmp_path: Path) -> None:
    async def respond(request: Request) -> Any:
        if request.path != "/1":
            await asyncio.sleep(1000)
        return file(b"x")

    async def main() -> None:
        async with downloads(published({"url": "/1"}, {"url": "/2"}, {"url": "/3"}), respond).session() as session:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.workers.download_files("w", tmp_path), 10)

    run(main())
    assert names(tmp_path) == ["1"]


@pytest.mark.parametrize("kind", [FileNotFoundError, NotADirectoryError])
def test_missing_directory_is_refused_before_any_request(kind: type[OSError], tmp_path: Path) -> None:
    if kind is NotADirectoryError:
        (tmp_path / "out").touch()
    service = downloads(published({"url": "/1"}))
    with pytest.raises(kind):
        save(service, tmp_path / "out")
    assert not service.requests


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("w", "d"), {"concurrency": 0}),
        (("w", "d"), {"concurrency": True}),
        (("w", "d"), {"progress": 1}),
        (("", "d"), {}),
        ((None, "d"), {}),
        (("w", ""), {}),
        (("w", b"d"), {}),
        (("w", None), {}),
    ],
)
def test_malformed_argument_is_a_configuration_error_at_once(arguments: Any, options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Session(api_key="k").workers.download_files(*arguments, **options)


def test_files_of_a_worker_at_hand_are_saved_without_retrieving_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with FakeHandinger().session() as session:
            worker: Worker = await session.workers.run(input="Write a plan.")
            paths = await session.workers.download_files(worker, tmp_path)
            assert len(paths) == len(worker.files) > 0
            other = await session.workers.download_files(worker.id, tmp_path)
            assert other == paths
            assert await session.download(worker.files[0]).read() == await asyncio.to_thread(paths[0].read_bytes)

    run(main())


def test_worker_without_files_has_no_paths(tmp_path: Path) -> None:
    assert save(downloads(published()), tmp_path) == []
