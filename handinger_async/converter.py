"""JSON to values and back: how the wire spells names, and the rules, as hooks of a cattrs converter.

`structure` works with a converter that is fast and says little. Only where something does not fit, a second one, with
detailed validation, finds out what and where.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, NoReturn, get_args, get_origin

import attrs
import cattrs
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from . import models
from ._json import dumps
from ._structure import Hook, is_answer, is_text, make_structure_hook
from .errors import APIResponseValidationError, shorten
from .http import Request, Response
from .operations import Operation, path_fields
from .sse import ServerSentEvent

__all__ = ["TAGGED", "describe", "structure", "to_dict", "to_json", "unstructure", "wire_name"]


# How the wire spells names ############################################################################################


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(map(str.capitalize, tail))


#: The classes whose fields the wire spells in camelCase. All others, `Worker` first of all, keep their snake_case.
CAMEL_CASE = frozenset(
    {
        models.File,
        models.Costs,
        models.Usage,
        models.ScheduledWorkerSchedule,
        models.DelayedWorkerSchedule,
        models.CronWorkerSchedule,
        models.IntervalWorkerSchedule,
        models.ScheduleListResponse,
        models.ScheduleCancelResponse,
        models.ScheduledWhen,
        models.DelayedWhen,
        models.CronWhen,
        models.IntervalWhen,
    }
)

#: The unions that are told apart by ``type``, with the classes that they may be.
TAGGED: dict[Any, dict[str, type[Any]]] = {
    union: {cls.type: cls for cls in get_args(union) if cls is not models.UnknownWorkerSchedule}
    for union in (models.WorkerSchedule, models.When)
}

#: Where a structure hook finds the fields that it does not know; no server can send this key for itself, since a key
#: that is not a field's is unknown, whatever it is.
_EXTRA = "\0extra"


def wire_name(cls: type[Any], name: str) -> str:
    """Return how the wire spells the field ``name`` of ``cls``."""
    if name == "extra":
        return _EXTRA
    return _camel(name) if cls in CAMEL_CASE else name


# The converter ########################################################################################################


class _MismatchError(ValueError):
    """A value of the wire does not fit; ``key`` names the field of the object that is to blame."""

    def __init__(self, reason: str, key: str | None = None) -> None:
        super().__init__(reason)
        self.key = key


_JSON_TYPES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


def _refuse(wanted: str, value: object) -> NoReturn:
    raise _MismatchError(f"must be {wanted}, not {describe(value)}")


def describe(value: object) -> str:
    """Return what JSON calls the type of ``value``."""
    return "null" if value is None else _JSON_TYPES.get(type(value), "this")


def _structure_text(value: Any, _: Any) -> str:
    return value if isinstance(value, str) else _refuse("a string", value)


def _structure_bool(value: Any, _: Any) -> bool:
    return value if isinstance(value, bool) else _refuse("a boolean", value)


def _structure_int(value: Any, _: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():  # JSON has one kind of number: 1.0 is 1
        return int(value)
    return _refuse("a whole number", value)


def _structure_float(value: Any, _: Any) -> float:
    return float(value) if type(value) in (float, int) else _refuse("a number", value)


def _structure_dict(value: Any, _: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse("an object", value)


def _structure_instant(value: Any, _: Any) -> datetime:
    if not isinstance(value, str):
        _refuse("a string", value)
    try:
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            instant = datetime.fromisoformat(value.upper())  # RFC 3339, section 5.6, allows "t" and "z"
    except ValueError:
        raise _MismatchError(f"must be an instant (RFC 3339), not {shorten(value, 60)!r}") from None
    if instant.tzinfo is None:
        raise _MismatchError(f"must name its offset from UTC (RFC 3339), which {shorten(value, 60)!r} does not")
    return instant


def _is(origin: type[Any]) -> Callable[[Any], bool]:
    return lambda tp: get_origin(tp) is origin


def _structure_list_factory(tp: Any, converter: cattrs.BaseConverter) -> Hook:
    structure_items = list_structure_factory(tp, converter)

    def structure(value: Any, _: Any) -> Any:
        return structure_items(value, tp) if isinstance(value, list) else _refuse("an array", value)

    return structure


def _structure_tagged_factory(union: Any, converter: cattrs.Converter) -> Hook:
    hooks = {tag: (cls, converter.get_structure_hook(cls)) for tag, cls in TAGGED[union].items()}
    open_ended = models.UnknownWorkerSchedule in get_args(union)

    def structure(value: Any, _: Any) -> Any:
        try:
            cls, hook = hooks[value["type"]]
        except (KeyError, TypeError):
            return structure_other(value)
        return hook(value, cls)

    def structure_other(value: Any) -> Any:
        if not isinstance(value, dict):
            _refuse("an object", value)
        if "type" not in value:
            raise _MismatchError("is missing", "type")
        tag = value["type"]
        if not isinstance(tag, str):
            raise _MismatchError("must be a string", "type")
        if not open_ended:
            raise _MismatchError(f"must be one of {', '.join(map(repr, hooks))}", "type")
        return models.UnknownWorkerSchedule(type=tag, raw=value)

    return structure


def _renames(cls: type[Any], **overrides: Any) -> dict[str, Any]:
    return {
        field.name: overrides.get(field.name, override(rename=wire_name(cls, field.name)))
        for field in attrs.fields(cls)
    }


def _tag(cls: type[Any]) -> str | None:
    """The value of ``type`` that stands for ``cls`` in a tagged union."""
    return cls.type if any(cls in members.values() for members in TAGGED.values()) else None


def _structure_class_factory(cls: type[Any], converter: cattrs.Converter) -> Hook:
    keeps_extra = "extra" in attrs.fields_dict(cls)
    structure_known = make_dict_structure_fn(cls, converter, **_renames(cls))
    known = {wire_name(cls, field.name) for field in attrs.fields(cls)} - {_EXTRA}
    if _tag(cls):
        known.add("type")

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            _refuse("an object", value)
        if not value.keys() <= known:
            surplus = {key: item for key, item in value.items() if key not in known}
            if keeps_extra:
                value = {**value, _EXTRA: surplus}
            elif cls in TAGGED[models.When].values():
                raise _MismatchError("is not a key of this type", next(iter(surplus)))
        return structure_known(value, cls)

    return structure


def _structure_answer_factory(cls: type[Any], converter: cattrs.Converter) -> Hook:
    return make_structure_hook(cls, converter, wire_name, TAGGED)


def _unstructure_class_factory(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    if cls is models.UnknownWorkerSchedule:
        return lambda value: converter.unstructure(value.raw)
    left_out = {
        name: override(omit=True) for name in ("extra", *(path_fields(cls) if issubclass(cls, Operation) else ()))
    }
    unstructure_known = make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=True, **_renames(cls, **left_out)
    )
    tag = _tag(cls)
    if not tag and "extra" not in attrs.fields_dict(cls):
        return unstructure_known

    def unstructure(value: Any) -> dict[str, Any]:
        document = unstructure_known(value)
        if tag:
            document["type"] = tag
        extra = getattr(value, "extra", None)
        return converter.unstructure(extra) | document if extra else document

    return unstructure


def _make_converter(*, detailed_validation: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed_validation)
    converter.register_structure_hook_factory(attrs.has, _structure_class_factory)
    if not detailed_validation:
        converter.register_structure_hook_factory(is_answer, _structure_answer_factory)
    converter.register_unstructure_hook_factory(attrs.has, _unstructure_class_factory)
    converter.register_structure_hook_factory(_is(list), _structure_list_factory)
    converter.register_structure_hook_func(_is(dict), _structure_dict)
    converter.register_structure_hook_func(is_text, _structure_text)
    converter.register_structure_hook(str, _structure_text)
    converter.register_structure_hook(bool, _structure_bool)
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(float, _structure_float)
    converter.register_structure_hook(datetime, _structure_instant)
    converter.register_structure_hook(datetime | str, _structure_text)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook_factory(lambda tp: tp in TAGGED, _structure_tagged_factory)
    return converter


_converter = _make_converter(detailed_validation=False)
_structure_hook: Callable[[Any], Hook] = cache(_converter.get_structure_hook)
_unstructure_hook: Callable[[Any], Callable[[Any], Any]] = cache(_converter.get_unstructure_hook)


@cache
def _detailed_converter() -> cattrs.Converter:
    return _make_converter(detailed_validation=True)


def structure(document: Any, tp: Any) -> Any:
    """Make a value from JSON; what does not fit is found, once it is known that something does not.

    Args:
        document: What `handinger_async._json.loads` returned.
        tp: The type of the value: a model, an operation, or a union of models.

    Returns:
        The value.

    Raises:
        APIResponseValidationError: With the path of what does not fit.
    """
    try:
        return _structure_hook(tp)(document, tp)
    except Exception:  # noqa: S110 - whatever it is, the second pass says it better
        pass
    try:
        return _detailed_converter().structure(document, tp)
    except Exception as error:
        path, reason = _locate(error)
    raise APIResponseValidationError(f"{path} {reason}", path=path)


def _locate(error: BaseException) -> tuple[str, str]:
    """Follow the first failure down to its cause: the JSON path of the value to blame, and what is wrong with it."""
    path = "$"
    while isinstance(error, cattrs.BaseValidationError):
        located, unlocated = error.group_exceptions()  # type: ignore[attr-defined]
        if not located:
            error = unlocated[0]
        elif isinstance(error, cattrs.ClassValidationError):
            (cause, note), cls = located[0], error.cl
            path += f".{wire_name(cls, note.name)}"
            error = cause
        else:
            cause, note = located[0]
            path += f"[{note.index}]"
            error = cause
    if isinstance(error, KeyError):
        return path, "is missing"
    if isinstance(error, _MismatchError):
        return path + (f".{shorten(error.key, 60)}" if error.key else ""), str(error)
    return path, f"cannot be read: {shorten(str(error))}"


def unstructure(operation: Operation[Any]) -> dict[str, Any]:
    """Return the fields of an operation that do not go into its path, as the wire has them."""
    fields: dict[str, Any] = _unstructure_hook(type(operation))(operation)
    return fields


def to_dict(value: Any) -> dict[str, Any]:
    """Return a value as the JSON object that the wire has for it.

    What the server sent comes back, unknown fields included; optional fields that are None are left out, and instants
    are in ISO 8601.

    Args:
        value: A model: a worker, a schedule, a part of one, or a when.

    Returns:
        The object, with the wire's names.

    Raises:
        TypeError: ``value`` is something else.
        ValueError: It is nested too deeply.
    """
    if not attrs.has(type(value)) or isinstance(value, Operation | ServerSentEvent | Request | Response):
        raise TypeError(f"to_dict takes a model, not {type(value).__name__}")
    try:
        document: dict[str, Any] = _converter.unstructure(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return document


def to_json(value: Any) -> str:
    """Return a value as the wire's JSON text; see `to_dict`."""
    return dumps(to_dict(value)).decode()
