"""Strategies follow from the fields of operations and models; a type without a strategy is an error with the fix."""

from datetime import timedelta
from typing import Any, ClassVar, Literal

import attrs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from handinger_async.models import File, WorkerSchedule
from handinger_async.operations import OPERATIONS, Operation, Route
from handinger_async.testing import strategies
from handinger_async.testing.strategies import _models, _operations

pytestmark = pytest.mark.long

LOOK = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def examples(strategy):
    """Return values of a strategy, the same ones at each run."""
    values = []

    @settings(LOOK, max_examples=200)
    @given(strategy)
    def keep(value):
        values.append(value)

    keep()
    return values


@attrs.frozen
class ArchiveWorker(Operation[bool]):
    """An operation that is declared, and has no strategy written for it."""

    route: ClassVar[Route] = Route("POST", "/api/workers/{worker_id}/archive/{folder...}", bool)

    worker_id: str
    folder: str
    reason: Literal["old", "done"] | None = None
    copies: int = 1
    forced: bool = False


@attrs.frozen
class DelayWorker(Operation[timedelta]):
    route: ClassVar[Route] = Route("POST", "/api/workers/{worker_id}/delay", timedelta)

    worker_id: str
    by: timedelta


@pytest.mark.parametrize("cls", OPERATIONS)
@settings(max_examples=5)
@given(data=st.data())
def test_every_operation_has_a_strategy(cls, data):
    assert type(data.draw(_operations.operation(cls))) is cls


@given(_operations.operation(ArchiveWorker))
def test_the_strategy_of_a_new_operation_follows_from_its_fields(operation):
    assert operation.worker_id
    assert all(operation.folder.split("/"))
    assert operation.reason in ("old", "done", None)
    assert isinstance(operation.copies, int)
    assert isinstance(operation.forced, bool)


def test_path_parameters_have_one_segment_or_several():
    folders = {operation.folder.count("/") for operation in examples(_operations.operation(ArchiveWorker))}
    assert len(folders) > 1


def test_a_new_operation_is_among_the_operations(monkeypatch):
    monkeypatch.setattr(_operations.ops, "OPERATIONS", (*OPERATIONS, ArchiveWorker))
    drawn = settings(LOOK, max_examples=5000)
    find(strategies.operations(), lambda operation: type(operation) is ArchiveWorker, settings=drawn)


def test_an_argument_without_a_strategy_is_an_error_with_the_fix():
    with pytest.raises(NotImplementedError, match=r"DelayWorker\.by of type .*timedelta.*: add one to _ARGUMENTS in"):
        _operations.operation(DelayWorker)


def test_a_result_without_a_strategy_is_an_error_with_the_fix():
    with pytest.raises(NotImplementedError, match=r"result of DelayWorker of type .*timedelta.*: add one to _RESULTS"):
        strategies.results(DelayWorker("w", timedelta()))


@pytest.mark.parametrize("cls", OPERATIONS)
@settings(max_examples=5)
@given(data=st.data())
def test_every_operation_has_a_strategy_for_its_results(cls, data):
    data.draw(_operations.operation(cls).flatmap(strategies.results))


@attrs.frozen(kw_only=True)
class Archive:
    """A model that no strategy is written for."""

    files: list[File]
    schedule: WorkerSchedule | None = None
    state: Literal["open", "closed"] | str
    extra: dict[str, Any] = attrs.field(factory=dict)


def test_the_strategy_of_a_new_model_follows_from_its_fields():
    archives = examples(_models.model(Archive))
    assert archives[0] == Archive(files=[], state="open")
    assert any(isinstance(file, File) for archive in archives for file in archive.files)
    assert any(isinstance(archive.schedule, WorkerSchedule) for archive in archives)
    assert {"open", "closed"} < {archive.state for archive in archives}
    assert any(archive.extra for archive in archives)


def test_a_field_of_a_model_without_a_strategy_is_an_error_with_the_fix():
    model = attrs.make_class("Odd", {"age": attrs.field(type=timedelta), "extra": attrs.field(type=dict)})
    with pytest.raises(NotImplementedError, match=r"Odd\.age of type .*timedelta.*: add one to _SCALARS in"):
        _models.model(model)
