"""Plot results: ``python -m benchmarks.plot FILE DIRECTORY`` makes an SVG of each table in the JSON file.

A page includes the file as it is: text and peers then have the colour of the text around them, on light and dark pages.
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

from ._clients import OFFICIAL, OFFICIAL_AIOHTTP
from ._measure import number

BASES = (OFFICIAL, OFFICIAL_AIOHTTP, "handinger 0.3.0")
TITLES = {"decode": "Decoding", "requests": "Requests", "streams": "Streams"}

#: Units of the picture. Its text is readable on a telephone, where the picture is 350 pixels wide.
WIDTH, LABELS, NUMBERS, ROW, TEXT = 510, 262, 46, 24, 16


def draw(name: str, seconds: dict[str, dict[str, float]]) -> str:
    """Return an SVG of each contender's speed as a multiple of the official client's faster backend.

    Args:
        name: A key of `TITLES`.
        seconds: By label, the time of each contender.
    """
    groups = {
        label: {contender: min(row[base] for base in BASES if base in row) / time for contender, time in row.items()}
        for label, row in seconds.items()
    }
    scale = (WIDTH - LABELS - NUMBERS) / max(max(row.values()) for row in groups.values())
    title = f"{TITLES[name]}: speed, official client = 1"
    parts, y = [], ROW
    for label, row in groups.items():
        y += ROW * 3 // 2
        parts.append(f'<text y="{y}" font-weight="bold">{escape(label)}</text>')
        for contender, ratio in row.items():
            y += ROW
            bar = 'fill="#3b82d6"' if contender.startswith("handinger_async") else 'fill-opacity="0.4"'
            end = LABELS + ratio * scale
            parts.append(f'<text x="{LABELS - 8}" y="{y}" text-anchor="end">{escape(contender)}</text>')
            parts.append(f'<rect x="{LABELS}" y="{y - 14}" width="{ratio * scale:.1f}" height="18" {bar}/>')
            parts.append(f'<text x="{end + 5:.1f}" y="{y}">{number(ratio)}</text>')
    head = (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {y + ROW // 2}" role="img" aria-label="{escape(title)}"'
        f' xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="{TEXT}" fill="currentColor">'
    )
    return "\n".join([head, f'<text y="{TEXT}">{escape(title)}</text>', *parts, "</svg>", ""])


def main(results: Path, directory: Path) -> None:
    """Plot the tables in the file."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, result in json.loads(results.read_text()).items():
        if name in TITLES:
            (directory / f"{name}.svg").write_text(draw(name, result["seconds"]), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
