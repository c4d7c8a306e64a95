"""VCR.py records a session without its credentials, also where they are not filtered."""

import vcr
import yaml

from handinger_async import Session
from handinger_async.http import Secret
from handinger_async.testing import FakeHandinger, Step, serve
from handinger_async.testing.pytest_plugin import pytest_configure

KEY = "sk-secret-key"


async def test_a_cassette_replays_a_session_and_masks_its_key(tmp_path, pytestconfig):
    async def talk():
        async with Session(api_key=KEY, base_url=url) as session:
            worker = await session.workers.create(input="x")
            async with session.workers.stream_updates(worker.id) as events:
                ids = [event.id async for event in events]
            return worker, ids, await session.workers.retrieve_file("a.bin", worker_id=worker.id).read()

    pytest_configure(pytestconfig)
    path = tmp_path / "cassette.yaml"
    fake = FakeHandinger()
    fake.script(Step("a", after=0, files={"a.bin": bytes(range(256))}))
    async with serve(fake) as url:
        with vcr.use_cassette(str(path)):
            recorded = await talk()
    with vcr.use_cassette(str(path), record_mode="none"):
        assert await talk() == recorded
    assert recorded[1:] == (["1", "2"], bytes(range(256)))
    assert KEY not in path.read_text()
    assert "'***'" in path.read_text()
    assert "sk" not in yaml.dump({"key": Secret(KEY)})


async def test_a_cassette_replays_an_upload_of_any_bytes(tmp_path):
    async def talk():
        async with Session(api_key=KEY, base_url=url) as session:
            files = [("a.bin", bytes(range(256))), ("b.txt", b"text")]
            return await session.tasks.create(input="x", task_id="tsk_1", files=files)

    path = tmp_path / "cassette.yaml"
    cassettes = vcr.VCR(filter_headers=["authorization"])
    async with serve(FakeHandinger(api="today")) as url:
        with cassettes.use_cassette(str(path)):
            recorded = await talk()
    with cassettes.use_cassette(str(path), record_mode="none"):
        assert await talk() == recorded
