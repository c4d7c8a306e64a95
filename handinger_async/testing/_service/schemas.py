"""Output schemas (JSON Schema, Draft 7): a check of their form, and values that fit simple ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ...errors import shorten

__all__ = ["check_schema", "example"]

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_MAPS = ("properties", "patternProperties", "definitions", "$defs")
_LISTS = ("anyOf", "oneOf", "allOf")
_SCHEMAS = ("additionalProperties", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_STRINGS = ("$ref", "title", "description", "format", "pattern")

#: Strings of the formats.
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "time": "00:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

#: Levels of a recursive schema to follow.
_DEPTH = 6


def check_schema(schema: Any, path: str = "outputSchema") -> None:
    """Check the form of a schema, as far as its keywords are known here.

    Raises:
        ValueError: It is malformed; the message says where.
    """
    if isinstance(schema, bool) and path != "outputSchema":
        return
    if not isinstance(schema, dict):
        raise ValueError(f"{path} must be an object")
    types = schema.get("type", [])
    for name in [types] if isinstance(types, str) else types if isinstance(types, list) else [types]:
        if name not in _TYPES:
            raise ValueError(f"{path}.type: {shorten(repr(name), 40)} is not a type of JSON Schema")
    for keyword, value in schema.items():
        _check_keyword(keyword, value, f"{path}.{shorten(keyword, 40)}")


def _check_keyword(keyword: str, value: Any, path: str) -> None:
    """Raise a ValueError if a keyword is known and its value is malformed."""
    if keyword in _MAPS:
        _require(isinstance(value, dict), path, "an object")
        for name, schema in value.items():
            check_schema(schema, f"{path}.{shorten(name, 40)}")
    elif keyword in _LISTS or (keyword == "items" and isinstance(value, list)):
        _require(isinstance(value, list) and bool(value), path, "a list with schemas")
        for index, schema in enumerate(value):
            check_schema(schema, f"{path}[{index}]")
    elif keyword in _SCHEMAS or keyword == "items":
        check_schema(value, path)
    elif keyword == "required":
        _require(isinstance(value, list) and all(isinstance(name, str) for name in value), path, "a list of strings")
    elif keyword == "enum":
        _require(isinstance(value, list) and bool(value), path, "a list with values")
    elif keyword in _COUNTS:
        _require(type(value) is int and value >= 0, path, "a whole number, 0 or more")
    elif keyword in _NUMBERS:
        _require(type(value) in (int, float), path, "a number")
    elif keyword in _STRINGS:
        _require(isinstance(value, str), path, "a string")
        if keyword == "pattern":
            try:
                re.compile(value)
            except re.error:
                raise ValueError(f"{path} is not a regular expression") from None


def _require(holds: bool, path: str, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{path} must be {wanted}")


def example(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return an object that fits a simple schema; None if the schema asks for something else than an object.

    Patterns, conditions and limits that depend on each other are not considered.
    """
    value = _example(schema, schema, 0)
    return value if isinstance(value, dict) else None


def _example(schema: Any, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict):
        return {} if depth == 0 else "made up"
    if "const" in schema:
        return schema["const"]
    for keyword in ("enum", "examples"):
        if schema.get(keyword):
            return schema[keyword][0]
    if isinstance(schema.get("$ref"), str):
        return _example(_resolve(schema["$ref"], root), root, depth + 1) if depth < 2 * _DEPTH else None
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return _example(_pick(schema[keyword], depth), root, depth + 1)
    if "allOf" in schema:
        return _example(_merged([schema, *schema["allOf"]]), root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    names = schema.get("type", "object" if "properties" in schema or depth == 0 else "string")
    name = names if isinstance(names, str) else next((name for name in names if name != "null"), "null")
    if depth > _DEPTH and "null" in names:
        return None
    match name:
        case "object":
            required = schema.get("required", ())
            properties = schema.get("properties", {})
            wanted = [key for key in properties if depth < _DEPTH or key in required]
            wanted += [key for key in required if key not in properties]
            return {key: _example(properties.get(key, True), root, depth + 1) for key in wanted}
        case "array":
            return _array(schema, root, depth)
        case "string":
            text = _FORMATS.get(schema.get("format", ""), "made up")
            if schema.get("contentEncoding") == "base64":
                text = "bWFkZSB1cA=="
            return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
        case "number" | "integer":
            return _number(schema, whole=name == "integer")
        case "boolean":
            return True
    return None


def _array(schema: dict[str, Any], root: dict[str, Any], depth: int) -> list[Any]:
    items = schema.get("items", True)
    if isinstance(items, list):
        return [_example(item, root, depth + 1) for item in items]
    least = schema.get("minItems", 0)
    count = min(max(1 if depth < _DEPTH else 0, least), schema.get("maxItems", least + 1))
    return [_example(items, root, depth + 1) for _ in range(count)]


def _number(schema: dict[str, Any], *, whole: bool) -> float:
    """Return the smallest multiple above the lower limit; without one, the largest below the upper limit."""
    step = schema.get("multipleOf") or (1 if whole else 0.5)
    if "exclusiveMinimum" in schema:
        count = schema["exclusiveMinimum"] // step + 1
    elif "minimum" in schema:
        count = -(-schema["minimum"] // step)
    elif "exclusiveMaximum" in schema:
        count = -(-schema["exclusiveMaximum"] // step) - 1
    else:
        count = schema.get("maximum", step) // step
    return int(count * step) if whole else count * step


def _resolve(reference: str, root: dict[str, Any]) -> Any:
    """Return the part of the schema that a reference such as ``#/definitions/Tent`` names; True if there is none."""
    place: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        place = place.get(part.replace("~1", "/").replace("~0", "~"), True) if isinstance(place, dict) else True
    return place


def _pick(schemas: list[Any], depth: int) -> Any:
    """Return the first alternative that is not null; deep in a recursion, null."""
    nulls = [schema for schema in schemas if isinstance(schema, dict) and schema.get("type") == "null"]
    others = [schema for schema in schemas if schema not in nulls]
    return nulls[0] if nulls and (depth > _DEPTH or not others) else others[0]


def _merged(schemas: Iterable[Any]) -> dict[str, Any]:
    """Return one schema for several that apply together."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        for keyword, value in schema.items() if isinstance(schema, dict) else ():
            if keyword in ("properties", "required") and keyword in merged:
                value = merged[keyword] | value if isinstance(value, dict) else [*merged[keyword], *value]
            if keyword != "allOf":
                merged[keyword] = value
    return merged
