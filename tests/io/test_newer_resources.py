"""Templates, tasks and webhooks through the typed methods, against the in-memory service, in virtual time."""

import asyncio
from typing import Any

import attrs
import pytest

from handinger_async import (
    APIResponseValidationError,
    ConfigurationError,
    NotFoundError,
    Session,
    UnprocessableEntityError,
    to_dict,
)
from handinger_async.http import Request, Response
from handinger_async.testing import FakeHandinger
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@attrs.frozen
class Tent:
    name: str


def test_update_keeps_what_is_left_out_and_clears_what_is_none() -> None:
    async def main() -> None:
        async with FakeHandinger(api="today").session() as session:
            made = await session.workers.create_template(title="Biscuit", instructions="Check.", output_schema=Tent)
            assert made.output_schema is not None
            assert made.output_schema["properties"].keys() == {"name"}
            renamed = await session.workers.update(made.id, title="Waffle")
            assert (renamed.title, renamed.instructions) == ("Waffle", "Check.")
            assert renamed.output_schema == made.output_schema
            cleared = await session.workers.update(made.id, output_schema=None)
            assert (cleared.title, cleared.output_schema) == ("Waffle", None)
            changed = await session.workers.update(made.id, output_schema=SCHEMA, visibility="private")
            assert (changed.output_schema, changed.visibility) == (SCHEMA, "private")

    run_in_virtual_time(main())


def test_deleted_worker_is_gone_and_its_task_stays() -> None:
    async def main() -> None:
        async with FakeHandinger(api="today").session() as session:
            worker = await session.workers.create_template(instructions="Check.")
            task = await session.tasks.run(input="x", worker_id=worker.id)
            assert (await session.workers.delete(worker.id)).deleted
            with pytest.raises(NotFoundError):
                await session.workers.retrieve(worker.id)
            assert (await session.tasks.retrieve(task.task.id)).turns == task.turns
            assert (await session.tasks.delete(task.task.id)).archived
            assert (await session.tasks.list_turns(task.task.id)).items == task.turns

    run_in_virtual_time(main())


def test_worker_shows_the_named_task_or_else_the_latest() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script("first", match="one")
        fake.script("second", match="two")
        async with fake.session() as session:
            one = await session.tasks.run(input="one")
            await session.tasks.run(input="two", worker_id=one.task.worker_id)
            latest = await session.workers.retrieve(one.task.worker_id)
            named = await session.workers.retrieve(one.task.worker_id, task_id=one.task.id)
            assert (latest.output_text, named.output_text) == ("second", "first")

    run_in_virtual_time(main())


def test_executions_are_those_of_all_pages_once_also_while_new_ones_arrive() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today", deliver=lambda request: Response(204))
        async with fake.session() as session:
            worker = await session.workers.create_template()
            webhook = await session.workers.webhooks.update(worker.id, url="https://example.com/hook")
            assert webhook.token
            for number in range(120):
                await session.tasks.create(input=str(number), worker_id=worker.id)
            page = await session.workers.webhooks.list_executions(worker.id)
            assert (page.page, page.page_count, page.total_count, len(page.logs)) == (1, 3, 120, 50)
            seen = []
            async for execution in session.workers.webhooks.executions(worker.id):
                if len(seen) in (20, 70):
                    for _ in range(5):
                        await session.tasks.create(input="new", worker_id=worker.id)
                seen.append(execution)
            assert len({execution.id for execution in seen}) == len(seen)
            last = await session.workers.webhooks.list_executions(worker.id, page=3)
            assert last.logs[-1] == seen[-1]
            assert {execution.id for execution in page.logs} <= {execution.id for execution in seen}
            assert len(seen) >= 120
            with pytest.raises(ConfigurationError, match="page must be at least 1"):
                session.workers.webhooks.list_executions(worker.id, page=0)

    run_in_virtual_time(main())


def test_webhook_of_a_worker_is_set_renewed_and_removed() -> None:
    async def main() -> None:
        async with FakeHandinger(api="today").session() as session:
            worker = await session.workers.create_template()
            webhooks = session.workers.webhooks
            assert (await webhooks.retrieve(worker.id)).url is None
            first = await webhooks.update(worker.id, url="https://example.com/a")
            second = await webhooks.update(worker.id, url="https://example.com/b")
            assert first.token == second.token
            renewed = await webhooks.regenerate_token(worker.id)
            assert renewed.url == second.url
            assert renewed.token not in (None, first.token)
            assert str(renewed.token) not in repr(renewed)
            assert to_dict(renewed)["token"] == renewed.token
            assert (await webhooks.update(worker.id, url=None)).token is None
            await webhooks.update(worker.id, url="https://example.com/c")
            assert (await webhooks.delete(worker.id)).url is None
            with pytest.raises(UnprocessableEntityError):
                await webhooks.update(worker.id, url="ftp://example.com")

    run_in_virtual_time(main())


@pytest.mark.parametrize("call", ["create", "continue_", "retrieve"])
async def test_template_where_a_worker_was_expected_names_the_right_call(call: str) -> None:
    template = (
        b'{"id": "wrk_1", "createdAt": null, "instructions": "", "organizationId": "o", "outputSchema": null, '
        b'"summary": "", "title": "Biscuit", "updatedAt": null, "url": "u", "userId": "u", "visibility": "public"}'
    )
    respond: Any = lambda request: Response(200, {"Content-Type": "application/json"}, template)  # noqa: E731
    calls: dict[str, Any] = {
        "create": lambda workers: workers.create(input="x"),
        "continue_": lambda workers: workers.continue_("w", input="x"),
        "retrieve": lambda workers: workers.retrieve("w"),
    }
    async with Session(api_key="key", transport=MemoryTransport(respond)) as session:
        with pytest.raises(APIResponseValidationError, match=r"template wrk_1 .*session\.run\(\)"):
            await calls[call](session.workers)


async def test_json_where_a_stream_was_expected_is_kept_and_names_the_right_call() -> None:
    def respond(request: Request) -> Response:
        return Response(200, {"Content-Type": "application/json"}, b'{"output_text": "paid for"}')

    async with Session(api_key="key", transport=MemoryTransport(respond)) as session:
        for stream in (session.workers.stream_updates("w"), session.tasks.create(input="x", stream=True)):
            with pytest.raises(APIResponseValidationError, match=r"session\.run\(\)") as caught:
                async with stream:
                    pass
            assert caught.value.response is not None
            assert caught.value.response.body == b'{"output_text": "paid for"}'


def test_json_in_place_of_a_stream_that_never_ends_is_given_up() -> None:
    async def respond(request: Request) -> Any:
        async def chunks() -> Any:
            while True:
                yield b" "
                await asyncio.sleep(1)

        return StreamingResponse(200, {"Content-Type": "application/json"}, chunks())

    async def main() -> None:
        async with Session(api_key="key", transport=MemoryTransport(respond)) as session:
            with pytest.raises(APIResponseValidationError):
                async with session.workers.stream_updates("w"):
                    pass

    run_in_virtual_time(main())
