"""Generated unstructure hooks for response models: the counterpart of `handinger_async._structure`.

For each model, `make_unstructure_hook` generates one function, which also converts the models within it. Without it,
`to_dict` takes three to four times as long for a worker::

    def unstructure(o0):
        x1 = []
        for o1 in o0.files:
            d1 = {"mediaType": o1.media_type, "url": o1.url}
            if (v := o1.filename) is not None:
                d1["filename"] = v
            ...
            x1.append(convert(o1._extra) | d1 if o1._extra else d1)
        d0 = {"id": o0.id, "error": v if (v := o0.error).__class__ in atoms else convert(v), "files": x1, ...}
        ...
        return convert(o0._extra) | d0 if o0._extra else d0

It has no rules of its own: a value that JSON has no type for goes to the converter's hook.

orjson encodes NaN as null. So ``to_json`` uses an *exact* hook: the same function with a check of each value. A search
of the result took as long as the conversion, and the checks take hardly any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import reduce
from operator import or_
from types import NoneType
from typing import Any, NoReturn, get_args, get_origin

import attrs
import cattrs

from ._codegen import Writer, indent, is_response_model, is_string_literal
from .models import UnknownWorkerSchedule

__all__ = ["make_copy_hook", "make_unstructure_hook"]

#: The classes whose instances are JSON as they are.
_ATOMS = frozenset({str, int, float, bool, NoneType})
#: Those whose instances all have a form in JSON.
_FINITE = _ATOMS - {float}


def make_copy_hook(converter: cattrs.Converter) -> Callable[[Any], Any]:
    """Return the unstructure hook for ``dict`` and ``list``, which calls the converter for neither keys nor atoms."""
    convert = converter.unstructure

    def copy(value: Any) -> Any:
        if value.__class__ is dict:
            return {
                key if key.__class__ is str else convert(key): item if item.__class__ in _ATOMS else copy(item)
                for key, item in value.items()
            }
        if value.__class__ is list:
            return [item if item.__class__ in _ATOMS else copy(item) for item in value]
        return convert(value)

    return copy


def make_unstructure_hook(
    cls: type[Any],
    converter: cattrs.Converter,
    key: Callable[[type[Any], str], str],
    tagged: Mapping[Any, Mapping[str, type[Any]]],
    *,
    exact: bool = False,
) -> Callable[[Any], dict[str, Any]]:
    """Generate the unstructure hook of a response model; see `handinger_async._structure.make_structure_hook`.

    An ``exact`` hook raises an exception if a value is not exactly of the class that its field declares, or is NaN or
    an infinity. Its result consists of JSON types.
    """
    writer = _UnstructureWriter(converter, key, tagged, exact=exact)
    writer.scope |= {
        "atoms": _FINITE if exact else _ATOMS,
        "convert": _copy_exact if exact else converter.unstructure,
        "datetime": datetime,
        "refuse": _refuse,
    }
    lines, document = writer.make(cls, "o0")
    return writer.compile("unstructure(o0)", [*lines, f"return {document}"])


def _copy_exact(value: Any) -> Any:
    cls = value.__class__
    if cls is dict:
        return {
            key if key.__class__ is str else _refuse(key): item if item.__class__ in _FINITE else _copy_exact(item)
            for key, item in value.items()
        }
    if cls is list:
        return [item if item.__class__ in _FINITE else _copy_exact(item) for item in value]
    return value if cls in _FINITE or (cls is float and value - value == 0) else _refuse(value)


def _refuse(value: object) -> NoReturn:
    raise ValueError(f"{type(value).__name__} is left to the converter")


class _UnstructureWriter(Writer):
    """Generates the lines that build JSON objects. Each local name is used for one field."""

    def __init__(self, *args: Any, exact: bool) -> None:
        super().__init__(*args)
        self._exact = exact
        self._locals = 0

    def _local(self, stem: str) -> str:
        self._locals += 1
        return f"{stem}{self._locals}"

    def make(self, cls: type[Any], o: str) -> tuple[list[str], str]:
        """Return the lines that convert the object ``o``, and the expression of the result."""
        d = self._local("d")
        before: list[str] = []
        after: list[str] = []
        items: list[str] = []
        for field, key in self.fields(cls):
            source = f"{o}.{field.name}"
            if field.default is attrs.NOTHING:
                lines, value = self._convert(field.type, source)
                before += lines
                items.append(f"{key!r}: {value}")
            else:
                given = reduce(or_, [arg for arg in get_args(field.type) if arg is not NoneType])
                x = self._local("x")
                lines, value = self._convert(given, x)
                after += [f"if ({x} := {source}) is not None:", *indent([*lines, f"{d}[{key!r}] = {value}"])]
        if tag := self.tag(cls):
            items.append(f"'type': {tag!r}")
        extra = f"{o}._extra"
        return [*before, f"{d} = {{{', '.join(items)}}}", *after], f"convert({extra}) | {d} if {extra} else {d}"

    def _convert(self, tp: Any, source: str) -> tuple[list[str], str]:
        """Return the lines that have to run before the value of ``source`` is converted, and its expression."""
        if tp in _ATOMS:
            return [], self._atom(tp, source)
        if tp is Any:
            return [], f"v if (v := {source}).__class__ in atoms else convert(v)"
        if is_string_literal(tp):
            return [], f"v if (v := {source}).__class__ is str else convert(v)"
        if tp is datetime:
            return [], f"v.isoformat() if (v := {source}).__class__ is datetime else {self._hook(tp)}(v)"
        if is_response_model(tp):
            o = source if source.isidentifier() else self._local("o")
            lines, document = self.make(tp, o)
            return lines if o == source else [f"{o} = {source}", *lines], f"({document})"
        if get_origin(tp) is dict and get_args(tp)[-1] is Any:
            return [], f"{{k: v if v.__class__ in atoms else convert(v) for k, v in {source}.items()}}"
        if get_origin(tp) is list:
            x, o = self._local("x"), self._local("o")
            loop = [f"{x} = []", f"for {o} in {source}:", *indent(self._append(get_args(tp)[0], x, o))]
            check = [f"if {source}.__class__ is not list: refuse({source})"] if self._exact else []
            return [*check, *loop], x
        return [], f"{self._hook(tp)}({source})"

    def _append(self, tp: Any, x: str, o: str) -> list[str]:
        """Return the lines that convert ``o``, of type ``tp``, and append it to the list ``x``."""
        if tp not in self.tagged:
            lines, value = self._convert(tp, o)
            return [*lines, f"{x}.append({value})"]
        branches: list[str] = []
        for cls in self.tagged[tp].values():
            test = f"{'elif' if branches else 'if'} {o}.__class__ is {self.name('class', cls)}:"
            lines, value = self.make(cls, o)
            branches += [test, *indent([*lines, f"{x}.append({value})"])]
        if UnknownWorkerSchedule in get_args(tp):
            test = f"elif {o}.__class__ is {self.name('class', UnknownWorkerSchedule)}:"
            branches += [test, f" {x}.append(convert({o}.raw))"]
        return [*branches, "else:", f" {x}.append(convert({o}))"]

    def _atom(self, tp: type[Any], source: str) -> str:
        if not self._exact:
            return source
        finite = " and v - v == 0" if tp is float else ""
        return f"v if (v := {source}).__class__ is {tp.__name__}{finite} else refuse(v)"

    def _hook(self, tp: Any) -> str:
        if self._exact:
            return "refuse"
        return self.name("hook", self.converter.get_unstructure_hook(tp))
