"""The inputs of a batch with a journal: compared with those of the start before. In memory, in virtual time."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from handinger_async import ConfigurationError, Upload
from handinger_async._asyncio.journal import fingerprint
from handinger_async.operations import CreateWorkerTemplate
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time

from .test_batches import Tent, collect, drain, names


def test_input_that_was_refused_may_be_another_one_at_the_next_start(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger()
        async with fake.session(Status(422, on=lambda request: b"input 1" in request.body, times=None)) as session:
            results = await collect(session.run_many(names(3), journal=tmp_path / "j"))
            assert [result.index for result in results if result.error] == [1]
        mended = ["input 0", "mended", "input 2"]
        async with fake.session() as session:
            for _ in range(2):
                results = await collect(session.run_many(mended, journal=tmp_path / "j"))
                assert all(result.outcome for result in results)
            with pytest.raises(ConfigurationError, match="other inputs"):
                await collect(session.run_many(names(3), journal=tmp_path / "j"))
        assert fake.runs == dict.fromkeys(mended, 1)

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    "inputs",
    [
        ["input 0", "other", *names(5)[2:]],
        names(4)[::-1],
        names(3),
        [{"input": "input 0", "budget": "low"}, *names(4)[1:]],
    ],
    ids=["other", "order", "fewer", "arguments"],
)
@pytest.mark.parametrize("done", [True, False])
def test_other_inputs_are_refused_before_anything_is_sent(tmp_path: Path, inputs: Any, done: bool) -> None:
    async def main() -> None:
        fake = FakeHandinger()
        if not done:
            fake.script(Step("done", after=1e6))
        async with fake.session() as session:
            async with session.run_many(names(4), journal=tmp_path / "j") as results:
                await asyncio.sleep(5)
                if done:
                    await drain(results)
            sent = len(fake.requests)
            async with session.run_many(inputs, journal=tmp_path / "j") as batch:
                results_, error = await drain(batch)
            assert isinstance(error, ConfigurationError)
            assert "other inputs" in str(error)
            assert len(fake.requests) == sent
            assert len(results_) < 4

    run_in_virtual_time(main())


def test_files_are_a_part_of_the_inputs(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a")
    (tmp_path / "b.txt").write_bytes(b"a")
    files: list[Any] = [
        path,
        ("a.txt", b"a"),
        ("a.txt", b"b"),
        ("b.txt", b"a"),
        Upload("a.txt", b"a"),
        Upload("a.txt", b"b"),
        Upload("a.txt", b"a", "text/x"),
        Upload("a.txt", path),
        Upload("a.txt", tmp_path / "b.txt"),
    ]
    prints = {fingerprint({"input": "x", "files": given}) for given in ([], *([file] for file in files), files)}
    assert len(prints) == len(files) + 2
    assert fingerprint({"input": "x", "files": [str(path)]}) == fingerprint({"files": [path], "input": "x"})
    strided = memoryview(b"abcdef")[::2]
    assert fingerprint({"files": [("a", strided)]}) == fingerprint({"files": [("a", b"ace")]})


@pytest.mark.parametrize(
    "bad",
    [
        {"input": "x", "files": [("a.txt", io.BytesIO(b"a"))]},
        {"input": "x", "files": [Upload("a.txt", io.BytesIO(b"a"))]},
        {"input": "x", 3: "y"},
        {"input": "x", "worker_id": "\ud800"},
    ],
    ids=["open file", "open upload", "name", "surrogate"],
)
def test_input_that_cannot_be_recorded_is_a_result_like_others(tmp_path: Path, bad: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session() as session:
            results = await collect(session.run_many(["a", "b", bad, "c", "d"], journal=tmp_path / "j"))
        errors = {result.index: type(result.error) for result in results if result.error}
        assert errors == {2: ConfigurationError}
        assert fake.runs == dict.fromkeys("abcd", 1)

    run_in_virtual_time(main())


@pytest.mark.parametrize("other", [{"worker_id": "wrk_b"}, {"budget": "high"}])
def test_arguments_of_all_runs_are_compared_too(tmp_path: Path, other: Any) -> None:
    async def main() -> None:
        async with FakeHandinger(api="today").session() as session:
            await collect(session.run_many(names(2), journal=tmp_path / "j"))
            with pytest.raises(ConfigurationError, match="of other inputs"):
                await collect(session.run_many(names(2), journal=tmp_path / "j", **other))

    run_in_virtual_time(main())


def test_template_that_cannot_be_made_leaves_nothing_in_the_journal(tmp_path: Path) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session(Status(403, on=CreateWorkerTemplate, times=2)) as session:
            for outcome in (False, True):
                results = await collect(session.run_many(names(2), journal=tmp_path / "j", output_schema=Tent))
                assert [bool(result.outcome) for result in results] == [outcome] * 2

    run_in_virtual_time(main())
