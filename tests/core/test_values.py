"""Operations and models are values: immutable, compared by value, unhashable."""

import copy
import pickle
from collections.abc import Callable
from typing import Any
from unittest import mock

import attrs
import pytest
from hypothesis import given

from handinger_async._values import by_value
from handinger_async.models import DelayedWhen, DeleteTaskResponse, File, IntervalWhen, Usage
from handinger_async.operations import (
    CreateWorker,
    ListSchedules,
    RetrieveWorker,
)
from handinger_async.testing import strategies

USAGE = Usage(
    cache_read_tokens=0,
    cache_write_tokens=0,
    cost_usd=0.5,
    input_tokens=1,
    output_tokens=2,
    reasoning_tokens=0,
    steps=1,
    total_tokens=3,
    credits=4,
)
ANY = strategies.operations() | strategies.workers() | strategies.schedules() | strategies.events()


def parts(value: Any) -> list[Any]:
    """Return a value and the operations, models and events inside it."""
    inside = [getattr(value, field.name) for field in attrs.fields(type(value))]
    items = [item for held in inside for item in (held if isinstance(held, list) else [held])]
    return [value, *(part for item in items if attrs.has(type(item)) for part in parts(item))]


@given(ANY)
def test_values_are_immutable(value: Any) -> None:
    before = copy.deepcopy(value)
    for part in parts(value):
        for name in [field.name for field in attrs.fields(type(part))] + ["anything"]:
            with pytest.raises(AttributeError):
                setattr(part, name, None)
            with pytest.raises(AttributeError):
                delattr(part, name)
    assert value == before


@given(ANY)
def test_values_are_unhashable(value: Any) -> None:
    for part in parts(value):
        with pytest.raises(TypeError, match="unhashable"):
            hash(part)


@given(ANY)
def test_values_copy_pickle_and_evolve(value: Any) -> None:
    for twin in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)), attrs.evolve(value)):
        assert twin == value
        assert type(twin) is type(value)


@given(ANY, ANY)
def test_values_compare_by_class_and_fields(one: Any, other: Any) -> None:
    same = type(one) is type(other) and attrs.asdict(one, recurse=False) == attrs.asdict(other, recurse=False)
    assert (one == other) is same
    assert (one != other) is not same


def test_one_different_field_makes_values_unequal() -> None:
    assert RetrieveWorker("w") != RetrieveWorker("v")
    assert RetrieveWorker("w") != ListSchedules("w")
    assert DelayedWhen(60) != IntervalWhen(60)
    assert File(media_type="a", url="b") != File(media_type="a", url="b", extra={"c": 1})


def test_response_models_are_keyword_only_with_required_fields() -> None:
    with pytest.raises(TypeError):
        File("text/plain", "url")  # type: ignore[misc]
    with pytest.raises(TypeError, match="archived"):
        DeleteTaskResponse()  # type: ignore[call-arg]


def test_extra_is_not_shared_between_values() -> None:
    one, other = File(media_type="a", url="b"), File(media_type="a", url="b")
    assert one.extra is not other.extra


def test_equality_respects_mock_any_and_excludes_subclasses() -> None:
    class Worker(RetrieveWorker):
        pass

    assert RetrieveWorker("w") == mock.ANY
    assert RetrieveWorker("w") != Worker("w")
    assert Worker("w") == Worker("w") != Worker("v")
    assert repr(Worker("w")) == "Worker(worker_id='w', stream=False, task_id=None)"


def test_repr_of_a_self_referencing_value_terminates() -> None:
    file = File(media_type="a", url="b")
    file.extra["file"] = file
    assert repr(file) == "File(media_type='a', url='b', filename=None, size=None, extra={'file': ...})"


@pytest.mark.parametrize("cls", [File, RetrieveWorker])
def test_generated_methods_have_the_class_in_their_qualname(cls: type) -> None:
    assert cls.__eq__.__qualname__ == f"{cls.__name__}.__eq__"
    assert cls.__repr__.__qualname__ == f"{cls.__name__}.__repr__"


@given(ANY)
def test_repr_names_the_class_and_its_fields(value: Any) -> None:
    text = repr(value)
    assert text.startswith(type(value).__name__ + "(")
    assert all(f"{field.name}=" in text for field in attrs.fields(type(value)))


def test_pickle_of_an_older_version_gains_new_optional_fields() -> None:
    for value, name in (
        (USAGE, "credits"),
        (File(media_type="m", url="u", filename="f"), "filename"),
        (CreateWorker(input="x", budget="low", stream=True), "stream"),
    ):
        cls: Any = type(value)
        older = value.__getstate__()
        del older[name]
        older["gone"] = 1  # as of a newer version
        restored = cls.__new__(cls)
        restored.__setstate__(older)
        assert restored == attrs.evolve(value, **{name: attrs.fields_dict(cls)[name].default})
        assert pickle.loads(pickle.dumps(restored)) == restored


def make_point(decorate: Callable[[type[Any]], type[Any]]) -> type[Any]:
    class Point:
        x: Any
        y: Any = attrs.field(default=0, eq=False, repr=False)
        key: str = attrs.field(default="", repr=lambda key: "***")

    return decorate(Point)


def test_shared_methods_of_values_do_what_those_of_attrs_do() -> None:
    shared = make_point(lambda cls: by_value(attrs.frozen(cls, eq=False, repr=False)))
    generated = make_point(attrs.frozen)
    fields = [(1, 2, "k"), (1, 3, "k"), (1, 2, "l"), (2, 2, "k"), ([],), ("é",)]
    for one in fields:
        assert repr(shared(*one)) == repr(generated(*one))
        for other in fields:
            assert (shared(*one) == shared(*other)) is (generated(*one) == generated(*other))
    assert hash(shared(1, 2, "k")) == hash(shared(1, 3, "k")) != hash(shared(1, 2, "l"))
    assert shared(1) != generated(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(shared([]))
    for cycle in (shared(0), generated(0)):
        object.__setattr__(cycle, "x", cycle)
        assert repr(cycle) == "Point(x=..., key=***)"
