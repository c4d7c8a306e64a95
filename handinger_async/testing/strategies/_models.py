"""Strategies for models, derived from the types of their fields."""

import string
from collections.abc import Callable
from datetime import datetime
from functools import cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ... import models
from ..._converter import TAGGED, to_dict, wire_name
from ...models import Worker, WorkerSchedule
from ._values import AMOUNTS, COUNTS, INSTANTS, JSON, VALUES

__all__ = ["MODELS", "NEW_WORDS", "field_names", "model", "schedules", "union_members", "workers"]

MODELS: list[type[Any]] = [cls for cls in vars(models).values() if attrs.has(cls)]

_TAGS = {tag for members in TAGGED.values() for tag in members}
#: Enum values that this version does not know.
NEW_WORDS = st.text(string.ascii_lowercase, min_size=1).filter(lambda word: word not in _TAGS)

_SCALARS: dict[Any, SearchStrategy[Any]] = {
    Any: st.none() | VALUES,
    str: st.text(),
    bool: st.booleans(),
    int: COUNTS,
    float: AMOUNTS,
    datetime: INSTANTS,
}


def field_names(cls: type[Any]) -> set[str]:
    """Return the wire names of the fields of ``cls``, and ``"type"``."""
    return {wire_name(cls, field.name) for field in attrs.fields(cls)} | {"type"}


def union_members(tp: Any) -> tuple[Any, ...]:
    """Return the members of a union, None first; empty for any other type."""
    members = get_args(tp) if get_origin(tp) in (Union, UnionType) else ()
    return tuple(sorted(members, key=lambda member: member is not NoneType))


def _model(cls: Any) -> SearchStrategy[Any]:
    """Generate values of a model, some with fields that this version does not know.

    Raises:
        NotImplementedError: There is no strategy for the type of a field.
    """
    fields = {}
    for field in attrs.fields(cls):
        if field.name != "extra":
            try:
                special = _SPECIAL.get((cls, field.name))
                fields[field.name] = _values_of(field.type) if special is None else special
            except LookupError:
                raise NotImplementedError(  # for a new model: the tests of this package find it
                    f"no strategy for {cls.__name__}.{field.name} of type {field.type}: "
                    "add one to _SCALARS in testing/strategies/_models.py"
                ) from None
    known = field_names(cls)
    unknown = st.dictionaries(st.text().filter(lambda name: name not in known), VALUES, max_size=2)
    return st.builds(cls, **fields, extra=st.builds(dict[str, JSON]) | unknown)


model: Callable[[Any], SearchStrategy[Any]] = cache(_model)


def _values_of(tp: Any) -> SearchStrategy[Any]:
    """Generate values of the type of a field.

    Raises:
        LookupError: The type, or a part of it, is unknown here.
    """
    if tp == WorkerSchedule:
        return schedules()
    if attrs.has(tp):
        return model(tp)
    if get_origin(tp) is list:
        return st.lists(_values_of(*get_args(tp)), max_size=2)
    if get_origin(tp) is dict:
        return st.dictionaries(st.text(), VALUES, max_size=2)
    if members := union_members(tp):
        if members[0] is NoneType:
            return st.none() | _values_of(reduce(or_, members[1:]))
        return st.one_of(*map(_values_of, members))
    if get_origin(tp) is Literal:
        return st.sampled_from(get_args(tp))
    return _SCALARS[tp]


#: Strategies for fields whose simplest value is not the first one that their type names.
_SPECIAL: dict[tuple[type[Any], str], SearchStrategy[Any]] = {
    (Worker, "status"): st.sampled_from(["pending", "running", "completed"]) | st.text(),
}


def workers() -> SearchStrategy[Worker]:
    """Generate workers in any state."""
    return model(Worker)


def _renamed(schedule: WorkerSchedule, tag: str) -> models.UnknownWorkerSchedule:
    return models.UnknownWorkerSchedule(type=tag, raw=to_dict(schedule) | {"type": tag})


@cache
def schedules() -> SearchStrategy[WorkerSchedule]:
    """Generate schedules of every type, including types of a later service."""
    known = [model(cls) for cls in TAGGED[WorkerSchedule].values()]
    return st.one_of(*known, st.builds(_renamed, known[0], NEW_WORDS))
