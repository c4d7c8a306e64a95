"""Files read twice, by two tasks, or while they are closed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    ConfigurationError,
    FileDownload,
    RetryPolicy,
)
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .files import BINARY, DATA, download, file, iterate, names, plan
from .service import Service, now

USES = {
    "read": FileDownload.read,
    "iterate": iterate,
    "save": lambda opened: opened.save("again"),
}


@pytest.mark.parametrize("second", USES)
@pytest.mark.parametrize("first", USES)
@pytest.mark.parametrize("data", [DATA, b""])
def test_file_that_was_read_to_its_end_cannot_be_read_again(
    data: bytes, first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        service = Service(lambda request: file(data))
        async with service.session() as session, download(session) as opened:
            await USES[first](opened)
            with pytest.raises(ConfigurationError, match=r"already|read to its end"):
                await USES[second](opened)
        assert len(service.requests) == 1

    run(main())


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


@pytest.mark.parametrize("moment", [3, 8, 15], ids=["connecting", "waiting for a chunk", "in the delay of a retry"])
def test_closing_a_file_ends_its_read_at_once(moment: float) -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        yield DATA[:1000]
        await asyncio.sleep(5)
        raise APIConnectionError("lost")

    async def main() -> None:
        service = Service(5, StreamingResponse(200, BINARY, interrupted()), lambda request: plan())
        async with service.session(retry=RetryPolicy(initial_delay=60, max_delay=60)) as session:
            opened = download(session)
            reading = asyncio.create_task(opened.read())
            await asyncio.sleep(moment)
            await opened.aclose()
            with pytest.raises(APIConnectionError, match="closed before its end"):
                await reading
            assert now() == moment
        assert len(service.requests) == 1

    run(main())


@pytest.mark.parametrize("use", USES.values())
def test_file_that_was_closed_unopened_sends_nothing(use: Any) -> None:
    async def main() -> None:
        service = Service(lambda request: plan())
        async with service.session() as session:
            closed = download(session)
            await closed.aclose()
            with pytest.raises((APIConnectionError, ConfigurationError), match="closed"):
                await use(closed)
        assert not service.requests

    run(main())


def test_second_reader_is_refused_while_an_interrupted_body_is_closed() -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        try:
            yield DATA[:1000]
            raise APIConnectionError("lost")
        finally:
            await asyncio.sleep(10)

    async def main() -> None:
        service = Service(StreamingResponse(200, BINARY, interrupted()), lambda request: plan())
        async with service.session() as session:
            opened = download(session)
            reading = asyncio.create_task(opened.read())
            await asyncio.sleep(5)
            with pytest.raises(ConfigurationError, match="another task"):
                await anext(opened)
            assert await reading == DATA

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


async def slow(gate: asyncio.Event) -> AsyncIterator[bytes]:
    yield DATA[:1000]
    await gate.wait()
    yield DATA[1000:]


@pytest.mark.parametrize("second", [*USES.values(), FileDownload.__anext__, FileDownload.__aenter__])
@pytest.mark.parametrize("first", USES)
def test_second_reader_of_a_file_is_refused(
    first: str, second: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        gate = asyncio.Event()
        service = Service(5, lambda request: StreamingResponse(200, BINARY, slow(gate)))
        async with service.session() as session:
            opened = download(session)
            reading = asyncio.create_task(USES[first](opened))
            for _ in ("connecting", "waiting for a chunk"):
                await asyncio.sleep(3)
                with pytest.raises(ConfigurationError, match="already being read by another task"):
                    await second(opened)
            gate.set()
            read = await reading
            assert (read.read_bytes() if isinstance(read, Path) else read) == DATA
        assert len(service.requests) == 1
        assert names(tmp_path) == (["again"] if first == "save" else [])

    run(main())
