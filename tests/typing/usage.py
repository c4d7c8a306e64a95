"""A program for the type checkers that uses the whole public API; ``assert_type`` pins the inferred types.

It is never run. The checkers find the library as it is installed: nothing in this folder leads to the source tree.
"""

from collections import Counter
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import aiohttp
import attrs

from handinger_async import (
    UNSET,
    APIError,
    APIStatusError,
    Attempt,
    CronWhen,
    DelayedWhen,
    DeleteTaskResponse,
    DeleteWorkerResponse,
    EventParser,
    EventStream,
    Exchange,
    File,
    FileDownload,
    IntervalWhen,
    Outcome,
    RetryPolicy,
    RunError,
    RunFailedError,
    ScheduleCancelResponse,
    ScheduledWhen,
    ScheduleListResponse,
    ServerSentEvent,
    Session,
    Task,
    TaskTurnList,
    TaskWithTurns,
    Timeouts,
    Turn,
    Usage,
    Webhook,
    WebhookExecution,
    WebhookExecutionList,
    Worker,
    WorkerSchedule,
    WorkerTemplate,
    encode_event,
    operations,
    to_dict,
    to_json,
)
from handinger_async.codec import decode_request, decode_response, encode_request, encode_response
from handinger_async.http import Endpoint, Headers, Request, Response
from handinger_async.testing import FakeHandinger, check_transport, serve
from handinger_async.transports import StreamedResponse, Transport
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import MemoryTransport
from handinger_async.uploads import FileInput, Upload

SCHEMA: dict[str, Any] = {"type": "object"}


@attrs.frozen
class Tent:
    """The structured output of a run."""

    name: str
    weight_kg: float


async def workers(session: Session, flag: bool) -> None:
    assert_type(await session.workers.create(input="x"), Worker)
    assert_type(await session.workers.create(input="x", budget="low", stream=False), Worker)
    assert_type(session.workers.create(input="x", stream=True), EventStream)
    assert_type(session.workers.create(input="x", stream=flag), Coroutine[Any, Any, Worker] | EventStream)
    assert_type(await session.workers.retrieve("w"), Worker)
    assert_type(session.workers.retrieve("w", stream=True), EventStream)
    assert_type(await session.workers.retrieve("w", task_id="t"), Worker)
    assert_type(await session.workers.continue_("w", input="x"), Worker)
    assert_type(session.workers.continue_("w", input="x", budget="unlimited", stream=True), EventStream)
    assert_type(await session.workers.retrieve_email("w"), str)
    assert_type(session.workers.retrieve_file("a", worker_id="w"), FileDownload)
    assert_type(await session.workers.retrieve_file("a", worker_id="w").read(), bytes)
    assert_type(await session.workers.retrieve_file("a", worker_id="w").save("here"), Path)
    assert_type(await session.workers.download_files("w", "here", progress=lambda done, total: None), list[Path])
    async with session.workers.retrieve_file("a", worker_id="w") as file:
        async for chunk in file:
            assert_type(chunk, bytes)
    async with session.workers.stream_updates("w", resume=False) as events:
        assert_type(events, EventStream)
        async for event in events:
            assert_type(event, ServerSentEvent)
        async for batch in events.batches():
            assert_type(batch, list[ServerSentEvent])
        assert_type(events.last_event_id, str)
        assert_type(events.response, Response)


async def tasks(session: Session, flag: bool) -> None:
    files: list[FileInput] = ["a.txt", Path("b.txt"), ("c.txt", b"c"), Upload("d.txt", b"d", "text/plain")]
    assert_type(await session.tasks.create(input="x"), Worker)
    assert_type(await session.tasks.create(input="x", worker_id="w", task_id="t", budget="low", files=files), Worker)
    assert_type(session.tasks.create(input="x", stream=True), EventStream)
    assert_type(session.tasks.create(input="x", stream=flag), Coroutine[Any, Any, Worker] | EventStream)
    task = await session.tasks.retrieve("t")
    assert_type(task, TaskWithTurns)
    assert_type(task.task, Task)
    assert_type(task.turns, list[Turn] | None)
    assert_type(await session.tasks.list_turns("t"), TaskTurnList)
    assert_type(await session.tasks.delete("t"), DeleteTaskResponse)
    assert_type(await session.send(operations.CreateTask(input="x")), Worker)
    assert_type(await session.tasks.run(input="x", new_task_id="t", deadline=60, files=files), TaskWithTurns)
    assert_type(await session.tasks.wait("t", on_update=print), TaskWithTurns)
    assert_type(await session.workers.run(input="x", on_start=lambda worker_id, task_id: None), Worker)
    assert_type(await session.workers.wait("w"), Worker)


async def templates(session: Session) -> None:
    template = await session.workers.create_template(instructions="x", visibility="private", output_schema=Tent)
    assert_type(template, WorkerTemplate)
    assert_type(template.output_schema, dict[str, Any] | None)
    assert_type(await session.workers.update("w", title="x", output_schema=None), WorkerTemplate)
    await session.workers.update("w", output_schema=SCHEMA)
    await session.workers.update("w", output_schema=UNSET)
    assert_type(await session.workers.delete("w"), DeleteWorkerResponse)


async def webhooks(session: Session) -> None:
    hooks = session.workers.webhooks
    assert_type(await hooks.retrieve("w"), Webhook)
    assert_type(await hooks.update("w", url="https://example.com"), Webhook)
    assert_type(await hooks.update("w", url=None), Webhook)
    assert_type(await hooks.delete("w"), Webhook)
    assert_type(await hooks.regenerate_token("w"), Webhook)
    assert_type(await hooks.list_executions("w", page=2), WebhookExecutionList)
    async for execution in hooks.executions("w"):
        assert_type(execution, WebhookExecution)
        assert_type(execution.created_at, datetime)


async def runs(session: Session) -> None:
    async def started(worker_id: str | None, task_id: str | None) -> None: ...

    assert_type(await session.run("x"), Outcome[None])
    assert_type(await session.run("x", output_schema=None, files=["a.txt"], budget="high"), Outcome[None])
    assert_type(await session.run("x", output_schema=SCHEMA, worker_id="w"), Outcome[dict[str, Any]])
    outcome = await session.run("x", output_schema=Tent, task_id="t", on_start=started, on_update=print, deadline=60)
    assert_type(outcome, Outcome[Tent])
    assert_type(outcome.structured_output, Tent)
    assert_type(outcome.structured_output.weight_kg, float)
    assert_type(outcome.files, list[File])
    assert_type(outcome.usage, Usage | None)
    assert_type(outcome.task, TaskWithTurns | None)
    try:
        await session.run("x")
    except RunFailedError as error:
        assert_type(error.task_id, str | None)
        print(error.outcome)
    except RunError as error:
        assert_type(error.worker_id, str | None)


async def schedules(session: Session) -> None:
    plans = session.workers.schedules
    assert_type(await plans.create("w", input="x", when=DelayedWhen(delay_in_seconds=60)), WorkerSchedule)
    await plans.create("w", input="x", when=ScheduledWhen(date=datetime(2030, 1, 1)), budget="high")
    await plans.create("w", input="x", when=ScheduledWhen("2030-01-01"))
    await plans.create("w", input="x", when=CronWhen("* * * * *"))
    await plans.create("w", input="x", when=IntervalWhen(interval_seconds=5))
    await plans.create("w", input="x", when={"type": "delayed", "delay_in_seconds": 60})
    assert_type(await plans.list("w"), ScheduleListResponse)
    assert_type(await plans.cancel("s", worker_id="w"), ScheduleCancelResponse)
    for schedule in (await plans.list("w")).schedules:
        await plans.cancel(schedule.id, worker_id="w")


async def session_itself(session: Session) -> None:
    assert_type(await session.send(operations.RetrieveWorker("w")), Worker)
    assert_type(await session.send(operations.RetrieveWorkerEmail("w")), str)
    assert_type(await session.send(operations.ListSchedules(worker_id="w")), ScheduleListResponse)
    exchange = await session.exchange(operations.CreateWorker(input="x", budget="standard"))
    assert_type(exchange, Exchange[Worker])
    assert_type(exchange.result, Worker)
    assert_type(exchange.request_id, str | None)
    assert_type(session.stream(operations.StreamWorkerUpdates("w")), EventStream)
    assert_type(session.download(operations.RetrieveWorkerFile("a", worker_id="w")), FileDownload)
    assert_type(session.download("/files/a"), FileDownload)
    assert_type(await session.request("GET", "/api/x", query={"a": 1}, json=[1], headers={"A": "b"}), Response)
    view = session.with_options(
        timeouts=Timeouts(connect=1, attempt=None, idle=5.0, deadline=60),
        retry=RetryPolicy(max_retries=5),
        headers={"A": "b"},
        query={"a": True},
        body={"b": None},
        idempotency_key="once",
    )
    assert_type(view, Session)
    session.with_options(headers={"User-Agent": None, "A": "b"})
    await session.request("GET", "/api/x", query={"a": [1, "b"]}, headers={"Accept": None})
    try:
        worker = await view.workers.retrieve("w")
    except APIStatusError as error:
        assert_type(error.status_code, int)
        assert_type(error.retry_after, float | None)
    except APIError as error:
        print(error)
    else:
        assert_type(worker.usage, Usage | None)
        assert_type(worker.extra, dict[str, Any])
        assert_type(to_dict(worker), dict[str, Any])
        assert_type(to_json(worker), str)


def core() -> None:
    operation = operations.CreateSchedule("w", input="x", when=DelayedWhen(60))
    endpoint = Endpoint("https://handinger.com", "key")
    url, request = endpoint.prepare(encode_request(operation))
    assert_type(request, Request)
    print(url)
    schedule = decode_response(operation, Response(200, Headers(), b"{}"))
    assert_type(schedule, WorkerSchedule)
    assert_type(encode_response(operation, schedule), Response)
    decode_request(request)
    parser = EventParser(max_event_size=1000)
    assert_type(parser.feed(b""), list[ServerSentEvent])
    assert_type(encode_event(ServerSentEvent("x", event="e", id="1")), bytes)
    assert_type(parser.retry, int | None)


class CustomTransport:
    """A custom transport."""

    async def open(self, url: object, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        raise NotImplementedError("only for the type checkers")

    async def aclose(self) -> None: ...


async def transports(given: aiohttp.ClientSession) -> None:
    def observe(attempt: Attempt) -> None:
        assert_type(attempt.elapsed, float)

    custom: Transport = CustomTransport()
    memory: Transport = MemoryTransport(FakeHandinger(seed=1, api_keys=["key"]))
    received: list[Request] = []
    today = FakeHandinger(api="today", turns=False, deliver=received.append)
    assert_type(today.runs, Counter[str])
    assert_type(today.tasks, dict[str, TaskWithTurns])
    for transport in (custom, memory, AiohttpTransport(given), AiohttpTransport(limit=5, trust_env=False)):
        async with Session(api_key="key", transport=transport, observe=observe, max_body_size=1000) as session:
            await workers(session, flag=True)
            await tasks(session, flag=True)
    MemoryTransport(lambda request: Response(200))
    MemoryTransport(lambda request: [request.read_body()])
    await check_transport(lambda handler: MemoryTransport(handler), skip=["no_cookies_are_kept"])
    async with serve(FakeHandinger()) as url:
        Session(base_url=url)

    async def get_key() -> str:
        return "key"

    Session(api_key=get_key, headers={"User-Agent": None})
    Session(api_key=lambda: "key")
