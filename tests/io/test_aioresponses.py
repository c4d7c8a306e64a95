"""aioresponses, a mock for aiohttp, keeps working with the aiohttp transport."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses

from handinger_async import APIConnectionError, APITimeoutError, NotFoundError, RetryPolicy, Session
from handinger_async.transports.aiohttp import AiohttpTransport

from .. import run_readme
from .service import WORKER

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "aioresponses.rst"
WORKERS = "https://handinger.com/api/workers"

Mocked = partial(aiohttp.ClientResponse, stream_writer=SimpleNamespace(output_size=0))


@pytest.fixture
async def session() -> Any:
    async with Session(api_key="key", retry=RetryPolicy(max_retries=1, initial_delay=0)) as session:
        yield session


async def test_guide_works_as_written() -> None:
    await run_readme.run(GUIDE.read_text(encoding="utf-8"), GUIDE.name)


async def test_mock_sees_headers_and_body(session: Session) -> None:
    with aioresponses() as mocked:
        mocked.post(WORKERS, payload=WORKER, response_class=Mocked)
        assert (await session.workers.create(input="x")).id == "id"
        ((_, (call,)),) = mocked.requests.items()
    assert call.kwargs["headers"]["authorization"] == "Bearer key"
    assert call.kwargs["data"].read() == b'{"input":"x"}'


async def test_mocked_errors_are_raised_and_retried(session: Session) -> None:
    with aioresponses() as mocked:
        mocked.get(f"{WORKERS}/w", status=503, response_class=Mocked)
        mocked.get(f"{WORKERS}/w", status=404, payload={"message": "gone"}, response_class=Mocked)
        with pytest.raises(NotFoundError, match="gone"):
            await session.workers.retrieve("w")
        mocked.post(WORKERS, exception=aiohttp.ServerDisconnectedError())
        with pytest.raises(APIConnectionError, match="disconnected"):
            await session.workers.create(input="x")
        mocked.post(WORKERS, timeout=True)
        with pytest.raises(APITimeoutError):
            await session.workers.create(input="x")
        mocked.post(WORKERS, exception=aiohttp.ConnectionTimeoutError())
        mocked.post(WORKERS, payload=WORKER, response_class=Mocked)
        await session.workers.create(input="x")


async def test_mock_works_with_files_and_a_given_session() -> None:
    async with aiohttp.ClientSession() as own, Session(api_key="key", transport=AiohttpTransport(own)) as session:
        with aioresponses() as mocked:
            mocked.get(f"{WORKERS}/w/files/a/b.txt", body=b"text", response_class=Mocked)
            assert await session.workers.retrieve_file("a/b.txt", worker_id="w").read() == b"text"


async def test_mock_without_the_argument_fails_as_the_guide_says(session: Session) -> None:
    """When this no longer holds, the guide can be shortened."""
    with aioresponses() as mocked:
        mocked.get(f"{WORKERS}/w", payload=WORKER)
        with pytest.raises(TypeError, match="stream_writer"):
            await session.workers.retrieve("w")
