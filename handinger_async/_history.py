"""The events that a stream has delivered, as hashes in bounded memory, and the comparison of events with them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from enum import Enum, auto
from operator import attrgetter, ne

from .sse import ServerSentEvent

__all__ = ["MEMORY", "NO_ID", "History", "Kind"]

#: The id, while a connection is parsed, of its events before the first id. No server can send this one.
NO_ID = "\0"
#: The number of events remembered: at least these, and at most twice as many, each in nine bytes.
MEMORY = 16384
#: The number of events before the first id of a connection that may be a greeting.
_MAX_GREETING = 16
#: The number of events held back, and their characters: twice the largest event.
_MAX_HELD = 1024
_MAX_HELD_SIZE = 32 * 1024 * 1024

_id = attrgetter("id")
_whole = attrgetter("id", "event", "data")


class Kind(Enum):
    """An event of a resumed connection, compared with the history."""

    OLD = auto()  #: with an id; begins or continues a replay
    LAST = auto()  #: with an id; ends a replay: the last event with an id
    NEW = auto()  #: with an id; no event of a replay
    REPEAT = auto()  #: repeats an event of the tail, or without an id one of the replay or the greeting
    COMPLETE = auto()  #: repeats the end of the tail
    PLAIN = auto()  #: without an id; repeats nothing


class History:
    """The events delivered so far.

    Args:
        last_id: The id after which the stream begins.
    """

    __slots__ = (
        "_end",
        "_greeting",
        "_has_id",
        "_hashes",
        "_held",
        "_held_size",
        "_is_first",
        "_last_id",
        "_leading",
        "_next_in_tail",
        "_parsed_id",
        "_place",
        "_tail",
    )

    def __init__(self, last_id: str) -> None:
        #: For each event the hash of its id, type and data, and 1 if it has an id of its own. The id of an event
        #: without one is that of the event before it.
        self._hashes = array("q")
        self._has_id = bytearray()
        self._last_id = last_id
        #: Hashes of the events before the first id, in the connection before and in this one.
        self._greeting: Sequence[int] = ()
        self._leading = array("q")
        self._is_first = True  # no connection before, and no id yet
        #: The number of events before this connection; the index of the first one after the last id.
        self._end = self._tail = 0
        self._next_in_tail = 0
        #: The index after the last event of the replay; None before the first id of this connection.
        self._place: int | None = None
        #: The events held back, each with True if it is known, and their characters.
        self._held: list[tuple[ServerSentEvent, bool]] = []
        self._held_size = 0
        #: The id of the last event of this connection, as parsed.
        self._parsed_id = NO_ID

    def add(self, events: list[ServerSentEvent]) -> None:
        """Remember delivered events, at least one."""
        if self._is_first:
            self._note_first(events)
        if not (events[-1].id or self._last_id):  # without an id, the stream cannot be resumed
            return
        ids = list(map(_id, events))
        self._has_id.extend(map(ne, ids, [self._last_id, *ids]))
        self._hashes.extend(map(hash, map(_whole, events)))
        self._last_id = ids[-1]
        if len(self._hashes) > 2 * MEMORY:
            self._forget(len(self._hashes) - MEMORY)

    def begin(self, last_id: str) -> None:
        """Begin a connection that asks for the events after ``last_id``."""
        self._greeting = self._leading or self._greeting
        self._leading, self._is_first = array("q"), False
        self._end = len(self._hashes)
        self._tail = self._has_id.rfind(1) + 1
        self._next_in_tail = self._tail
        self._last_id = last_id
        self._place = None
        self._parsed_id = NO_ID
        self.release()

    def receive(self, event: ServerSentEvent) -> tuple[Kind, list[ServerSentEvent]]:
        """Compare the next event of a connection with the events before it. A ``NEW`` one is the last to compare.

        Returns:
            What it is, and the events to deliver now.
        """
        has_id, self._parsed_id = event.id != self._parsed_id, event.id
        if event.id == NO_ID:
            event = ServerSentEvent(event.data, event.event, self._last_id)
        in_replay = self._in_replay
        kind = self._classify(event, has_id=has_id)
        if has_id and kind is Kind.REPEAT:  # its id and content tell that it is not new, whatever follows
            return kind, []
        self._held.append((event, kind not in (Kind.NEW, Kind.PLAIN)))
        self._held_size += len(event.data) + len(event.event) + len(event.id)
        if kind is Kind.NEW or (kind is Kind.PLAIN and not in_replay):
            events = self.release()
            self.add(events)
            return kind, events
        is_full = len(self._held) >= _MAX_HELD or self._held_size >= _MAX_HELD_SIZE
        return kind, self.release(known=False) if is_full or kind in (Kind.LAST, Kind.COMPLETE) else []

    def release(self, *, known: bool = True) -> list[ServerSentEvent]:
        """Hold back no more events. Return them, without the known ones if ``known`` is False."""
        held, self._held, self._held_size = self._held, [], 0
        return [event for event, is_known in held if known or not is_known]

    @property
    def _in_replay(self) -> bool:
        return self._place is not None and self._place < self._tail

    def _classify(self, event: ServerSentEvent, *, has_id: bool) -> Kind:
        key = hash(_whole(event))
        if self._in_replay and not has_id:
            return Kind.REPEAT if self._find_without_id(key) else Kind.PLAIN
        is_greeting = not has_id and self._place is None and self._note_leading(event)
        if not self._in_replay and self._find_in_tail(key, has_id=has_id):
            return Kind.COMPLETE if self._next_in_tail == self._end else Kind.REPEAT
        if has_id:
            return self._classify_with_id(key)
        if is_greeting:
            return Kind.REPEAT
        if self._place is not None:  # another event follows the last one with an id: the server does not keep the rest
            del self._hashes[self._next_in_tail : self._end], self._has_id[self._next_in_tail : self._end]
            self._end = self._next_in_tail
        self._next_in_tail = self._end  # after another event, nothing repeats the tail
        return Kind.PLAIN

    def _classify_with_id(self, key: int) -> Kind:
        try:
            place = self._hashes.index(key, self._place or 0, self._tail)
        except ValueError:
            return Kind.NEW
        if key == self._hashes[self._tail - 1]:
            self._place = self._next_in_tail = self._tail
            self._last_id = self._parsed_id
            return Kind.LAST
        self._place = place + 1
        return Kind.OLD

    def _find_in_tail(self, key: int, *, has_id: bool) -> bool:
        """Return True if the event comes next in the tail, and move on to it.

        One with an id may come later there: ids may start again, so several events have the last id, and the server
        begins after any of them.
        """
        end = self._end if has_id else min(self._next_in_tail + 1, self._end)
        try:
            self._next_in_tail = self._hashes.index(key, self._next_in_tail, end) + 1
        except ValueError:
            return False
        return True

    def _find_without_id(self, key: int) -> bool:
        """Return True if the event comes before the next one with an id in the replay, and move on to it."""
        place = self._place or 0
        try:
            self._place = self._hashes.index(key, place, self._has_id.find(1, place)) + 1
        except ValueError:
            return False
        return True

    def _note_first(self, events: list[ServerSentEvent]) -> None:
        for event in events:
            if event.id != self._last_id or len(self._leading) == _MAX_GREETING:
                self._is_first = False
                break
            self._note_leading(event)

    def _note_leading(self, event: ServerSentEvent) -> bool:
        """Note an event before the first id; return True if it is the same as in the connection before."""
        place = len(self._leading)
        if place == _MAX_GREETING:
            return False
        self._leading.append(hash((event.event, event.data)))
        return self._greeting[place : place + 1] == self._leading[place:]

    def _forget(self, count: int) -> None:
        del self._hashes[:count], self._has_id[:count]
        self._end, self._tail = max(0, self._end - count), max(0, self._tail - count)
