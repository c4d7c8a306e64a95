"""Files: read or iterated over, completely or with an error."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    APIResponseValidationError,
    FileDownload,
    InternalServerError,
    RetryPolicy,
    Timeouts,
)
from handinger_async._asyncio import downloads
from handinger_async.http import Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .files import BINARY, DATA, download, file, iterate, names, plan
from .service import Service, truncated


def test_reading_iterating_and_saving_give_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with Service(lambda request: plan()).session() as session:
            assert await download(session).read() == DATA
            async with download(session) as opened:
                assert opened.response.headers["content-length"] == str(len(DATA))
                assert b"".join([chunk async for chunk in opened]) == DATA
                with pytest.raises(StopAsyncIteration):
                    await anext(opened)
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

    run(main())


@pytest.mark.parametrize("failure", [truncated(DATA[:1000]), None])
def test_truncated_file_is_an_error_and_keeps_the_old_file(failure: Any, tmp_path: Path) -> None:
    async def main() -> None:
        def respond(request: Any) -> StreamingResponse:
            chunks = truncated(DATA[:1000]) if failure else iter([DATA[:1000]])
            return StreamingResponse(200, BINARY | {"Content-Length": "2000"}, chunks)

        await each_use_fails(Service(respond), tmp_path, "GET /api/workers/w/files/dir/plan.md")

    run(main())


async def each_use_fails(service: Service, folder: Path, message: str, error: Any = APIConnectionError) -> None:
    """Check that reading, iterating and saving fail, and that an old file stays."""
    target = folder / "plan.md"
    target.write_bytes(b"before")
    async with service.session() as session:
        for use in (FileDownload.read, iterate, lambda opened: opened.save(target)):
            with pytest.raises(error, match=message):
                await use(download(session))
    assert target.read_bytes() == b"before"
    assert names(folder) == ["plan.md"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Length": "1001"},
        {"Content_Length": "0"},
        {"Content_Length": "999"},
        {"Content_Length": "1001", "Content_Encoding": "identity"},
        {"Content_Length": "1001", "Content_Encoding": " Identity"},
        {"Content_Length": "1001", "Content_Encoding": ""},
        {"Content_Length": "1001", "Content_Encoding": "none"},
        {"Content_Length": "1" * 5000},
    ],
)
def test_file_of_another_length_than_its_content_length_is_refused(headers: Any, tmp_path: Path) -> None:
    service = Service(lambda request: file(DATA[:500], DATA[500:1000], **headers))
    run(each_use_fails(service, tmp_path, "the file ended after 1000 bytes instead of"))


@pytest.mark.parametrize(
    "headers",
    [{"Content_Length": "0001000"}, {"Content_Length": "x"}, {"Content_Length": "5", "Content_Encoding": "gzip"}],
)
def test_length_of_something_else_than_the_file_is_ignored(headers: Any) -> None:
    async def main() -> None:
        async with Service(lambda request: file(DATA[:1000], **headers)).session() as session:
            assert await download(session).read() == DATA[:1000]

    run(main())


def test_partial_response_that_was_not_asked_for_is_not_the_file(tmp_path: Path) -> None:
    async def main() -> None:
        part = {"Content_Range": "bytes 0-999/1000", "Content_Length": "1000"}
        service = Service(lambda request: file(DATA[:1000], status=206, **part))
        await each_use_fails(
            service, tmp_path, "part of the response.*GET /api.*status 206", APIResponseValidationError
        )
        assert len(service.requests) == 3
        async with service.session() as session:
            opened = download(session)
            with pytest.raises(APIResponseValidationError, match="part of the response"):
                await opened.__aenter__()
            assert "closed" in repr(opened)  # and so need not be closed

    run(main())


@pytest.mark.parametrize("status", [202, 204, 205])
def test_response_without_a_file_is_not_an_empty_file(status: int, tmp_path: Path) -> None:
    async def main() -> None:
        service = Service(lambda request: file(status=status))
        await each_use_fails(service, tmp_path, f"no file: {status} .*GET /api", APIResponseValidationError)
        assert len(service.requests) == 3

    run(main())


def test_file_can_be_iterated_over_after_it_was_read_unopened() -> None:
    async def main() -> None:
        async with Service(lambda request: file(DATA[:1000])).session() as session:
            opened = download(session)
            assert await opened.read() == DATA[:1000]
            assert b"".join([chunk async for chunk in opened]) == DATA[:1000]

    run(main())


def test_partial_response_is_the_file_of_a_caller_who_asks_for_a_range(tmp_path: Path) -> None:
    async def main() -> None:
        async with Service(lambda request: file(b"part", status=206)).session(
            headers={"Range": "bytes=0-3"}
        ) as session:
            assert await download(session).read() == b"part"
            assert await iterate(download(session)) == b"part"
            assert (await download(session).save(tmp_path / "f")).read_bytes() == b"part"

    run(main())


def test_bug_in_a_transport_closes_the_file() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x"
        raise RuntimeError("bug")

    async def main() -> None:
        async with Service(StreamingResponse(200, BINARY, chunks())).session() as session:
            opened = download(session)
            assert await anext(opened) == b"x"
            with pytest.raises(RuntimeError, match="bug"):
                await anext(opened)
            assert "closed" in repr(opened)

    run(main())


def test_file_of_exactly_the_size_limit_can_be_read() -> None:
    async def main() -> None:
        async with Service(lambda request: plan()).session(max_body_size=len(DATA)) as session:
            assert await download(session).read() == DATA

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


def test_large_file_is_joined_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = []
    to_thread = asyncio.to_thread

    async def spy(function: Any, *args: Any) -> Any:
        joined.append(args)
        return await to_thread(function, *args)

    async def main() -> None:
        monkeypatch.setattr(asyncio, "to_thread", spy)
        monkeypatch.setattr(downloads, "_LARGE", 1000)
        service = Service(file(DATA[:500], DATA[500:1000]), file(DATA[:999]))
        async with service.session() as session:
            assert await download(session).read() == DATA[:1000]
            assert await download(session).read() == DATA[:999]

    run(main())
    assert joined == [([DATA[:500], DATA[500:1000]],)]
