"""Structure hooks for what a server sends, as fast as Python makes values.

cattrs knows how to make any class, and calls a hook for each field of each object. What a server sends is made of few
classes, so for each of them `make_structure_hook` writes, once, the function that one would write by hand::

    def structure(v, _):
        o = draft()
        n = 2
        x = v["mediaType"]
        o.media_type = x if x.__class__ is str else text_hook(x, text_type)
        ...
        if "filename" in v:
            n += 1
            ...
        o.extra = {} if len(v) == n else {k: v[k] for k in v if k not in known}
        o.__class__ = cls
        return o

- A value whose class is exactly the expected one is taken. Every other goes to the converter's hook for the type of the
  field, which takes it, changes it or refuses it: the function knows no rules of its own.
- Storing into an immutable object costs a call of ``object.__setattr__`` a field. A class with the same slots and no
  such ban takes plain stores, and since the layouts are equal, the finished object can be made one of the real class.
- Unknown fields are looked for where there are more keys than known ones.

What does not fit raises whatever it raises: a converter with detailed validation says what, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import cattrs

__all__ = ["Hook", "is_text", "make_structure_hook"]

Hook = Callable[[Any, Any], Any]


def is_text(tp: Any) -> bool:
    """Whether ``tp`` is strings, some of them named: ``Literal["a", "b"]``, ``Literal["a"] | str``."""
    if get_origin(tp) in (Union, UnionType):
        return all(arg is str or is_text(arg) for arg in get_args(tp))
    return get_origin(tp) is Literal


def make_structure_hook(
    cls: type[Any], converter: cattrs.Converter, keys: Mapping[str, str], *, also_known: Sequence[str] = ()
) -> Hook:
    """Write the structure hook of a class.

    Args:
        cls: An immutable attrs class with slots that cannot be referred to weakly, a field ``extra`` for what is
            unknown, and None as the default of what is optional.
        converter: Has the hooks for the types of its fields.
        keys: How JSON spells its fields.
        also_known: Keys that every object has beside them: what has told its class.

    Returns:
        The hook. It takes a JSON object; the type, its second argument, is not looked at.
    """
    fields = [field for field in attrs.fields(cls) if field.name != "extra"]
    scope: dict[str, Any] = {
        "cls": cls,
        "draft": type(cls.__name__, (), {"__slots__": cls.__slots__}),
        "known": {*(keys[field.name] for field in fields), *also_known},
        "parse": datetime.fromisoformat,
    }
    required = [field for field in fields if field.default is attrs.NOTHING]
    lines = [f"n = {len(required) + len(also_known)}"]
    for field in fields:
        key, target = repr(keys[field.name]), f"o.{field.name}"
        if field in required:
            lines += [f"x = v[{key}]", *_store(target, field.type, converter, scope)]
        else:
            given = reduce(or_, [arg for arg in get_args(field.type) if arg is not NoneType])
            store = _store(target, given, converter, scope)
            lines += [f"{target} = None", f"if {key} in v:"]
            lines += _indent(["n += 1", f"x = v[{key}]", "if x is not None:", *_indent(store)])
    source = ["def structure(v, _):", " o = draft()", *_indent(lines)]
    source += [
        " o.extra = {} if len(v) == n else {k: v[k] for k in v if k not in known}",
        " o.__class__ = cls",
        " return o",
    ]
    exec("\n".join(source), scope)  # noqa: S102 - as attrs and cattrs do
    hook: Hook = scope["structure"]
    return hook


def _indent(lines: list[str]) -> list[str]:
    return [f" {line}" for line in lines]


def _store(target: str, tp: Any, converter: cattrs.Converter, scope: dict[str, Any]) -> list[str]:
    """Return the lines that make ``x`` a value of ``tp`` and store it."""
    if tp is Any:
        return [f"{target} = x"]
    hook = _call(tp, "x", converter, scope)
    if tp is datetime:  # RFC 3339's usual spelling is read by the parser in C; the hook knows the others
        return [
            "try:",
            " y = parse(x)",
            "except ValueError:",
            f" y = {hook}",
            f"{target} = {hook} if y.tzinfo is None else y",
        ]
    origin, args = get_origin(tp), get_args(tp)
    made = "x"
    if tp in (str, int, float, bool):
        exact = tp.__name__
    elif is_text(tp):
        exact = "str"
    elif origin in (dict, list) and args[-1] is Any:
        exact = origin.__name__
    elif origin is list:
        exact, made = "list", f"[{_call(args[0], 'i', converter, scope)} for i in x]"
    else:
        return [f"{target} = {hook}"]
    return [f"{target} = {made} if x.__class__ is {exact} else {hook}"]


def _call(tp: Any, name: str, converter: cattrs.Converter, scope: dict[str, Any]) -> str:
    number = len(scope)
    scope[f"hook_{number}"], scope[f"type_{number}"] = converter.get_structure_hook(tp), tp
    return f"hook_{number}({name}, type_{number})"
