"""JSON Schemas as values: copies, and the conversion from Draft 2020-12 to Draft 7."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

from .errors import shorten

if TYPE_CHECKING:
    from typing import Any

__all__ = ["convert", "plain"]

Schema = dict[str, "Any"]

#: Keywords whose value is a schema, a list of schemas, or an object of schemas. All other values are kept.
_ONE = {"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
_MANY = {"allOf", "anyOf", "oneOf"}
_NAMED = {"$defs", "dependentSchemas", "patternProperties", "properties"}
_RENAMED = {"$defs": "definitions", "dependentRequired": "dependencies", "dependentSchemas": "dependencies"}
#: Keywords that Draft 7 does not have, or has with another value.
_DROPPED = {"$schema", "discriminator"}


def plain(value: object, path: str = "$") -> Any:
    """Return a deep copy of JSON, of dicts and lists.

    Args:
        value: The value: mappings, lists or tuples, strings, finite numbers, booleans and None.
        path: Its path, for messages.

    Raises:
        TypeError: It is not JSON; the message says where.
        RecursionError: It is nested too deeply, or in itself.
    """
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [plain(item, f"{path}[{place}]") for place, item in enumerate(value)]
    if isinstance(value, float):
        raise TypeError(f"{path} is {value}, which is not JSON")
    if not isinstance(value, Mapping):
        raise TypeError(f"{path} is of type {shorten(type(value).__name__, 60)}, which is not JSON")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{path} has a key that is not a string")
    return {key: plain(item, f"{path}.{shorten(key, 60)}") for key, item in value.items()}


def convert(schema: Schema) -> Schema:
    """Convert a schema whose references are to its ``$defs`` to Draft 7; a root that is a ``$ref`` is inlined."""
    schema = plain(schema)
    definitions = schema.get("$defs", {})
    root = ""
    while "$ref" in schema:
        root = schema.pop("$ref")
        schema = definitions[root.removeprefix("#/$defs/")] | schema
    definitions.pop(root.removeprefix("#/$defs/"), None)
    converted: Schema = _convert(schema, root)
    if not converted.get("definitions", True):
        del converted["definitions"]
    return converted


def _convert(schema: Any, root: str) -> Any:
    if not isinstance(schema, dict):  # true or false
        return schema
    result: Schema = {}
    for key, value in schema.items():
        if key in _DROPPED:
            continue
        name: Any = _RENAMED.get(key, key)
        if key in _ONE:
            result[name] = _convert(value, root)
        elif key in _MANY or key == "prefixItems":
            result[name] = [_convert(item, root) for item in value]
        elif key in _NAMED:
            result[name] = result.get(name, {}) | {part: _convert(item, root) for part, item in value.items()}
        elif key == "$ref":
            result[name] = "#" if value == root else value.replace("#/$defs/", "#/definitions/", 1)
        else:
            result[name] = value
    if "prefixItems" in result:
        if "items" in result:
            result["additionalItems"] = result["items"]
        result["items"] = result.pop("prefixItems")
    if "$ref" in result and len(result) > 1:
        return {"allOf": [{"$ref": result.pop("$ref")}], **result}  # Draft 7 ignores keywords beside a $ref
    return result
