"""Waiting for workers of the older generation: by their streams, by asking, until the deadline. In virtual time."""

import asyncio
import gc
import math
from itertools import pairwise
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    RetryPolicy,
    RunError,
    RunFailedError,
    RunTimeoutError,
    RunUnknownError,
    Worker,
)
from handinger_async.operations import CreateWorker, RetrieveWorker, StreamWorkerUpdates
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Cut, Delay, Drop, Fault, Refuse, Status, Trickle
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time

STREAM = StreamWorkerUpdates


def sent(fake: FakeHandinger, end: str) -> int:
    """Return the number of GETs whose path ends so."""
    return sum(request.method == "GET" and request.path.endswith(end) for request in fake.requests)


def test_stream_is_followed_and_the_worker_asked_for_rarely() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(*(Step("word ", after=1) for _ in range(3000)))
        loop = asyncio.get_running_loop()
        async with fake.session() as session:
            start = loop.time()
            worker = await session.workers.run(input="x")
            assert worker.status == "completed"
            assert loop.time() - start == pytest.approx(3000, abs=1)
        assert sent(fake, "/stream") == 1
        assert sent(fake, worker.id) < 70

    run_in_virtual_time(main())


@pytest.mark.parametrize("silence", [60, 1200, 86400])
def test_silence_is_no_failure(silence: float) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("at last", after=silence))
        async with fake.session() as session:
            assert (await session.workers.run(input="x")).output_text == "at last"

    run_in_virtual_time(main())


def test_short_run_is_asked_for_at_its_beginning_and_at_its_end() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("done", after=3))
        async with fake.session() as session:
            worker = await session.workers.create(input="x")
            assert (await session.workers.wait(worker.id)).output_text == "done"
        assert sent(fake, "/stream") == 1
        assert sent(fake, worker.id) == 2

    run_in_virtual_time(main())


def test_unwatched_wait_keeps_no_state_of_the_worker() -> None:
    def workers() -> list[object]:
        return [found for found in gc.get_objects() if type(found) is Worker]

    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("done", after=30))
        async with fake.session() as session:
            worker_id = (await session.workers.create(input="x")).id
            before = workers()  # of other tests
            waiting = asyncio.create_task(session.workers.wait(worker_id))
            await asyncio.sleep(10)
            assert sent(fake, worker_id) == 2
            assert len(workers()) == len(before)
            assert (await waiting).output_text == "done"

    run_in_virtual_time(main())


#: Faults of streams: lost, silent, refused, absent.
FAULTS: list[Any] = [
    lambda: Drop(on=STREAM, times=None),
    lambda: Refuse(on=STREAM, times=None),
    lambda: Cut(5, on=STREAM, times=None),
    lambda: Status(500, on=STREAM, times=None),
    lambda: Status(404, on=STREAM, times=None),
    lambda: Status(405, on=STREAM, times=None),
    lambda: Status(401, on=STREAM, times=None),
    lambda: Delay(math.inf, on=STREAM, times=None),
    lambda: Delay(math.inf, at=5, on=STREAM, times=None),
    lambda: Trickle(on=STREAM, times=None),
    lambda: Status(200, on=STREAM, times=None, body=b"{}"),
    lambda: Status(500, on=RetrieveWorker, times=20),
    lambda: Drop(on=RetrieveWorker, times=20),
    lambda: Delay(math.inf, on=RetrieveWorker, times=3),
    lambda: Drop(chance=0.5, times=None, on=(RetrieveWorker, STREAM)),
]


@pytest.mark.parametrize("watched", [False, True], ids=["unwatched", "watched"])
@pytest.mark.parametrize("fault", FAULTS)
def test_wait_survives_whatever_happens_to_the_stream_or_the_questions(fault: Any, watched: bool) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(*(Step("word ", after=20) for _ in range(20)))
        seen: list[Worker] = []
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with fake.session(fault()) as session:
            worker = await session.workers.run(input="x", on_update=seen.append if watched else None, deadline=3600)
        assert worker.output_text == "word " * 20
        assert loop.time() - start < 1000
        assert len({repr(state) for state in seen}) == len(seen)
        if watched:
            assert seen[-1] == worker
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_virtual_time(main())


def test_stream_that_is_back_is_followed_again() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(*(Step("word ", after=10) for _ in range(200)))
        async with fake.session(Status(503, on=STREAM, times=9)) as session:
            worker = await session.workers.run(input="x")
        assert sent(fake, "/stream") == 1
        assert sent(fake, worker.id) < 60

    run_in_virtual_time(main())


def test_every_change_is_seen_once_and_in_order() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(*(Step(f"{number} ", after=2) for number in range(10)))
        seen: list[str] = []
        async with fake.session() as session:
            await session.workers.run(input="x", on_update=lambda worker: seen.append(worker.output_text))
        assert len(seen) == 11
        assert all(later.startswith(earlier) and later != earlier for earlier, later in pairwise(seen))

    run_in_virtual_time(main())


def test_worker_with_an_error_raises_with_its_outcome() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("half", fields={"error": {"message": "no money"}}))
        async with fake.session() as session:
            with pytest.raises(RunFailedError, match="no money") as caught:
                await session.workers.run(input="x")
        assert caught.value.outcome.output_text == "half"
        assert caught.value.worker_id == caught.value.outcome.worker_id

    run_in_virtual_time(main())


def test_unknown_status_is_waited_for_to_the_deadline_and_not_past_it() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(Step("half", status="paused"))
        loop = asyncio.get_running_loop()
        async with fake.session() as session:
            start = loop.time()
            with pytest.raises(RunTimeoutError, match="500 s") as caught:
                await session.workers.run(input="x", deadline=500)
            assert loop.time() - start == pytest.approx(500)
            assert caught.value.worker_id
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_virtual_time(main())


@pytest.mark.parametrize("fault", [Drop, lambda **on: Status(500, **on), lambda **on: Cut(10, **on)])
def test_worker_whose_id_is_lost_is_unknown_and_not_created_again(fault: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        async with fake.session(fault(on=CreateWorker)) as session:
            with pytest.raises(RunUnknownError) as caught:
                await session.workers.run(input="x")
        assert caught.value.worker_id is None
        assert fake.runs["x"] <= 1

    run_in_virtual_time(main())


@pytest.mark.parametrize("fault", [Refuse(on=CreateWorker, times=9), Status(422, on=CreateWorker)])
def test_worker_that_is_refused_is_an_error_of_the_service(fault: Fault) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        async with fake.session(fault) as session:
            with pytest.raises((APIConnectionError, APIStatusError)) as caught:
                await session.workers.run(input="x")
        assert not isinstance(caught.value, RunError)
        assert not fake.runs

    run_in_virtual_time(main())


def test_template_instead_of_a_worker_names_the_right_call() -> None:
    async def main() -> None:
        async with FakeHandinger(api="today").session() as session:
            with pytest.raises(APIResponseValidationError, match=r"session\.run\(\)"):
                await session.workers.run(input="x")

    run_in_virtual_time(main())


def test_wait_refuses_unknown_workers_and_keys_at_once() -> None:
    async def main() -> None:
        async with FakeHandinger(api="seed").session() as session:
            with pytest.raises(NotFoundError):
                await session.workers.wait("w")
        async with FakeHandinger(api="seed", api_keys=["other"]).session(api_key="key") as session:
            with pytest.raises(AuthenticationError):
                await session.workers.wait("w")
        with pytest.raises(ConfigurationError, match="worker_id"):
            session.workers.wait("..")
        with pytest.raises(ConfigurationError, match="on_update"):
            session.workers.wait("w", on_update=1)  # type: ignore[arg-type]

    run_in_virtual_time(main())


def test_cancelled_and_closed_waits_leave_nothing_behind() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        fake.script(*(Step("word ", after=10) for _ in range(100)))
        async with fake.session() as session:
            worker = await session.workers.create(input="x")
            waiting = asyncio.create_task(session.workers.wait(worker.id, on_update=print))
            await asyncio.sleep(25)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert asyncio.all_tasks() == {asyncio.current_task()}
            waiting = asyncio.create_task(session.workers.wait(worker.id))
            await asyncio.sleep(25)
        with pytest.raises(ConfigurationError, match="closed"):
            await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_virtual_time(main())


def test_on_start_has_the_id_once_the_worker_is_there() -> None:
    async def main() -> None:
        seen: list[Any] = []
        async with FakeHandinger(api="seed").session(retry=RetryPolicy(max_retries=0)) as session:
            worker = await session.workers.run(input="x", on_start=lambda *ids: seen.append(ids))
        assert seen == [(worker.id, None)]

    run_in_virtual_time(main())
