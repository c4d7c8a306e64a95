"""Lists that forget their first items, so that days of schedules fit into bounded memory."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["KEPT", "STREAMED", "Recent"]

#: The number of past runs, tasks of schedules, deliveries and versions of a file to keep: more than a day of minutes,
#: and few enough to show them all in some milliseconds.
KEPT = 1500
#: The number of past runs, and of past tasks of schedules, whose updates are kept for streams.
STREAMED = 200

T = TypeVar("T")


class Recent(Generic[T]):
    """A list that forgets its first items. The others keep their indices, and the length counts all.

    Attributes:
        first: The index of the first item that is kept.
    """

    __slots__ = ("_items", "first")

    def __init__(self) -> None:
        self.first = 0
        self._items: list[T] = []

    def __len__(self) -> int:
        return self.first + len(self._items)

    def __getitem__(self, index: int) -> T:
        if 0 <= index < self.first:
            raise IndexError(f"item {index} is forgotten")
        return self._items[index - self.first if index >= 0 else index]

    def kept(self, end: int | None = None) -> list[T]:
        """Return the items that are kept, before index ``end`` if that is given."""
        return self._items[: None if end is None else max(0, end - self.first)]

    def append(self, item: T) -> None:
        """Add an item."""
        self._items.append(item)

    def forget(self, end: int) -> None:
        """Forget the items before index ``end``."""
        if end > self.first:
            del self._items[: end - self.first]
            self.first = end
