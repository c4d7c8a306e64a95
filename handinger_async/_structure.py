"""Structure hooks for what a server sends, as fast as Python makes values.

cattrs knows how to make any class, and calls a hook for each field of each object. What a server sends is made of few
classes, so for each of them `make_structure_hook` writes, once, the function that one would write by hand::

    def structure(v0, _):
        o0 = draft_0()
        n0 = 13
        o0.id = x if (x := v0["id"]).__class__ is str else hook_1(x, type_1)
        x = v0["files"]
        if x.__class__ is list:
            o0.files = l0 = []
            for v1 in x:
                o1 = draft_2()
                ...
                l0.append(o1)
        else:
            o0.files = hook_3(x, type_3)
        ...
        o0.costs = None
        if "costs" in v0:
            n0 += 1
            ...
        if len(v0) != n0:
            o0.extra = unknown(v0, known_9)
        o0.__class__ = class_10
        return o0

- A value whose class is exactly the expected one is taken. Every other goes to the converter's hook for the type of the
  field, which takes it, changes it or refuses it: the function knows no rules of its own.
- The objects of a list are made in the same function, those of a union by the branch for their ``type``: calls were a
  fifth of the time.
- Fields are stored into drafts; see `handinger_async._drafts`.
- Unknown fields are looked for where there are more keys than known ones.

What does not fit raises whatever it raises: a converter with detailed validation says what, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import cattrs

from ._drafts import draft

__all__ = ["Hook", "is_answer", "is_text", "make_structure_hook"]

Hook = Callable[[Any, Any], Any]


def is_text(tp: Any) -> bool:
    """Whether ``tp`` is strings, some of them named: ``Literal["a", "b"]``, ``Literal["a"] | str``."""
    if get_origin(tp) in (Union, UnionType):
        return all(arg is str or is_text(arg) for arg in get_args(tp))
    return get_origin(tp) is Literal


def is_answer(tp: Any) -> bool:
    """Whether ``tp`` is a class of what a server sends: one with a field for what is unknown."""
    return attrs.has(tp) and "extra" in attrs.fields_dict(tp)


def make_structure_hook(
    cls: type[Any],
    converter: cattrs.Converter,
    key: Callable[[type[Any], str], str],
    tagged: Mapping[Any, Mapping[str, type[Any]]],
) -> Hook:
    """Write the structure hook of a class.

    Args:
        cls: An immutable attrs class with slots that cannot be referred to weakly, a field ``extra`` for what is
            unknown, and None as the default of what is optional. So are the classes of what it holds.
        converter: Has the hooks for the types of its fields.
        key: Returns how JSON spells a field, given a class and the field's name.
        tagged: The unions that are told apart by ``type``, with their classes by that. Every object of these has the
            key ``type`` beside those of its fields.

    Returns:
        The hook. It takes a JSON object; the type, its second argument, is not looked at.
    """
    writer = _Writer(converter, key, tagged)
    source = ["def structure(v0, _):", *_indent([*writer.make(cls, 0), "return o0"])]
    exec("\n".join(source), writer.scope)  # noqa: S102 - as attrs and cattrs do
    hook: Hook = writer.scope["structure"]
    return hook


class _Writer:
    """Writes lines that make objects; ``scope`` has the names in them that are no local ones.

    Local names end in how deep the object lies that they belong to: ``v1`` is the JSON of ``o1``.
    """

    def __init__(
        self,
        converter: cattrs.Converter,
        key: Callable[[type[Any], str], str],
        tagged: Mapping[Any, Mapping[str, type[Any]]],
    ) -> None:
        self._converter = converter
        self._key = key
        self._tagged = tagged
        self.scope: dict[str, Any] = {"parse": datetime.fromisoformat, "unknown": _unknown}

    def _name(self, stem: str, value: Any) -> str:
        name = f"{stem}_{len(self.scope)}"
        self.scope[name] = value
        return name

    def make(self, cls: type[Any], depth: int) -> list[str]:
        """Write what makes ``o`` of ``v``."""
        v, o, n = f"v{depth}", f"o{depth}", f"n{depth}"
        new = self._name("draft", draft(cls))
        fields = [field for field in attrs.fields(cls) if field.name != "extra"]
        known = {self._key(cls, field.name) for field in fields}
        always = sum(field.default is attrs.NOTHING for field in fields)
        if any(cls in members.values() for members in self._tagged.values()):
            known.add("type")
            always += 1
        lines = [f"{o} = {new}()", f"{n} = {always}"]
        for field in fields:
            source, target = f"{v}[{self._key(cls, field.name)!r}]", f"{o}.{field.name}"
            if field.default is attrs.NOTHING:
                lines += self._store(target, field.type, source, depth)
            else:
                given = reduce(or_, [arg for arg in get_args(field.type) if arg is not NoneType])
                lines += [
                    f"{target} = None",
                    f"if {self._key(cls, field.name)!r} in {v}:",
                    f" {n} += 1",
                    f" if {source} is not None:",
                    *_indent(_indent(self._store(target, given, source, depth))),
                ]
        return [
            *lines,
            f"if len({v}) != {n}:",
            f" {o}.extra = unknown({v}, {self._name('known', known)})",
            f"{o}.__class__ = {self._name('class', cls)}",
        ]

    def _store(self, target: str, tp: Any, source: str, depth: int) -> list[str]:
        """Write what makes the value of ``source`` one of ``tp`` and stores it."""
        if tp is Any:
            return [f"{target} = {source}"]
        if exact := _exact(tp):
            return [f"{target} = x if (x := {source}).__class__ is {exact} else {self._call(tp, 'x')}"]
        if tp is datetime:  # RFC 3339's usual spelling is read by the parser in C; the hook knows the others
            hook = self._call(tp, "x")
            return [
                f"x = {source}",
                "try:",
                " y = parse(x)",
                "except ValueError:",
                f" y = {hook}",
                f"{target} = {hook} if y.tzinfo is None else y",
            ]
        inner = depth + 1
        if get_origin(tp) is list:
            (item,) = get_args(tp)
            return [
                f"x = {source}",
                "if x.__class__ is list:",
                f" {target} = l{depth} = []",
                f" for v{inner} in x:",
                *_indent(_indent([*self._item(item, inner), f"l{depth}.append(o{inner})"])),
                "else:",
                f" {target} = {self._call(tp, 'x')}",
            ]
        return [f"{target} = {self._call(tp, source)}"]

    def _item(self, tp: Any, depth: int) -> list[str]:
        """Write what makes ``o``, one of ``tp``, of ``v``."""
        if is_answer(tp):
            return self.make(tp, depth)
        lines = [f"o{depth} = {self._call(tp, f'v{depth}')}"]
        if tp in self._tagged:
            branches: list[str] = []
            for tag, cls in self._tagged[tp].items():
                branches += [f"{'elif' if branches else 'if'} tag == {tag!r}:", *_indent(self.make(cls, depth))]
            lines = [f"tag = v{depth}['type']", *branches, "else:", *_indent(lines)]
        return lines

    def _call(self, tp: Any, argument: str) -> str:
        """Write a call of the converter's hook for ``tp``."""
        seldom = get_origin(tp) is list or tp in self._tagged  # made here nearly always: looked up only when called
        hook = self._name("hook", self._converter.structure if seldom else self._converter.get_structure_hook(tp))
        return f"{hook}({argument}, {self._name('type', tp)})"


def _indent(lines: list[str]) -> list[str]:
    return [f" {line}" for line in lines]


def _exact(tp: Any) -> str | None:
    """Return the name of the class that a value has which fits ``tp`` as it is; None where there is no such class."""
    if tp in (str, int, float, bool):
        return str(tp.__name__)
    if is_text(tp):
        return "str"
    origin = get_origin(tp)
    return origin.__name__ if origin in (dict, list) and get_args(tp)[-1] is Any else None


def _unknown(document: Mapping[str, Any], known: Container[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in known}
