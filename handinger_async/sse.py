"""Server-sent events: an incremental parser and an encoder, without I/O.

They follow the WHATWG rules: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.
``docs/explanation/sse-parser.rst`` explains the algorithm and gives measurements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import repeat
from typing import Any, ClassVar

import attrs

from ._json import loads
from .errors import ConfigurationError, EventTooLargeError

__all__ = ["EventParser", "ServerSentEvent", "encode_event"]

#: Bytes. Twice the size of the largest events known in practice: 8 MiB, an image or a whole document in one event.
MAX_EVENT_SIZE = 16 * 1024 * 1024
#: Milliseconds, about 30,000 years. Longer ``retry`` values are capped, since converting many digits to int is slow.
_MAX_RETRY = 10**15
#: Bytes. Larger chunks are not tried as one whole event.
_WHOLE_MAX = 1024
#: Bytes. Smaller CRLF chunks are converted as a whole: a search for plain events does not pay off.
_CRLF_MIN = 1024
#: Bytes. A longer tail is moved to the buffer. Each chunk copies the tail, and CPython allocates 512 bytes quickly.
_TAIL_MAX = 447
#: Bytes. Smaller blocks are parsed line by line: the bulk paths do not pay off.
_BULK_MIN = 512
_LF, _CR, _COLON = b"\n\r:"  # ints, since `int in bytes` is faster than `bytes in bytes`
#: The start of each field that has an effect, preceded by a line end, and one byte of its name. The search for the byte
#: is fast; without the byte there is no such field. Data come first: most chunks with a field have some.
_FIELD_STARTS = [(ord("d"), b"\ndata"), (ord("d"), b"\nid"), (ord("v"), b"\nevent"), (ord("y"), b"\nretry")]
_BOM = b"\xef\xbb\xbf"

#: Common field sequences of events with more fields than ``data``, for `EventParser._uniform_events`.
_UNIFORM_FIELDS = [["event", "data"], ["id", "data"], ["event", "id", "data"], ["id", "event", "data"]]
#: A block of lines up to and including its blank line: an event in a common form (groups 1 to 3: type, id, data), or
#: any other block (group 4). One alternative always matches, so ``findall`` skips nothing. Possessive quantifiers keep
#: it linear and its stack flat; ``(...|)`` is faster than ``(...)?``. Group 4 also takes ids that contain NUL, and
#: empty types and ids (groups 1 and 2 would not tell these from absent ones).
_BLOCK = re.compile(
    r"(?:event: ?+(.++)\n|)(?:id: ?+([^\n\0]++)\n|)data: ?+(.*+)\n\n"
    r"|((?:.++\n)*+\n)"
)


@attrs.frozen(weakref_slot=False)
class ServerSentEvent:
    """A server-sent event: immutable, compared by value.

    Args:
        data: The payload, its lines joined with line feeds.
        event: The event type.
        id: The stream's last event id when the event was dispatched, ``""`` if there was none.
    """

    data: str
    event: str = "message"
    id: str = ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServerSentEvent):
            return NotImplemented
        return self.data == other.data and self.event == other.event and self.id == other.id

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return ServerSentEvent, (self.data, self.event, self.id)

    def __str__(self) -> str:
        return self.data

    def json(self) -> Any:
        """Parse the data as JSON.

        Returns:
            The decoded value.

        Raises:
            ValueError: The data is not valid JSON.
        """
        return loads(self.data.encode())


class _PlainEvent(ServerSentEvent):
    """An event with data only. Type and id are class attributes, so only one slot is filled per instance.

    Why: without this class, parsing plain events takes 31 % longer. Equality, ``repr``, copies and pickles are those of
    `ServerSentEvent`.
    """

    __slots__ = ()
    event = "message"
    id = ""

    def __new__(cls, data: str, event: str = "message", id: str = "") -> Any:
        return ServerSentEvent(data, event, id)  # attrs.evolve calls the class of the original


class _MutableEvent(ServerSentEvent):
    """An event that permits assignment, the fastest way to fill slots. It becomes a `ServerSentEvent` at the end."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # shares a type slot with __setattr__: without this, both are slow
    __new__: Any = object.__new__  # calls of the class run no Python code
    __init__: Any = object.__init__


_PlainEvent.__name__ = _PlainEvent.__qualname__ = "ServerSentEvent"
_new: Any = object.__new__
_set_data = ServerSentEvent.__dict__["data"].__set__  # bypasses the frozen __setattr__


class EventParser:
    """Incremental SSE parser: feed it chunks of any size, get complete events.

    It buffers only the bytes of the incomplete event. Comments are dropped on arrival.

    Args:
        max_event_size: The maximum size of an event in bytes. All lines except comments count, with one byte for each
            line end; the blank line that ends the event does not.

    Raises:
        ConfigurationError: ``max_event_size`` is not a positive integer.
    """

    __slots__ = (
        "_bom",
        "_buffer",
        "_failed",
        "_in_comment",
        "_last_id",
        "_left",
        "_max_size",
        "_mid_line",
        "_retry",
        "_room",
        "_simple",
        "_skip_lf",
        "_tail",
        "_unreported",
        "_whole_max",
    )

    def __init__(self, *, max_event_size: int = MAX_EVENT_SIZE) -> None:
        if not isinstance(max_event_size, int) or max_event_size < 1:
            raise ConfigurationError("max_event_size must be a positive integer")
        self._max_size = max_event_size
        self._whole_max = min(max_event_size, _WHOLE_MAX)
        self._last_id = ""
        self._retry: int | None = None
        self._reset()

    def _reset(self) -> None:
        # The incomplete event, with LF line ends and without comments, is the buffer and then the tail.
        self._buffer: list[bytes] = []
        self._left = self._max_size  # bytes for which the buffer has room
        self._tail = b""
        self._room = min(self._max_size, _TAIL_MAX)  # the longest tail: a longer one is moved to the buffer
        self._bom: bytes | None = b""  # a possible prefix of a byte order mark; None once that is decided
        self._skip_lf = False  # the last byte was a CR: an LF that follows belongs to the same line end
        self._in_comment = False  # the incomplete line is a comment
        self._failed = self._unreported = False  # an event was too large; the error was not raised yet
        self._simple = False  # True if the tail is the only state: no buffer, and none of the above
        self._mid_line = False  # True if an incomplete line is in the tail or at the end of the buffer

    @property
    def last_event_id(self) -> str:
        """The id to send as ``Last-Event-ID`` when reconnecting, ``""`` if there is none.

        It can be set before a stream that continues another one: its events have this id until it sends one.
        """
        return self._last_id

    @last_event_id.setter
    def last_event_id(self, last_event_id: str) -> None:
        self._last_id = last_event_id

    @property
    def retry(self) -> int | None:
        """The server's most recent ``retry`` value in milliseconds, None if it sent none."""
        retry = self._retry
        buffered = b"".join((*self._buffer, self._tail))
        if b"retry" in buffered:  # takes effect at the end of its line, not of its event
            for line in buffered.split(b"\n")[:-1]:
                name, _, value = line.decode("utf-8", "replace").partition(":")
                if name == "retry":
                    retry = _parse_retry(value.removeprefix(" "), retry)
        return retry

    @property
    def pending(self) -> int:
        """The number of buffered bytes: those of the incomplete event, without comments."""
        return self._max_size - self._left + len(self._tail) + len(self._bom or b"")

    @property
    def truncated(self) -> bool:
        """True if the incomplete event has data, so that a stream that ends here is truncated.

        An incomplete last line counts if it is a prefix of ``data``.
        """
        *lines, last = b"".join((*self._buffer, self._tail)).split(b"\n")
        return (last != b"" and b"data".startswith(last)) or any(
            line == b"data" or line.startswith(b"data:") for line in (*lines, last)
        )

    def close(self) -> None:
        """Signal the end of the stream: drop the incomplete event and prepare for the next stream.

        ``last_event_id`` and ``retry`` are kept, as in a browser that reconnects.

        Raises:
            EventTooLargeError: An event was too large, and no call has raised this yet.
        """
        unreported = self._unreported
        self._retry = self.retry
        self._reset()
        if unreported:
            raise self._too_large()

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Parse the next chunk of the stream.

        Args:
            chunk: Bytes, of any length.

        Returns:
            The events completed by this chunk.

        Raises:
            EventTooLargeError: An event is larger than ``max_event_size``. If the same chunk completed earlier events,
                these are returned and the next call raises. After that, every call raises until `close`.
        """
        if self._mid_line:
            if not (_LF in chunk or _CR in chunk):
                tail = self._tail + chunk
                if len(tail) <= self._room:
                    self._tail = tail
                elif not self._move_to_buffer(tail):
                    raise self._too_large()
                return []
        elif self._simple and not self._tail and len(chunk) <= self._whole_max:
            # often whole events: live streams send one per chunk
            try:
                text = chunk.decode()
            except UnicodeDecodeError:
                text = chunk.decode("utf-8", "replace")
            if "\r" in text:  # an LF after a final CR would only add a blank line, which has no effect
                text = text.replace("\r\n", "\n").replace("\r", "\n")
            line, _, rest = text.partition("\n")
            if rest == "\n":
                data = line.removeprefix("data: ")
                if data != line and not self._last_id:  # usually: a single line of data
                    event: Any = _MutableEvent()
                    event.data = data
                    event.__class__ = _PlainEvent
                    return [event]
                return self._parse_small(line)
            data, _, end = rest.partition("\n")
            if end == "\n" and line[:7] == "event: " and data[:6] == "data: ":  # with a type before it
                return [_make_event(data[6:], line[7:], self._last_id)]
            if len(text) < _BULK_MIN and rest.endswith("\n\n"):
                return self._parse_small(text[:-2])
        elif (
            self._simple
            and not self._tail
            and chunk[-2:] == b"\n\n"
            and len(chunk) <= self._max_size
            and _has_no_field(chunk)
            and _CR not in chunk
        ):
            return []  # comments, dropped without a copy
        if not self._simple:
            chunk = self._strip_start(chunk)
        events: list[ServerSentEvent] = []
        if _CR in chunk:
            if len(chunk) > _CRLF_MIN:
                first, last = chunk.find(b"\r\n\r\n") + 4, chunk.rfind(b"\r\n\r\n") + 4
                if first < last:  # whole events: plain ones need no conversion of line ends
                    self._feed_lf(_with_lf(chunk[:first]), events)
                    self._feed_crlf(chunk[first:last], events)
                    chunk = chunk[last:]
            if chunk[-1:] == b"\r":
                self._skip_lf = True
                self._simple = False
            chunk = _with_lf(chunk)
        if self._simple and len(block := self._tail + chunk) <= self._max_size:
            block, blank, tail = block.rpartition(b"\n\n")
            if not tail or (
                tail[0] != _COLON
                and len(tail) <= self._room
                and not (_LF in tail and (tail[0] == _LF or b"\n:" in tail))
            ):
                self._tail = tail
                self._mid_line = not (not tail or tail[-1] == _LF)
                if not blank:
                    return events
                if len(block) < _BULK_MIN and not events:
                    return self._parse_small(block.decode("utf-8", "replace"))
                events += self._parse_block(block)
                return events
            if blank:  # the tail has comments, or is long
                events += self._parse_block(block)
                self._tail = b""
                chunk = tail
        if chunk:
            self._feed_lf(chunk, events)
        if self._failed and not events:
            raise self._too_large()
        self._mid_line = not self._at_line_start()
        self._simple = not (self._buffer or self._skip_lf or self._in_comment or self._failed or self._bom is not None)
        return events

    def _feed_lf(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        """Parse a chunk whose line ends are LF."""
        if self._failed:
            return
        if self._in_comment:
            _, line_end, chunk = chunk.partition(b"\n")
            self._in_comment = not line_end
        block, blank, rest = chunk.rpartition(b"\n\n")
        if not blank and chunk.startswith(b"\n") and self._at_line_start():  # the first line is blank
            blank, rest = b"\n", chunk[1:]
        if blank:
            if self._buffer or self._tail:
                block = b"".join((*self._buffer, self._tail, block))
                self._clear()
            if len(block) >= self._max_size:
                block = self._up_to_oversized(block)
            events += self._parse_block(block)
            chunk = rest
        if chunk and not self._failed:
            self._buffer_tail(chunk)

    def _clear(self) -> None:
        self._buffer = []
        self._left = self._max_size
        self._tail = b""
        self._room = min(self._max_size, _TAIL_MAX)

    def _feed_crlf(self, block: bytes, events: list[ServerSentEvent]) -> None:
        """Parse whole events that end in CRLF CRLF."""
        if block.startswith(b"data: ") and len(block) <= self._max_size and not self._failed:
            text = str(memoryview(block)[6:-4], "utf-8", "replace")
            parts = text.split("\r\n\r\ndata: ")
            joined = "".join(parts)
            if "\r" not in joined and "\n" not in joined:  # as in _parse_block
                events += self._plain_events(parts)
                return
        self._feed_lf(_with_lf(block), events)

    def _strip_start(self, chunk: bytes) -> bytes:
        """Strip a byte order mark, or the LF of a CRLF split between chunks, from the start of a chunk."""
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
        last = self._tail or (self._buffer[-1] if self._buffer else b"\n")
        return last.endswith(b"\n")

    def _buffer_tail(self, chunk: bytes) -> None:
        """Buffer a chunk that ends inside an event, without its comments."""
        if chunk[0] == _COLON or (_LF in chunk and b"\n:" in chunk):
            chunk = self._without_comments(chunk)
        tail = self._tail + chunk
        if len(tail) <= self._room:
            self._tail = tail
        else:
            self._move_to_buffer(tail)

    def _move_to_buffer(self, tail: bytes) -> bool:
        """Add a tail to the buffer; return False if the event is too large."""
        left = self._left - len(tail)
        if left < 0:
            self._fail()
            return False
        self._buffer.append(tail)
        self._left = left
        self._tail = b""
        self._simple = False
        if left < _TAIL_MAX:
            self._room = left
        return True

    def _without_comments(self, chunk: bytes) -> bytes:
        lines = chunk.split(b"\n")
        kept = [line for line in lines if not line.startswith(b":")]
        if lines[0].startswith(b":") and not self._at_line_start():  # continues a line, so it is no comment
            kept.insert(0, lines[0])
        if lines[-1].startswith(b":"):  # not the same line: chunks without a line end do not come here
            self._in_comment = True
            kept.append(b"")
        return b"\n".join(kept)

    def _up_to_oversized(self, block: bytes) -> bytes:
        """Return the block up to the first oversized event, and fail if there is one."""
        end = 0
        for event in block.split(b"\n\n"):
            if len(event) >= self._max_size:
                size = sum(len(line) + 1 for line in event.split(b"\n") if line and not line.startswith(b":"))
                if size > self._max_size:
                    self._fail()
                    return block[: max(end - 2, 0)]
            end += len(event) + 2
        return block

    def _fail(self) -> None:
        self._clear()
        self._simple = self._mid_line = False
        self._failed = self._unreported = True

    def _too_large(self) -> EventTooLargeError:
        self._unreported = False
        return EventTooLargeError(f"an event of the stream is larger than {self._max_size} bytes")

    def _parse_block(self, block: bytes) -> list[ServerSentEvent]:
        """Parse a block of whole events, without its last blank line.

        Line ends are ASCII bytes, which no invalid UTF-8 sequence consumes. So decoding block by block gives the same
        result as decoding the whole stream.
        """
        if len(block) < _BULK_MIN:
            return self._parse_small(block.decode("utf-8", "replace"))
        if block.startswith(b"data: "):
            text = str(memoryview(block)[6:], "utf-8", "replace")
            if "\n" not in text:  # one event; the search runs at memory speed
                return [_make_event(text, "", self._last_id)]
            data = text.split("\n\ndata: ")
            # If no part has a second line, all events are plain.
            if "\n" not in "".join(data) or _join_lines(data):
                return self._plain_events(data)
        if block.startswith(b"\n"):
            return self._parse_block(block.lstrip(b"\n"))
        if _has_no_field(block):
            return []
        text = block.decode("utf-8", "replace") + "\n\n"
        events = self._uniform_events(text)
        return self._block_events(text) if events is None else events

    def _parse_small(self, text: str) -> list[ServerSentEvent]:
        """Parse a few whole events, without their last blank line."""
        data = text.removeprefix("data: ")
        if data != text:
            if "\n" not in data:
                return [_make_event(data, "", self._last_id)]
            if "\n\n" in data:
                parts = data.split("\n\ndata: ")
                if "\n" not in "".join(parts):
                    return self._plain_events(parts)
        return self._parse_lines(text + "\n\n")

    def _plain_events(self, data: list[str]) -> list[ServerSentEvent]:
        """Create events that have only data."""
        if self._last_id:
            return _make_events(data, repeat("message"), repeat(self._last_id))
        events = list(map(_new, repeat(_PlainEvent, len(data))))
        any(map(_set_data, events, data))  # a loop in C: every call returns None
        return events

    def _uniform_events(self, text: str) -> list[ServerSentEvent] | None:
        """Create events that share one field sequence, as a table: a row for each event, a column for each field.

        Returns:
            The events, or None if the field sequences differ.
        """
        fields = [line.partition(": ")[0] for line in text[: text.find("\n\n")].split("\n", 3)]
        if fields not in _UNIFORM_FIELDS:
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
            if name == "event" and column.count(column[0]) == count:  # usually all events have the same type
                columns[name] = repeat(column[0][7:])
                continue
            _, *values = ("\n" + "\n".join(column)).split(f"\n{name}: ")
            if len(values) != count or (name == "id" and "\0" in "".join(values)):  # a row has another field here
                return None
            columns[name] = values
            if name == "id":
                last_id = values[-1]
        self._last_id = last_id
        return _make_events(columns["data"], columns["event"], columns["id"])

    def _block_events(self, text: str) -> list[ServerSentEvent]:
        """Parse whole events of any form, block by block."""
        events: list[ServerSentEvent] = []
        append = events.append
        last_id = self._last_id
        for name, ident, data, other in _BLOCK.findall(text):
            if other:
                self._last_id = last_id
                events += self._parse_lines(other)
                last_id = self._last_id
            else:
                draft: Any = _MutableEvent()
                draft.data = data
                draft.event = name or "message"
                draft.id = last_id = ident or last_id
                draft.__class__ = ServerSentEvent
                append(draft)
        self._last_id = last_id
        return events

    def _parse_lines(self, text: str) -> list[ServerSentEvent]:
        """Parse whole events line by line, as the WHATWG rules are written. Used for small or unusual blocks."""
        events: list[ServerSentEvent] = []
        data: list[str] = []
        event = ""
        for line in text.split("\n"):
            if not line:
                if data:
                    events.append(_make_event("\n".join(data), event, self._last_id))
                    data = []
                event = ""
                continue
            value = line.removeprefix("data: ")
            if value != line:
                data.append(value)
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
                self._retry = _parse_retry(value, self._retry)
        return events


def _has_no_field(block: bytes) -> bool:
    """Return True if a block is comments and other lines without effect, and begins with a comment."""
    return block[0] == _COLON and not any(byte in block and line in block for byte, line in _FIELD_STARTS)


def _join_lines(parts: list[str]) -> bool:
    """Convert each part with several lines to the data of its event, in place.

    Returns:
        True if every part consists of data lines only, or of one data line followed by a comment.
    """
    for index, part in enumerate(parts):
        if "\n" in part:
            data = part.replace("\ndata: ", "\n")
            if len(part) - len(data) != 6 * data.count("\n"):  # some line is not a data line
                data, _, rest = part.partition("\n\n")
                if "\n" in data or "\n" in rest or not rest.startswith(":"):
                    return False
            parts[index] = data
    return True


def _make_event(data: str, event: str, id: str) -> ServerSentEvent:
    draft: Any = _MutableEvent()
    draft.data = data
    draft.event = event or "message"
    draft.id = id
    draft.__class__ = ServerSentEvent
    made: ServerSentEvent = draft
    return made


def _make_events(data: Iterable[str], types: Iterable[str], ids: Iterable[str]) -> list[ServerSentEvent]:
    events: list[ServerSentEvent] = []
    append = events.append
    for text, name, ident in zip(data, types, ids, strict=False):  # some are infinite
        draft: Any = _MutableEvent()
        draft.data = text
        draft.event = name or "message"
        draft.id = ident
        draft.__class__ = ServerSentEvent
        append(draft)
    return events


def _with_lf(chunk: bytes) -> bytes:
    chunk = chunk.replace(b"\r\n", b"\n")
    return chunk.replace(b"\r", b"\n") if _CR in chunk else chunk


def _parse_retry(value: str, previous: int | None) -> int | None:
    """Return the value of a ``retry`` field, or the previous value unless it consists of ASCII digits."""
    if not (value.isascii() and value.isdigit()):
        return previous
    digits = value.lstrip("0")
    return int(digits or "0") if len(digits) < 16 else _MAX_RETRY


def encode_event(event: ServerSentEvent) -> bytes:
    """Encode an event as bytes of an event stream.

    An empty id is omitted: in a stream, such an event inherits the id of the event before it.

    Args:
        event: The event. Carriage returns in its data are written as line ends, so they parse as line feeds.

    Returns:
        The event's lines in UTF-8, including the blank line that ends it.

    Raises:
        ConfigurationError: The format cannot represent the event: an empty type, CR or LF in the type or id, NUL in
            the id, or a lone surrogate.
    """
    if not event.event or any(char in event.event for char in "\r\n") or any(char in event.id for char in "\r\n\0"):
        raise ConfigurationError("the event's type is empty or has a line break, or its id has a line break or NUL")
    data = event.data.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\ndata: ")
    name = "" if event.event == "message" else f"event: {event.event}\n"
    ident = f"id: {event.id}\n" if event.id else ""
    try:
        return f"{name}{ident}data: {data}\n\n".encode()
    except UnicodeEncodeError:
        raise ConfigurationError("the event contains a lone surrogate") from None
