"""The journal of a batch: killed at any moment and started again, no input is run twice. In memory, in virtual time."""

import asyncio
import shutil
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handinger_async import (
    APIResponseValidationError,
    AuthenticationError,
    ConfigurationError,
    RunFailedError,
    RunResult,
    RunTimeoutError,
    RunUnknownError,
    Session,
)
from handinger_async._asyncio.journal import Journal, fingerprint
from handinger_async.http import Request
from handinger_async.operations import CreateTask, CreateWorker
from handinger_async.testing import FakeHandinger, FaultyHandler, strategies
from handinger_async.testing.faults import Drop, Fault, Postpone, Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time
from handinger_async.transports.memory import Handler, HandlerResult, MemoryTransport, call_handler

from .service import now
from .test_batches import Tent, collect, each_once, names

NUMBER = 3
#: Arguments that are compared beside those of an input.
DEFAULTS: dict[str, Any] = {"worker_id": None, "budget": None}


def posts(fake: FakeHandinger) -> list[str]:
    """Return the targets of the requests that may start something."""
    return [request.target for request in fake.requests if request.method == "POST" and request.read_body() != b"{}"]


class Process:
    """A process with a batch that is killed at one of its steps.

    A step is a request that is about to be sent or was received, and a record that is about to be made or was made.

    Args:
        journal: The path of the journal.
        handler: The service.
        kill_at: The number of the step at which to kill it; None to let it live.
    """

    def __init__(self, journal: Path, handler: Handler, kill_at: int | None = None) -> None:
        self.journal = journal
        self.handler = handler
        self.kill_at = kill_at
        self.steps = 0
        self.is_dead = False
        self.loop = asyncio.get_running_loop()
        self.dead = asyncio.Event()
        #: The files are not copied while a thread writes them: a copy of one half before and one after is no kill.
        self.writing = threading.RLock()
        self.left: set[asyncio.Future[Any]] = set()

    async def run(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[RunResult[Any]] | None:
        """Run the batch; return None if it was killed: then the journal is as it was at that moment."""
        inputs = options.pop("inputs", names(NUMBER))
        with monkeypatch.context() as patch:
            execute = Journal._run

            def execute_locked(journal: Journal, text: str, *rest: Any) -> Any:
                with self.writing:
                    # Without waiting for the disk: nothing is killed but a process.
                    return execute(journal, text.replace("FULL", "OFF"), *rest)

            patch.setattr(Journal, "_run", execute_locked)
            for method in ("post", "start", "refuse", "sought", "finish", "fact"):
                patch.setattr(Journal, method, self._recorded(getattr(Journal, method)))
            session = Session(api_key="key", transport=MemoryTransport(self._request))
            batch = asyncio.create_task(collect(session.run_many(inputs, journal=self.journal, **options)))
            dead = asyncio.create_task(self.dead.wait())
            await asyncio.wait((batch, dead), return_when=asyncio.FIRST_COMPLETED)
            if not self.is_dead:
                dead.cancel()
                await session.aclose()
                return await batch
            batch.cancel()
            await asyncio.wait((batch,))
            await session.aclose()
        # Under another name: SQLite in the killed process may still close its files, and removes some by their names.
        self.journal = self.journal.with_name(f"again-{self.journal.name}")
        for path in self.journal.parent.glob("killed*"):
            path.replace(path.with_name(self.journal.name + path.name.removeprefix("killed")))
        return None

    def _step(self) -> None:
        with self.writing:
            self._step_alone()

    def _step_alone(self) -> None:
        if self.is_dead:
            raise sqlite3.OperationalError("dead")
        if self.steps == self.kill_at:
            for path in self.journal.parent.glob(self.journal.name + "*"):
                shutil.copy(path, path.with_name("killed" + path.name.removeprefix(self.journal.name)))
            self.is_dead = True
            self.loop.call_soon_threadsafe(self.dead.set)
            raise sqlite3.OperationalError("dead")
        self.steps += 1

    def _recorded(self, method: Any) -> Any:
        def record(journal: Journal, *args: Any) -> Any:
            with self.writing:
                self._step()
                result = method(journal, *args)
                self._step()
            return result

        return record

    async def _request(self, request: Request) -> HandlerResult:
        try:
            self._step()
            # The service performs all that it has received, also if the client is gone.
            responding = asyncio.ensure_future(call_handler(self.handler, request))
            self.left.add(responding)
            responding.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.sleep(0)
            self._step()
            return await asyncio.shield(responding)
        except sqlite3.OperationalError:
            await asyncio.sleep(1e9)
            raise


async def until_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handler: Handler, kills: list[int], **options: Any
) -> tuple[list[RunResult[Any]], bool]:
    """Run a batch that is killed at these steps, one in each of its lives; return its results, and if all came."""
    journal = tmp_path / "batch.sqlite"
    for path in tmp_path.iterdir():  # noqa: ASYNC240
        path.unlink()
    happened = True
    for kill_at in kills:
        process = Process(journal, handler, kill_at)
        happened = await process.run(monkeypatch, **options) is None
        journal = process.journal
    results = await Process(journal, handler).run(monkeypatch, **options)
    assert results is not None
    return results, happened


FAULTS = [None, Drop, Postpone, partial(Status, 429), partial(Status, 500)]


@pytest.mark.parametrize("api", ["today", "seed"])
@pytest.mark.parametrize(("fault", "repeat"), [(None, True), *((fault, False) for fault in FAULTS)])
def test_batch_that_is_killed_at_any_step_runs_no_input_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Any, fault: Any, repeat: bool
) -> None:
    async def main(kill_at: int) -> bool:
        fake = FakeHandinger(api=api)
        on = (CreateTask, CreateWorker)
        handler: Handler = fake if fault is None else FaultyHandler(fake, fault(on=on, times=2))
        results, happened = await until_done(
            tmp_path, monkeypatch, handler, [kill_at], concurrency=2, repeat_unknown=repeat
        )
        each_once(results, NUMBER)
        if not repeat:
            assert set(fake.runs.values()) <= {1}
        elif fault is None and api == "today":
            assert fake.runs == dict.fromkeys(names(NUMBER), 1)
            assert all(result.outcome for result in results)
        for result in results:
            if result.outcome is not None:
                assert fake.runs[result.input] >= 1
                assert result.input in result.outcome.output_text
            elif not isinstance(result.error, RunUnknownError):
                assert fault is not None
        return happened

    kill_at = 0
    while run_in_virtual_time(main(kill_at)):
        kill_at += 1 if fault is None and api == "today" else 5  # faults are tested at every place elsewhere
    assert kill_at > 6 * NUMBER


@settings(max_examples=30, deadline=None)
@given(
    kills=st.lists(st.integers(0, 40), max_size=5),
    faults=st.lists(strategies.faults(), max_size=3),
    concurrency=st.integers(1, 4),
)
def test_any_kills_and_faults_leave_at_most_one_run(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], faults: list[Fault], concurrency: int
) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        with pytest.MonkeyPatch.context() as monkeypatch:
            path = tmp_path_factory.mktemp("journal")
            handler = FaultyHandler(fake, *faults)
            results, _ = await until_done(path, monkeypatch, handler, kills, concurrency=concurrency)
        await asyncio.sleep(100)
        each_once(results, NUMBER)
        assert set(fake.runs.values()) <= {1}
        for result in results:
            if result.outcome is not None:
                assert fake.runs[result.input] == 1

    run_in_virtual_time(main())


# Results that are there ###############################################################################################


def test_results_are_returned_again_equal_and_without_a_request(tmp_path: Path) -> None:
    path = tmp_path / "batch.sqlite"

    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("no \ud83d", status="error", files={"a.txt": b"a"}), match="input 1")
        async with fake.session() as session:
            first = await collect(session.run_many(names(5), journal=path, output_schema=Tent))
            sent = len(fake.requests)
            again = await collect(session.run_many(names(5), journal=path, output_schema=Tent))
            assert len(fake.requests) == sent
        first.sort(key=lambda result: result.index)
        again.sort(key=lambda result: result.index)
        assert [result.outcome for result in again] == [result.outcome for result in first]
        assert isinstance(again[0].outcome.structured_output, Tent)  # type: ignore[union-attr]
        for results in (first, again):
            failure = results[1].error
            assert isinstance(failure, RunFailedError)
        assert first[1].error.outcome == again[1].error.outcome  # type: ignore[union-attr]
        assert str(first[1].error) == str(again[1].error)

    run_in_virtual_time(main())


def test_outcomes_of_the_older_generation_come_back_equal(tmp_path: Path) -> None:
    async def main() -> None:
        async with FakeHandinger(api="seed").session() as session:
            first = await collect(session.run_many(names(3), journal=tmp_path / "j", concurrency=1))
            again = await collect(session.run_many(names(3), journal=tmp_path / "j", concurrency=1))
        assert first == again
        assert first[0].outcome

    run_in_virtual_time(main())


def test_batch_can_grow(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger()
        async with fake.session() as session:
            each_once(await collect(session.run_many(names(3), journal=tmp_path / "j")), 3)
            each_once(await collect(session.run_many(names(7), journal=tmp_path / "j")), 7)
        assert fake.runs == dict.fromkeys(names(7), 1)

    run_in_virtual_time(main())


def test_output_that_did_not_fit_is_decoded_again(tmp_path: Path) -> None:
    @attrs.frozen
    class Lenient:
        name: Any = None
        weight: Any = None

    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("x", fields={"structured_output": {"name": 5, "weight": 1}}))
        async with fake.session() as session:
            template = await session.workers.create_template(title="t", output_schema=Tent)
            options: Any = {"worker_id": template.id, "journal": tmp_path / "j"}
            first = await collect(session.run_many(["x"], output_schema=Tent, **options))
            assert isinstance(first[0].error, APIResponseValidationError)
            again = await collect(session.run_many(["x"], output_schema=Lenient, **options))
            assert again[0].outcome is not None
            assert again[0].outcome.structured_output == Lenient(5, 1)
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


# Runs that were started ###############################################################################################


@pytest.mark.parametrize("api", ["today", "seed"])
def test_runs_go_on_when_a_batch_is_left_and_are_picked_up(tmp_path: Path, api: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        fake.script(Step("done", after=500))
        async with fake.session() as session:
            async with session.run_many(names(5), journal=tmp_path / "j"):
                await asyncio.sleep(100)
            results = await collect(session.run_many(names(5), journal=tmp_path / "j", deadline=300))
            assert all(isinstance(result.error, RunTimeoutError) for result in results)
            results = await collect(session.run_many(names(5), journal=tmp_path / "j"))
        each_once(results, 5)
        assert all(result.outcome for result in results)
        assert now() < 530
        assert fake.runs == dict.fromkeys(names(5), 1)

    run_in_virtual_time(main())


def test_run_that_was_refused_is_run_at_the_next_start(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger()
        async with fake.session(Status(401, on=CreateTask, times=None)) as session:
            results = await collect(session.run_many(names(4), journal=tmp_path / "j"))
            assert all(isinstance(result.error, AuthenticationError) for result in results)
        async with fake.session() as session:
            results = await collect(session.run_many(names(4), journal=tmp_path / "j"))
        assert all(result.outcome for result in results)
        assert fake.runs == dict.fromkeys(names(4), 1)

    run_in_virtual_time(main())


@pytest.mark.parametrize("api", ["today", "seed"])
def test_run_that_nobody_knows_is_looked_for_once_and_repeated_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Any
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr("handinger_async._asyncio.batch_runs.time.time", loop.time)
        fake = FakeHandinger(api=api)
        journal = Journal(tmp_path / "j")
        journal.post(0, fingerprint(DEFAULTS | {"input": "input 0"}), "tsk_lost", None)
        journal.close()
        async with fake.session() as session:
            for _ in range(2):
                begun = now()
                results = await collect(session.run_many(names(1), journal=tmp_path / "j"))
                assert isinstance(results[0].error, RunUnknownError)
                assert results[0].error.task_id == "tsk_lost"
                assert posts(fake) == []
                assert now() - begun < 50 if begun == 0 else now() == begun
            results = await collect(session.run_many(names(1), journal=tmp_path / "j", repeat_unknown=True))
            assert results[0].outcome
            assert results[0].outcome.task_id == (None if api == "seed" else "tsk_lost")
        assert fake.runs == {"input 0": 1}

    run_in_virtual_time(main())


def test_leaving_while_a_run_is_recorded_does_not_make_it_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        recording = asyncio.Event()
        post = Journal.post

        def slow(*args: Any) -> None:
            loop.call_soon_threadsafe(recording.set)
            post(*args)

        monkeypatch.setattr(Journal, "post", slow)
        fake = FakeHandinger()
        async with fake.session() as session:
            async with session.run_many(names(1), journal=tmp_path / "j"):
                await recording.wait()
            assert not fake.runs
            results = await collect(session.run_many(names(1), journal=tmp_path / "j"))
        assert results[0].outcome
        assert now() < 10

    run_in_virtual_time(main())


def test_template_is_kept_in_the_journal(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session(Status(400, on=CreateTask, times=2)) as session:
            for _ in range(2):
                await collect(session.run_many(names(4), journal=tmp_path / "j", output_schema=Tent))
            with pytest.raises(ConfigurationError, match="another output_schema"):
                await collect(session.run_many(names(4), journal=tmp_path / "j", output_schema={"type": "object"}))
        assert len(fake.workers) == 1
        assert fake.runs == dict.fromkeys(names(4), 1)

    run_in_virtual_time(main())


def test_template_that_is_recorded_too_late_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(kill_at: int) -> bool:
        fake = FakeHandinger(api="today")
        results, happened = await until_done(
            tmp_path, monkeypatch, fake, [kill_at], output_schema=Tent, inputs=["x"], repeat_unknown=True
        )
        assert isinstance(results[0].outcome.structured_output, Tent)  # type: ignore[union-attr]
        assert fake.runs == {"x": 1}
        assert len(fake.workers) in (1, 2)
        return happened

    kill_at = 0
    while run_in_virtual_time(main(kill_at)):
        kill_at += 1
    assert kill_at > 10
