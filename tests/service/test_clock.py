"""The service's clock follows event loops, or the machine's clock without one."""

import asyncio
from types import SimpleNamespace

from handinger_async import DelayedWhen, Session
from handinger_async.codec import decode_response
from handinger_async.http import Request
from handinger_async.operations import CreateTask, CreateWorker, CreateWorkerTemplate, UpdateWebhook
from handinger_async.testing import FakeHandinger
from handinger_async.testing._service import clock
from handinger_async.testing.virtual_time import VirtualTimeLoop, run
from handinger_async.transports.memory import MemoryTransport

CREATE = Request("POST", "/api/workers", {"Authorization": "Bearer k"}, b'{"input":"x"}')


def set_machine_clock(monkeypatch, seconds):
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: seconds))


def test_the_service_responds_outside_an_event_loop_too(monkeypatch):
    set_machine_clock(monkeypatch, 100.0)
    assert decode_response(CreateWorker(input="x"), FakeHandinger()(CREATE)).status == "pending"


def test_the_clock_continues_in_another_event_loop():
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


def test_the_clock_stands_still_outside_the_event_loop():
    fake = FakeHandinger()

    async def create():
        async with Session(api_key="k", transport=MemoryTransport(fake)) as session:
            return await session.workers.create(input="x")

    worker = run(create())
    assert fake.workers == {worker.id: worker}


def test_without_any_event_loop_the_clock_is_the_machine_s(monkeypatch):
    fake = FakeHandinger()
    set_machine_clock(monkeypatch, 100.0)
    worker = decode_response(CreateWorker(input="x"), fake(CREATE))
    set_machine_clock(monkeypatch, 110.0)
    assert fake.workers[worker.id].status == "completed"


def test_deliveries_go_on_in_another_event_loop():
    received = []
    fake = FakeHandinger(deliver=received.append)

    async def create_worker():
        async with fake.session() as session:
            worker = await session.send(CreateWorkerTemplate())
            await session.send(UpdateWebhook(worker.id, url="https://example.com/"))
            return worker.id

    async def work(worker_id):
        async with fake.session() as session:
            await session.workers.schedules.create(worker_id, input="y", when=DelayedWhen(delay_in_seconds=9999))
            await session.send(CreateTask(input="x", worker_id=worker_id))
            await asyncio.sleep(0.001)

    worker_id = run(create_worker())
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as one, asyncio.Runner(loop_factory=VirtualTimeLoop) as two:
        for count, runner in enumerate((one, two), 1):  # the first loop stands still meanwhile, and is not closed
            runner.run(work(worker_id))
            assert len(received) == count
