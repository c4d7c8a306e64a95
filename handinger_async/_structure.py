"""Generated structure hooks for response models.

cattrs can build any class, but calls a hook for each field of each object. Responses consist of few classes, so for
each of them `make_structure_hook` generates, once, the function that one would write by hand. Without it, decoding
takes three times as long::

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
        o0.extra = None if len(v0) == n0 else unknown(v0, known_9)
        o0.__class__ = class_10
        return o0

- A value whose class is exactly the expected one is stored. Any other value goes to the converter's hook for the type
  of the field, which accepts, converts or refuses it: the generated function has no rules of its own.
- The objects of a list are built in the same function, those of a union in the branch of their ``type``. Calling a
  function for each of them takes 7 to 12 % longer.
- Fields are stored into drafts (see `draft`), which takes half as long as building frozen objects.
- Unknown fields are collected only if there are more keys than known ones.

Errors are raised unchanged: a second converter, with detailed validation, finds their reason and path.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from functools import reduce
from operator import or_
from types import NoneType
from typing import Any, get_args, get_origin

import attrs
import cattrs

from ._codegen import Writer, indent, is_response_model, is_string_literal

__all__ = ["Hook", "make_structure_hook"]

Hook = Callable[[Any, Any], Any]


def draft(cls: type[Any]) -> type[Any]:
    """Return a mutable class with the slots of ``cls``, whose finished objects can be made instances of ``cls``.

    A frozen attrs class calls ``object.__setattr__`` for each field; a draft takes plain assignments. CPython permits
    the change of ``__class__`` between classes with the same layout of slots alone, without weak references.
    """
    return type(cls.__name__, (), {"__slots__": cls.__slots__})


def make_structure_hook(
    cls: type[Any],
    converter: cattrs.Converter,
    key: Callable[[type[Any], str], str],
    tagged: Mapping[Any, Mapping[str, type[Any]]],
) -> Hook:
    """Generate the structure hook of a response model.

    Args:
        cls: A response model. The default of its optional fields is None.
        converter: The converter with the hooks for the types of its fields.
        key: Returns the JSON key of a field, given a class and the field's name.
        tagged: The unions discriminated by ``type``, each with its classes by ``type``. Their JSON objects have the key
            ``type`` beside those of their fields.

    Returns:
        The hook. It takes a JSON object; its second argument, the type, is ignored.
    """
    writer = _StructureWriter(converter, key, tagged)
    writer.scope |= {"parse": datetime.fromisoformat, "unknown": _unknown}
    return writer.compile("structure(v0, _)", [*writer.make(cls, 0), "return o0"])


class _StructureWriter(Writer):
    """Generates the lines that build objects.

    Local names end in the depth of their object: ``v1`` is the JSON of ``o1``.
    """

    def make(self, cls: type[Any], depth: int) -> list[str]:
        """Return the lines that build ``o`` from ``v``."""
        v, o, n = f"v{depth}", f"o{depth}", f"n{depth}"
        new = self.name("draft", draft(cls))
        fields = list(self.fields(cls))
        known = {key for _, key in fields}
        always = sum(field.default is attrs.NOTHING for field, _ in fields)
        if self.tag(cls):
            known.add("type")
            always += 1
        lines = [f"{o} = {new}()", f"{n} = {always}"]
        if not always:  # elsewhere, looking up a required field fails
            lines.insert(0, f"if {v}.__class__ is not dict: raise TypeError")
        for field, key in fields:
            source, target = f"{v}[{key!r}]", f"{o}.{field.name}"
            if field.default is attrs.NOTHING:
                lines += self._store(target, field.type, source, depth)
            else:
                given = reduce(or_, [arg for arg in get_args(field.type) if arg is not NoneType])
                lines += [
                    f"{target} = None",
                    f"if {key!r} in {v}:",
                    f" {n} += 1",
                    f" if {source} is not None:",
                    *indent(indent(self._store(target, given, source, depth))),
                ]
        return [
            *lines,
            f"{o}.extra = None if len({v}) == {n} else unknown({v}, {self.name('known', known)})",
            f"{o}.__class__ = {self.name('class', cls)}",
        ]

    def _store(self, target: str, tp: Any, source: str, depth: int) -> list[str]:
        """Return the lines that convert the value of ``source`` to ``tp`` and store it."""
        if tp is Any:
            return [f"{target} = {source}"]
        if exact := _exact(tp):
            return [f"{target} = x if (x := {source}).__class__ is {exact} else {self._call(tp, 'x')}"]
        if tp is datetime:  # the parser in C reads the usual spelling of RFC 3339, the hook all others
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
                *indent(indent([*self._item(item, inner), f"l{depth}.append(o{inner})"])),
                "else:",
                f" {target} = {self._call(tp, 'x')}",
            ]
        return [f"{target} = {self._call(tp, source)}"]

    def _item(self, tp: Any, depth: int) -> list[str]:
        """Return the lines that build ``o``, of type ``tp``, from ``v``."""
        if is_response_model(tp):
            return self.make(tp, depth)
        lines = [f"o{depth} = {self._call(tp, f'v{depth}')}"]
        if tp in self.tagged:
            branches: list[str] = []
            for tag, cls in self.tagged[tp].items():
                branches += [f"{'elif' if branches else 'if'} tag == {tag!r}:", *indent(self.make(cls, depth))]
            lines = [f"tag = v{depth}['type']", *branches, "else:", *indent(lines)]
        return lines

    def _call(self, tp: Any, argument: str) -> str:
        """Return a call of the converter's hook for ``tp``."""
        # Lists and tagged unions nearly always take the generated path, so their hooks are looked up when called.
        rare = get_origin(tp) is list or tp in self.tagged
        hook = self.name("hook", self.converter.structure if rare else self.converter.get_structure_hook(tp))
        return f"{hook}({argument}, {self.name('type', tp)})"


def _exact(tp: Any) -> str | None:
    """Return the name of the class whose instances are valid for ``tp`` as they are; None if there is none."""
    if tp in (str, int, float, bool):
        return str(tp.__name__)
    if is_string_literal(tp):
        return "str"
    origin = get_origin(tp)
    return origin.__name__ if origin in (dict, list) and get_args(tp)[-1] is Any else None


def _unknown(document: Mapping[str, Any], known: Container[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in known}
