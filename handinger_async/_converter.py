"""JSON to models and back: names on the wire and type rules, as hooks of a cattrs converter.

`structure` uses a fast converter without error details. If it fails, a second one, with detailed validation, finds the
reason and its path.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache, reduce
from operator import or_
from typing import Any, get_args, get_origin

import attrs
import cattrs
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from . import models
from ._codegen import is_response_model, is_string_literal
from ._hooks import (
    MismatchError,
    refuse,
    structure_bool,
    structure_dict,
    structure_float,
    structure_instant,
    structure_int,
    structure_string,
)
from ._json import dumps
from ._structure import Hook, make_structure_hook
from ._unstructure import make_copy_hook, make_unstructure_hook
from .errors import APIResponseValidationError, ConfigurationError, shorten
from .http import Request, Response
from .operations import Operation
from .sse import ServerSentEvent
from .uploads import Upload

__all__ = ["SNAKE_CASE", "TAGGED", "structure", "to_dict", "to_json", "unstructure", "wire_name"]


# Names on the wire ####################################################################################################


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(map(str.capitalize, tail))


#: The classes with snake_case names on the wire, as their subclasses. All others have camelCase names.
SNAKE_CASE = (models.Worker,)

#: The unions discriminated by ``type``, each with its classes by ``type``.
TAGGED: dict[Any, dict[str, type[Any]]] = {
    union: {cls.type: cls for cls in get_args(union) if cls is not models.UnknownWorkerSchedule}
    for union in (models.WorkerSchedule, models.When)
}

#: Internal key that carries unknown fields into the hook. A real key of this name would itself land in ``extra``, so
#: there is no clash. No NUL: older versions of cattrs compile it into source code as it is.
_EXTRA = "(extra)"


def wire_name(cls: type[Any], name: str) -> str:
    """Return the JSON key of the field ``name`` of ``cls``."""
    if name == "extra":
        return _EXTRA
    return name if issubclass(cls, SNAKE_CASE) else _camel(name)


# The converter ########################################################################################################


def _is(origin: type[Any]) -> Callable[[Any], bool]:
    return lambda tp: get_origin(tp) is origin


def _structure_list_factory(tp: Any, converter: cattrs.BaseConverter) -> Hook:
    structure_items = list_structure_factory(tp, converter)

    def structure(value: Any, _: Any) -> Any:
        return structure_items(value, tp) if isinstance(value, list) else refuse("an array", value)

    return structure


def _is_unsettable(tp: Any) -> bool:
    return models.Unset in get_args(tp)


def _structure_unsettable_factory(tp: Any, converter: cattrs.Converter) -> Hook:
    """Return the hook for the type without `UNSET`, which JSON expresses by leaving the field out."""
    inner = reduce(or_, [arg for arg in get_args(tp) if arg is not models.Unset])
    hook = converter.get_structure_hook(inner)
    return lambda value, _: hook(value, inner)


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
            refuse("an object", value)
        if "type" not in value:
            raise MismatchError("is missing", "type")
        tag = value["type"]
        if not isinstance(tag, str):
            raise MismatchError("must be a string", "type")
        if not open_ended:
            raise MismatchError(f"must be one of {', '.join(map(repr, hooks))}", "type")
        return models.UnknownWorkerSchedule(type=tag, raw=value)

    return structure


def _structure_upload(value: Any, _: Any) -> Upload:
    return value if isinstance(value, Upload) else refuse("a file in multipart/form-data", value)


def _renames(cls: type[Any], **overrides: Any) -> dict[str, Any]:
    return {
        field.name: overrides.get(field.name, override(rename=wire_name(cls, field.name)))
        for field in attrs.fields(cls)
    }


def _tag(cls: type[Any]) -> str | None:
    """Return the ``type`` of ``cls`` in a discriminated union; None if it is in none."""
    return cls.type if any(issubclass(cls, tuple(members.values())) for members in TAGGED.values()) else None


def _structure_class_factory(cls: type[Any], converter: cattrs.Converter) -> Hook:
    keeps_extra = "extra" in attrs.fields_dict(cls)
    structure_known = make_dict_structure_fn(cls, converter, **_renames(cls))
    known = {wire_name(cls, field.name) for field in attrs.fields(cls)} - {_EXTRA}
    if _tag(cls):
        known.add("type")

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            refuse("an object", value)
        if not value.keys() <= known:
            surplus = {key: item for key, item in value.items() if key not in known}
            if keeps_extra:
                value = {**value, _EXTRA: surplus}
            elif cls in TAGGED[models.When].values():
                raise MismatchError("is not a key of this type", next(iter(surplus)))
        return structure_known(value, cls)

    return structure


def _structure_response_model_factory(cls: type[Any], converter: cattrs.Converter) -> Hook:
    return make_structure_hook(cls, converter, wire_name, TAGGED)


def _unstructure_class_factory(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    if cls is models.UnknownWorkerSchedule:
        return lambda value: converter.unstructure(value.raw)
    path_parameters = cls.route.path_parameters if issubclass(cls, Operation) else ()
    omitted = {name: override(omit=True) for name in ("extra", *path_parameters)}
    unstructure_known = make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=True, **_renames(cls, **omitted)
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


def _unstructure_response_model_factory(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    return make_unstructure_hook(cls, converter, wire_name, TAGGED)


def _make_converter(*, detailed_validation: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed_validation)
    converter.register_structure_hook_factory(attrs.has, _structure_class_factory)
    if not detailed_validation:
        converter.register_structure_hook_factory(is_response_model, _structure_response_model_factory)
    converter.register_unstructure_hook_factory(attrs.has, _unstructure_class_factory)
    if not detailed_validation:
        converter.register_unstructure_hook_factory(is_response_model, _unstructure_response_model_factory)
        converter.register_unstructure_hook_func(lambda tp: tp in (dict, list), make_copy_hook(converter))
    converter.register_structure_hook_factory(_is(list), _structure_list_factory)
    converter.register_structure_hook_func(_is(dict), structure_dict)
    converter.register_structure_hook_func(is_string_literal, structure_string)
    converter.register_structure_hook(str, structure_string)
    converter.register_structure_hook(bool, structure_bool)
    converter.register_structure_hook(int, structure_int)
    converter.register_structure_hook(float, structure_float)
    converter.register_structure_hook(datetime, structure_instant)
    converter.register_structure_hook(Upload, _structure_upload)
    converter.register_unstructure_hook(Upload, lambda upload: upload)  # JSON has no files: the codec sends a form
    converter.register_structure_hook(datetime | str, structure_string)
    converter.register_structure_hook_factory(_is_unsettable, _structure_unsettable_factory)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook_factory(lambda tp: tp in TAGGED, _structure_tagged_factory)
    return converter


#: The two converters, made when they are needed first.
_converter = cache(_make_converter)
_structure_hook: Callable[[Any], Hook] = cache(lambda tp: _converter(detailed_validation=False).get_structure_hook(tp))
_unstructure_hook: Callable[[Any], Callable[[Any], Any]] = cache(
    lambda tp: _converter(detailed_validation=False).get_unstructure_hook(tp)
)


@cache
def _exact_hook(cls: Any) -> Callable[[Any], Any] | None:
    if not is_response_model(cls):
        return None
    converter = _converter(detailed_validation=False)
    return make_unstructure_hook(cls, converter, wire_name, TAGGED, exact=True)


def structure(document: Any, tp: Any) -> Any:
    """Convert parsed JSON to a value.

    Args:
        document: The result of `handinger_async._json.loads`.
        tp: The type of the value: a model, an operation, or a union of models.

    Returns:
        The value.

    Raises:
        APIResponseValidationError: A value is missing or has a wrong type; ``path`` says where.
    """
    try:
        return _structure_hook(tp)(document, tp)
    except Exception:  # noqa: S110 - the second pass finds the reason
        pass
    try:
        return _converter(detailed_validation=True).structure(document, tp)
    except Exception as error:
        path, reason = _locate(error)
    raise APIResponseValidationError(f"{path} {reason}", path=path)


def _locate(error: BaseException) -> tuple[str, str]:
    """Return the JSON path of the first failure and its reason."""
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
    if isinstance(error, MismatchError):
        return path + (f".{shorten(error.key, 60)}" if error.key else ""), str(error)
    return path, f"cannot be read: {shorten(str(error))}"


def unstructure(operation: Operation[Any]) -> dict[str, Any]:
    """Return the fields of an operation outside its path, as JSON; fields that equal their default are left out.

    Raises:
        ConfigurationError: A field is nested too deeply.
    """
    try:
        fields: dict[str, Any] = _unstructure_hook(type(operation))(operation)
    except RecursionError:
        name = type(operation).__name__
        raise ConfigurationError(f"{name} cannot be encoded as JSON: nested too deeply") from None
    return fields


#: The attrs classes that are not models.
_NO_MODELS = (Operation, ServerSentEvent, Request, Response)


def to_dict(value: Any) -> dict[str, Any]:
    """Convert a model to its JSON object.

    The result equals the JSON that the server sent, unknown fields included. Optional fields that are None are left
    out, and datetimes are in ISO 8601.

    Args:
        value: A model: a worker, a schedule, a part of one, or a when.

    Returns:
        The object, with the names on the wire.

    Raises:
        TypeError: ``value`` is not a model.
        ValueError: ``value`` is nested too deeply.
    """
    if not attrs.has(type(value)) or isinstance(value, _NO_MODELS):
        raise TypeError(f"to_dict takes a model, not {type(value).__name__}")
    try:
        document: dict[str, Any] = _unstructure_hook(type(value))(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return document


def to_json(value: Any) -> str:
    """Convert a model to its JSON text; see `to_dict`."""
    if hook := _exact_hook(type(value)):  # type: ignore[arg-type]
        try:
            document = hook(value)
        except Exception:  # noqa: S110 - `to_dict` converts the value or raises, and `dumps` refuses NaN
            pass
        else:
            return dumps(document, finite=True).decode()
    return dumps(to_dict(value)).decode()
