"""Completion and signature help in editors, as jedi gives them for the installed library: ``pytest completion.py``.

jedi takes the first parameter of ``Coroutine`` for the result of awaiting it, so that it knows results from
annotations alone. Pylance and PyCharm infer them.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

jedi: Any = import_module("jedi")  # it has no types

PROGRAM = """
import handinger_async
from handinger_async import Outcome, Session, Worker
from handinger_async.testing import FakeHandinger

def use(session: Session, outcome: Outcome[None], worker: Worker, error: handinger_async.APIStatusError) -> None:
    {}"""

WORKERS = """
continue_ create create_template delete download_files retrieve retrieve_email retrieve_file run schedules
stream_updates update wait webhooks
"""


def script(line: str, tmp_path: Path) -> Any:
    return jedi.Script(PROGRAM.format(line), project=jedi.Project(tmp_path))  # a project without the source tree


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("session.", "aclose download exchange request run run_many send stream tasks with_options workers"),
        ("session.workers.", WORKERS),
        ("session.workers.schedules.", "cancel create list"),
        ("session.tasks.", "create delete list_turns retrieve run wait"),
        ("session.with_options().workers.r", "retrieve retrieve_email retrieve_file run"),
        ("outcome.", "files output_text status structured_output task task_id usage worker worker_id"),
        ("error.ret", "retry_after"),
        ("outcome.task.task.t", "title totals triggered_by"),
        ("worker.output[0].content[0].", "extra text type"),
        ("FakeHandinger().session().tasks.", "create delete list_turns retrieve run wait"),
    ],
)
def test_completion(line: str, expected: str, tmp_path: Path) -> None:
    found = script(line, tmp_path).complete()
    assert [each.name for each in found if not each.name.startswith("_")] == expected.split()


@pytest.mark.parametrize(
    "line", ["session.run_m", "handinger_async.RetryP", "from handinger_async.testing import FakeH"]
)
def test_documentation_of_a_name(line: str, tmp_path: Path) -> None:
    [only] = script(line, tmp_path).complete()
    assert only.name in {"run_many", "RetryPolicy", "FakeHandinger"}
    assert only.docstring(raw=True).partition("\n")[0].endswith(".")
    assert "site-packages" in Path(only.module_path).parts  # the installed library


@pytest.mark.parametrize(
    ("line", "overloads", "expected"),
    [
        ("session.run(", 3, "run(input: str, *, worker_id: str | None=None, task_id: str | None=None, "),
        ("session.workers.create(", 3, "create(*, input: str, budget: Budget | None=None, stream: "),
        (
            "session.workers.schedules.create(",
            1,
            "create(worker_id: str, *, input: str, when: When | Mapping[str, Any], ",
        ),
        ("session.tasks.wait(", 1, "wait(task_id: str, *, "),
        ("Session(", 1, "Session(*, api_key: str | KeySource | None=None, base_url: str | URL | None=None, "),
        ("FakeHandinger(", 1, "FakeHandinger(*, "),
    ],
)
def test_signature_help(line: str, overloads: int, expected: str, tmp_path: Path) -> None:
    found = [each.to_string() for each in script(line, tmp_path).get_signatures()]
    assert len(found) == overloads
    assert all(each.startswith(expected) for each in found), found
