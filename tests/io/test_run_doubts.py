"""Doubts of runs: what may have been performed is not repeated, and what is known is not lost. In virtual time."""

import asyncio
import json
import math
from typing import Any

import attrs
import pytest

from handinger_async import (
    APIResponseValidationError,
    ConfigurationError,
    NotFoundError,
    RateLimitError,
    RunFailedError,
    RunTimeoutError,
    RunUnknownError,
    Session,
)
from handinger_async.http import Request, Response
from handinger_async.operations import CreateTask, CreateWorker, ListTaskTurns, RetrieveTask
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Delay, Drop, FaultyHandler, Refuse, Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.memory import MemoryTransport, call_handler


async def perform(fake: FakeHandinger, request: Request) -> Any:
    """Return the response of the service, whole."""
    response = await call_handler(fake, request)
    chunks: Any = response.chunks
    return Response(response.status, response.headers, b"".join(chunks))


class Gateway:
    """Performs a request, and answers the first of an operation with an error of its own."""

    def __init__(self, fake: FakeHandinger, end: str, response: Response) -> None:
        self._fake, self._end, self._response = fake, end, response
        self._done = False

    async def __call__(self, request: Request) -> Any:
        response = await call_handler(self._fake, request)
        if request.method == "POST" and request.path.endswith(self._end) and not self._done:
            self._done = True
            return self._response
        return response


@pytest.mark.parametrize(
    "response",
    [
        Response(500, {"x-should-retry": "true"}),
        Response(504, {"x-should-retry": "true"}),
        Response(503, {"Retry-After": "1"}),
        Response(502),
    ],
)
@pytest.mark.parametrize(("api", "end"), [("seed", "/api/workers"), ("today", "/api/tasks")])
def test_error_of_a_gateway_after_the_run_began_does_not_double_it(api: Any, end: str, response: Response) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        async with Session(api_key="k", transport=MemoryTransport(Gateway(fake, end, response))) as session:
            try:
                assert (await session.run("x")).output_text
            except RunUnknownError:
                assert api == "seed"
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


def test_probe_and_template_carry_no_additions_of_the_caller() -> None:
    @attrs.frozen
    class Tent:
        name: str

    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session() as session:
            patched = session.with_options(body={"input": "patched"}, idempotency_key="k")
            with pytest.raises(NotFoundError):
                await patched.run("x", worker_id="wrk_none")
            assert not fake.runs
            await session.with_options(idempotency_key="k").run("y", output_schema=Tent)
        keys = [(request.path, request.headers.get("idempotency-key")) for request in fake.requests]
        assert ("/api/workers", None) in keys
        assert keys.count(("/api/tasks", "k")) == 2

    run_in_virtual_time(main())


def test_refusal_by_the_rate_limit_is_no_doubt() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session(Status(429, on=CreateTask), Refuse(on=CreateTask, times=9)) as session:
            with pytest.raises(Exception, match="refused") as caught:
                await session.tasks.run(input="x")
            assert not isinstance(caught.value, RunUnknownError)
        async with fake.session(Status(429, on=CreateTask, times=9)) as session:
            with pytest.raises(RateLimitError):
                await session.tasks.run(input="x")
        assert not fake.runs

    run_in_virtual_time(main())


@pytest.mark.parametrize("deadline", [None, 100.0])
def test_result_in_the_response_survives_requests_that_hang(deadline: float | None) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=10))
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with fake.session(Delay(math.inf, on=RetrieveTask, times=None)) as session:
            outcome = await session.run("x", deadline=deadline)
        assert outcome.output_text == "done"
        assert loop.time() - start < 60

    run_in_virtual_time(main())


def test_result_in_the_response_survives_deadline_and_close() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=10))
        async with fake.session(Delay(math.inf, on=RetrieveTask, times=None)) as session:
            assert (await session.run("x", deadline=20)).output_text == "done"
            with pytest.raises(RunUnknownError, match="cannot be retrieved") as caught:
                await session.tasks.run(input="x", deadline=20)
            assert caught.value.outcome.output_text == "done"
        session = fake.session(Status(404, on=RetrieveTask, times=None))
        running = asyncio.create_task(session.run("x"))
        await asyncio.sleep(15)
        await session.aclose()
        assert (await running).output_text == "done"

    run_in_virtual_time(main())


def test_failing_function_for_the_key_does_not_end_a_run() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=100))
        calls = 0

        def key() -> str:
            nonlocal calls
            calls += 1
            if calls > 1 and calls < 6:
                raise OSError("vault down")
            return "key"

        async with fake.session(api_key=key) as session:
            assert (await session.run("x")).output_text == "done"
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


@pytest.mark.parametrize("schema", [5, complex, list[int]])
async def test_schema_that_cannot_be_used_is_refused_before_anything_is_sent(schema: Any) -> None:
    def refuse(request: Request) -> Response:
        raise AssertionError("sent")

    async with Session(api_key="key", transport=MemoryTransport(refuse)) as session:
        with pytest.raises(ConfigurationError):
            session.run("x", worker_id="w", output_schema=schema)


def test_output_that_is_refused_by_a_validator_keeps_the_outcome() -> None:
    def refuse(instance: object, field: object, value: object) -> None:
        raise KeyError("bug")

    @attrs.define
    class Tent:
        name: str = attrs.field(validator=refuse)

    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session() as session:
            with pytest.raises(APIResponseValidationError, match="tsk_") as caught:
                await session.run("x", output_schema=Tent)
        assert caught.value.outcome.structured_output == {"name": "made up"}

    run_in_virtual_time(main())


def test_continued_task_is_not_taken_for_failed_by_its_earlier_turn() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today", turns=False)
        fake.script(Step("no", status="error"), match="first")
        fake.script(Step("yes", after=60), match="second")
        async with fake.session(Delay(0.9, on=CreateTask, skip=1), Delay(0.4, on=ListTaskTurns, times=None)) as session:
            with pytest.raises(RunFailedError) as caught:
                await session.tasks.run(input="first")
            task = await session.tasks.run(input="second", task_id=caught.value.task_id)
        assert task.turns is not None
        assert task.turns[-1].output_text == "yes"

    run_in_virtual_time(main())


def test_concurrent_runs_of_one_task_have_their_own_results() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script("A!", match="a")
        fake.script(Step("B!", after=20), match="b")
        async with fake.session() as session:
            task = await session.tasks.run(input="begin")
            one, two = await asyncio.gather(
                session.run("a", task_id=task.task.id), session.run("b", task_id=task.task.id)
            )
        assert (one.output_text, two.output_text) == ("A!", "B!")

    run_in_virtual_time(main())


def test_continued_worker_is_not_taken_for_completed_by_its_earlier_run() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        stale: list[Any] = []

        async def respond(request: Request) -> Any:
            response = await call_handler(fake, request)
            if request.method == "GET" and request.path.count("/") == 3:
                stale.append(response)
                return stale[max(0, len(stale) - 3)] if len(stale) < 6 else response
            return response

        async with Session(api_key="k", transport=MemoryTransport(respond)) as session:
            fake.script("old", match="one")
            fake.script(Step("new", after=5), match="two")
            worker = await session.workers.create(input="one")
            await asyncio.sleep(30)
            outcome = await session.run("two", worker_id=worker.id)
        assert outcome.output_text == "new"

    run_in_virtual_time(main())


def test_failed_worker_is_no_success_though_its_task_is_not_retrieved() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("half", fields={"error": {"message": "boom"}}))
        async with fake.session(Status(404, on=RetrieveTask, times=None)) as session:
            with pytest.raises(RunFailedError, match="boom"):
                await session.run("x")

    run_in_virtual_time(main())


@pytest.mark.parametrize("watched", [False, True])
def test_stream_that_ends_at_once_is_not_opened_in_a_loop(watched: bool) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("done", after=60))
        streams = 0

        async def respond(request: Request) -> Any:
            nonlocal streams
            if request.path.endswith("/stream"):
                streams += 1
                return Response(204)
            return await call_handler(fake, request)

        async with Session(api_key="k", transport=MemoryTransport(respond)) as session:
            await session.workers.run(input="x", on_update=print if watched else None)
        assert streams < 20

    run_in_virtual_time(main())


def test_generation_is_not_decided_by_a_transient_failure() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        async with fake.session(Status(503, on=_is_probe)) as session:
            with pytest.raises(Exception, match="503"):
                await session.run("x")
            assert (await session.run("x")).output_text
        assert fake.runs == {"x": 1}
        fake = FakeHandinger(api="today")
        async with fake.session(Status(404, on=is_post, times=2)) as session:
            with pytest.raises(APIResponseValidationError, match="template"):
                await session.run("x")
            assert (await session.run("x")).output_text
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


def test_deadline_holds_for_finding_the_generation_and_the_run() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in (4.0, 5.0, 60.0):
            fake = FakeHandinger(api="seed")
            fake.script(Step("done", after=100))
            async with fake.session(Delay(delay, on=_is_probe)) as session:
                start = loop.time()
                with pytest.raises(RunTimeoutError):
                    await session.run("x", deadline=5)
                assert loop.time() - start == pytest.approx(5)

    run_in_virtual_time(main())


def is_post(request: Request) -> bool:
    return request.method == "POST" and request.path == "/api/tasks"


def _is_probe(request: Request) -> bool:
    return is_post(request) and request.read_body() == b"{}"


def test_worker_with_an_error_has_ended_whatever_its_status() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("half", status="failed", fields={"error": {"message": "boom"}, "running": False}))
        async with fake.session() as session:
            with pytest.raises(RunFailedError, match="boom"):
                await session.workers.run(input="x", deadline=600)

    run_in_virtual_time(main())


def test_retry_after_of_a_request_for_the_state_has_a_limit() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=5))
        loop = asyncio.get_running_loop()
        async with fake.session(
            Drop(on=CreateTask, after=1), Status(429, on=RetrieveTask, retry_after=7200)
        ) as session:
            start = loop.time()
            await session.tasks.run(input="x")
            assert loop.time() - start < 120

    run_in_virtual_time(main())


def test_settling_time_begins_when_the_service_is_reachable() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        outage = Refuse(on=RetrieveTask, times=30)
        async with fake.session(
            Drop(on=CreateTask, after=0.1), outage, Status(404, on=RetrieveTask, times=2)
        ) as session:
            assert (await session.run("x")).output_text
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


def test_timeout_says_what_is_known_of_the_run() -> None:
    async def main() -> None:
        async def slow(worker_id: str | None, task_id: str | None) -> None:
            await asyncio.sleep(10)

        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=100))
        async with fake.session() as session:
            with pytest.raises(RunTimeoutError, match="nothing was sent"):
                await session.tasks.run(input="x", on_start=slow, deadline=5)
            with pytest.raises(RunTimeoutError, match="may have been started"):
                await session.tasks.run(input="x", deadline=0.5)
            with pytest.raises(RunTimeoutError, match="goes on"):
                await session.tasks.run(input="x", deadline=50)
        async with FakeHandinger(api="seed").session(Delay(60, on=CreateWorker)) as session:
            with pytest.raises(RunTimeoutError, match="may have been started"):
                await session.workers.run(input="x", deadline=5)

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    "other",
    [
        {"structured_output": {"a": 2}},
        {"structured_output": None},
        {"running": True},
        {"output_text": "of another run"},
    ],
)
def test_worker_of_another_run_is_not_taken_for_that_of_a_lost_response(other: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("", fields={"structured_output": {"a": 1}}))

        async def respond(request: Request) -> Any:
            response = await perform(fake, request)
            if request.path.startswith("/api/workers/"):
                worker = json.loads(response.body) | changes[-1]
                return Response(200, {"Content-Type": "application/json"}, json.dumps(worker).encode())
            return response

        changes: list[Any] = []
        for change, same in ((other, False), ({}, True)):
            changes.append(change)
            handler = FaultyHandler(respond, Drop(on=CreateTask, after=0.1))
            async with Session(api_key="k", transport=MemoryTransport(handler)) as session:
                outcome = await session.run("x")
            assert outcome.structured_output == {"a": 1}
            assert (outcome.worker is not None) is same

    run_in_virtual_time(main())


async def test_coroutine_function_as_on_update_is_refused() -> None:
    async def update(state: object) -> None: ...

    async with Session(api_key="key", transport=MemoryTransport(lambda request: Response(404))) as session:
        with pytest.raises(ConfigurationError, match="not awaited"):
            session.tasks.run(input="x", on_update=update)
