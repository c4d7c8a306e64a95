"""What makes a class a value of this library."""

from typing import Any, TypeVar, dataclass_transform

import attrs

__all__ = ["answer", "value"]

C = TypeVar("C", bound=type[Any])


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(cls: C) -> C:
    """Make ``cls`` an attrs class that is immutable, compared by value and, since it may hold lists, not hashable."""
    made: Any = attrs.frozen(cls)
    made.__hash__ = None
    return made  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def answer(cls: C) -> C:
    """Make ``cls`` a value that a server sends.

    Its fields are given by keyword, since the service may grow new ones anywhere. There are no weak references to it:
    `handinger_async._structure` needs a layout of slots alone.
    """
    made: Any = attrs.frozen(cls, kw_only=True, weakref_slot=False)
    made.__hash__ = None
    return made  # type: ignore[no-any-return]
