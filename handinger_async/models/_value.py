"""What makes a class a value of this library."""

from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, TypeVar, dataclass_transform

import attrs

__all__ = ["answer", "value"]

C = TypeVar("C", bound=type[Any])


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(cls: C) -> C:
    """Make ``cls`` an attrs class that is immutable, compared by value and, since it may hold lists, not hashable."""
    made: Any = _finish(attrs.frozen(cls, eq=False, repr=False))
    return made  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def answer(cls: C) -> C:
    """Make ``cls`` a value that a server sends.

    Its fields are given by keyword, since the service may grow new ones anywhere. There are no weak references to it:
    `handinger_async._drafts` needs a layout of slots alone. Its ``extra`` is left empty where nothing is unknown.
    """
    made: Any = _finish(attrs.frozen(cls, eq=False, repr=False, kw_only=True, weakref_slot=False))
    if "extra" in attrs.fields_dict(made):
        made.extra = _DictOnDemand(made.extra)
    return made  # type: ignore[no-any-return]


def _finish(made: Any) -> Any:
    """Give ``made`` what attrs would write and compile for each class, which takes as long as all else it does."""
    names = list(attrs.fields_dict(made))
    class_and_fields = attrgetter("__class__", *names)

    def equals(self: Any, other: object) -> bool:
        return class_and_fields(self) == class_and_fields(other) if type(other) is type(self) else NotImplemented

    @recursive_repr()
    def show(self: Any) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    equals.__qualname__, show.__qualname__ = f"{made.__name__}.__eq__", f"{made.__name__}.__repr__"
    made.__eq__, made.__hash__, made.__repr__ = equals, None, show
    return made


class _DictOnDemand:
    """A slot that holds a dict, an empty one made when it is first asked for.

    Nearly every value goes without, and a dict each is a tenth of the time and a seventh of the memory of a long list.

    Args:
        slot: The slot.
    """

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, owner: Any, cls: type[Any]) -> Any:
        if owner is None:
            return self
        try:
            return self._slot.__get__(owner, cls)
        except AttributeError:
            made: dict[str, Any] = {}
            self._slot.__set__(owner, made)
            return made

    def __set__(self, owner: Any, given: dict[str, Any]) -> None:
        self._slot.__set__(owner, given)
