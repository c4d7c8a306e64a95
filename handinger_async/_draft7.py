"""JSON Schema, Draft 7, of Python classes, from msgspec's description of them.

``msgspec.json.schema`` is not used: it makes Draft 2020-12, in which a ``datetime`` and a ``time`` are any string, a
``Decimal`` is no number, and the keys of a ``dict[int, …]`` are any strings. A service that checks its output against
such a schema lets values pass that cannot be decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from inspect import cleandoc
from typing import TYPE_CHECKING

from ._draft2020 import plain
from .errors import shorten

if TYPE_CHECKING:
    from typing import Any

    from msgspec import inspect

__all__ = ["UnsupportedTypeError", "class_schema"]

Schema = dict[str, "Any"]


class UnsupportedTypeError(TypeError):
    """There is no schema for a type."""


_NUMBER = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_STRING = {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"}
_ARRAY = {"min_length": "minItems", "max_length": "maxItems"}
_OBJECT = {"min_length": "minProperties", "max_length": "maxProperties"}

_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?$"

#: The schemas of types without constraints, by the name of msgspec's description.
_SIMPLE: dict[str, Schema] = {
    "AnyType": {},
    "RawType": {},
    "NoneType": {"type": "null"},
    "BoolType": {"type": "boolean"},
    "DateType": {"type": "string", "format": "date"},
    "TimeDeltaType": {"type": "string", "format": "duration"},
    "UUIDType": {"type": "string", "format": "uuid"},
    "DecimalType": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}]},
}


def class_schema(cls: Any) -> Schema:
    """Return the schema of a class that msgspec can decode; the class itself is ``#``.

    Raises:
        UnsupportedTypeError: Part of the class has no schema.
        TypeError: msgspec does not support the type; the module is installed.
    """
    from msgspec import inspect

    return _Writer().write(inspect.type_info(cls))


class _Writer:
    """Writes the schemas of one document. ``_names`` has the ``$ref`` of each class that was met."""

    def __init__(self) -> None:
        self._names: dict[Any, str] = {}
        self._definitions: dict[str, Schema] = {}

    def write(self, tp: inspect.Type) -> Schema:
        """Return the schema of the root, with the definitions of other classes."""
        if hasattr(tp, "fields"):
            self._names[tp.cls] = "#"  # type: ignore[attr-defined]
            schema = self._class(tp)
        else:
            schema = self._schema(tp)
        return schema | {"definitions": self._definitions} if self._definitions else schema

    def _schema(self, tp: Any) -> Schema:
        kind = type(tp).__name__
        if kind == "Metadata":
            return _annotate(self._schema(tp.type), plain(tp.extra_json_schema or {}))
        if hasattr(tp, "fields") or kind == "EnumType":
            return {"$ref": self._reference(tp)}
        if kind in _SIMPLE:
            return dict(_SIMPLE[kind])
        write: Callable[[Any], Schema] | None = getattr(self, f"_{kind}", None)
        if write is None:
            raise UnsupportedTypeError(f"there is no schema for {shorten(str(getattr(tp, 'cls', kind)), 200)}")
        return write(tp)

    def _reference(self, tp: Any) -> str:
        if tp.cls not in self._names:
            name = _safe(_class_name(tp.cls))
            if name in self._definitions:
                name = _safe(f"{tp.cls.__module__}.{name}")
            while name in self._definitions:  # classes made in a function
                name += "_"
            self._names[tp.cls] = f"#/definitions/{name}"
            self._definitions[name] = {}  # reserved: the class may refer to itself
            self._definitions[name] = self._enum(tp) if type(tp).__name__ == "EnumType" else self._class(tp)
        return self._names[tp.cls]

    def _class(self, tp: Any) -> Schema:
        fields: dict[str, Schema] = {}
        required = []
        tag = getattr(tp, "tag_field", None)
        if tag is not None:
            fields[tag] = {"enum": [tp.tag]}
            required.append(tag)
        for field in tp.fields:
            fields[field.encode_name] = _annotate(self._schema(field.type), _default(field))
            if field.required:
                required.append(field.encode_name)
        closed = {"additionalProperties": False} if getattr(tp, "forbid_unknown_fields", False) else {}
        about = _about(tp.cls)
        if type(tp).__name__ != "NamedTupleType" and not getattr(tp, "array_like", False):
            return about | {"type": "object", "properties": fields, "required": required} | closed
        least = max((place for place, name in enumerate(fields, 1) if name in required), default=0)
        open_ended = type(tp).__name__ == "StructType" and not closed
        return about | _tuple(list(fields.values()), least, additional=open_ended)

    def _enum(self, tp: Any) -> Schema:
        return _about(tp.cls) | _one_of(member.value for member in tp.cls)

    def _LiteralType(self, tp: Any) -> Schema:  # noqa: N802 - this and the following: named after msgspec's types
        return _one_of(tp.values)

    def _IntType(self, tp: Any) -> Schema:  # noqa: N802
        return {"type": "integer"} | _limits(tp, _NUMBER)

    def _FloatType(self, tp: Any) -> Schema:  # noqa: N802
        return {"type": "number"} | _limits(tp, _NUMBER)

    def _StrType(self, tp: Any) -> Schema:  # noqa: N802
        return {"type": "string"} | _limits(tp, _STRING)

    def _BytesType(self, tp: Any) -> Schema:  # noqa: N802
        sizes = {key: 4 * ((size + 2) // 3) for key, size in _limits(tp, _STRING).items()}
        return {"type": "string", "contentEncoding": "base64", "pattern": _BASE64} | sizes

    _ByteArrayType = _MemoryViewType = _BytesType

    def _DateTimeType(self, tp: Any) -> Schema:  # noqa: N802
        return {"type": "string"} if tp.tz is False else {"type": "string", "format": "date-time"}

    def _TimeType(self, tp: Any) -> Schema:  # noqa: N802
        return {"type": "string"} | ({"pattern": _TIME} if tp.tz is False else {"format": "time"})

    def _ListType(self, tp: Any) -> Schema:  # noqa: N802
        items = self._schema(tp.item_type)
        return {"type": "array"} | ({"items": items} if items else {}) | _limits(tp, _ARRAY)

    _CollectionType = _VarTupleType = _ListType

    def _SetType(self, tp: Any) -> Schema:  # noqa: N802
        return self._ListType(tp) | {"uniqueItems": True}

    _FrozenSetType = _SetType

    def _TupleType(self, tp: Any) -> Schema:  # noqa: N802
        return _tuple([self._schema(item) for item in tp.item_types], len(tp.item_types))

    def _DictType(self, tp: Any) -> Schema:  # noqa: N802
        names, values = self._key_schema(tp.key_type), self._schema(tp.value_type)
        return (
            {"type": "object"}
            | ({"propertyNames": names} if names else {})
            | ({"additionalProperties": values} if values else {})
            | _limits(tp, _OBJECT)
        )

    _FrozenDictType = _DictType

    def _key_schema(self, tp: Any) -> Schema:
        while type(tp).__name__ == "Metadata":
            tp = tp.type
        kind = type(tp).__name__
        schema = self._enum(tp) if kind == "EnumType" else self._schema(tp)
        if kind in ("IntType", "EnumType", "LiteralType") and schema.get("type") == "integer":
            numbers = schema.get("enum")
            return {"enum": list(map(str, numbers))} if numbers else {"pattern": "^(0|-?[1-9][0-9]*)$"}
        if schema and schema.pop("type", "") != "string":
            raise UnsupportedTypeError(f"there is no schema for a dict with keys of {kind}")
        return schema

    def _UnionType(self, tp: Any) -> Schema:  # noqa: N802
        return {"anyOf": [self._schema(member) for member in tp.types]}


def _limits(tp: Any, keywords: dict[str, str]) -> Schema:
    found = {keyword: getattr(tp, name, None) for name, keyword in keywords.items()}
    return {keyword: value for keyword, value in found.items() if value is not None}


def _one_of(values: Iterable[Any]) -> Schema:
    members = list(values)
    for name, tp in (("string", str), ("integer", int)):
        if all(isinstance(value, tp) for value in members):
            return {"type": name, "enum": members}
    return {"enum": members}


def _tuple(items: list[Schema], least: int, *, additional: bool = False) -> Schema:
    if not items:  # Draft 7 permits no empty list of items
        return {"type": "array"} | ({} if additional else {"maxItems": 0})
    schema: Schema = {"type": "array", "items": items, "minItems": least}
    return schema if additional else schema | {"additionalItems": False}


def _annotate(schema: Schema, keywords: Schema) -> Schema:
    """Add keywords to a schema. Draft 7 ignores them beside a ``$ref``."""
    return {"allOf": [schema], **keywords} if keywords and "$ref" in schema else schema | keywords


def _default(field: Any) -> Schema:
    from msgspec import NODEFAULT, to_builtins

    default = field.default
    if field.default_factory in (list, dict, set, tuple, frozenset):
        default = field.default_factory()
    if default is NODEFAULT:
        return {}
    try:
        return {"default": plain(to_builtins(default, str_keys=True))}
    except (TypeError, ValueError, RecursionError):  # it has no JSON, and is an annotation only
        return {}


def _about(cls: Any) -> Schema:
    """Return title and description; the docstrings that dataclasses, enums and named tuples make are left out."""
    own = getattr(cls, "__origin__", cls)
    doc = cleandoc(vars(own).get("__doc__") or "")
    if not doc or doc.startswith((f"{own.__name__}(", "An enumeration.")):
        return {"title": _class_name(cls)}
    return {"title": _class_name(cls), "description": doc}


def _class_name(cls: Any) -> str:
    if not hasattr(cls, "__origin__"):
        return str(cls.__name__)
    arguments = ", ".join(getattr(argument, "__name__", str(argument)) for argument in cls.__args__)
    return f"{cls.__origin__.__name__}[{arguments}]"


def _safe(name: str) -> str:
    """Return a name that needs no escapes in a ``$ref``."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
