"""Batches that are left and started again, and their deadlines: with a journal, no outcome is lost and none doubled."""

import asyncio
import gc
import io
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from handinger_async import (
    ConfigurationError,
    RunFailedError,
    RunTimeoutError,
    RunUnknownError,
    Session,
    Timeouts,
)
from handinger_async._asyncio.journal import Journal
from handinger_async._asyncio.records import Records
from handinger_async.http import Request
from handinger_async.operations import CreateTask, RetrieveWorker
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Delay, Postpone, Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.memory import MemoryTransport

from .service import now, without_responses
from .test_batches import collect, drain, each_once, names


def is_probe(request: Request) -> bool:
    """Return True for the request that asks for the generation of the service."""
    return request.method == "POST" and request.path == "/api/tasks" and request.read_body() == b"{}"


# Deadlines ############################################################################################################


@pytest.mark.parametrize("status", ["completed", "error"])
def test_run_that_is_over_at_the_deadline_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Any
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)

    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=10, status=status))
        async with Session(api_key="key", transport=MemoryTransport(without_responses(fake))) as session:
            for _ in range(2):
                results = await collect(session.run_many(["x"], deadline=14, journal=tmp_path / "j"))
                assert now() < 20
                if status == "completed":
                    assert results[0].outcome
                else:
                    assert isinstance(results[0].error, RunFailedError)

    run_in_virtual_time(main())


def test_deadline_includes_the_time_to_record_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Records.call

    async def slow(self: Records, method: str, *args: Any) -> Any:
        result = await call(self, method, *args)
        if method == "post":
            await asyncio.sleep(8)
        return result

    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=1000))
        async with fake.session() as session:
            results = await collect(session.run_many(["x"], deadline=10, journal=tmp_path / "j"))
        assert isinstance(results[0].error, RunTimeoutError)
        assert now() == pytest.approx(10)

    monkeypatch.setattr(Records, "call", slow)
    run_in_virtual_time(main())


def test_found_run_that_is_over_does_not_wait_for_its_worker_beyond_the_deadline(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=10))
        async with fake.session(Delay(30, on=RetrieveWorker, times=None)) as session:
            async with session.run_many(["x"], journal=tmp_path / "j"):
                await asyncio.sleep(5)
            await asyncio.sleep(20)
            results = await collect(session.run_many(["x"], deadline=5, journal=tmp_path / "j"))
        assert results[0].outcome
        assert now() == pytest.approx(30)

    run_in_virtual_time(main())


def test_deadline_holds_between_two_requests_of_a_refused_run() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=1000))
        async with fake.session(Status(429, retry_after=50, on=CreateTask, times=None)) as session:
            results = await collect(session.run_many(["x"], deadline=25))
        assert isinstance(results[0].error, RunTimeoutError)
        assert now() == pytest.approx(25)

    run_in_virtual_time(main())


@pytest.mark.parametrize(("session_limit", "batch_limit"), [(10, 100), (100, 10), (10, None), (None, 10)])
def test_earlier_deadline_of_session_and_batch_ends_a_run(session_limit: Any, batch_limit: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=1000))
        async with fake.session(timeouts=Timeouts(deadline=session_limit)) as session:
            results = await collect(session.run_many(["x"], deadline=batch_limit))
        assert isinstance(results[0].error, RunTimeoutError)
        assert now() == pytest.approx(10)

    run_in_virtual_time(main())


# Started again ########################################################################################################


def test_recorded_run_does_not_wait_for_the_next_input_after_one_that_is_done(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("a", after=30), match="input 0")
        fake.script(Step("b", after=1), match="input 1")

        async def inputs() -> AsyncIterator[str]:
            for name in names(2):
                yield name
            await asyncio.sleep(1e6)

        async with fake.session() as session:
            async with session.run_many(inputs(), journal=tmp_path / "j"):
                await asyncio.sleep(10)
            async with session.run_many(inputs(), journal=tmp_path / "j") as results:
                each_once([await anext(results), await anext(results)], 2)
                assert now() < 60

    run_in_virtual_time(main())


def test_compared_inputs_have_results_though_the_next_one_is_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("a", after=30))

        async def inputs() -> AsyncIterator[str]:
            for name in names(2):
                yield name
            raise asyncio.CancelledError

        async with fake.session() as session:
            async with session.run_many(names(4), journal=tmp_path / "j"):
                await asyncio.sleep(10)
            async with session.run_many(inputs(), journal=tmp_path / "j") as batch:
                results, error = await drain(batch)
        assert isinstance(error, ConfigurationError)
        each_once(results, 2)

    run_in_virtual_time(main())


def test_input_that_cannot_be_compared_is_another_one_where_one_is_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        async with FakeHandinger(api="today").session() as session:
            await collect(session.run_many(["a", "b", "c"], journal=tmp_path / "j"))
            inputs = ["a", {"input": "b", "files": [("x", io.BytesIO(b""))]}, "c"]
            with pytest.raises(ConfigurationError, match="pass a path or bytes"):
                await collect(session.run_many(inputs, journal=tmp_path / "j"))

    run_in_virtual_time(main())


def test_refusal_of_a_repeated_run_does_not_forget_the_first_request(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session(Postpone(100, on=CreateTask), Status(400, on=CreateTask)) as session:
            results = await collect(session.run_many(["x"], journal=tmp_path / "j", repeat_unknown=True))
            assert results[0].error
            await asyncio.sleep(200)
            results = await collect(session.run_many(["x"], journal=tmp_path / "j"))
        assert results[0].outcome
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


def test_leaving_while_a_repeated_run_is_recorded_does_not_forget_the_first_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        posts = 0
        again = asyncio.Event()
        post = Journal.post

        def counted(*args: Any) -> None:
            nonlocal posts
            posts += 1
            if posts == 2:
                loop.call_soon_threadsafe(again.set)
            post(*args)

        monkeypatch.setattr(Journal, "post", counted)
        fake = FakeHandinger(api="today")
        async with fake.session(Postpone(100, on=CreateTask)) as session:
            async with session.run_many(["x"], journal=tmp_path / "j", repeat_unknown=True):
                await again.wait()
            await asyncio.sleep(200)
            results = await collect(session.run_many(["x"], journal=tmp_path / "j"))
        assert results[0].outcome
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


@pytest.mark.parametrize("meanwhile", [False, True])
def test_started_run_of_a_chosen_older_worker_is_unknown_and_not_repeated(tmp_path: Path, meanwhile: bool) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("done", after=100))
        async with fake.session() as session:
            worker = await session.workers.create(input="before")
            await asyncio.sleep(200)
            options: dict[str, Any] = {"worker_id": worker.id, "journal": tmp_path / "j", "repeat_unknown": True}
            async with session.run_many(["x"], **options):
                await asyncio.sleep(5)
            await asyncio.sleep(200)
            if meanwhile:
                await session.workers.continue_(worker.id, input="of another")
            results = await collect(session.run_many(["x"], **options))
        assert isinstance(results[0].error, RunUnknownError)
        assert fake.runs["x"] == 1

    run_in_virtual_time(main())


# The generation #######################################################################################################


@pytest.mark.parametrize("api", ["today", "seed", "both"])
@pytest.mark.parametrize(("status", "times"), [(429, 2), (500, None), (403, None)])
def test_run_of_a_chosen_worker_does_not_depend_on_the_question_for_the_generation(
    api: Any, status: int, times: int | None
) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        async with fake.session() as session:
            template = session.workers.create(input="before") if api == "seed" else session.workers.create_template()
            worker = await template
        async with fake.session(Status(status, on=is_probe, times=times, retry_after=1)) as session:
            results = await collect(session.run_many(names(4), worker_id=worker.id))
            if api == "seed" and times is None:  # no request tells the generation
                assert not any(result.outcome for result in results)
            else:
                assert all(result.outcome for result in results)

    run_in_virtual_time(main())


# The end ##############################################################################################################


@pytest.mark.parametrize("at", [0.5, 3, 5, 5.0001, 20])
def test_batch_can_be_closed_by_two_tasks_at_once(tmp_path: Path, at: float) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", after=5), match="input 0")
        fake.script(Step("done", after=1000))
        async with fake.session() as session:
            async with session.run_many(names(5), journal=tmp_path / "j") as results:
                reading = asyncio.create_task(drain(results))
                await asyncio.sleep(at)
            await reading
            await asyncio.gather(results.aclose(), results.aclose())
        Journal(tmp_path / "j").close()

    run_in_virtual_time(main())


def test_input_that_cannot_be_recorded_is_in_no_reference_cycle(tmp_path: Path) -> None:
    class Thing:
        """A file of no kind."""

    async def main() -> None:
        thing = Thing()
        alive = weakref.ref(thing)
        bad = {"input": "x", "files": [thing]}
        async with FakeHandinger(api="today").session() as session:
            results = await collect(session.run_many([bad], journal=tmp_path / "j"))
            assert isinstance(results[0].error, ConfigurationError)
            del results, bad, thing
            await asyncio.sleep(0)
        assert alive() is None

    gc.collect()
    gc.disable()
    try:
        run_in_virtual_time(main())
    finally:
        gc.enable()
