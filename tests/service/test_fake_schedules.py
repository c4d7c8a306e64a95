"""Schedules of the in-memory service: due times, runs, cancellation and errors."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import pytest

from handinger_async import (
    CronWhen,
    DelayedWhen,
    InternalServerError,
    IntervalWhen,
    NotFoundError,
    ScheduledWhen,
    UnprocessableEntityError,
)
from handinger_async.testing import FakeHandinger
from handinger_async.testing._service.files import Files
from handinger_async.testing._service.recent import KEPT, STREAMED
from handinger_async.testing.scripts import Step

pytestmark = pytest.mark.usefixtures("virtual_time")

START = datetime(2026, 1, 1, tzinfo=UTC)


async def test_schedules_of_all_types_have_their_next_run_time(handinger):
    worker = await handinger.workers.create(input="x")
    await asyncio.sleep(90)
    begin = START + timedelta(seconds=90)
    wanted = [
        (ScheduledWhen(date=datetime(2026, 3, 1, 12)), datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (ScheduledWhen(date="2026-03-01T12:00:00.5+02:00"), datetime(2026, 3, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
        (DelayedWhen(delay_in_seconds=60), begin + timedelta(seconds=60)),
        (IntervalWhen(interval_seconds=3600), begin + timedelta(seconds=3600)),
        (CronWhen(cron="0 9 * * 1"), datetime(2026, 1, 5, 9, tzinfo=UTC)),
    ]
    made = [await handinger.workers.schedules.create(worker.id, input="again", when=when) for when, _ in wanted]
    assert [schedule.next_run_at for schedule in made] == [at for _, at in wanted]
    assert [schedule.type for schedule in made] == ["scheduled", "scheduled", "delayed", "interval", "cron"]
    assert {(schedule.budget, schedule.input) for schedule in made} == {("standard", "again")}
    assert (made[2].delay_in_seconds, made[3].interval_seconds, made[4].cron) == (60, 3600, "0 9 * * 1")
    listed = await handinger.workers.schedules.list(worker.id)
    assert (listed.schedules, listed.worker_id) == (made, worker.id)


async def runs(session, worker_id):
    """Return the instructions of a worker's runs so far."""
    messages = (await session.workers.retrieve(worker_id)).messages
    return [message["content"] for message in messages if message["role"] == "user"]


async def test_a_delayed_run_begins_when_due_and_leaves_the_list(handinger):
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(
        worker.id, input="later", when=DelayedWhen(delay_in_seconds=60), budget="high"
    )
    await asyncio.sleep(59.9)
    assert await runs(handinger, worker.id) == ["x"]
    await asyncio.sleep(0.1)
    shown = await handinger.workers.retrieve(worker.id)
    assert (shown.status, shown.metadata) == ("pending", {"budget": "high"})
    assert await runs(handinger, worker.id) == ["x", "later"]
    assert (await handinger.workers.schedules.list(worker.id)).schedules == []


async def test_recurring_runs_go_on_for_hours(handinger):
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(worker.id, input="tick", when=IntervalWhen(interval_seconds=600))
    await handinger.workers.schedules.create(worker.id, input="tock", when=CronWhen(cron="25 * * * *"))
    await asyncio.sleep(3 * 3600 + 60)
    assert (await runs(handinger, worker.id)).count("tick") == 18
    assert (await runs(handinger, worker.id)).count("tock") == 3
    following = [schedule.next_run_at for schedule in (await handinger.workers.schedules.list(worker.id)).schedules]
    assert following == [START + timedelta(seconds=19 * 600), START + timedelta(hours=3, minutes=25)]


async def test_runs_that_are_due_are_counted_without_a_request(handinger, fake_handinger):
    worker = await handinger.workers.create(input="Begin.")
    when = {"type": "interval", "interval_seconds": 3600}
    await handinger.workers.schedules.create(worker.id, input="Again.", when=when)
    assert fake_handinger.runs == {"Begin.": 1}
    await asyncio.sleep(3 * 3600 + 60)
    assert fake_handinger.runs == {"Begin.": 1, "Again.": 3}


async def test_while_running_a_recurring_run_is_skipped_and_a_single_one_waits(handinger):
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(worker.id, input="tick", when=IntervalWhen(interval_seconds=1))
    await handinger.workers.schedules.create(worker.id, input="once", when=DelayedWhen(delay_in_seconds=1))
    await asyncio.sleep(60)
    done = await runs(handinger, worker.id)
    assert done[:2] == ["x", "once"]
    assert 20 <= done.count("tick") <= 40


async def test_a_schedule_in_the_past_runs_immediately(handinger):
    worker = await handinger.workers.create(input="x")
    when = ScheduledWhen(date="2019-12-27T18:11:19.117Z")
    schedule = await handinger.workers.schedules.create(worker.id, input="late", when=when)
    assert schedule.next_run_at.year == 2019
    assert await runs(handinger, worker.id) == ["x"]  # its run waits for the current one
    await asyncio.sleep(2)
    assert await runs(handinger, worker.id) == ["x", "late"]


async def test_a_cancelled_schedule_does_not_run_and_is_unknown_then(handinger):
    worker = await handinger.workers.create(input="x")
    when = IntervalWhen(interval_seconds=10)
    schedule = await handinger.workers.schedules.create(worker.id, input="never", when=when)
    assert (await handinger.workers.schedules.cancel(schedule.id, worker_id=worker.id)).cancelled
    with pytest.raises(NotFoundError):
        await handinger.workers.schedules.cancel(schedule.id, worker_id=worker.id)
    await asyncio.sleep(60)
    assert await runs(handinger, worker.id) == ["x"]


@pytest.mark.parametrize(
    ("when", "why"),
    [
        (DelayedWhen(delay_in_seconds=-1), "delayInSeconds"),
        (DelayedWhen(delay_in_seconds=10**15), "when"),
        (IntervalWhen(interval_seconds=0), "intervalSeconds"),
        (CronWhen(cron="every day"), "cron"),
        (CronWhen(cron="0 0 30 2 *"), "cron"),
        (CronWhen(cron=""), "cron"),
        (ScheduledWhen(date="tomorrow"), "when"),
        (ScheduledWhen(date=""), "when"),
    ],
)
async def test_a_schedule_that_is_never_due_gets_422(handinger, when, why):
    worker = await handinger.workers.create(input="x")
    with pytest.raises(UnprocessableEntityError, match=why):
        await handinger.workers.schedules.create(worker.id, input="x", when=when)
    assert (await handinger.workers.schedules.list(worker.id)).schedules == []


async def test_without_cronsim_a_cron_schedule_gets_501_with_the_fix(handinger, monkeypatch):
    monkeypatch.setitem(sys.modules, "cronsim", None)
    worker = await handinger.workers.create(input="x")
    with pytest.raises(InternalServerError, match=r"handinger-async\[testing\]") as failure:
        await handinger.workers.schedules.create(worker.id, input="x", when=CronWhen(cron="* * * * *"))
    assert failure.value.status_code == 501


async def test_list_alone_shows_an_overdue_delayed_schedule_gone(handinger):
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(worker.id, input="later", when=DelayedWhen(delay_in_seconds=60))
    await asyncio.sleep(59)
    assert len((await handinger.workers.schedules.list(worker.id)).schedules) == 1
    await asyncio.sleep(3600)
    assert (await handinger.workers.schedules.list(worker.id)).schedules == []


async def most_per_iteration(count, work):
    """Return the result of ``work``, and the largest step of ``count()`` within an iteration of the event loop."""
    largest, before, done = 0, count(), False

    async def watch():
        nonlocal largest, before
        while not done:
            now = count()
            largest, before = max(largest, now - before), now
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    result = await work
    await asyncio.sleep(0)  # the watcher sees the last iteration
    done = True
    await watching
    return result, largest


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("older", [False, True])
async def test_many_overdue_runs_do_not_hold_the_event_loop(handinger, fake_handinger, streamed, older):
    fake_handinger.script(match="again")
    worker = await (handinger.workers.create(input="x") if older else handinger.workers.create_template(title="x"))
    await handinger.workers.schedules.create(worker.id, input="again", when=IntervalWhen(interval_seconds=1))
    await asyncio.sleep(3)
    stream = handinger.workers.stream_updates(worker.id)
    if streamed:  # it was opened before, and is read now
        await anext(stream)
    await asyncio.sleep(3000)

    async def read():
        if not streamed:
            return await handinger.workers.schedules.list(worker.id)
        return [event.id async for event in stream] if not older else [(await anext(stream)).id for _ in range(500)]

    got, most = await most_per_iteration(fake_handinger._runs.total, read())
    assert most <= 100
    if streamed:
        assert got[-1:] == (["501"] if older else [])
    await stream.aclose()
    await handinger.workers.retrieve(worker.id)
    assert fake_handinger.runs["again"] > 2900


async def test_a_conversation_shows_its_last_runs_and_counts_all(handinger, fake_handinger):
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(worker.id, input="again", when=IntervalWhen(interval_seconds=2))
    await asyncio.sleep(2 * 1800)
    shown = await handinger.workers.retrieve(worker.id)
    count = fake_handinger.runs.total()
    assert count > 1700
    assert len(await runs(handinger, worker.id)) == KEPT + 1
    assert shown.usage.steps >= 5 * (count - 1)
    assert [file.filename for file in shown.files] == ["scratchpad/plan.md"]
    (task,) = fake_handinger.tasks.values()
    assert [turn.seq for turn in task.turns] == list(range(count - KEPT - 1, count))
    assert task.task.totals.turn_count == count
    assert {turn.output_tokens for turn in task.turns[:-1]} == {task.turns[0].output_tokens}
    assert {turn.status for turn in task.turns[:-1]} == {"completed"}
    assert all(len(turn.files) == 1 for turn in task.turns[:-1])


async def test_a_stream_that_is_far_behind_goes_on_with_later_updates(handinger, fake_handinger):
    fake_handinger.script(match="again")
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(worker.id, input="again", when=IntervalWhen(interval_seconds=10))
    async with handinger.workers.stream_updates(worker.id) as events:
        assert (await anext(events)).id == "1"
        await asyncio.sleep(10 * STREAMED - 5)
        assert len(await runs(handinger, worker.id)) == STREAMED
        assert (await anext(events)).id == "2"
        await asyncio.sleep(10 * STREAMED)
        await handinger.workers.retrieve(worker.id)
        places = [int((await anext(events)).id) for _ in range(50)]
    assert places == list(range(places[0], places[0] + 50))
    assert places[0] == 6 + (STREAMED - 2) + 1  # six updates of the first run, then one of each


async def test_past_tasks_of_schedules_are_forgotten_and_others_kept(handinger, fake_handinger):
    fake_handinger.script()
    worker = await handinger.workers.create_template(title="x")
    await handinger.tasks.create(input="own", worker_id=worker.id, task_id="own")
    await handinger.workers.schedules.create(worker.id, input="again", when=IntervalWhen(interval_seconds=1))
    await asyncio.sleep(2.5)
    own, forgotten, continued = fake_handinger.tasks
    await handinger.tasks.create(input="more", task_id=continued)
    await asyncio.sleep(KEPT + STREAMED + 100)
    shown = await handinger.tasks.retrieve(continued)
    assert [turn.input for turn in shown.turns] == ["again", "more"]
    assert (await handinger.tasks.retrieve(own)).task.id == "own"
    with pytest.raises(NotFoundError):
        await handinger.tasks.retrieve(forgotten)
    assert len(fake_handinger.tasks) == 2 + KEPT + STREAMED
    assert {task.task.status for task in fake_handinger.tasks.values()} == {"completed"}
    assert fake_handinger.runs["again"] == KEPT + STREAMED + 102
    assert (await handinger.workers.retrieve(worker.id)).status == "completed"


async def test_webhooks_of_many_runs_let_other_tasks_run_between_them(virtual_time):
    seen, iterations = [], 0

    async def count():
        nonlocal iterations
        for _ in range(200):
            iterations += 1
            await asyncio.sleep(0)

    async def deliver(request):
        if not seen:
            counting.append(asyncio.create_task(count()))
        seen.append(iterations)

    counting = []
    fake = FakeHandinger(deliver=deliver)
    fake.script(Step("done", after=1))
    async with fake.session() as session:
        worker = await session.workers.create_template(title="x")
        await session.workers.webhooks.update(worker.id, url="https://example.com/hook")
        starting = [session.tasks.create(input="x", worker_id=worker.id, task_id=f"task-{n}") for n in range(50)]
        await asyncio.gather(*starting, asyncio.sleep(2))
    assert len(set(seen)) == len(seen) == 50


async def test_past_versions_of_a_file_are_forgotten_except_the_first():
    files = Files()
    for at in range(KEPT + 10):
        files.publish("plan.md", b"%d" % at, at=at)
        files.forget("plan.md", 5)  # the later ones are to come
    assert [files.version("plan.md", at).data for at in (0, 4, 5, 6, KEPT + 9)] == [
        b"0", b"0", b"5", b"6", b"%d" % (KEPT + 9)
    ]  # fmt: skip
