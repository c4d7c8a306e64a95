"""Mistakes that type checkers report: each ignored line must be an error, since both report an ignore without one.

Misspelt attributes, wrong values and forgotten ``await`` are the mistakes that people make most.
"""

from typing import Any

from handinger_async import (
    APIStatusError,
    CronWhen,
    DelayedWhen,
    EventStream,
    Outcome,
    RetryPolicy,
    ServerSentEvent,
    Session,
    Task,
    Timeouts,
    Worker,
    WorkerSchedule,
    operations,
)
from handinger_async.codec import decode_response
from handinger_async.http import Endpoint, Headers, Response
from handinger_async.models import When
from handinger_async.schema import decode
from handinger_async.testing import FakeHandinger
from handinger_async.transports.memory import MemoryTransport
from handinger_async.webhooks import receive


async def awaits(session: Session) -> None:
    print(session.workers.retrieve("w").status)  # type: ignore[attr-defined]
    session.workers.retrieve("w")  # type: ignore[unused-coroutine]
    session.run("x")  # type: ignore[unused-coroutine]
    await session.workers.stream_updates("w")  # type: ignore[misc]
    for _ in session.workers.stream_updates("w"):  # type: ignore[attr-defined]
        pass
    async for _ in session.run("x"):  # type: ignore[attr-defined]
        pass
    with session:  # type: ignore[attr-defined]
        pass


async def runs(session: Session, outcome: Outcome[None]) -> None:
    await session.run()  # type: ignore[call-overload]
    await session.run("x", "w")  # type: ignore[call-overload]
    await session.run("x", budget="huge")  # type: ignore[call-overload]
    await session.run("x", output_schema="string")  # type: ignore[call-overload]
    await session.run("x", files=[5])  # type: ignore[list-item]
    await session.run("x", timeout=5)  # type: ignore[call-overload]
    session.run_many([5])  # type: ignore[list-item]
    print(outcome.structured_output.name)  # type: ignore[attr-defined]
    print(outcome.usage.steps)  # type: ignore[union-attr]


async def resources(session: Session) -> None:
    session.workers.create("x")  # type: ignore[call-overload]
    session.workers.create(input="x", budget="huge")  # type: ignore[call-overload]
    session.tasks.create("x")  # type: ignore[call-overload]
    print(session.workers.webhooks.update("w"))  # type: ignore[call-arg]
    print(session.workers.continue_("w"))  # type: ignore[call-overload]
    print(session.workers.retrieve_file("a"))  # type: ignore[call-arg]
    print(session.workers.schedules.create("w", input="x"))  # type: ignore[call-arg]
    print(session.workers.schedules.create("w", input="x", when="tomorrow"))  # type: ignore[arg-type]
    print(session.workers.update("w", visibility="secret"))  # type: ignore[arg-type]
    print(session.workers.retreive("w"))  # type: ignore[attr-defined]


def values(worker: Worker, task: Task, event: ServerSentEvent, schedule: WorkerSchedule, when: When) -> None:
    worker.id = "other"  # type: ignore[misc]
    task.status = "completed"  # type: ignore[misc]
    event.data = "other"  # type: ignore[misc]
    print(worker.output_txt)  # type: ignore[attr-defined]
    print(worker.usage.steps)  # type: ignore[union-attr]
    print(schedule.cron)  # type: ignore[union-attr]
    if when.type == "interval":
        print(when.cron)  # type: ignore[attr-defined]
    Worker("w")  # type: ignore[call-arg]
    DelayedWhen("60")  # type: ignore[arg-type]
    CronWhen()  # type: ignore[call-arg]


def options(session: Session, error: APIStatusError) -> None:
    Session("key")  # type: ignore[call-arg]
    Session(api_key=b"key")  # type: ignore[arg-type]
    Session(timeouts=60)  # type: ignore[arg-type]
    Session(transport=FakeHandinger())  # type: ignore[arg-type]
    Timeouts(total=5)  # type: ignore[call-arg]
    RetryPolicy(max_retries="5")  # type: ignore[arg-type]
    session.with_options(timeout=5)  # type: ignore[call-arg]
    session.with_options(headers={"A": 1})  # type: ignore[dict-item]
    error.status_code += 1  # type: ignore[misc]
    error.retry_after + 1  # type: ignore[operator]


def core(stream: EventStream, document: object, body: bytes, pairs: list[tuple[bytes, bytes]]) -> None:
    operations.RetrieveWorker()  # type: ignore[call-arg]
    result: str = decode_response(operations.RetrieveWorker("w"), Response(200))  # type: ignore[assignment]
    print(result)
    Endpoint("https://handinger.com")  # type: ignore[call-arg]
    Headers({"A": 1})  # type: ignore[arg-type]
    MemoryTransport(lambda: Response(200))  # type: ignore[arg-type, misc]
    decode(document, "Tent")  # type: ignore[call-overload]
    receive(pairs, body)  # type: ignore[call-arg]
    next(stream)  # type: ignore[call-overload]


class Incomplete:
    """A transport without ``aclose``."""

    async def open(self, url: object, request: object, *, connect_timeout: float | None) -> Any: ...


Session(transport=Incomplete())  # type: ignore[arg-type]
