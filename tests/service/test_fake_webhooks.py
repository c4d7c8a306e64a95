"""Webhooks of the in-memory service: tokens, deliveries and their log."""

import asyncio
import json

import pytest

from handinger_async import APIConnectionError, DelayedWhen, IntervalWhen, NotFoundError, UnprocessableEntityError
from handinger_async.http import Response
from handinger_async.operations import (
    CreateTask,
    CreateWorkerTemplate,
    DeleteWebhook,
    ListWebhookExecutions,
    RegenerateWebhookToken,
    RetrieveWebhook,
    UpdateWebhook,
)
from handinger_async.testing import FakeHandinger, Step

from .watching import now

pytestmark = pytest.mark.usefixtures("virtual_time")

URL = "https://example.com/hook?a=1"


async def hooked(session, url=URL):
    """Create a worker with a webhook; return its id."""
    worker = await session.send(CreateWorkerTemplate())
    await session.send(UpdateWebhook(worker.id, url=url))
    return worker.id


async def executions(session, worker_id, page=1):
    return await session.send(ListWebhookExecutions(worker_id, page=page))


async def settle():
    """Let deliveries that are due be made."""
    await asyncio.sleep(0.001)


async def test_the_first_url_makes_a_token_and_later_ones_keep_it(handinger):
    worker = await handinger.send(CreateWorkerTemplate())
    none = await handinger.send(RetrieveWebhook(worker.id))
    assert (none.url, none.token) == (None, None)
    first = await handinger.send(UpdateWebhook(worker.id, url="https://example.com/a"))
    second = await handinger.send(UpdateWebhook(worker.id, url="https://example.com/b"))
    assert second.url == "https://example.com/b"
    assert first.token == second.token
    assert first.token.startswith("whk_")
    third = await handinger.send(RegenerateWebhookToken(worker.id))
    assert third.token != first.token
    assert third.url == second.url
    assert await handinger.send(RetrieveWebhook(worker.id)) == third
    for operation in (UpdateWebhook(worker.id, url=None), DeleteWebhook(worker.id)):
        cleared = await handinger.send(operation)
        assert (cleared.url, cleared.token) == (None, None)
    again = await handinger.send(UpdateWebhook(worker.id, url=URL))
    assert again.token not in (None, first.token, third.token)


async def test_a_webhook_without_a_url_has_no_token_to_replace(handinger):
    worker = await handinger.send(CreateWorkerTemplate())
    with pytest.raises(NotFoundError):
        await handinger.send(RegenerateWebhookToken(worker.id))


@pytest.mark.parametrize(
    "url", ["http://example.com/", "ftp://example.com/", "https:", "x", "", "https://example.com/" + "x" * 2048]
)
async def test_a_url_must_be_https_or_of_this_machine(handinger, url):
    worker = await handinger.send(CreateWorkerTemplate())
    with pytest.raises(UnprocessableEntityError, match="url"):
        await handinger.send(UpdateWebhook(worker.id, url=url))
    assert (await handinger.send(UpdateWebhook(worker.id, url="http://127.0.0.1:1/"))).url == "http://127.0.0.1:1/"


async def test_a_finished_task_is_delivered_with_the_token():
    received = []
    async with FakeHandinger(deliver=received.append).session() as session:
        worker_id = await hooked(session)
        await session.send(CreateTask(input="x", worker_id=worker_id, task_id="t"))
        await settle()
        (request,) = received
        assert (request.method, request.target, request.headers["host"]) == ("POST", "/hook?a=1", "example.com")
        token = (await session.send(RetrieveWebhook(worker_id))).token
        assert request.headers["x-handinger-token"] == token
        task = json.loads(request.body)["task"]
        assert (task["id"], task["status"], task["workerId"]) == ("t", "completed", worker_id)
        log = await executions(session, worker_id)
        assert (log.page, log.page_count, log.total_count) == (1, 1, 1)
        (execution,) = log.logs
        assert (execution.request_status, execution.response_status, execution.error_message) == ("success", 204, None)
        assert (execution.url, execution.task_id, execution.task_title) == (URL, "t", "x")


async def test_a_delivery_comes_when_nobody_asks_the_service():
    at = []
    fake = FakeHandinger(deliver=lambda request: at.append(now()))
    fake.script(Step("x", after=100))
    async with fake.session() as session:
        worker_id = await hooked(session)
        creating = asyncio.create_task(session.send(CreateTask(input="x", worker_id=worker_id)))
        await asyncio.sleep(1)
        creating.cancel()
        await session.workers.schedules.create(worker_id, input="later", when=DelayedWhen(delay_in_seconds=1000))
        await asyncio.sleep(2000)
    assert at == pytest.approx([100, 1101])


async def test_each_end_is_delivered_once():
    received = []
    async with FakeHandinger(deliver=received.append).session() as session:
        worker_id = await hooked(session)
        texts = ("one", "two", "three")
        await asyncio.gather(*(session.send(CreateTask(input=x, worker_id=worker_id, task_id=x)) for x in texts))
        await session.send(CreateTask(input="more", task_id="one"))
        await session.workers.schedules.create(worker_id, input="y", when=IntervalWhen(interval_seconds=60))
        await asyncio.sleep(190)
    ids = [json.loads(request.body)["task"]["id"] for request in received]
    assert sorted(ids[:4]) == ["one", "one", "three", "two"]
    assert len(set(ids[4:])) == len(ids[4:]) == 3


@pytest.mark.parametrize(
    ("receiver", "status", "reason"),
    [
        (None, None, "deliver"),
        (lambda request: Response(500), 500, "status 500"),
        (lambda request: Response(302), 302, "status 302"),
    ],
)
async def test_a_delivery_that_fails_is_logged_with_its_reason(receiver, status, reason):
    async with FakeHandinger(deliver=receiver).session() as session:
        worker_id = await hooked(session)
        await session.send(CreateTask(input="x", worker_id=worker_id))
        await settle()
        (execution,) = (await executions(session, worker_id)).logs
        assert (execution.request_status, execution.response_status) == ("error", status)
        assert reason in execution.error_message


async def test_a_receiver_that_breaks_or_hangs_is_logged_and_later_ones_are_served():
    async def receive(request):
        number = len(seen)
        seen.append(request)
        if number == 0:
            raise APIConnectionError("the connection was lost")
        if number == 1:
            await asyncio.sleep(3600)
        if number == 2:
            raise ZeroDivisionError("a mistake")

    seen, mistakes = [], []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: mistakes.append(context["exception"]))
    async with FakeHandinger(deliver=receive).session() as session:
        worker_id = await hooked(session)
        for _ in range(4):
            await session.send(CreateTask(input="x", worker_id=worker_id))
        await asyncio.sleep(100)
        log = (await executions(session, worker_id)).logs[::-1]
    assert [execution.error_message for execution in log] == [
        "the connection was lost",
        "no response within 30 s",
        "ZeroDivisionError: a mistake",
        None,
    ]
    assert log[1].duration_ms == 30_000
    assert [type(mistake) for mistake in mistakes] == [ZeroDivisionError]


async def test_ends_before_the_first_url_are_not_delivered():
    received = []
    async with FakeHandinger(deliver=received.append).session() as session:
        worker = await session.send(CreateTask(input="x", task_id="t"))
        creating = asyncio.create_task(session.send(CreateTask(input="y", task_id="t")))
        await settle()
        await session.send(UpdateWebhook(worker.id, url=URL))
        await creating
        await settle()
        assert len(received) == 1
        await session.send(DeleteWebhook(worker.id))
        await session.send(CreateTask(input="z", task_id="t"))
        await session.send(UpdateWebhook(worker.id, url=URL))
        await settle()
        assert len(received) == 1


async def test_executions_come_in_pages_of_fifty_newest_first():
    fake = FakeHandinger(deliver=lambda request: None)
    fake.script()
    async with fake.session() as session:
        worker_id = await hooked(session)
        for number in range(101):
            await session.send(CreateTask(input="x", worker_id=worker_id, task_id=str(number)))
        await settle()
        pages = [await executions(session, worker_id, page) for page in (1, 2, 3, 4)]
    assert {(page.page_count, page.total_count) for page in pages} == {(3, 101)}
    ids = [execution.task_id for page in pages for execution in page.logs]
    assert ids == [str(number) for number in reversed(range(101))]
    assert [len(page.logs) for page in pages] == [50, 50, 1, 0]


async def test_nothing_runs_in_the_background_once_all_is_delivered():
    async with FakeHandinger(deliver=lambda request: None).session() as session:
        worker_id = await hooked(session)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await session.send(CreateTask(input="x", worker_id=worker_id))
        await settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
