"""Takes out of a recording what must not be written."""

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
    """Replaces what must not be written.

    Args:
        names: The fields whose values are replaced.
        key: The API key, replaced wherever it stands; empty for none.
    """

    _DECODER = json.JSONDecoder(strict=False)

    def __init__(self, names: Sequence[str], key: str) -> None:
        self._key = key
        self._headers = {name.lower() for name in names}
        spellings = {name.encode().decode("latin-1") for name in names} | {json.dumps(name)[1:-1] for name in names}
        self._field = _any_of(r'"(?:{})"\s*:\s*', spellings)
        self._query = _any_of(r"(?<=[?&])(?:{})=([^&]*)", {quote(name) for name in names} | set(names))

    def text(self, text: str) -> str:
        """Return ``text`` without the key."""
        return text.replace(self._key, MASK) if self._key else text

    def headers(self, headers: Headers) -> dict[str, str]:
        """Return the fields, those that let somebody in or that are to be scrubbed without their values."""
        return {
            name: MASK if isinstance(value, Secret) or name.lower() in self._headers else self.text(value)
            for name, value in headers.items()
        }

    def target(self, target: str) -> str:
        """Return a path and query without the fields."""
        if self._query is not None:
            target = self._query.sub(lambda found: found[0][: found.start(1) - found.start()] + MASK, target)
        return self.text(target)

    def pieces(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Return the pieces of a body without the fields and the key, also where they stand in several pieces.

        A value that began in one piece is masked there, and gone from those after it.
        """
        body = b"".join(pieces).decode("latin-1")  # so that characters are bytes
        kept: list[str] = []
        moved: list[tuple[int, int, int]] = []  # of each span: where it was, and where its mask ends
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
        for piece in pieces:
            position += len(piece)
            place = bisect_left(firsts, position) - 1
            end = position if place < 0 else moved[place][2] + max(0, position - moved[place][1])
            if end > begin:
                result.append(masked[begin:end])
            begin = end
        return result

    def _spans(self, body: str) -> list[tuple[int, int, str]]:
        """Return where the values of the fields and the key stand, and what is to stand there."""
        spans = []
        if self._field is not None:
            for found in self._field.finditer(body):
                try:
                    value, end = self._DECODER.raw_decode(body, found.end())
                    mask = (
                        json.dumps(MASK if isinstance(value, str) else type(value)()) if value is not None else "null"
                    )
                except ValueError:  # cut short, or not on one line: the rest of the event goes
                    end, mask = body.find("\n\n", found.end()), f'"{MASK}"'
                    end = len(body) if end < 0 else end
                spans.append((found.end(), end, mask))
        if self._key:
            spans += [(found.start(), found.end(), MASK) for found in re.finditer(re.escape(self._key), body)]
        return spans


def _any_of(pattern: str, names: Collection[str]) -> re.Pattern[str] | None:
    return re.compile(pattern.format("|".join(map(re.escape, sorted(names))))) if names else None
