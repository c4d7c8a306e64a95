"""Runs through gateways, services and transports that behave in other ways than the kit's faults."""

import asyncio
import math
import re
from typing import Any

import attrs
import pytest

from handinger_async import (
    APIResponseValidationError,
    RunFailedError,
    RunUnknownError,
    Session,
)
from handinger_async.http import Request, Response
from handinger_async.operations import CreateTask, RetrieveTask, RetrieveWorker
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Delay, Drop, FaultyHandler, Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.memory import MemoryTransport, call_handler

from .test_run_doubts import Gateway, is_post, perform


class Late:
    """Performs requests; the response to the POST of a task comes last, and is another one."""

    def __init__(self, fake: FakeHandinger, response: Response | None = None, error: Exception | None = None) -> None:
        self._fake, self._response, self._error = fake, response, error
        self._gone = False

    async def __call__(self, request: Request) -> Any:
        if self._gone and request.path == "/api/tasks":
            return self._response
        response = await call_handler(self._fake, request)
        if is_post(request):
            self._gone = self._response is not None
            if self._error is not None:
                raise self._error
            return self._response
        return response


async def check_doubt(session: Session, fake: FakeHandinger, api: str) -> None:
    """Run an instruction that is in doubt: a task is found again, a worker of the older generation is unknown."""
    if api == "today":
        assert (await session.run("x")).output_text
    else:
        with pytest.raises(RunUnknownError):
            await session.run("x")
    assert fake.runs == {"x": 1}


@pytest.mark.parametrize("api", ["today", "both"])
@pytest.mark.parametrize("status", [400, 404, 405, 409])
def test_refusal_after_the_service_has_shown_the_run_is_a_doubt(api: Any, status: int) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        fake.script("half", Step("done", after=5))
        async with Session(api_key="k", transport=MemoryTransport(Late(fake, Response(status)))) as session:
            outcome = await session.run("x")
        assert outcome.output_text == "halfdone"
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


@pytest.mark.parametrize("api", ["today", "seed"])
def test_redirect_of_the_request_is_a_doubt(api: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        end = "/api/tasks" if api == "today" else "/api/workers"
        gateway = Gateway(fake, end, Response(303, {"Location": "/api/other"}))
        async with Session(api_key="k", transport=MemoryTransport(gateway)) as session:
            await check_doubt(session, fake, api)

    run_in_virtual_time(main())


@pytest.mark.parametrize("api", ["today", "seed"])
@pytest.mark.parametrize(
    "error", [ConnectionResetError("lost"), TimeoutError("late"), OSError(5, "a disk"), RuntimeError("a bug")]
)
def test_any_error_of_a_transport_is_a_doubt(error: Exception, api: Any) -> None:
    class Broken:
        def __init__(self, inner: MemoryTransport) -> None:
            self._inner = inner

        async def open(self, url: Any, request: Request, *, connect_timeout: float | None) -> Any:
            response = await self._inner.open(url, request, connect_timeout=connect_timeout)
            if request.method == "POST" and request.read_body() != b"{}" and response.status < 400:
                raise error
            return response

        async def aclose(self) -> None:
            await self._inner.aclose()

    async def main() -> None:
        fake = FakeHandinger(api=api)
        async with Session(api_key="k", transport=Broken(MemoryTransport(fake))) as session:
            await check_doubt(session, fake, api)

    run_in_virtual_time(main())


def test_turn_without_a_time_of_completion_ends_by_its_status() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")

        async def respond(request: Request) -> Any:
            response = await perform(fake, request)
            if request.method == "GET":
                return attrs.evolve(
                    response, body=re.sub(rb'"completedAt":"[^"]*"', b'"completedAt":null', response.body)
                )
            return response

        async with Session(api_key="k", transport=MemoryTransport(respond)) as session:
            first = await session.run("first")
        async with Session(
            api_key="k", transport=MemoryTransport(FaultyHandler(respond, Drop(on=CreateTask, after=0.1)))
        ) as session:
            outcome = await session.run("second", task_id=first.task_id, deadline=600)
        assert outcome.status == "completed"

    run_in_virtual_time(main())


def test_response_that_comes_after_the_state_adds_its_files_and_its_error() -> None:
    async def main() -> None:
        for fields, failed in (({}, False), ({"error": {"message": "boom"}}, True)):
            fake = FakeHandinger(api="today", turns=False)
            fake.script(Step("", after=3, files={"report.md": b"1"}, fields=fields))
            async with fake.session(Delay(2, on=CreateTask), Status(404, on=RetrieveWorker, times=None)) as session:
                try:
                    outcome = await session.run("x", deadline=60)
                except RunFailedError as error:
                    assert failed
                    outcome = error.outcome
                else:
                    assert not failed
            assert [file.filename for file in outcome.files] == ["report.md"]
            assert outcome.worker

    run_in_virtual_time(main())


def test_deadline_after_the_end_of_the_task_gives_its_outcome() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        loop = asyncio.get_running_loop()
        async with fake.session(Delay(math.inf, on=CreateTask), Delay(30, on=RetrieveWorker)) as session:
            start = loop.time()
            assert (await session.run("x", deadline=5)).output_text
            assert loop.time() - start <= 5

    run_in_virtual_time(main())


def test_failing_function_for_the_key_after_the_end_gives_the_outcome() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        ended = False

        async def key() -> str:
            if ended:
                raise RuntimeError("vault down")
            return "key"

        def note(state: Any) -> None:
            nonlocal ended
            ended = state.task.status == "completed"

        async with fake.session(Drop(on=CreateTask, after=0.1), api_key=key) as session:
            assert (await session.run("x", on_update=note)).output_text

    run_in_virtual_time(main())


def test_older_run_that_cannot_be_followed_names_its_worker() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("done", after=100))
        async with fake.session(Status(401, on=RetrieveWorker)) as session:
            with pytest.raises(RunUnknownError, match="401") as caught:
                await session.workers.run(input="x")
            assert caught.value.worker_id
        session = fake.session()
        running = asyncio.create_task(session.run("x"))
        await asyncio.sleep(5)
        await session.aclose()
        with pytest.raises(RunUnknownError, match="closed") as caught:
            await running
        assert caught.value.worker_id

    run_in_virtual_time(main())


def test_unreadable_states_are_requested_again_for_the_settling_time() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        garbled = Status(200, on=RetrieveTask, times=5, body=b"<html>")
        async with fake.session(Drop(on=CreateTask, after=0.1), garbled) as session:
            assert (await session.run("x")).output_text
        forever = Status(200, on=RetrieveTask, times=None, body=b"<html>")
        async with fake.session(Drop(on=CreateTask, after=0.1), forever) as session:
            with pytest.raises(RunUnknownError, match="not JSON"):
                await session.run("y")

    run_in_virtual_time(main())


def test_schema_as_a_dict_needs_an_output_too() -> None:
    async def main() -> None:
        async with FakeHandinger(api="today").session() as session:
            worker = await session.workers.create_template(instructions="No schema.")
            with pytest.raises(APIResponseValidationError, match="null") as caught:
                await session.run("x", worker_id=worker.id, output_schema={"type": "object"})
            assert caught.value.outcome.output_text

    run_in_virtual_time(main())


def test_on_update_is_called_in_the_task_that_runs() -> None:
    async def main() -> None:
        tasks: set[Any] = set()
        async with FakeHandinger(api="today").session() as session:
            await session.tasks.run(input="x", on_update=lambda state: tasks.add(asyncio.current_task()))
        assert tasks == {asyncio.current_task()}

    run_in_virtual_time(main())


def test_continued_task_without_turns_is_not_taken_for_ended() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=10))
        empty = True

        async def respond(request: Request) -> Any:
            nonlocal empty
            if request.path == "/api/tasks/tsk_1" and empty:
                empty = fake.runs["x"] == 0
                return Response(200, {"Content-Type": "application/json"}, EMPTY_TASK)
            return await call_handler(fake, request)

        async with Session(api_key="k", transport=MemoryTransport(respond)) as session:
            task = await session.tasks.run(input="x", task_id="tsk_1")
        assert task.turns is not None
        assert task.turns[-1].output_text == "done"

    run_in_virtual_time(main())


EMPTY_TASK = (
    b'{"task": {"id": "tsk_1", "completedAt": null, "createdAt": "2026-01-01T00:00:00Z", "createdByUserId": null, '
    b'"organizationId": "o", "status": "error", "title": "", "triggeredBy": "api", "url": "", "workerId": "wrk_1", '
    b'"totals": {"credits": 0, "durationMs": 0, "turnCount": 0}}, "turns": []}'
)
