"""Mask secrets before a recording is written."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from codecs import utf_8_decode
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias
from urllib.parse import quote, unquote_plus

from .._asyncio.credentials import spellings
from ..http import Headers, Secret

__all__ = ["MASK", "Scrubber"]

MASK = "***"

#: Where a value is in a text, and its mask.
Span: TypeAlias = tuple[int, int, str]

#: An API key that is shorter may be a part of any word. It is masked in its header field alone.
_SHORTEST_KEY = 8
_LINE_END = r"(?>\r\n|\r|\n)"
#: Lines of an event that are no data: they may stand between two lines of data.
_OTHER_LINES = rf"(?:(?:id|event|retry)?:[^\r\n]*{_LINE_END})*+"
#: White space in JSON; between the lines of an event's data, also the name of that field.
_SPACE = rf"(?:[ \t]|{_LINE_END}{_OTHER_LINES}data:|{_LINE_END})*"
#: An escaped quote begins no name: without this condition, each one in a long string is searched to the string's end.
_FIELD = re.compile(rf'(?<!\\)"((?:[^"\\\r\n]|\\.)*+)"{_SPACE}:{_SPACE}')
_QUERY_FIELD = re.compile(r"(?:\A|(?<=[?&;#\"]))([^\s\"'<>=&;?#\\]+)=([^\s\"'<>&;#\\]*)")
_STRING_END = re.compile(r'\\.|["\r\n]')
_EVENT_END = re.compile(_LINE_END * 2)
#: The begin of an escape sequence at the end of a truncated string, after any number of escaped backslashes.
_PARTIAL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?\Z")
_NEXT_LINE = re.compile(rf"{_LINE_END}{_OTHER_LINES}(?:data: ?)?")
#: The number of characters to decode first where the data of an event has several lines; doubled until that suffices.
_WINDOW = 1024


class Scrubber:
    """Masks the values of fields, and API keys wherever they occur.

    Names are compared without case, hyphens, underscores and white space: ``apiKey`` masks ``api-key`` and ``API_KEY``
    too. Fields are found in JSON, in JSON inside a JSON string at any depth, in the data of events, in queries and
    fragments of URLs, and in all of these inside a query or a form.

    Args:
        names: The names of the fields.
        keys: API keys and other credentials.
    """

    _DECODER = json.JSONDecoder(strict=False)

    def __init__(self, names: Collection[str], keys: Collection[str] = ()) -> None:
        self._names = {_fold(name) for name in names}
        self._keys = sorted({key for key in keys if len(key) >= _SHORTEST_KEY}, key=len, reverse=True)
        patterns = ["".join(map(spellings, key)) for key in self._keys]
        self._key = re.compile("|".join(patterns)) if patterns else None

    def text(self, text: str) -> str:
        """Return ``text`` with the named fields in it and the key masked."""
        return _replace(text, self._spans(text, str))[0]

    def field(self, name: str, text: str) -> str:
        """Return the text of a field, masked if it is a named one."""
        return MASK if _fold(name) in self._names else self.text(text)

    def headers(self, headers: Headers) -> dict[str, str]:
        """Return header fields, with credentials and the named fields masked."""
        return {name: MASK if isinstance(value, Secret) else self.field(name, value) for name, value in headers.items()}

    def target(self, target: str) -> str:
        """Return a path and query with the named query fields and the key masked."""
        path, mark, query = target.partition("?")
        fields = [self._query_field(field) for field in query.split("&")]
        return self.text(path) + mark + "&".join(fields)

    def _query_field(self, field: str) -> str:
        name, mark, value = field.partition("=")
        if mark and _fold(unquote_plus(name)) in self._names:
            return f"{name}={MASK}"
        return self.text(name) + mark + self._quoted(value)

    def _quoted(self, value: str) -> str:
        """Return a percent-encoded value, such as JSON or a URL, with the fields in it masked."""
        decoded = unquote_plus(value)
        if decoded == value:
            return self.text(value)
        scrubbed = self.text(self._quoted(decoded))
        return value if scrubbed == decoded else quote(scrubbed, safe="*")

    def chunks(self, chunks: Sequence[bytes]) -> list[bytes]:
        """Return the chunks of a body with the named fields and the key masked.

        A value that spans several chunks is masked in the first of them and removed from the others.
        """
        body = b"".join(chunks).decode("latin-1")  # one character for each byte
        replaced, moved = _replace(body, self._spans(body, _decode_bytes))
        masked = replaced.encode("latin-1")
        firsts = [first for first, _, _ in moved]
        result = []
        begin = position = 0
        for chunk in chunks:
            position += len(chunk)
            place = bisect_left(firsts, position) - 1
            end = position if place < 0 else moved[place][2] + max(0, position - moved[place][1])
            if end > begin:
                result.append(masked[begin:end])
            begin = end
        return result

    def _spans(self, text: str, decode: Callable[[str], str]) -> Iterator[Span]:
        """Yield the spans of values to mask; ``decode`` is for characters that stand for bytes."""
        if self._names:
            yield from self._json_fields(text, decode)
            for found in _QUERY_FIELD.finditer(text):
                if _fold(decode(unquote_plus(found[1]))) in self._names:
                    yield found.start(2), found.end(2), MASK
                elif "%" in found[2] and (masked := self._quoted(value := decode(found[2]))) != value:
                    yield found.start(2), found.end(2), masked
        if self._key is not None:
            for found in self._key.finditer(text):
                yield found.start(), found.end(), MASK
            for key in self._keys:  # a truncated text may end in a part of it
                shortest = max(_SHORTEST_KEY, len(key) // 2)
                if part := next((n for n in range(len(key) - 1, shortest - 1, -1) if text.endswith(key[:n])), 0):
                    yield len(text) - part, len(text), MASK
        if "\\" in text:
            yield from self._strings(text, decode)

    def _json_fields(self, text: str, decode: Callable[[str], str]) -> Iterator[Span]:
        at = 0
        while found := _FIELD.search(text, at):
            at = found.end()
            if _fold(_unescape(decode(found[1])) or "") in self._names:
                span = self._value(text, at)
                at = max(at, span[1])
                yield span

    def _value(self, text: str, begin: int) -> Span:
        """Return the span of the JSON value that begins at an index."""
        try:
            value, end = self._raw_decode(text, begin)
        except ValueError:
            value, end = self._decode_lines(text, begin)
        return begin, end, "null" if value is None else json.dumps(MASK if isinstance(value, str) else type(value)())

    def _raw_decode(self, text: str, begin: int) -> tuple[object, int]:
        try:
            return self._DECODER.raw_decode(text, begin)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def _decode_lines(self, text: str, begin: int) -> tuple[object, int]:
        """Decode a JSON value in the data of an event, where that has several lines.

        A truncated value is a string of the rest of the event.
        """
        size = _WINDOW
        while True:
            part = text[begin : begin + size]
            event_end = _EVENT_END.search(part)
            complete = event_end is not None or begin + size >= len(text)
            if event_end is not None:
                part = part[: event_end.start()]
            try:
                value, length = self._raw_decode(_NEXT_LINE.sub("\n", part), 0)
            except ValueError:
                if complete:
                    return part, begin + len(part)
            else:
                for found in _NEXT_LINE.finditer(part):
                    if found.start() >= length:
                        break
                    length += len(found[0]) - 1
                if complete or length < len(part):
                    return value, begin + length
            size *= 2

    def _strings(self, text: str, decode: Callable[[str], str]) -> Iterator[Span]:
        """Yield the spans of JSON strings whose content needs masks, such as JSON inside a JSON string."""
        ends = [found.start() for found in _STRING_END.finditer(text) if found[0][0] != "\\"]
        for before, after in pairwise([-1, *ends, len(text)]):
            literal = text[before + 1 : after]
            if "\\" not in literal or (content := _unescape(decode(literal))) is None:
                continue
            masked = self.text(content)
            if masked != content:
                escaped = json.dumps(masked, ensure_ascii=literal.isascii())[1:-1]
                if decode is _decode_bytes:
                    escaped = escaped.encode("utf-8", "surrogatepass").decode("latin-1")
                yield before + 1, after, escaped


def _replace(text: str, spans: Iterator[Span]) -> tuple[str, list[tuple[int, int, int]]]:
    """Return ``text`` with spans replaced, and for each span its begin, its end, and the end of its mask."""
    kept: list[str] = []
    moved: list[tuple[int, int, int]] = []
    at = length = 0
    for first, last, mask in sorted(spans):
        if last > at:
            first = max(first, at)
            kept += text[at:first], mask
            length += first - at + len(mask)
            at = last
            moved.append((first, last, length))
    return "".join([*kept, text[at:]]), moved


def _decode_bytes(text: str) -> str:
    """Decode characters that stand for the bytes of UTF-8; a truncated character at the end is left out."""
    try:
        return utf_8_decode(text.encode("latin-1"), "strict", False)[0]
    except ValueError:
        return text


def _unescape(literal: str) -> str | None:
    """Return the content of a JSON string, truncated or not; None if it is none."""
    literal = _PARTIAL_ESCAPE.sub(r"\1", literal)
    try:
        content: str = json.loads(f'"{literal}"')
    except ValueError:
        return None
    return content


def _fold(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()
