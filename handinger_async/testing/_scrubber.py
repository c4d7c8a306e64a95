"""Mask secrets before a recording is written."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Collection, Sequence
from urllib.parse import quote

from ..http import Headers, Secret

__all__ = ["MASK", "Scrubber"]

MASK = "***"


class Scrubber:
    """Masks the values of fields, and the API key wherever it occurs.

    Args:
        names: The names of the fields.
        key: The API key; empty for none.
    """

    _DECODER = json.JSONDecoder(strict=False)

    def __init__(self, names: Sequence[str], key: str) -> None:
        self._key = key
        self._headers = {name.lower() for name in names}
        spellings = {name.encode().decode("latin-1") for name in names} | {json.dumps(name)[1:-1] for name in names}
        self._field = _any_of(r'"(?:{})"\s*:\s*', spellings)
        self._query = _any_of(r"(?<=[?&])(?:{})=([^&]*)", {quote(name) for name in names} | set(names))

    def text(self, text: str) -> str:
        """Return ``text`` with the key masked."""
        return text.replace(self._key, MASK) if self._key else text

    def headers(self, headers: Headers) -> dict[str, str]:
        """Return header fields, with credentials and the named fields masked."""
        return {
            name: MASK if isinstance(value, Secret) or name.lower() in self._headers else self.text(value)
            for name, value in headers.items()
        }

    def target(self, target: str) -> str:
        """Return a path and query with the named query fields and the key masked."""
        if self._query is not None:
            target = self._query.sub(lambda found: found[0][: found.start(1) - found.start()] + MASK, target)
        return self.text(target)

    def chunks(self, chunks: Sequence[bytes]) -> list[bytes]:
        """Return the chunks of a body with the named JSON fields and the key masked.

        A value that spans several chunks is masked in the first of them and removed from the others.
        """
        body = b"".join(chunks).decode("latin-1")  # one character for each byte
        kept: list[str] = []
        moved: list[tuple[int, int, int]] = []  # for each span: its begin and end, and the end of its mask
        at = length = 0
        for first, last, mask in sorted(self._spans(body)):
            if last > at:
                first = max(first, at)
                kept += body[at:first], mask
                length += first - at + len(mask)
                at = last
                moved.append((first, last, length))
        masked = "".join([*kept, body[at:]]).encode("latin-1")
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

    def _spans(self, body: str) -> list[tuple[int, int, str]]:
        """Return the spans of values to mask: begin, end, mask."""
        spans = []
        if self._field is not None:
            for found in self._field.finditer(body):
                try:
                    value, end = self._DECODER.raw_decode(body, found.end())
                    mask = (
                        json.dumps(MASK if isinstance(value, str) else type(value)()) if value is not None else "null"
                    )
                except ValueError:  # truncated, or not on one line: mask the rest of the event
                    end, mask = body.find("\n\n", found.end()), f'"{MASK}"'
                    end = len(body) if end < 0 else end
                spans.append((found.end(), end, mask))
        if self._key:
            spans += [(found.start(), found.end(), MASK) for found in re.finditer(re.escape(self._key), body)]
        return spans


def _any_of(pattern: str, names: Collection[str]) -> re.Pattern[str] | None:
    return re.compile(pattern.format("|".join(map(re.escape, sorted(names))))) if names else None
