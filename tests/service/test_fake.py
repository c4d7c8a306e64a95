"""The in-memory service, seen through a session: it lives, it adds up, it refuses, and it can be told what to say."""

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from handinger_async import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    CronWhen,
    DelayedWhen,
    InternalServerError,
    IntervalWhen,
    NotFoundError,
    RetryPolicy,
    ScheduledWhen,
    Session,
    UnprocessableEntityError,
)
from handinger_async.codec import decode_request, decode_response
from handinger_async.http import Request, Response
from handinger_async.operations import CreateWorker, RetrieveWorker
from handinger_async.testing import FakeHandinger
from handinger_async.testing.scripts import Step
from handinger_async.transports.memory import MemoryTransport

pytestmark = pytest.mark.usefixtures("virtual_time")

START = datetime(2026, 1, 1, tzinfo=UTC)


def now():
    return asyncio.get_running_loop().time()


async def watch(stream):
    """Return the events of a stream with the time at which each came."""
    async with stream as events:
        return [(event.id, worker_of(event), now()) async for event in events]


def worker_of(event):
    answer = Response(200, {"Content-Type": "application/json"}, event.data.encode())
    return decode_response(RetrieveWorker(worker_id="w"), answer)


# A worker's life ######################################################################################################


async def test_a_worker_goes_from_pending_through_running_to_completed_within_two_seconds(handinger):
    begin = now()
    worker = await handinger.workers.create(input="What's up?", budget="low")
    assert (worker.status, worker.running, worker.output_text) == ("pending", True, "")
    seen = await watch(handinger.workers.stream_updates(worker.id))
    assert [shown.status for _, shown, _ in seen] == ["pending", *["running"] * 4, "completed"]
    assert 1 <= seen[-1][2] - begin <= 2
    assert [event_id for event_id, _, _ in seen] == ["1", "2", "3", "4", "5", "6"]
    done = await handinger.workers.retrieve(worker.id)
    assert done == seen[-1][1]
    assert not done.running
    assert "made up by the in-memory service" in done.output_text
    assert "What's up?" in done.output_text
    assert done.output[0].content[0].text == done.output_text
    assert [file.filename for file in done.files] == ["scratchpad/plan.md"]
    assert done.messages[0] == {"role": "user", "content": "What's up?"}
    assert done.created_at == START.timestamp()


async def test_what_is_streamed_comes_when_retrieve_would_show_it_too(handinger):
    worker = await handinger.workers.create(input="x")
    async with handinger.workers.stream_updates(worker.id) as events:
        async for event in events:
            assert await handinger.workers.retrieve(worker.id) == worker_of(event)


@pytest.mark.parametrize("budget", ["low", "standard", "high", "unlimited", None])
async def test_costs_and_usage_add_up_and_only_grow(handinger, budget):
    worker = await handinger.workers.create(input="x", budget=budget)
    before = None
    for _ in range(2):
        for _, shown, _ in await watch(handinger.workers.stream_updates(worker.id)):
            costs, usage = shown.costs, shown.usage
            parts = costs.internal_cost_usd + costs.model_cost_usd + costs.sandbox_cost_usd + costs.tool_cost_usd
            assert usage.cost_usd == pytest.approx(parts)
            assert usage.total_tokens == usage.input_tokens + usage.output_tokens
            assert usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
            assert usage.reasoning_tokens <= usage.output_tokens
        assert usage.steps > 0
        assert usage.duration_ms > 0
        assert before is None or (before.cost_usd < usage.cost_usd and before.steps < usage.steps)
        before = usage
        await handinger.workers.continue_(worker.id, input="more")


async def test_a_larger_budget_costs_more(handinger):
    costs = []
    for budget in ("low", "standard", "high", "unlimited"):
        worker = await handinger.workers.create(input="x", budget=budget)
        assert worker.metadata == {"budget": budget}
        await asyncio.sleep(2)
        costs.append((await handinger.workers.retrieve(worker.id)).usage.cost_usd)
    assert costs == sorted(set(costs))


async def test_continue_adds_a_run_and_keeps_the_conversation(handinger):
    worker = await handinger.workers.create(input="first", budget="high")
    again = await handinger.workers.continue_(worker.id, input="second")
    assert again.id == worker.id
    await asyncio.sleep(5)
    done = await handinger.workers.retrieve(worker.id)
    assert [message["role"] for message in done.messages] == ["user", "assistant"] * 2
    assert "second" in done.output_text
    assert "first" not in done.output_text
    assert done.metadata == {"budget": "high"}


async def test_continue_while_at_work_waits_its_turn(handinger):
    worker = await handinger.workers.create(input="first")
    await asyncio.sleep(0.5)
    seen = await watch(handinger.workers.continue_(worker.id, input="second", stream=True))
    assert [shown.status for _, shown, _ in seen] == ["pending", *["running"] * 4, "completed"]
    assert seen[0][0] == "7"
    assert "second" in seen[-1][1].output_text


async def test_create_and_retrieve_stream_too(handinger):
    created = await watch(handinger.workers.create(input="x", stream=True))
    again = await watch(handinger.workers.retrieve(created[0][1].id, stream=True))
    assert [event[:2] for event in created] == [event[:2] for event in again]


async def test_a_late_subscriber_gets_the_stored_updates_at_once_and_then_the_live_ones(handinger):
    worker = await handinger.workers.create(input="x")
    early = await asyncio.gather(watch(handinger.workers.stream_updates(worker.id)), later(handinger, worker.id))
    assert [event[:2] for event in early[0]] == [event[:2] for event in early[1]]
    at = [when for _, _, when in early[1]]
    assert at[0] == at[1] == pytest.approx(0.7)
    assert at[-1] > 0.7


async def later(session, worker_id):
    await asyncio.sleep(0.7)
    return await watch(session.workers.stream_updates(worker_id))


@pytest.mark.parametrize(
    ("last", "first"), [("1", "2"), ("4", "5"), ("0", "1"), ("99", "1"), ("²", "1"), ("odd", "1"), ("-1", "1")]
)
async def test_a_stream_goes_on_after_the_last_event_id_if_it_is_known(handinger, last, first):
    worker = await handinger.workers.create(input="x")
    resuming = handinger.with_options(headers={"Last-Event-ID": last})
    seen = await watch(resuming.workers.stream_updates(worker.id))
    assert seen[0][0] == first


async def test_a_stream_that_has_all_ends_at_once(handinger):
    worker = await handinger.workers.create(input="x")
    await asyncio.sleep(3)
    assert await watch(handinger.with_options(headers={"Last-Event-ID": "6"}).workers.stream_updates(worker.id)) == []


async def test_the_same_seed_gives_the_same_answers_and_another_one_others():
    async def conversation(seed):
        async with Session(api_key="k", transport=MemoryTransport(FakeHandinger(seed=seed))) as session:
            worker = await session.workers.create(input="x")
            schedule = await session.workers.schedules.create(
                worker.id, input="x", when=DelayedWhen(delay_in_seconds=9)
            )
            return worker, schedule, [event[:2] for event in await watch(session.workers.stream_updates(worker.id))]

    first, second, other = await conversation(1), await conversation(1), await conversation(2)
    assert first == second
    assert first[0].id != other[0].id
    assert first[1].id != other[1].id


async def test_ids_look_like_the_service_s(handinger):
    worker = await handinger.workers.create(input="x")
    schedule = await handinger.workers.schedules.create(worker.id, input="x", when=DelayedWhen(delay_in_seconds=9))
    crockford = "[0-9A-HJKMNP-TV-Z]{26}"
    assert re.fullmatch(f"t_org_123_w_{crockford}", worker.id)
    assert re.fullmatch(f"sch_{crockford}", schedule.id)


async def test_the_address_is_the_worker_s_own(handinger):
    one, two = [await handinger.workers.create(input="x") for _ in range(2)]
    addresses = {await handinger.workers.retrieve_email(worker.id) for worker in (one, two)}
    assert len(addresses) == 2
    assert all(address.count("@") == 1 for address in addresses)


@pytest.mark.parametrize("text", ["é€😀", 'quote " and \\ and \x00', "\ud83d", "a\nb\r\nc"])
async def test_whatever_is_asked_comes_back(handinger, text):
    seen = await watch(handinger.workers.create(input=text, stream=True))
    assert text in seen[-1][1].output_text


# Files ################################################################################################################


async def test_a_file_is_there_from_the_moment_it_is_published(handinger, fake_handinger):
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


async def test_a_new_version_takes_the_place_of_the_old_one(handinger, fake_handinger):
    worker = await handinger.workers.create(input="x")
    for version in (b"one", b"two"):
        fake_handinger.publish(worker.id, "f", version, media_type="text/odd")
        assert await handinger.workers.retrieve_file("f", worker_id=worker.id).read() == version
    assert [file.media_type for file in (await handinger.workers.retrieve(worker.id)).files] == ["text/odd"]


async def test_what_cannot_be_published_is_refused(handinger, fake_handinger):
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
async def test_parts_of_a_file(handinger, fake_handinger, headers, status, body, content_range):
    worker = await handinger.workers.create(input="x")
    fake_handinger.publish(worker.id, "f", b"0123456789")
    target = f"/api/workers/{worker.id}/files/f"
    whole = fake_handinger(Request("GET", target, {"Authorization": "Bearer k"}))
    assert whole.headers["accept-ranges"] == "bytes"
    headers = {name: value.replace("ETAG", whole.headers["etag"]) for name, value in headers.items()}
    answer = fake_handinger(Request("GET", target, {"Authorization": "Bearer k", **headers}))
    assert answer.status == status
    assert body is None or answer.body == body
    assert answer.headers.get("content-range") == content_range


# Schedules ############################################################################################################


async def test_schedules_of_all_types_know_when_they_run_next(handinger):
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


async def test_a_delayed_run_begins_when_its_time_has_come_and_leaves_the_list(handinger):
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


async def test_a_recurring_run_is_passed_over_while_the_worker_is_at_work_and_a_single_one_waits(handinger):
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(worker.id, input="tick", when=IntervalWhen(interval_seconds=1))
    await handinger.workers.schedules.create(worker.id, input="once", when=DelayedWhen(delay_in_seconds=1))
    await asyncio.sleep(60)
    done = await runs(handinger, worker.id)
    assert done[:2] == ["x", "once"]
    assert 20 <= done.count("tick") <= 40


async def test_a_moment_that_has_passed_runs_at_once(handinger):
    worker = await handinger.workers.create(input="x")
    when = ScheduledWhen(date="2019-12-27T18:11:19.117Z")
    schedule = await handinger.workers.schedules.create(worker.id, input="late", when=when)
    assert schedule.next_run_at.year == 2019
    assert await runs(handinger, worker.id) == ["x"]  # after the run that is going on
    await asyncio.sleep(2)
    assert await runs(handinger, worker.id) == ["x", "late"]


async def test_a_cancelled_schedule_does_not_run_and_cannot_be_cancelled_again(handinger):
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
async def test_a_when_that_makes_no_sense_is_refused(handinger, when, why):
    worker = await handinger.workers.create(input="x")
    with pytest.raises(UnprocessableEntityError, match=why):
        await handinger.workers.schedules.create(worker.id, input="x", when=when)
    assert (await handinger.workers.schedules.list(worker.id)).schedules == []


async def test_without_cronsim_a_cron_schedule_is_refused_with_what_to_install(handinger, monkeypatch):
    monkeypatch.setitem(sys.modules, "cronsim", None)
    worker = await handinger.workers.create(input="x")
    with pytest.raises(InternalServerError, match=r"handinger-async\[testing\]") as failure:
        await handinger.workers.schedules.create(worker.id, input="x", when=CronWhen(cron="* * * * *"))
    assert failure.value.status_code == 501


# Refusals #############################################################################################################


async def test_any_key_is_let_in_unless_keys_are_named():
    fake = FakeHandinger(api_keys={"right"})
    for key in ("wrong", "right"):
        async with Session(api_key=key, transport=MemoryTransport(fake)) as session:
            if key == "right":
                await session.workers.create(input="x")
            else:
                with pytest.raises(AuthenticationError, match="API key") as failure:
                    await session.workers.create(input="x")
                assert failure.value.code == "unauthorized"
    with pytest.raises(ConfigurationError):
        FakeHandinger(api_keys="right")


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Basic eDp5", "key"])
async def test_without_a_bearer_key_there_is_no_way_in(value):
    headers = {} if value is None else {"Authorization": value}
    assert FakeHandinger()(Request("GET", "/api/workers/w", headers)).status == 401


@pytest.mark.parametrize(
    "call",
    [
        lambda workers: workers.retrieve("nobody"),
        lambda workers: workers.continue_("nobody", input="x"),
        lambda workers: workers.retrieve_email("nobody"),
        lambda workers: workers.retrieve_file("f", worker_id="nobody").read(),
        lambda workers: workers.schedules.list("nobody"),
        lambda workers: workers.schedules.create("nobody", input="x", when=DelayedWhen(delay_in_seconds=1)),
        lambda workers: workers.schedules.cancel("s", worker_id="nobody"),
        lambda workers: workers.stream_updates("nobody").__anext__(),
    ],
)
async def test_who_is_not_there_is_not_found(handinger, call):
    with pytest.raises(NotFoundError, match="nobody") as failure:
        await call(handinger.workers)
    assert (failure.value.code, failure.value.request_id[:4]) == ("not_found", "req_")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", BadRequestError),
        (b"{", BadRequestError),
        (b"\xff", BadRequestError),
        (b"[]", UnprocessableEntityError),
        (b"{}", UnprocessableEntityError),
        (b'{"input": 1}', UnprocessableEntityError),
        (b'{"input": ""}', UnprocessableEntityError),
        (b'{"input": " "}', UnprocessableEntityError),
        (b'{"input": "x", "budget": "lavish"}', UnprocessableEntityError),
        (b'{"input": "x", "stream": "yes"}', UnprocessableEntityError),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_and_nothing_is_created(fake_handinger, body, error):
    answer = fake_handinger(Request("POST", "/api/workers", {"Authorization": "Bearer k"}, body))
    with pytest.raises(error) as failure:
        decode_response(CreateWorker(input="x"), answer)
    assert failure.value.message
    assert failure.value.code
    assert failure.value.request_id
    assert fake_handinger.workers == {}


async def test_an_unknown_path_is_not_found(handinger):
    with pytest.raises(NotFoundError):
        await handinger.request("GET", "/api/anything")


# Scripts and requests #################################################################################################


async def test_a_script_says_what_a_worker_does_and_when(handinger, fake_handinger):
    fake_handinger.script(
        Step("Looking out of the window. ", after=10),
        Step("It rains.", after=20, files={"sky.txt": b"grey"}, fields={"metadata": {"place": "Barcelona"}}),
        match="weather",
    )
    seen = await watch(handinger.workers.create(input="What's the weather?", stream=True))
    assert [(shown.status, shown.output_text, at) for _, shown, at in seen] == [
        ("pending", "", 0),
        ("running", "Looking out of the window. ", pytest.approx(10)),
        ("completed", "Looking out of the window. It rains.", pytest.approx(30)),
    ]
    assert seen[-1][1].metadata == {"place": "Barcelona"}
    worker_id = seen[-1][1].id
    assert await handinger.workers.retrieve_file("sky.txt", worker_id=worker_id).read() == b"grey"
    other = await watch(handinger.workers.create(input="Something else", stream=True))
    assert "made up" in other[-1][1].output_text


async def test_scripts_are_taken_in_order_each_as_often_as_it_says(handinger, fake_handinger):
    fake_handinger.script("one", times=1)
    fake_handinger.script("two", match=lambda text: text.endswith("?"), times=2)
    fake_handinger.script("rest")
    said = []
    for text in ("a?", "b?", "c", "d?", "e?"):
        worker = await handinger.workers.create(input=text)
        await asyncio.sleep(1)
        said.append((await handinger.workers.retrieve(worker.id)).output_text)
    assert said == ["one", "two", "rest", "two", "rest"]


async def test_a_script_without_steps_completes_at_once(handinger, fake_handinger):
    fake_handinger.script()
    assert (await handinger.workers.create(input="x")).status == "completed"


async def test_a_script_can_leave_a_worker_at_work_until_it_is_told_more(handinger, fake_handinger):
    fake_handinger.script(Step("Hm.", status="running"), times=1)
    worker = await handinger.workers.create(input="x")
    async with handinger.workers.stream_updates(worker.id) as events:
        assert [(await anext(events)).id for _ in range(2)] == ["1", "2"]
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(100)
        assert not waiting.done()
        begin = now()
        await handinger.workers.continue_(worker.id, input="Go on.")
        assert (await waiting).id == "3"
        assert now() == begin
        assert [event.id async for event in events][-1] == "8"


async def test_a_schedule_wakes_a_worker_that_a_script_has_left_at_work(handinger, fake_handinger):
    fake_handinger.script(Step("Hm.", status="running"), times=1)
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(worker.id, input="y", when=DelayedWhen(delay_in_seconds=60))
    seen = await watch(handinger.workers.stream_updates(worker.id))
    assert seen[2][2] == pytest.approx(60)
    assert seen[-1][1].status == "completed"


async def test_an_event_can_say_anything(handinger, fake_handinger):
    fake_handinger.script(Step("x", data="[DONE]\nreally"))
    async with handinger.workers.create(input="x", stream=True) as events:
        assert [event.data async for event in events][1] == "[DONE]\nreally"


async def test_a_step_takes_no_time_that_makes_no_sense():
    for after in (-1, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError):
            Step(after=after)


async def test_every_request_is_kept_and_shows_no_key(handinger, fake_handinger):
    worker = await handinger.workers.create(input="x", budget="low")
    with pytest.raises(NotFoundError):
        await handinger.workers.retrieve("nobody")
    assert [decode_request(request) for request in fake_handinger.requests] == [
        CreateWorker(input="x", budget="low"),
        RetrieveWorker(worker_id="nobody"),
    ]
    assert "Bearer test" not in repr(fake_handinger.requests)
    assert list(fake_handinger.workers) == [worker.id]
    assert fake_handinger.workers[worker.id].id == worker.id


async def test_an_idempotency_key_performs_a_request_once(handinger, fake_handinger):
    once = handinger.with_options(idempotency_key="k1", retry=RetryPolicy(max_retries=0))
    first = await once.workers.create(input="x")
    assert (await once.workers.create(input="x")).id == first.id
    with pytest.raises(UnprocessableEntityError, match="Idempotency-Key"):
        await once.workers.create(input="y")
    assert list(fake_handinger.workers) == [first.id]
    other = handinger.with_options(idempotency_key="k2")
    for _ in range(2):
        await other.workers.schedules.create(first.id, input="x", when=DelayedWhen(delay_in_seconds=60))
    assert len((await handinger.workers.schedules.list(first.id)).schedules) == 1
    third = handinger.with_options(idempotency_key="k3")
    streams = [await watch(third.workers.continue_(first.id, input="z", stream=True)) for _ in range(2)]
    assert [event[0] for event in streams[0]] == [event[0] for event in streams[1]]
