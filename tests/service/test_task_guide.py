"""The guide to tasks works as written, in virtual time."""

from pathlib import Path

from handinger_async.testing.virtual_time import run

from .. import run_readme

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "tasks.rst"


def test_guide_to_tasks_works_as_written() -> None:
    namespace = run(run_readme.run(GUIDE.read_text("utf-8"), GUIDE.name))
    assert namespace["started"][0].startswith("tsk_")
    assert namespace["task"].turns[-1].input == "Write a book."
