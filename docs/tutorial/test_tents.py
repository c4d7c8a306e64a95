import asyncio

import pytest
import tents

from handinger_async.operations import CreateTask
from handinger_async.testing import Drop, Step

CHOICE = tents.Choice("Tipi", 249.0)
STEP = Step(
    "The Tipi is the cheapest.",
    fields={"structured_output": {"tent": "Tipi", "price": 249.0}},
    files={"report.md": b"# Tents\n"},
)


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("tent,price\nTipi,249\nDome,299\n")
    return path


async def test_choice(handinger, fake_handinger, virtual_time, prices):
    fake_handinger.script(STEP, match="these prices")
    worker_id = await tents.hire(handinger)
    assert await tents.ask(handinger, worker_id, prices) == CHOICE


async def test_week_of_mornings(handinger, fake_handinger, virtual_time, tmp_path):
    fake_handinger.script(STEP, match="today")
    worker_id = await tents.hire(handinger)
    await asyncio.sleep(7 * 24 * 3600)
    assert await tents.latest(handinger, worker_id, tmp_path) == CHOICE
    assert fake_handinger.runs["Which tent today?"] == 7
    assert (tmp_path / "report.md").read_bytes() == b"# Tents\n"


async def test_lost_response(fake_handinger, virtual_time, prices):
    fake_handinger.script(STEP, match="these prices")
    async with fake_handinger.session(Drop(on=CreateTask)) as session:
        worker_id = await tents.hire(session)
        assert await tents.ask(session, worker_id, prices) == CHOICE
    assert fake_handinger.runs["Which tent, at these prices?"] == 1  # paid for once
