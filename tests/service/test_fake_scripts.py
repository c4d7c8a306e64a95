"""Scripts of the in-memory service: steps, timing and order."""

import asyncio

import pytest

from handinger_async import ConfigurationError, DelayedWhen
from handinger_async.testing.scripts import Step

from .watching import now, watch

pytestmark = pytest.mark.usefixtures("virtual_time")


async def test_a_script_sets_texts_times_files_and_fields(handinger, fake_handinger):
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


async def test_scripts_are_used_in_order_each_up_to_its_times(handinger, fake_handinger):
    fake_handinger.script("one", times=1)
    fake_handinger.script("two", match=lambda text: text.endswith("?"), times=2)
    fake_handinger.script("rest")
    said = []
    for text in ("a?", "b?", "c", "d?", "e?"):
        worker = await handinger.workers.create(input=text)
        await asyncio.sleep(1)
        said.append((await handinger.workers.retrieve(worker.id)).output_text)
    assert said == ["one", "two", "rest", "two", "rest"]


async def test_a_script_without_steps_completes_immediately(handinger, fake_handinger):
    fake_handinger.script()
    assert (await handinger.workers.create(input="x")).status == "completed"


async def test_a_script_can_leave_a_worker_running_until_it_is_continued(handinger, fake_handinger):
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


async def test_a_schedule_continues_a_worker_that_a_script_left_running(handinger, fake_handinger):
    fake_handinger.script(Step("Hm.", status="running"), times=1)
    worker = await handinger.workers.create(input="x")
    await handinger.workers.schedules.create(worker.id, input="y", when=DelayedWhen(delay_in_seconds=60))
    seen = await watch(handinger.workers.stream_updates(worker.id))
    assert seen[2][2] == pytest.approx(60)
    assert seen[-1][1].status == "completed"


async def test_a_step_can_set_the_data_of_its_event(handinger, fake_handinger):
    fake_handinger.script(Step("x", data="[DONE]\nreally"))
    async with handinger.workers.create(input="x", stream=True) as events:
        assert [event.data async for event in events][1] == "[DONE]\nreally"


async def test_a_step_refuses_a_negative_or_infinite_delay():
    for after in (-1, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError):
            Step(after=after)
