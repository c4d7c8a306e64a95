"""Workers of the in-memory service: their updates, usage, streams and ids."""

import asyncio
import re
from datetime import UTC, datetime

import pytest

from handinger_async import DelayedWhen, Session
from handinger_async.testing import FakeHandinger
from handinger_async.transports.memory import MemoryTransport

from .watching import now, watch, worker_of

pytestmark = pytest.mark.usefixtures("virtual_time")

START = datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_worker_is_pending_then_running_then_completed_in_two_seconds(handinger):
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


async def test_an_event_arrives_when_retrieve_shows_the_same_state(handinger):
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


async def test_continuing_a_running_worker_queues_the_run(handinger):
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


async def test_a_late_subscriber_gets_stored_updates_first_then_live_ones(handinger):
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
async def test_a_stream_continues_after_a_known_last_event_id(handinger, last, first):
    worker = await handinger.workers.create(input="x")
    resuming = handinger.with_options(headers={"Last-Event-ID": last})
    seen = await watch(resuming.workers.stream_updates(worker.id))
    assert seen[0][0] == first


async def test_a_stream_after_the_last_event_ends_immediately(handinger):
    worker = await handinger.workers.create(input="x")
    await asyncio.sleep(3)
    assert await watch(handinger.with_options(headers={"Last-Event-ID": "6"}).workers.stream_updates(worker.id)) == []


async def test_responses_depend_on_the_seed_alone():
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


async def test_ids_have_the_format_of_the_service(handinger):
    worker = await handinger.workers.create(input="x")
    schedule = await handinger.workers.schedules.create(worker.id, input="x", when=DelayedWhen(delay_in_seconds=9))
    crockford = "[0-9A-HJKMNP-TV-Z]{26}"
    assert re.fullmatch(f"t_org_123_w_{crockford}", worker.id)
    assert re.fullmatch(f"sch_{crockford}", schedule.id)


async def test_each_worker_has_an_email_address_of_its_own(handinger):
    one, two = [await handinger.workers.create(input="x") for _ in range(2)]
    addresses = {await handinger.workers.retrieve_email(worker.id) for worker in (one, two)}
    assert len(addresses) == 2
    assert all(address.count("@") == 1 for address in addresses)


@pytest.mark.parametrize("text", ["é€😀", 'quote " and \\ and \x00', "\ud83d", "a\nb\r\nc"])
async def test_any_instruction_is_part_of_the_output(handinger, text):
    seen = await watch(handinger.workers.create(input=text, stream=True))
    assert text in seen[-1][1].output_text
