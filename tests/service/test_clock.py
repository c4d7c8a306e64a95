"""The service's time is that of whatever loop asks it, or of none."""

import asyncio

from handinger_async import Session
from handinger_async.codec import decode_response
from handinger_async.http import Request
from handinger_async.operations import CreateWorker
from handinger_async.testing import FakeHandinger
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import MemoryTransport


def test_it_answers_outside_of_an_event_loop_too():
    fake = FakeHandinger()
    request = Request("POST", "/api/workers", {"Authorization": "Bearer k"}, b'{"input":"x"}')
    assert decode_response(CreateWorker(input="x"), fake(request)).status == "pending"


def test_its_time_goes_on_in_another_loop():
    fake = FakeHandinger()

    async def create():
        async with Session(api_key="k", transport=MemoryTransport(fake)) as session:
            await asyncio.sleep(10)
            return await session.workers.create(input="x")

    async def retrieve(worker):
        async with Session(api_key="k", transport=MemoryTransport(fake)) as session:
            first = await session.workers.retrieve(worker.id)
            await asyncio.sleep(5)
            return first, await session.workers.retrieve(worker.id)

    worker = run(create())
    first, last = run(retrieve(worker))
    assert (first.status, last.status) == ("pending", "completed")


def test_its_time_stands_still_outside_of_the_loop():
    fake = FakeHandinger()

    async def create():
        async with Session(api_key="k", transport=MemoryTransport(fake)) as session:
            return await session.workers.create(input="x")

    worker = run(create())
    assert fake.workers == {worker.id: worker}


def test_without_any_loop_its_time_is_the_machine_s(monkeypatch):
    fake = FakeHandinger()
    create = Request("POST", "/api/workers", {"Authorization": "Bearer k"}, b'{"input":"x"}')
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    worker = decode_response(CreateWorker(input="x"), fake(create))
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    assert fake.workers[worker.id].status == "completed"
