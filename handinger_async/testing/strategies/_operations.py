"""Strategies for operations, derived from their fields, and for their results."""

from datetime import datetime
from typing import Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import unquote

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ... import operations as ops
from ..._multipart import unescape
from ...models import When, WorkerSchedule
from ...models._checks import check_count, check_optional_id
from ...operations import Operation
from ...uploads import Upload
from ._models import model, schedules, union_members
from ._streams import event_lists
from ._values import INSTANTS, INTEGERS, VALUES

__all__ = ["operation", "operations", "results"]

R = TypeVar("R")

#: Characters with a meaning in a URL, and ones that resemble them; the slash comes last.
_STRUCTURE = "?#%&=+;:@ .~\\2eEfF/"


def _segments(structure: str, excluded: str) -> SearchStrategy[str]:
    letters = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=excluded)
    texts = st.text(letters, min_size=1) | st.text(structure, min_size=1)
    return texts.filter(lambda text: unquote(text) not in (".", ".."))


_IDS = _segments(_STRUCTURE, "")
_PATHS = st.lists(_segments(_STRUCTURE[:-1], "/"), min_size=1, max_size=4).map("/".join)

#: Names of files. A form does not tell an escape from the character that it stands for.
_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda name: unescape(name) == name
)
_UPLOADS = st.lists(st.builds(Upload, _NAMES, st.binary()), max_size=3).map(tuple)

#: Strategies for arguments, by the type of the field. Optional ones, ``Literal`` and classes of `When` are derived.
_ARGUMENTS: dict[Any, SearchStrategy[Any]] = {
    str: st.text(),
    bool: st.booleans(),
    int: INTEGERS,
    datetime | str: st.text() | INSTANTS | st.datetimes(),
    tuple[Upload, ...]: _UPLOADS,
    dict[str, Any]: st.dictionaries(st.text(), VALUES, max_size=3),
}

#: Strategies for arguments whose check permits less than their type, by the check.
_CHECKED: dict[Any, SearchStrategy[Any]] = {
    check_count: st.integers(1, 2**31),
    check_optional_id: st.none() | st.text(min_size=1),
}


def operations() -> SearchStrategy[Operation[Any]]:
    """Generate every operation, with any valid arguments."""
    return st.one_of(*map(operation, ops.OPERATIONS))


def operation(cls: type[Operation[Any]]) -> SearchStrategy[Operation[Any]]:
    """Generate operations of one class, with any valid arguments.

    Raises:
        NotImplementedError: There is no strategy for the type of a field.
    """
    return _build(cls, cls.route.path_parameters)


def _build(cls: Any, path_parameters: dict[str, bool]) -> SearchStrategy[Any]:
    fields = {}
    for field in attrs.fields(cls):
        if field.name in path_parameters:
            fields[field.name] = _PATHS if path_parameters[field.name] else _IDS
            continue
        try:
            checked = _CHECKED.get(field.validator)
            fields[field.name] = _argument(field.type) if checked is None else checked
        except LookupError:
            raise NotImplementedError(  # for a new operation: the tests of this package find it
                f"no strategy for {cls.__name__}.{field.name} of type {field.type}: "
                "add one to _ARGUMENTS in testing/strategies/_operations.py"
            ) from None
    return st.builds(cls, **fields)


def _argument(tp: Any) -> SearchStrategy[Any]:
    """Generate values of the type of a field.

    Raises:
        LookupError: The type, or a part of it, is unknown here.
    """
    if tp in _ARGUMENTS:
        return _ARGUMENTS[tp]
    if tp is type(None):
        return st.none()
    if tp in get_args(When):
        return _build(tp, {})
    if get_origin(tp) is Literal:
        return st.sampled_from(get_args(tp))
    if members := union_members(tp):
        return st.one_of(*map(_argument, members))
    raise LookupError(tp)


_RESULTS: dict[Any, SearchStrategy[Any]] = {
    str: st.emails(),
    bytes: st.binary(),
    WorkerSchedule: schedules(),
}


def results(operation: Operation[R]) -> SearchStrategy[R]:
    """Generate the possible results of an operation.

    Args:
        operation: The operation.

    Returns:
        A strategy for values of the type that `handinger_async.codec.decode_response` returns for it.

    Raises:
        NotImplementedError: There is no strategy for the type of its result.
    """
    returns = operation.route.returns
    if operation.streams:
        return event_lists()  # type: ignore[return-value]
    if returns in _RESULTS:
        return _RESULTS[returns]
    if attrs.has(returns):
        return model(returns)
    raise NotImplementedError(  # as above
        f"no strategy for the result of {type(operation).__name__} of type {returns}: "
        "add one to _RESULTS in testing/strategies/_operations.py"
    )
