"""The parts that the generators of structure and unstructure hooks share: names, fields, types and compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import cattrs

from .models._model import LazyDict

__all__ = ["Writer", "indent", "is_response_model", "is_string_literal"]


def is_string_literal(tp: Any) -> bool:
    """Return True for ``Literal["a", "b"]``, alone or in a union with ``str``."""
    if get_origin(tp) in (Union, UnionType):
        return all(arg is str or is_string_literal(arg) for arg in get_args(tp))
    return get_origin(tp) is Literal and all(isinstance(arg, str) for arg in get_args(tp))


def is_response_model(tp: Any) -> bool:
    """Return True for response models: classes with a field ``extra`` for unknown fields."""
    return isinstance(tp, type) and isinstance(vars(tp).get("extra"), LazyDict)


def indent(lines: list[str]) -> list[str]:
    """Return the lines of a nested block."""
    return [f" {line}" for line in lines]


class Writer:
    """Generates a function for a response model. ``scope`` contains its global names.

    Args:
        converter: The converter with the hooks for the types of the fields.
        key: Returns the JSON key of a field, given a class and the field's name.
        tagged: The unions discriminated by ``type``, each with its classes by ``type``. Their JSON objects have the key
            ``type`` beside those of their fields.
    """

    def __init__(
        self,
        converter: cattrs.Converter,
        key: Callable[[type[Any], str], str],
        tagged: Mapping[Any, Mapping[str, type[Any]]],
    ) -> None:
        self.converter = converter
        self.tagged = tagged
        self.scope: dict[str, Any] = {}
        self._key = key

    def name(self, stem: str, value: Any) -> str:
        """Return a global name for a value."""
        name = f"{stem}_{len(self.scope)}"
        self.scope[name] = value
        return name

    def fields(self, cls: type[Any]) -> Iterator[tuple[attrs.Attribute[Any], str]]:
        """Yield the fields of a class that have a JSON key, each with its key."""
        for field in attrs.fields(cls):
            if field.name != "extra":
                yield field, self._key(cls, field.name)

    def tag(self, cls: type[Any]) -> str | None:
        """Return the ``type`` of ``cls`` in a discriminated union; None if it is in none."""
        return next((tag for members in self.tagged.values() for tag, one in members.items() if one is cls), None)

    def compile(self, signature: str, body: list[str]) -> Callable[..., Any]:
        """Return the function with a signature, such as ``f(x)``, and a body."""
        exec("\n".join([f"def {signature}:", *indent(body)]), self.scope)  # noqa: S102 - as attrs and cattrs do
        function: Callable[..., Any] = self.scope[signature.partition("(")[0]]
        return function
