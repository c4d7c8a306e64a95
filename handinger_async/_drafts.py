"""Immutable values, made as fast as others.

attrs stores into an immutable object by a call of ``object.__setattr__`` for each field. A class with the same slots
and no such ban, a draft, takes plain stores, and since the layouts are equal, the finished object can be made one of
the real class. CPython allows that for classes whose layout is slots alone: without weak references.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["draft", "maker"]


def draft(cls: type[Any]) -> type[Any]:
    """Return a class with the slots of ``cls`` whose objects permit assignment, also of ``cls`` as their class."""
    return type(cls.__name__, (), {"__slots__": cls.__slots__})


def maker(cls: type[T]) -> Callable[..., T]:
    """Return a function that makes a ``cls`` of all its fields, in their order: unchecked, and not converted."""
    fields = cls.__slots__  # type: ignore[attr-defined]
    stores = "".join(f" o.{field} = {field}\n" for field in fields)
    scope: dict[str, Any] = {"cls": cls, "draft": draft(cls)}
    exec(f"def make({', '.join(fields)}):\n o = draft()\n{stores} o.__class__ = cls\n return o", scope)  # noqa: S102
    made: Callable[..., T] = scope["make"]
    return made
