"""Server-sent events: bytes to events and back, exactly by the rules of the WHATWG, with no I/O.

The rules: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.
How the parser works, and what that buys, is told in ``docs/explanation/sse-parser.rst``.
"""

from __future__ import annotations

import re
from itertools import repeat

import attrs

from ._json import loads
from .errors import ConfigurationError, EventTooLargeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["EventParser", "ServerSentEvent", "encode_event"]

#: Twice the largest events that people are known to send in one piece: 8 MiB, a picture or a whole document.
_MAX_EVENT_SIZE = 16 * 1024 * 1024
#: Milliseconds, some 30,000 years: a longer ``retry`` counts as this one, and stays cheap to convert from its digits.
_MAX_RETRY = 10**15
#: Bytes. Smaller pieces are held together, as many of them would take many times what they hold.
_SMALL = 1024
#: Bytes. In fewer, there are too few events to look for what they have in common.
_FEW = 512
_LF, _CR, _COLON = b"\n\r:"  # as numbers: bytes search for one with less ado than for a string of one
#: How a line with an effect begins, after the end of another, and a byte of it: where there is no such byte, which is
#: known at once, there is no such line.
_EFFECTIVE = [(ord("d"), b"\nid"), (ord("d"), b"\ndata"), (ord("v"), b"\nevent"), (ord("y"), b"\nretry")]
_BOM = b"\xef\xbb\xbf"

#: The usual fields of events that have more than data.
_SHAPES = [["event", "data"], ["id", "data"], ["event", "id", "data"], ["id", "event", "data"]]
#: One block of lines up to its blank line: either an event in a usual spelling (groups 1 to 3: type, id, data), or
#: whatever else stands there (group 4). One of the two always matches: ``findall`` leaves nothing out. The possessive
#: quantifiers keep it linear, and its stack flat; ``(...|)`` is faster than ``(...)?``. An empty type or id, which
#: would look like one that is absent, is left to group 4, and so is an id with NUL.
_BLOCK = re.compile(
    r"(?:event: ?+(.++)\n|)(?:id: ?+([^\n\0]++)\n|)data: ?+(.*+)\n\n"
    r"|((?:.++\n)*+\n)"
)


@attrs.frozen(weakref_slot=False)
class ServerSentEvent:
    """One event of a stream: immutable, equal by value.

    Args:
        data: What it carries, its lines joined with line feeds.
        event: Its type.
        id: The last event id of the stream when the event was dispatched, ``""`` if there was none.
    """

    data: str
    event: str = "message"
    id: str = ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServerSentEvent):
            return NotImplemented
        return self.data == other.data and self.event == other.event and self.id == other.id

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return ServerSentEvent, (self.data, self.event, self.id)

    def __str__(self) -> str:
        return self.data

    def json(self) -> Any:
        """Parse the data as JSON.

        Returns:
            The value.

        Raises:
            ValueError: The data is not JSON.
        """
        return loads(self.data.encode())


class _PlainEvent(ServerSentEvent):
    """An event of data alone: the rest is on the class, so that of an instance only one slot is filled.

    Nobody sees the difference, and it halves the cost of making the events that most streams are made of.
    """

    __slots__ = ()
    event = "message"
    id = ""

    def __new__(cls, data: str, event: str = "message", id: str = "") -> Any:
        return ServerSentEvent(data, event, id)  # attrs.evolve makes another of the same class


class _Draft(ServerSentEvent):
    """An event that permits assignment, much the fastest way to fill slots, until it becomes one that does not."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # they share a place in the type: without this, both are slow


_PlainEvent.__name__ = _PlainEvent.__qualname__ = "ServerSentEvent"
_new: Any = object.__new__
_set_data = ServerSentEvent.__dict__["data"].__set__  # past the __setattr__ that refuses


class EventParser:
    """Turns the bytes of a stream into events, whatever the pieces they come in.

    It holds the bytes of the unfinished event and nothing else. Comments are dropped as they come.

    Args:
        max_event_size: The most bytes that one event may have: all its lines but comments, with one byte for each line
            end, without the blank line that closes it.

    Raises:
        ConfigurationError: ``max_event_size`` is not a positive integer.
    """

    __slots__ = (
        "_between",
        "_bom",
        "_due",
        "_failed",
        "_held",
        "_in_comment",
        "_in_line",
        "_last_id",
        "_max",
        "_retry",
        "_short",
        "_size",
        "_skip_lf",
    )

    def __init__(self, *, max_event_size: int = _MAX_EVENT_SIZE) -> None:
        if not isinstance(max_event_size, int) or max_event_size < 1:
            raise ConfigurationError("max_event_size must be a positive integer")
        self._max = max_event_size
        self._short = min(max_event_size, _SMALL)  # no larger chunk is looked at for being a single event
        self._last_id = ""
        self._retry: int | None = None
        self._start()

    def _start(self) -> None:
        self._held: list[bytes | bytearray] = []  # of the unfinished event: line ends are LF, comments are left out
        self._size = 0  # of all that is held
        self._bom: bytes | None = b""  # what may be the beginning of a byte order mark; None once that is settled
        self._skip_lf = False  # the last byte was a CR: an LF that follows belongs to it
        self._in_comment = False  # the unfinished line is a comment
        self._failed = self._due = False  # an event was too large; nobody has been told
        self._between = False  # there is none of the above to think of
        self._in_line = False  # nothing but a line of which some is held

    @property
    def last_event_id(self) -> str:
        """The id to resume after, ``""`` if there is none."""
        return self._last_id

    @property
    def retry(self) -> int | None:
        """How long to wait before connecting again, in milliseconds, as the server last asked; None if it did not."""
        retry = self._retry
        held = b"".join(self._held)
        if b"retry" in held:  # a field that counts from the end of its line, not of its event
            for line in held.split(b"\n")[:-1]:
                name, _, value = line.decode("utf-8", "replace").partition(":")
                if name == "retry":
                    retry = _milliseconds(value.removeprefix(" "), retry)
        return retry

    @property
    def pending(self) -> int:
        """How many bytes are held: those of the unfinished event, comments left out."""
        return self._size + len(self._bom or b"")

    @property
    def truncated(self) -> bool:
        """Whether the unfinished event holds data, so that a stream which ended here would have been cut short.

        A line counts that is ``data`` so far, and so does one that may still become it.
        """
        *lines, last = b"".join(self._held).split(b"\n")
        return (last != b"" and b"data".startswith(last)) or any(
            line == b"data" or line.startswith(b"data:") for line in (*lines, last)
        )

    def close(self) -> None:
        """Say that the stream has ended: the unfinished event is dropped, and what is fed next begins another stream.

        ``last_event_id`` and ``retry`` are carried over, as they are when a browser connects again.

        Raises:
            EventTooLargeError: An event was too large, and no call has said so yet.
        """
        due = self._due
        self._retry = self.retry
        self._start()
        if due:
            raise self._too_large()

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the stream.

        Args:
            chunk: The bytes, as many as there are.

        Returns:
            The events that they complete.

        Raises:
            EventTooLargeError: An event is larger than ``max_event_size``. If events before it were completed by the
                same bytes, these are returned, and the next call raises. So does every later one.
        """
        if self._between:
            if len(chunk) <= self._short:  # perhaps whole events, as live streams bring them
                text = chunk.decode("utf-8", "replace")
                if "\r" in text:  # an LF that follows the last CR would end a blank line, which has no effect
                    text = text.replace("\r\n", "\n").replace("\r", "\n")
                head, _, rest = text.partition("data: ")
                data, _, rest = rest.partition("\n")
                if rest == "\n":  # most are one line of data
                    if not (head or self._last_id):
                        event = _new(_PlainEvent)
                        _set_data(event, data)
                        return [event]
                    if head[:7] == "event: " and head.find("\n") == len(head) - 1:  # after one with a type, perhaps
                        return [_make(data, head[7:-1], self._last_id)]
                if len(text) < _FEW and text.endswith("\n\n"):
                    return self._lines(text)
        elif not self._in_line:
            chunk = self._resume(chunk)
        elif not (_LF in chunk or _CR in chunk):
            self._keep(chunk)
            if self._failed:
                raise self._too_large()
            return []
        events: list[ServerSentEvent] = []
        if _CR in chunk:
            if len(chunk) > _SMALL:
                first, last = chunk.find(b"\r\n\r\n") + 4, chunk.rfind(b"\r\n\r\n") + 4
                if first < last:  # whole events, perhaps plain ones, which need no other line ends
                    self._take(_with_lf(chunk[:first]), events)
                    self._take_crlf(chunk[first:last], events)
                    chunk = chunk[last:]
            self._skip_lf = chunk.endswith(b"\r")
            chunk = _with_lf(chunk)
        if chunk:
            self._take(chunk, events)
        if self._failed and not events:
            raise self._too_large()
        self._in_line = not self._at_line_start()
        self._between = not (self._size or self._skip_lf or self._in_comment or self._failed or self._bom is not None)
        return events

    def _take(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        """Take bytes whose line ends are LF."""
        if self._failed:
            return
        if self._in_comment:
            _, line_end, chunk = chunk.partition(b"\n")
            self._in_comment = not line_end
        end = chunk.rfind(b"\n\n") + 2  # of the last blank line
        if end == 1:  # there is none, but the first line may be blank
            end = int(chunk.startswith(b"\n") and self._at_line_start())
        if end:
            block, chunk = chunk[:end], chunk[end:]
            if self._size:
                block = b"".join((*self._held, block))
                self._held = []
                self._size = 0
            if len(block) > self._max:
                block = self._within_limit(block)
            events += self._parse(block)
        if chunk and not self._failed:
            self._hold(chunk)

    def _take_crlf(self, block: bytes, events: list[ServerSentEvent]) -> None:
        """Take whole events that end in CRLF CRLF."""
        if block.startswith(b"data: ") and len(block) <= self._max and not self._failed:
            text = str(memoryview(block)[6:-4], "utf-8", "replace")
            parts = text.split("\r\n\r\ndata: ")
            joined = "".join(parts)
            if "\r" not in joined and "\n" not in joined:  # as in _parse
                events += self._plain(parts)
                return
        self._take(_with_lf(block), events)

    def _resume(self, chunk: bytes) -> bytes:
        """Do what the bytes before this chunk left to do at its beginning, and return the rest of it."""
        if self._failed:
            raise self._too_large()
        if self._bom is not None:
            chunk = self._bom + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._bom = chunk
                return b""
            self._bom = None
            chunk = chunk.removeprefix(_BOM)
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        return chunk

    def _at_line_start(self) -> bool:
        return not self._size or self._held[-1].endswith(b"\n")

    def _hold(self, piece: bytes) -> None:
        """Keep a piece that ends inside an event, without its comments."""
        if piece[0] == _COLON or (_LF in piece and b"\n:" in piece):
            piece = self._without_comments(piece)
        if piece:
            self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max:
            self._fail()
        elif len(piece) >= _SMALL:
            self._held.append(piece)
        elif self._held and len(self._held[-1]) < _SMALL:
            self._held[-1] += piece
        else:
            self._held.append(bytearray(piece))

    def _without_comments(self, piece: bytes) -> bytes:
        lines = piece.split(b"\n")
        kept = [line for line in lines if not line.startswith(b":")]
        if lines[0].startswith(b":") and not self._at_line_start():  # the middle of a line, and no comment
            kept.insert(0, lines[0])
        if lines[-1].startswith(b":"):  # another than that: a piece with no line end in it goes to _keep
            self._in_comment = True
            kept.append(b"")
        return b"\n".join(kept)

    def _within_limit(self, block: bytes) -> bytes:
        """Return the block, up to the first event that is too large."""
        end = 0
        for event in block.split(b"\n\n"):
            if len(event) >= self._max:
                size = sum(len(line) + 1 for line in event.split(b"\n") if line and not line.startswith(b":"))
                if size > self._max:
                    self._fail()
                    return block[:end]
            end += len(event) + 2
        return block

    def _fail(self) -> None:
        self._held = []
        self._size = 0
        self._between = self._in_line = False
        self._failed = self._due = True

    def _too_large(self) -> EventTooLargeError:
        self._due = False
        return EventTooLargeError(f"an event of the stream is larger than {self._max} bytes")

    def _parse(self, block: bytes) -> list[ServerSentEvent]:
        """Parse whole events.

        Lines end at ASCII bytes, which no invalid sequence swallows: decoding block by block gives what decoding the
        whole stream would give.
        """
        if len(block) < _FEW:
            return self._lines(block.decode("utf-8", "replace"))
        if block[0] == _LF:
            block = block.lstrip(b"\n")
        if block.startswith(b":") and not any(byte in block and line in block for byte, line in _EFFECTIVE):
            return []  # comments
        if block.startswith(b"data: "):
            text = str(memoryview(block)[6:-2], "utf-8", "replace")
            if "\n" not in text:  # found at once, or at the speed of memory
                return self._plain([text])
            data = text.split("\n\ndata: ")
            # If no part has a second line, all are plain events.
            if "\n" not in "".join(data) or _join_lines(data):
                return self._plain(data)
        text = block.decode("utf-8", "replace")
        events = self._table(text)
        return self._blocks(text) if events is None else events

    def _plain(self, data: list[str]) -> list[ServerSentEvent]:
        """Make events that have nothing but data."""
        if self._last_id:
            return _fill(data, repeat("message"), repeat(self._last_id))
        events = list(map(_new, repeat(_PlainEvent, len(data))))
        any(map(_set_data, events, data))  # a loop in C: they all return None
        return events

    def _table(self, text: str) -> list[ServerSentEvent] | None:
        """Make events that all have the same fields in the same order: a row each, and a column for each line.

        Returns:
            The events; None if they are not like that.
        """
        fields = [line.partition(": ")[0] for line in text[: text.find("\n\n")].split("\n", 3)]
        if fields not in _SHAPES:
            return None
        lines = text.split("\n")[:-1]
        width = len(fields) + 1
        count = len(lines) // width
        if len(lines) != count * width or any(lines[width - 1 :: width]):
            return None
        columns: dict[str, Iterable[str]] = {"event": repeat("message"), "id": repeat(self._last_id)}
        last_id = self._last_id
        for index, name in enumerate(fields):
            column = lines[index::width]
            if name == "event" and column.count(column[0]) == count:  # mostly all are of one type
                columns[name] = repeat(column[0][7:])
                continue
            _, *values = ("\n" + "\n".join(column)).split(f"\n{name}: ")
            if len(values) != count or (name == "id" and "\0" in "".join(values)):  # not every line has this name
                return None
            columns[name] = values
            if name == "id":
                last_id = values[-1]
        self._last_id = last_id
        return _fill(columns["data"], columns["event"], columns["id"])

    def _blocks(self, text: str) -> list[ServerSentEvent]:
        """Make events of whole blocks of any kind."""
        events: list[ServerSentEvent] = []
        append = events.append
        last_id = self._last_id
        for name, ident, data, odd in _BLOCK.findall(text):
            if odd:
                self._last_id = last_id
                events += self._lines(odd)
                last_id = self._last_id
            else:
                draft = _new(_Draft)
                draft.data = data
                draft.event = name or "message"
                draft.id = last_id = ident or last_id
                draft.__class__ = ServerSentEvent
                append(draft)
        self._last_id = last_id
        return events

    def _lines(self, text: str) -> list[ServerSentEvent]:
        """Parse whole events line by line, in the way that the rules are written: few of them, or unusual ones."""
        events: list[ServerSentEvent] = []
        data: list[str] = []
        event = ""
        for line in text.split("\n"):
            if not line:
                if data:
                    events.append(_make("\n".join(data), event, self._last_id))
                    data = []
                event = ""
                continue
            name, _, value = line.partition(": ")
            if ":" in name:  # no space after the colon
                name, _, value = line.partition(":")
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
            elif name == "id":
                if "\0" not in value:
                    self._last_id = value
            elif name == "retry":
                self._retry = _milliseconds(value, self._retry)
        return events


def _join_lines(parts: list[str]) -> bool:
    """Turn parts of several lines into the data of an event each, if these are lines of data, or end with a comment.

    Returns:
        Whether that goes for all of them.
    """
    for index, part in enumerate(parts):
        if "\n" in part:
            data = part.replace("\ndata: ", "\n")
            if len(part) - len(data) != 6 * data.count("\n"):  # not every line lost its beginning
                data, _, rest = part.partition("\n\n")
                if "\n" in data or "\n" in rest or not rest.startswith(":"):
                    return False
            parts[index] = data
    return True


def _make(data: str, event: str, id: str) -> ServerSentEvent:
    draft = _new(_Draft)
    draft.data = data
    draft.event = event or "message"
    draft.id = id
    draft.__class__ = ServerSentEvent
    made: ServerSentEvent = draft
    return made


def _fill(data: Iterable[str], types: Iterable[str], ids: Iterable[str]) -> list[ServerSentEvent]:
    events: list[ServerSentEvent] = []
    append = events.append
    for text, name, ident in zip(data, types, ids, strict=False):  # some of them have no end
        draft = _new(_Draft)
        draft.data = text
        draft.event = name or "message"
        draft.id = ident
        draft.__class__ = ServerSentEvent
        append(draft)
    return events


def _with_lf(chunk: bytes) -> bytes:
    chunk = chunk.replace(b"\r\n", b"\n")
    return chunk.replace(b"\r", b"\n") if _CR in chunk else chunk


def _milliseconds(value: str, before: int | None) -> int | None:
    """Read the value of a ``retry`` field, ASCII digits only."""
    if not (value.isascii() and value.isdigit()):
        return before
    digits = value.lstrip("0")
    return int(digits or "0") if len(digits) < 16 else _MAX_RETRY


def encode_event(event: ServerSentEvent) -> bytes:
    """Write an event as a stream carries it.

    An id of ``""`` is not written: in a stream, such an event has the id of the one before it.

    Args:
        event: The event. A carriage return in its data comes back as a line feed.

    Returns:
        Its lines in UTF-8, the blank one that closes it included.

    Raises:
        ConfigurationError: The format cannot carry it: CR or LF in its type or id, NUL in its id, an empty type, or
            half of a surrogate pair.
    """
    if not event.event or any(char in event.event for char in "\r\n") or any(char in event.id for char in "\r\n\0"):
        raise ConfigurationError("the type or the id of the event is one that a stream cannot carry")
    data = event.data.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\ndata: ")
    name = "" if event.event == "message" else f"event: {event.event}\n"
    ident = f"id: {event.id}\n" if event.id else ""
    try:
        return f"{name}{ident}data: {data}\n\n".encode()
    except UnicodeEncodeError:
        raise ConfigurationError("the event holds half of a surrogate pair") from None
