"""The official client runs each of its operations against the local server.

It needs the official client, which only two tox environments install: "coverage" and "interop".
"""

import asyncio
from datetime import UTC, datetime

import pytest

official = pytest.importorskip("handinger", reason="the official client is not installed: tox -e interop")

from handinger_async.codec import decode_request  # noqa: E402
from handinger_async.operations import (  # noqa: E402
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateWorker,
    ListSchedules,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from handinger_async.testing.faults import Cut, Status  # noqa: E402

from .served import ServedFake  # noqa: E402

#: Those of the older generation, which this version of the client is made for.
OPERATIONS = {
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateWorker,
    ListSchedules,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
}


@pytest.fixture
def served():
    with ServedFake() as served:
        yield served


def test_official_client_runs_every_operation(served):
    workers = served.client.workers
    worker = workers.create(input="What's the weather today in Barcelona?", budget="low")
    assert worker.status == "pending"
    updates = list(workers.stream_updates(worker.id))
    assert len(updates) == 6
    done = workers.retrieve(worker.id)
    assert (done.status, done.running, done.object) == ("completed", False, "worker")
    assert "Barcelona" in done.output_text
    assert done.output[0].content[0].text == done.output_text
    assert done.usage.total_tokens > 0
    assert done.costs.internal_cost_usd > 0
    assert done.files[0].filename == "scratchpad/plan.md"
    assert workers.retrieve_file("scratchpad/plan.md", worker_id=worker.id).read().startswith(b"# Plan")
    assert "@" in workers.retrieve_email(worker.id)
    assert workers.continue_(worker.id, input="And tomorrow?").status == "pending"
    assert "tomorrow" in served.completed(worker.id).output_text
    whens = [
        {"date": datetime(2030, 1, 1, tzinfo=UTC), "type": "scheduled"},
        {"delay_in_seconds": 3600, "type": "delayed"},
        {"cron": "0 9 * * *", "type": "cron"},
        {"interval_seconds": 3600, "type": "interval"},
    ]
    made = [workers.schedules.create(worker.id, input="again", when=when, budget="high") for when in whens]
    assert made[0].next_run_at == datetime(2030, 1, 1, tzinfo=UTC)
    listed = workers.schedules.list(worker.id)
    assert [schedule.id for schedule in listed.schedules] == [schedule.id for schedule in made]
    assert workers.schedules.cancel(made[0].id, worker_id=worker.id).cancelled
    assert len(workers.schedules.list(worker.id).schedules) == 3
    sent = [decode_request(request) for request in served.fake.requests]
    assert {type(operation) for operation in sent} == OPERATIONS


def test_official_client_reads_streams_of_create_and_retrieve(served):
    text = served.client.workers.create(input="x", stream=True)
    assert str(text).count("data: ") == 6
    assert served.fake.requests[-1].body == b'{"input":"x","stream":true}'
    (worker_id,) = served.fake.workers
    assert str(served.client.workers.retrieve(worker_id, stream=True)).count("data: ") == 6
    assert decode_request(served.fake.requests[-1]) == RetrieveWorker(worker_id=worker_id, stream=True)


def test_official_async_client_streams_updates(served):
    async def main():
        async with official.AsyncHandinger(api_key="key", base_url=str(served.client.base_url)) as client:
            worker = await client.workers.create(input="x")
            return [update async for update in await client.workers.stream_updates(worker.id)]

    assert len(asyncio.run(main())) == 6


def test_errors_raise_the_exceptions_of_the_official_client(served):
    with pytest.raises(official.NotFoundError) as failure:
        served.client.workers.retrieve("nobody")
    assert failure.value.body["error"]["code"] == "not_found"
    with pytest.raises(official.UnprocessableEntityError):
        served.client.workers.create(input="x", budget="odd")
    with pytest.raises(official.AuthenticationError):
        served.client.with_options(api_key="wrong").workers.create(input="x")


def test_retries_of_the_official_client_are_recorded():
    with ServedFake(Status(503, retry_after=0.01, times=2)) as served:
        assert served.client.workers.create(input="x").status == "pending"
        assert [type(fault) for _, fault in served.handler.injected] == [Status, Status]


def test_truncated_create_makes_the_official_client_create_thrice():
    with ServedFake(Cut(100, on=CreateWorker, times=None)) as served:
        with pytest.raises(official.APIConnectionError):
            served.client.workers.create(input="x")
        assert len(served.fake.workers) == 3
