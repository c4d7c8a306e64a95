"""Reference parser: the event-stream rules transcribed from the specification. Slow, and easy to check by reading.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

from dataclasses import dataclass, field

BOM = b"\xef\xbb\xbf"
MAX_RETRY = 10**15


@dataclass
class Outcome:
    """The outcome of parsing a whole stream."""

    events: list[tuple[str, str, str]] = field(default_factory=list)  # data, event, id
    last_event_id: str = ""
    retry: int | None = None
    pending: int = 0  # bytes of the unfinished event
    truncated: bool = False  # the unfinished event has data
    too_large: bool = False  # an event exceeded the limit; parsing stopped there


def lines_of(text: str) -> tuple[list[str], str]:
    """Split at CRLF, LF and CR; return the terminated lines and the unterminated one."""
    ended: list[str] = []
    line = ""
    previous = ""
    for char in text:
        if char == "\n" and previous == "\r":
            pass  # part of the preceding CRLF
        elif char in "\r\n":
            ended.append(line)
            line = ""
        else:
            line += char
        previous = char
    return ended, line


def parse(stream: bytes, limit: float = float("inf"), *, last_event_id: str = "", retry: int | None = None) -> Outcome:
    """Parse a whole stream.

    Args:
        stream: Its bytes.
        limit: The size limit of an event, in bytes: comments do not count, a line end counts one.
        last_event_id: The last event id of the stream before this one.
        retry: The retry time from the stream before this one, in milliseconds.

    Returns:
        The outcome.
    """
    if stream.startswith(BOM):
        stream = stream[3:]
    ended, unfinished = lines_of(stream.decode("utf-8", "replace"))
    raw_ended, raw_unfinished = lines_of(stream.decode("latin-1"))  # the same lines, one character per byte
    out = Outcome(last_event_id=last_event_id, retry=retry)
    data = event = ""
    last_id = last_event_id
    size = 0
    pending_lines: list[str] = []

    for line, raw in zip(ended, raw_ended, strict=True):
        if line == "":
            out.last_event_id = last_id
            out.retry = retry
            if data != "":
                out.events.append((data[:-1], event or "message", last_id))
            data = event = ""
            size = 0
            pending_lines = []
            continue
        if line.startswith(":"):
            continue
        size += len(raw) + 1
        pending_lines.append(raw)
        if size > limit:
            out.too_large = True
            return out
        name, colon, value = line.partition(":")
        if colon and value.startswith(" "):
            value = value[1:]
        if name == "event":
            event = value
        elif name == "data":
            data += value + "\n"
        elif name == "id":
            if "\0" not in value:
                last_id = value
        elif name == "retry" and value != "" and all(char in "0123456789" for char in value):
            digits = value.lstrip("0")
            retry = MAX_RETRY if len(digits) > 15 else int(digits or "0")

    if not unfinished.startswith(":"):
        size += len(raw_unfinished)
        pending_lines.append(raw_unfinished)
    if size > limit:
        out.too_large = True
        return out
    out.retry = retry  # `retry` takes effect at once, `id` only with its event
    out.pending = size
    if unfinished and "data".startswith(unfinished):
        out.truncated = True
    for line in pending_lines:
        if line == "data" or line.startswith("data:"):
            out.truncated = True
    return out
