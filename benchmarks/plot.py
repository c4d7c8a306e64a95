"""Plot results: ``python -m benchmarks.plot FILE DIRECTORY`` makes an SVG of each table in the JSON file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator

from ._clients import OFFICIAL, OFFICIAL_AIOHTTP

BASES = (OFFICIAL, OFFICIAL_AIOHTTP, "handinger 0.3.0")
TITLES = {"decode": "Decoding", "requests": "Requests over loopback", "streams": "Streams over loopback"}


def draw(name: str, seconds: dict[str, dict[str, float]], file: Path) -> None:
    """Plot each contender's speed as a multiple of the official client's faster backend, grouped by label."""
    contenders = list(next(iter(seconds.values())))
    groups = {
        label: [min(row[base] for base in BASES if base in row) / row[contender] for contender in contenders]
        for label, row in seconds.items()
    }
    figure, axes = plt.subplots(figsize=(9, 1 + 0.24 * len(groups) * (len(contenders) + 1)))
    for index, contender in enumerate(contenders):
        places = [group * (len(contenders) + 1) + index for group in range(len(groups))]
        bars = axes.barh(places, [ratios[index] for ratios in groups.values()], height=0.9, label=contender)
        axes.bar_label(bars, fmt="{:.1f}", padding=2, fontsize=7)
    axes.set_yticks(
        [group * (len(contenders) + 1) + (len(contenders) - 1) / 2 for group in range(len(groups))], list(groups)
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.invert_yaxis()
    axes.set_title(f"{TITLES[name]}: speed as a multiple of the official client's (more is better)", fontsize=10)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def main(results: Path, directory: Path) -> None:
    """Plot the tables in the file."""
    plt.rcParams["svg.hashsalt"] = "benchmarks"  # the same numbers give the same file
    directory.mkdir(parents=True, exist_ok=True)
    for name, result in json.loads(results.read_text()).items():
        if name in TITLES:
            draw(name, result["seconds"], directory / f"{name}.svg")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
