"""Class decorators for models."""

from typing import Any, TypeVar, dataclass_transform

import attrs

from .._values import by_value

__all__ = ["LazyDict", "frozen_model", "response_model"]

C = TypeVar("C", bound=type[Any])


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def frozen_model(cls: C) -> C:
    """Make ``cls`` an immutable attrs class, compared by value and not hashable, since it may contain lists."""
    model: Any = _add_methods(attrs.frozen(cls, eq=False, repr=False))
    return model  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def response_model(cls: C) -> C:
    """Make ``cls`` an immutable attrs class for objects in responses.

    Its fields are keyword-only, since the service may add fields anywhere. It has no weak references:
    `handinger_async._structure` needs a layout of slots alone. ``extra`` is created lazily, since most responses have
    no unknown fields.
    """
    model: Any = _add_methods(attrs.frozen(cls, eq=False, repr=False, kw_only=True, weakref_slot=False))
    if "extra" in attrs.fields_dict(model):
        model._extra = model.extra  # noqa: SLF001 - for reading it without creating the dict
        model.extra = LazyDict(model.extra)
    return model  # type: ignore[no-any-return]


def _add_methods(model: Any) -> Any:
    """Add ``__eq__``, ``__repr__`` and a ``__setstate__`` for pickles of other versions.

    Fields that a pickle lacks get their defaults.
    """
    names = list(attrs.fields_dict(model))
    defaults = {
        field.name: None if field.name == "extra" else field.default
        for field in attrs.fields(model)
        if field.default is not attrs.NOTHING
    }

    def set_state(self: Any, state: dict[str, Any]) -> None:
        for name, value in (defaults | state).items():
            if name in names:
                object.__setattr__(self, name, value)

    by_value(model)
    model.__hash__, model.__setstate__ = None, set_state
    return model


class LazyDict:
    """Descriptor of a slot for a dict, created when it is first read. Until then, the slot is None.

    A dict for each object would take a tenth of the time and a seventh of the memory of a long list.

    Args:
        slot: The slot's descriptor.
    """

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, owner: Any, cls: type[Any]) -> Any:
        if owner is None:
            return self
        value = self._slot.__get__(owner, cls)
        if value is None:
            value = {}
            self._slot.__set__(owner, value)
        return value

    def __set__(self, owner: Any, value: dict[str, Any] | None) -> None:
        self._slot.__set__(owner, value)
