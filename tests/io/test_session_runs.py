"""`Session.run` on services of either generation: the main job, structured output, files. In virtual time."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from handinger_async import (
    APIResponseValidationError,
    ConfigurationError,
    NotFoundError,
    RunUnknownError,
)
from handinger_async.operations import (
    ContinueWorker,
    CreateTask,
    CreateWorker,
    CreateWorkerTemplate,
    RetrieveTask,
    RetrieveWorker,
)
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Drop, Status
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import run as run_in_virtual_time


@attrs.frozen
class Tent:
    name: str
    weight: float


def paths(fake: FakeHandinger) -> list[str]:
    """Return method and path of the POSTs."""
    return [f"{request.method} {request.path}" for request in fake.requests if request.method == "POST"]


@pytest.mark.parametrize("api", ["both", "today", "seed"])
def test_main_job_runs_on_either_generation(api: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api=api)
        fake.script("Take the light one.")
        async with fake.session() as session:
            outcome = await session.run("Compare three tents.", budget="low")
        assert (outcome.output_text, outcome.status) == ("Take the light one.", "completed")
        assert outcome.worker_id
        assert outcome.structured_output is None
        assert outcome.usage is not None
        assert (outcome.task_id is None) == (outcome.task is None) == (api == "seed")
        assert fake.runs == {"Compare three tents.": 1}

    run_in_virtual_time(main())


def test_generation_is_found_once_without_running_anything() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        async with fake.session() as session:
            for number in range(3):
                await session.with_options(headers={"X-Number": str(number)}).run("x")
        assert paths(fake) == ["POST /api/tasks"] * 2 + ["POST /api/workers"] * 3
        assert fake.requests[1].read_body() == b"{}"
        assert fake.runs == {"x": 3}

    run_in_virtual_time(main())


def test_worker_is_continued_on_the_older_generation() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        async with fake.session() as session:
            first = await session.run("one")
            second = await session.run("two", worker_id=first.worker_id)
            assert second.worker_id == first.worker_id
            with pytest.raises(RunUnknownError) as caught:
                async with fake.session(Drop(on=ContinueWorker)) as other:
                    await other.run("three", worker_id=first.worker_id)
            assert caught.value.worker_id == first.worker_id
        assert fake.runs == {"one": 1, "two": 1, "three": 1}

    run_in_virtual_time(main())


def test_unknown_worker_is_not_taken_for_the_older_generation() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session() as session:
            with pytest.raises(NotFoundError):
                await session.run("x", worker_id="wrk_unknown")
        assert not fake.runs

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    "arguments",
    [
        {"files": [("a.txt", b"a")]},
        {"output_schema": Tent},
        {"output_schema": {}},
        {"task_id": "t"},
        {"new_task_id": "t"},
    ],
    ids=str,
)
def test_what_only_the_newer_generation_has_is_refused_on_the_older(arguments: Any) -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        async with fake.session() as session:
            for _ in range(2):
                with pytest.raises((ConfigurationError, NotFoundError)):
                    await session.run("x", **arguments)
        assert not fake.runs
        assert "POST /api/workers" not in paths(fake)

    run_in_virtual_time(main())


def test_output_is_decoded_into_the_class_of_a_private_template() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session() as session:
            outcome = await session.run("The best tent?", output_schema=Tent)
            assert isinstance(outcome.structured_output, Tent)
            again = await session.run("And now?", worker_id=outcome.worker_id, output_schema=Tent)
            assert isinstance(again.structured_output, Tent)
            plain = await session.run("As a dict?", output_schema={"type": "object", "required": ["a"]})
            assert isinstance(plain.structured_output, dict)
        assert paths(fake).count("POST /api/workers") == 2
        templates = [request.read_body() for request in fake.requests if request.target == "/api/workers"]
        assert all(b'"visibility":"private"' in body for body in templates)

    run_in_virtual_time(main())


def test_output_that_does_not_fit_names_its_path_and_the_task() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("x", fields={"structured_output": {"name": 5, "weight": 1}}))
        async with fake.session() as session:
            with pytest.raises(APIResponseValidationError, match=r"\$\.structured_output\.name .*task tsk_") as caught:
                await session.run("x", output_schema=Tent)
        assert caught.value.path == "$.structured_output.name"

    run_in_virtual_time(main())


def test_restarted_run_makes_no_second_template() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session() as session:
            first = await session.run("x", new_task_id="tsk_mine", output_schema=Tent)
            second = await session.run("x", new_task_id="tsk_mine", output_schema=Tent)
            assert first.structured_output == second.structured_output
        assert paths(fake).count("POST /api/workers") == 1
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


def test_template_that_cannot_be_made_runs_nothing() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session(Status(403, on=CreateWorkerTemplate)) as session:
            with pytest.raises(Exception, match="403"):
                await session.run("x", output_schema=Tent)
        assert not fake.runs

    run_in_virtual_time(main())


def test_files_go_in_and_come_out(tmp_path: Path) -> None:
    path = tmp_path / "tents.csv"
    path.write_bytes(b"name,weight\n")

    async def main() -> None:
        fake = FakeHandinger(api="today")
        fake.script(Step("done", files={"report.md": b"# Tents"}))
        async with fake.session() as session:
            outcome = await session.run("x", files=[path, ("note.txt", b"hi")])
        names = [file.filename for file in outcome.files]
        assert "report.md" in names

    run_in_virtual_time(main())


def test_outcome_of_a_lost_response_has_the_same_content() -> None:
    async def main() -> None:
        outcomes = []
        for faults in ((), (Drop(on=CreateTask),)):
            fake = FakeHandinger(api="today")
            fake.script(Step("done", files={"report.md": b"# Tents"}))
            async with fake.session(*faults) as session:
                outcomes.append(await session.run("x", new_task_id="tsk_mine"))
        first, second = outcomes
        assert first.output_text == second.output_text
        assert first.files == second.files
        assert first.worker == second.worker

    run_in_virtual_time(main())


def test_outcome_without_the_worker_is_that_of_the_turn() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session(Drop(on=CreateTask), Status(404, on=RetrieveWorker, times=None)) as session:
            outcome = await session.run("x")
        assert outcome.worker is None
        assert outcome.output_text
        assert outcome.usage is not None
        assert outcome.usage.credits is not None

    run_in_virtual_time(main())


def test_older_service_that_loses_a_response_is_unknown_and_not_asked_twice() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="seed")
        async with fake.session(Drop(on=CreateWorker)) as session:
            with pytest.raises(RunUnknownError):
                await session.run("x")
        assert fake.runs == {"x": 1}

    run_in_virtual_time(main())


def test_either_generation_is_only_decided_by_the_service() -> None:
    async def main() -> None:
        fake = FakeHandinger(api="today")
        async with fake.session(Status(404, on=CreateTask, times=1), Status(500, on=RetrieveTask)) as session:
            with pytest.raises(NotFoundError):  # of the first call; {} is refused with 422, so there are tasks
                await session.run("x")
            assert (await session.run("y")).output_text
        assert fake.runs == {"y": 1}

    run_in_virtual_time(main())
