"""Structured output: JSON Schemas made of classes, and results decoded into them.

Classes are attrs classes, dataclasses, TypedDicts and Structs, which need msgspec (``pip install
'handinger-async[schema]'``), and pydantic models, which bring their own means. The names on the wire are those of the
class. `decode` accepts what the schema of a class accepts, and nothing else but other spellings of dates and decimals;
the validators of a class are checked by `decode` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, overload

from ._json import dumps
from .errors import APIResponseValidationError, ConfigurationError, quoted, shorten

__all__ = ["decode", "make_schema"]

T = TypeVar("T")

#: The end of msgspec's messages.
_PLACE = r" - at (?:`key` in )?`\$([^`]*)`\Z"
_MISSING = r"Object missing required field `([^`]*)`"


def make_schema(output_schema: type[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema, Draft 7, of structured output.

    Args:
        output_schema: A class, or a JSON Schema, which is copied as it is.

    Returns:
        The schema. That of a class is of type ``object``, and its root is no ``$ref``.

    Raises:
        ConfigurationError: The class is not supported or is no object in JSON, or the schema is not JSON, or msgspec is
            needed and not installed.
    """
    from ._draft7 import class_schema  # here, since most programs make no schema
    from ._draft2020 import convert, plain

    if isinstance(output_schema, Mapping):
        try:
            copied: dict[str, Any] = plain(output_schema)
        except TypeError as error:
            reason = str(error)
        except RecursionError:
            reason = "it is nested too deeply"
        else:
            return copied
        raise ConfigurationError(f"output_schema is not a JSON Schema: {reason}")
    name = _name(output_schema)
    try:
        if _is_pydantic(output_schema):
            schema = convert(output_schema.model_json_schema())
        else:
            _check_msgspec()
            schema = class_schema(output_schema)
    except ConfigurationError:
        raise
    except Exception as error:  # of msgspec or pydantic, or of the annotations of the class
        reason = shorten(str(error), 400)
    else:
        if schema.get("type") == "object":
            return schema
        reason = "structured output is an object"
    raise ConfigurationError(f"output_schema cannot be {name}: {reason}")


@overload
def decode(document: Any, output_schema: type[T], *, path: str = "$") -> T: ...


@overload
def decode(document: Any, output_schema: Mapping[str, Any] | None, *, path: str = "$") -> Any: ...


def decode(document: Any, output_schema: Any, *, path: str = "$") -> Any:
    """Decode structured output.

    Args:
        document: The parsed JSON.
        output_schema: The class to decode it into. For a JSON Schema or None, the document is returned unchanged and
            unchecked.
        path: The path of the document, for errors.

    Returns:
        An instance of the class, or the document.

    Raises:
        APIResponseValidationError: The document does not fit the class; ``path`` says where.
        ConfigurationError: The class is not supported, or msgspec is needed and not installed.
    """
    if output_schema is None or isinstance(output_schema, Mapping):
        return document
    try:
        if _is_pydantic(output_schema):
            # As JSON, since a strict model takes strings for dates, and arrays for tuples, from JSON alone.
            return output_schema.model_validate_json(dumps(document))
        return _decode_with_msgspec(document, output_schema)
    except RecursionError:
        place, reason = path, _reason("nested too deeply")
    except ValueError as error:
        if isinstance(error, ConfigurationError):
            raise
        place, reason = _explain(error, document, path)
    raise APIResponseValidationError(f"{place} {reason}", path=place)


def _decode_with_msgspec(document: Any, cls: Any) -> Any:
    _check_msgspec()
    import msgspec

    try:
        try:
            return msgspec.convert(document, cls, str_keys=True)
        except msgspec.ValidationError:
            return msgspec.convert(_whole_numbers(document), cls, str_keys=True)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None  # in older versions of msgspec it is none
    except TypeError as error:
        reason = shorten(str(error), 400)
    raise ConfigurationError(f"output_schema cannot be {_name(cls)}: {reason}")


def _whole_numbers(value: Any) -> Any:
    """Return JSON with 1 for 1.0, which msgspec does not take for an ``int``. JSON has one kind of number."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _explain(error: ValueError, document: Any, path: str) -> tuple[str, str]:
    """Return the path of the value to blame, and the reason."""
    errors: Any = getattr(error, "errors", None)  # of pydantic
    if errors is not None:
        first = errors(include_url=False, include_context=False)[0]
        missing = first["type"] == "missing"
        place = path + _pydantic_path(first["loc"], document, missing=missing)
        return place, "is missing" if missing else _reason(first["msg"])
    message = str(error)
    found = re.search(_PLACE, message)
    if found:
        path += found[1]
        message = message[: found.start()]
    if missing := re.match(_MISSING, message):
        return f"{path}.{missing[1]}", "is missing"
    return path, _reason(message)


def _reason(message: str) -> str:
    return f"cannot be read: {shorten(message[:1].lower() + message[1:])}"


def _pydantic_path(location: tuple[str | int, ...], document: Any, *, missing: bool) -> str:
    """Return the path of a location, without the members of unions, which the document does not have."""
    path = ""
    *parents, last = ("", *location)
    for part in parents if missing else (*parents, last):
        if isinstance(part, int) and isinstance(document, list):
            path, document = f"{path}[{part}]", document[part]
        elif isinstance(document, dict) and part in document:
            path, document = f"{path}.{shorten(str(part), 60)}", document[part]
    return f"{path}.{last}" if missing else path


def _is_pydantic(output_schema: Any) -> bool:
    return isinstance(output_schema, type) and hasattr(output_schema, "model_json_schema")


def _check_msgspec() -> None:
    try:
        import msgspec as _  # noqa: F401
    except ImportError:
        pass
    else:
        return
    raise ConfigurationError("classes as output_schema need msgspec: pip install 'handinger-async[schema]'")


def _name(output_schema: Any) -> str:
    return shorten(output_schema.__name__ if isinstance(output_schema, type) else quoted(output_schema), 100)
