"""Tasks of the in-memory service: blocking creates, turns, continued and archived tasks, and uploaded files."""

import asyncio
import json

import attrs
import pytest

from handinger_async import IntervalWhen, NotFoundError, Timeouts
from handinger_async.codec import encode_request
from handinger_async.http import Request
from handinger_async.operations import (
    CreateSchedule,
    CreateTask,
    CreateWorker,
    CreateWorkerTemplate,
    DeleteTask,
    DeleteWorker,
    ListTaskTurns,
    RetrieveTask,
    RetrieveWorker,
)
from handinger_async.testing import FakeHandinger, Step
from handinger_async.testing._service.errors import ServiceError
from handinger_async.testing._service.handlers.tasks import store_files

from .watching import now, watch, worker_of

pytestmark = pytest.mark.usefixtures("virtual_time")

PATIENT = Timeouts(attempt=1e6, deadline=1e6)


async def test_the_response_to_a_task_comes_when_the_run_is_over(handinger, fake_handinger):
    fake_handinger.script(Step("Looking. ", after=3600), Step("It rains.", after=60))
    worker = await handinger.with_options(timeouts=PATIENT).send(CreateTask(input="Weather?", budget="low"))
    assert now() == pytest.approx(3660)
    assert (worker.status, worker.running, worker.output_text) == ("completed", False, "Looking. It rains.")
    assert worker.messages[0] == {"role": "user", "content": "Weather?"}
    assert worker.id.startswith("wrk_")
    assert worker.url.endswith(worker.id)
    assert worker.costs is None
    assert (worker.usage.total_tokens, worker.usage.duration_ms) == (None, 3_660_000)
    assert worker.usage.credits > 0
    assert worker == await handinger.workers.retrieve(worker.id)


async def test_a_task_without_a_worker_makes_one_of_its_input(handinger, fake_handinger):
    worker = await handinger.send(CreateTask(input="Check each claim."))
    (task,) = fake_handinger.tasks.values()
    assert task.task.worker_id == worker.id
    assert task.task.triggered_by == "api"
    other = await handinger.send(CreateTask(input="And this one.", worker_id=worker.id))
    assert other.id == worker.id
    assert len(fake_handinger.workers) == 1
    assert len(fake_handinger.tasks) == 2


async def test_the_client_may_choose_the_id_of_a_task(handinger):
    await handinger.send(CreateTask(input="x", task_id="tsk_mine"))
    shown = await handinger.send(RetrieveTask("tsk_mine"))
    assert (shown.task.id, shown.task.status, shown.task.title) == ("tsk_mine", "completed", "x")
    assert [turn.task_id for turn in shown.turns] == ["tsk_mine"]


async def test_a_known_task_is_continued(handinger, fake_handinger):
    first = await handinger.send(CreateTask(input="one", task_id="t"))
    again = await handinger.send(CreateTask(input="two", task_id="t"))
    assert again.id == first.id
    assert [message["content"] for message in again.messages if message["role"] == "user"] == ["one", "two"]
    shown = await handinger.send(RetrieveTask("t"))
    assert [(turn.seq, turn.input, turn.role) for turn in shown.turns] == [(0, "one", "user"), (1, "two", "user")]
    totals = shown.task.totals
    assert totals.turn_count == 2
    assert totals.credits == sum(turn.credits for turn in shown.turns)
    assert totals.duration_ms == sum(turn.duration_ms for turn in shown.turns)
    assert shown == fake_handinger.tasks["t"]


async def test_a_task_of_another_worker_is_not_continued(handinger):
    await handinger.send(CreateTask(input="x", task_id="t"))
    other = await handinger.send(CreateWorkerTemplate())
    with pytest.raises(NotFoundError):
        await handinger.send(CreateTask(input="x", task_id="t", worker_id=other.id))


async def test_turns_that_wait_for_an_earlier_one_are_pending(handinger):
    creating = [asyncio.create_task(handinger.send(CreateTask(input=text, task_id="t"))) for text in ("one", "two")]
    await asyncio.sleep(0.1)
    shown = await handinger.send(RetrieveTask("t"))
    assert [turn.status for turn in shown.turns] == ["pending", "pending"]
    assert (shown.task.status, shown.task.completed_at) == ("running", None)
    first, second = await asyncio.gather(*creating)
    assert "one" in first.output_text
    assert "two" in second.output_text
    shown = await handinger.send(RetrieveTask("t"))
    assert [turn.status for turn in shown.turns] == ["completed", "completed"]
    assert shown.turns[0].completed_at <= shown.turns[1].started_at
    assert shown.turns[1].completed_at == shown.task.completed_at


async def test_a_run_goes_on_when_the_client_gives_up(handinger, fake_handinger):
    creating = asyncio.create_task(handinger.send(CreateTask(input="x", task_id="t")))
    await asyncio.sleep(0.1)
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    await asyncio.sleep(2)
    assert (await handinger.send(RetrieveTask("t"))).task.status == "completed"
    assert fake_handinger.runs == {"x": 1}


async def test_every_run_is_counted_by_its_input(handinger, fake_handinger):
    for text in ("a", "b", "a"):
        await handinger.send(CreateTask(input=text))
    worker = await handinger.workers.create(input="c")
    await handinger.workers.continue_(worker.id, input="a")
    assert fake_handinger.runs == {"a": 3, "b": 1, "c": 1}


async def test_a_task_can_be_streamed(handinger):
    seen = await watch(handinger.stream(CreateTask(input="x", task_id="t")))
    assert [shown.status for _, shown, _ in seen] == ["pending", *["running"] * 4, "completed"]
    again = await watch(handinger.stream(RetrieveWorker(seen[0][1].id, task_id="t")))
    assert [event[:2] for event in again] == [event[:2] for event in seen]


async def test_retrieve_shows_the_latest_task_or_the_one_named(handinger):
    worker = await handinger.send(CreateTask(input="one", task_id="t1"))
    await handinger.send(CreateTask(input="two", task_id="t2", worker_id=worker.id))
    assert "two" in (await handinger.send(RetrieveWorker(worker.id))).output_text
    assert "one" in (await handinger.send(RetrieveWorker(worker.id, task_id="t1"))).output_text
    other = await handinger.send(CreateTask(input="x", task_id="t3"))
    for worker_id, task_id in ((worker.id, "t3"), (other.id, "nobody")):
        with pytest.raises(NotFoundError):
            await handinger.send(RetrieveWorker(worker_id, task_id=task_id))


async def test_an_archived_task_keeps_its_turns_and_leaves_its_worker(handinger):
    worker = await handinger.send(CreateTask(input="one", task_id="t1"))
    await handinger.send(CreateTask(input="two", task_id="t2", worker_id=worker.id))
    assert (await handinger.send(DeleteTask("t2"))).archived
    assert "one" in (await handinger.send(RetrieveWorker(worker.id))).output_text
    assert [turn.input for turn in (await handinger.send(RetrieveTask("t2"))).turns] == ["two"]


async def test_a_service_may_list_turns_apart():
    async with FakeHandinger(turns=False).session() as session:
        await session.send(CreateTask(input="x", task_id="t"))
        assert (await session.send(RetrieveTask("t"))).turns is None
        turns = await session.send(ListTaskTurns("t"))
        assert (turns.task_id, [turn.input for turn in turns.items]) == ("t", ["x"])


async def test_a_turn_shows_the_files_that_it_published(handinger, fake_handinger):
    fake_handinger.script(Step("x", files={"a.txt": b"a"}), times=1)
    fake_handinger.script(Step("x", files={"b.txt": b"bc"}), times=1)
    for text in ("one", "two"):
        worker = await handinger.send(CreateTask(input=text, task_id="t"))
    turns = (await handinger.send(ListTaskTurns("t"))).items
    assert [[(file.filename, file.size) for file in turn.files] for turn in turns] == [[("a.txt", 1)], [("b.txt", 2)]]
    assert [file.filename for file in worker.files] == ["a.txt", "b.txt"]
    assert await handinger.workers.retrieve_file("b.txt", worker_id=worker.id).read() == b"bc"


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (Step("x", fields={"error": {"message": "no"}}), "error"),
        (Step("x", status="error"), "error"),
        (Step("x", status="aborted"), "aborted"),
    ],
)
async def test_a_failure_shows_in_the_task(handinger, fake_handinger, step, status):
    fake_handinger.script(step)
    worker = await handinger.send(CreateTask(input="x", task_id="t"))
    assert (worker.status, worker.running) == ("completed", False)
    shown = await handinger.send(RetrieveTask("t"))
    assert (shown.task.status, shown.turns[0].status) == (status, status)
    assert shown.task.completed_at is not None


async def test_a_run_that_never_ends_lets_its_client_wait_for_the_next(handinger, fake_handinger):
    fake_handinger.script(Step("x", status="running"), times=1)
    creating = asyncio.create_task(handinger.with_options(timeouts=PATIENT).send(CreateTask(input="x", task_id="t")))
    await asyncio.sleep(3600)
    assert not creating.done()
    again = await handinger.send(CreateTask(input="y", task_id="t"))
    assert await creating == again


async def test_a_scheduled_run_of_a_template_is_a_new_task(handinger, fake_handinger):
    worker = await handinger.send(CreateWorkerTemplate(instructions="Count."))
    await handinger.send(CreateSchedule(worker.id, input="now", when=IntervalWhen(interval_seconds=60)))
    await asyncio.sleep(125)
    assert [shown.task.triggered_by for shown in fake_handinger.tasks.values()] == ["schedule", "schedule"]
    assert fake_handinger.runs == {"now": 2}
    assert (await handinger.send(RetrieveWorker(worker.id))).output_text != ""


async def test_the_two_generations_share_their_runs(handinger, fake_handinger):
    worker = await handinger.send(CreateWorker(input="one"))
    (task_id,) = fake_handinger.tasks
    done = await handinger.send(CreateTask(input="two", task_id=task_id))
    assert done.id == worker.id
    await handinger.workers.continue_(worker.id, input="three")
    await asyncio.sleep(2)
    shown = await handinger.send(RetrieveTask(task_id))
    assert [turn.input for turn in shown.turns] == ["one", "two", "three"]
    messages = (await handinger.workers.retrieve(worker.id)).messages
    assert [message["content"] for message in messages if message["role"] == "user"] == ["one", "two", "three"]


async def test_an_idempotency_key_makes_no_task_once(handinger, fake_handinger):
    once = handinger.with_options(idempotency_key="k")
    for _ in range(2):
        await once.send(CreateTask(input="x"))
    assert fake_handinger.runs == {"x": 2}


@pytest.mark.parametrize("body", [b"{}", b'{"input": " "}', b'{"input": "x", "budget": "lavish"}', b'{"input": 1}'])
async def test_an_invalid_task_is_refused_and_runs_nothing(fake_handinger, body):
    response = fake_handinger(Request("POST", "/api/tasks", {"Authorization": "Bearer k"}, body))
    assert response.status == 422
    assert isinstance(json.loads(response.body)["error"], str)
    assert not fake_handinger.runs


async def test_unknown_tasks_and_workers_get_404(handinger):
    for operation in (
        RetrieveTask("nobody"),
        ListTaskTurns("nobody"),
        DeleteTask("nobody"),
        CreateTask(input="x", worker_id="nobody"),
    ):
        with pytest.raises(NotFoundError, match="nobody") as failure:
            await handinger.send(operation)
        assert isinstance(failure.value.body["error"], str)


async def test_a_lenient_service_makes_tasks_on_the_spot():
    fake = FakeHandinger(lenient=True, api="today")
    async with fake.session() as session:
        assert (await session.send(RetrieveTask("t1"))).task.id == "t1"
        assert (await session.send(DeleteTask("t2"))).archived
        assert (await session.send(CreateTask(input="x", worker_id="w1", task_id="t3"))).id == "w1"
        assert (await session.send(DeleteWorker("w1"))).deleted
        assert list(fake.workers)[-1] != "w1"
        assert (await session.send(RetrieveWorker("w1"))).id == "w1"
    assert list(fake.tasks) == ["t1", "t2", "t3"]


@attrs.frozen
class Upload:
    filename: str
    media_type: str
    data: bytes

    def read(self):
        return self.data


async def test_uploaded_files_are_in_the_space_of_the_worker(handinger, fake_handinger):
    worker = await handinger.send(CreateTask(input="x"))
    state = fake_handinger._service.workers[worker.id]
    store_files(state, (Upload("notes.txt", "text/plain", b"n"), Upload("in/b.bin", "text/odd", b"")), at=0)
    shown = await handinger.workers.retrieve(worker.id)
    assert {("notes.txt", "text/plain", 1), ("in/b.bin", "text/odd", 0)} <= {
        (file.filename, file.media_type, file.size) for file in shown.files
    }
    assert await handinger.workers.retrieve_file("notes.txt", worker_id=worker.id).read() == b"n"
    for name in ("", "../x", "a//b"):
        with pytest.raises(ServiceError):
            store_files(state, (Upload("good.txt", "text/plain", b""), Upload(name, "text/plain", b"")), at=0)
    assert "good.txt" not in {file.filename for file in (await handinger.workers.retrieve(worker.id)).files}


async def test_events_of_a_task_are_workers(handinger):
    async with handinger.stream(CreateTask(input="x")) as events:
        async for event in events:
            assert worker_of(event).usage.credits is not None


async def test_a_task_is_there_before_its_response_is_waited_for(fake_handinger):
    request = encode_request(CreateTask(input="x", task_id="t"))
    response = fake_handinger(attrs.evolve(request, headers=request.headers | {"Authorization": "Bearer k"}))
    assert list(fake_handinger.tasks) == ["t"]
    assert (await response).status == 200


async def test_an_empty_task_id_is_refused(fake_handinger):
    body = b'{"input": "x", "taskId": ""}'
    response = fake_handinger(Request("POST", "/api/tasks", {"Authorization": "Bearer k"}, body))
    assert response.status == 422
