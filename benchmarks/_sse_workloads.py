"""Streams of server-sent events for the benchmark of parsers."""

from __future__ import annotations

import json
import random
from typing import NamedTuple

Chunks = list[bytes]
KIB, MIB = 1024, 1024 * 1024


class Workload(NamedTuple):
    """A stream in chunks, and the data of its events."""

    title: str
    chunks: Chunks
    expected: list[str]


def cut(data: bytes, size: int) -> Chunks:
    """Split a stream into chunks of ``size`` bytes."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def _delta(index: int) -> str:
    return json.dumps({"type": "delta", "index": index, "text": f" word{index % 97}"}, separators=(",", ":"))


def workloads() -> dict[str, Workload]:
    """Return the workloads by name."""
    deltas = [_delta(index) for index in range(20_000)]
    plain = [f"data: {delta}\n\n" for delta in deltas]
    fields = [f"event: delta\nid: {index}\n{event}" for index, event in enumerate(plain)]
    lines = ["\n".join(f"line {index}.{line} of a longer answer" for line in range(10)) for index in range(3_000)]
    many = ["data: " + text.replace("\n", "\ndata: ") + "\n\n" for text in lines]
    long = "x" * (8 * MIB)
    line = "x" * (4 * KIB)
    words = ["Grüße, größer, öfter", "日本語のテキスト", "привет, мир", "naïve café", "🙂 ok"]
    foreign = [
        f"{index} " + ", ".join(words[(index + step) % len(words)] for step in range(3)) for index in range(12_000)
    ]
    comments = [": ping\n\n" for _ in range(100_000)]
    random_ = random.Random(3)
    named = [event if random_.randrange(4) else f"event: delta\n{event}" for event in plain]

    def with_comments(every: int) -> str:
        return "".join(f": ping\n\n{event}" if index % every == 0 else event for index, event in enumerate(plain))

    def big(text: str | list[str], size: int = 64 * KIB) -> Chunks:
        return cut("".join(text).encode(), size)

    return {
        "a": Workload("small deltas, 64 KiB chunks", big(plain), deltas),
        "b": Workload("an event per chunk", [event.encode() for event in plain], deltas),
        "bev": Workload(
            "an event per chunk, with event:", [f"event: delta\n{event}".encode() for event in plain], deltas
        ),
        "bcr": Workload("an event per chunk, CRLF", [event.replace("\n", "\r\n").encode() for event in plain], deltas),
        "p": Workload("small deltas, 64-byte chunks", big(plain, 64), deltas),
        "p16": Workload("small deltas, 16-byte chunks", big(plain, 16), deltas),
        "l16": Workload("4 KiB lines, 16-byte chunks", big(f"data: {line}\n\n" * 64, 16), [line] * 64),
        "c": Workload("event, id and data, 64 KiB chunks", big(fields), deltas),
        "d": Workload("ten data lines, 64 KiB chunks", big(many), lines),
        "e": Workload("CRLF, 64 KiB chunks", big("".join(plain).replace("\n", "\r\n")), deltas),
        "f4": Workload("one 8 MiB line, 4 KiB chunks", big(f"data: {long}\n\n", 4 * KIB), [long]),
        "f64": Workload("one 8 MiB line, 64 KiB chunks", big(f"data: {long}\n\n"), [long]),
        "g": Workload("comments only, 64 KiB chunks", big(comments), []),
        "h": Workload("non-ASCII, 1000-byte chunks", big([f"data: {text}\n\n" for text in foreign], 1000), foreign),
        "m20": Workload("deltas, a comment every 20 events", big(with_comments(20)), deltas),
        "m500": Workload("deltas, a comment every 500 events", big(with_comments(500)), deltas),
        "mev": Workload("deltas, one in four with event:", big(named), deltas),
    }
