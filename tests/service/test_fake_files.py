"""Files of the in-memory service: publishing, versions, ranges and validators."""

import asyncio

import pytest

from handinger_async import ConfigurationError, NotFoundError
from handinger_async.http import Request
from handinger_async.testing.scripts import Step

pytestmark = pytest.mark.usefixtures("virtual_time")


async def test_a_file_exists_from_the_moment_it_is_published(handinger, fake_handinger):
    worker = await handinger.workers.create(input="x")
    with pytest.raises(NotFoundError):
        await handinger.workers.retrieve_file("scratchpad/plan.md", worker_id=worker.id).read()
    await asyncio.sleep(2)
    plan = await handinger.workers.retrieve_file("scratchpad/plan.md", worker_id=worker.id).read()
    assert plan.startswith(b"# Plan")
    fake_handinger.publish(worker.id, "a b/é.bin", b"\x00\xff")
    assert await handinger.workers.retrieve_file("a b/é.bin", worker_id=worker.id).read() == b"\x00\xff"
    shown = {file.filename: file for file in (await handinger.workers.retrieve(worker.id)).files}
    assert shown["a b/é.bin"].media_type == "application/octet-stream"
    assert shown["scratchpad/plan.md"].media_type == "text/markdown"
    assert shown["a b/é.bin"].url.endswith(f"/api/workers/{worker.id}/files/a%20b/%C3%A9.bin")


async def test_a_new_version_of_a_file_replaces_the_old_one(handinger, fake_handinger):
    worker = await handinger.workers.create(input="x")
    for version in (b"one", b"two"):
        fake_handinger.publish(worker.id, "f", version, media_type="text/odd")
        assert await handinger.workers.retrieve_file("f", worker_id=worker.id).read() == version
    assert [file.media_type for file in (await handinger.workers.retrieve(worker.id)).files] == ["text/odd"]


async def test_publishing_for_no_worker_or_at_a_bad_path_is_an_error(handinger, fake_handinger):
    worker = await handinger.workers.create(input="x")
    with pytest.raises(ConfigurationError, match="no worker"):
        fake_handinger.publish("nobody", "f", b"")
    with pytest.raises(ConfigurationError):
        fake_handinger.publish(worker.id, "../f", b"")


@pytest.mark.parametrize(
    ("headers", "status", "body", "content_range"),
    [
        ({}, 200, b"0123456789", None),
        ({"Range": "bytes=2-4"}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=7-"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=-3"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=-30"}, 206, b"0123456789", "bytes 0-9/10"),
        ({"Range": "bytes=2-99"}, 206, b"23456789", "bytes 2-9/10"),
        ({"Range": "bytes=10-"}, 416, None, "bytes */10"),
        ({"Range": "bytes=-0"}, 416, None, "bytes */10"),
        ({"Range": "bytes=0-1,3-4"}, 200, b"0123456789", None),
        ({"Range": "bytes=-"}, 200, b"0123456789", None),
        ({"Range": "lines=1-2"}, 200, b"0123456789", None),
        ({"Range": "bytes=2-4", "If-Range": "ETAG"}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=2-4", "If-Range": '"other"'}, 200, b"0123456789", None),
        ({"If-None-Match": 'W/"x", ETAG'}, 304, b"", None),
        ({"If-None-Match": '"other"'}, 200, b"0123456789", None),
    ],
)
async def test_ranges_and_validators_of_a_file(handinger, fake_handinger, headers, status, body, content_range):
    worker = await handinger.workers.create(input="x")
    fake_handinger.publish(worker.id, "f", b"0123456789")
    target = f"/api/workers/{worker.id}/files/f"
    whole = fake_handinger(Request("GET", target, {"Authorization": "Bearer k"}))
    assert whole.headers["accept-ranges"] == "bytes"
    headers = {name: value.replace("ETAG", whole.headers["etag"]) for name, value in headers.items()}
    response = fake_handinger(Request("GET", target, {"Authorization": "Bearer k", **headers}))
    assert response.status == status
    assert body is None or response.body == body
    assert response.headers.get("content-range") == content_range


@pytest.mark.parametrize("moment", [0, 10])
async def test_a_published_file_is_not_replaced_by_what_the_service_makes_up(handinger, fake_handinger, moment):
    worker = await handinger.workers.create(input="x")
    await asyncio.sleep(moment)
    fake_handinger.publish(worker.id, "scratchpad/plan.md", b"mine")
    await handinger.workers.continue_(worker.id, input="y")
    await asyncio.sleep(10)
    assert await handinger.workers.retrieve_file("scratchpad/plan.md", worker_id=worker.id).read() == b"mine"
    fake_handinger.script(Step(files={"scratchpad/plan.md": b"scripted"}))
    await handinger.workers.continue_(worker.id, input="z")
    await asyncio.sleep(10)
    assert await handinger.workers.retrieve_file("scratchpad/plan.md", worker_id=worker.id).read() == b"scripted"
