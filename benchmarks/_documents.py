"""Documents of the API that the benchmark server sends: the same in every process."""

from __future__ import annotations

import json
from typing import Any

#: The number of events in a stream, and in the long one.
EVENTS, MILLION = 20_000, 1_000_000

_LOREM = "lorem ipsum dolor sit amet, consectetur adipiscing elit, "


def _dump(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def worker(messages: int, files: int, characters: int) -> dict[str, Any]:
    """Make a worker like the one in the API reference, with this many messages, files, and characters per message."""
    text = (_LOREM * (characters // len(_LOREM) + 1))[:characters]
    return {
        "id": "t_org_123_w_01HZY2ZJQ8G7K42W2D7WF6V4GM",
        "created_at": 1767225600,
        "error": None,
        "files": [
            {
                "filename": f"report-{index}.md",
                "mediaType": "text/markdown",
                "url": f"https://files.example.com/report-{index}.md",
            }
            for index in range(files)
        ],
        "incomplete_details": None,
        "messages": [{"role": "user", "content": "What's the weather today in Barcelona?"} for _ in range(3)],
        "metadata": {"team": "weather"},
        "object": "worker",
        "output": [
            {
                "id": f"msg_{index}",
                "content": [{"text": text, "type": "output_text"}],
                "role": "assistant",
                "status": "completed",
                "type": "message",
            }
            for index in range(messages)
        ],
        "output_text": text,
        "running": True,
        "sources": [
            {"id": f"src_{index}", "title": f"Source {index}", "type": "url", "url": f"https://example.com/{index}"}
            for index in range(files)
        ],
        "status": "running",
        "costs": {"internalCostUsd": 0.1, "modelCostUsd": 0.2, "sandboxCostUsd": 0.3, "toolCostUsd": 0.4},
        "usage": {
            "cacheReadTokens": 1200,
            "cacheWriteTokens": 300,
            "costUsd": 0.0123,
            "inputTokens": 4000,
            "outputTokens": 800,
            "reasoningTokens": 100,
            "steps": 6,
            "totalTokens": 4800,
            "credits": 8,
        },
    }


def small() -> bytes:
    """Return a worker of 3 kB."""
    return _dump(worker(2, 2, 550))


def big() -> bytes:
    """Return a worker of 200 kB."""
    return _dump(worker(80, 80, 2200))


def schedules() -> bytes:
    """Return a list of 1000 schedules of all four types."""
    kinds: list[dict[str, Any]] = [
        {"type": "scheduled"},
        {"type": "delayed", "delayInSeconds": 60},
        {"type": "cron", "cron": "0 9 * * 1"},
        {"type": "interval", "intervalSeconds": 3600},
    ]
    listed = [
        {
            "id": f"sch_{index:026d}",
            "budget": "low",
            "input": "Check the weather again",
            "nextRunAt": "2026-07-27T18:11:19.117Z",
            **kinds[index % 4],
        }
        for index in range(1000)
    ]
    return _dump({"schedules": listed, "workerId": "t_org_123_w_01HZY2ZJQ8G7K42W2D7WF6V4GM"})


def events() -> list[bytes]:
    """Return the events of a stream: small deltas of JSON."""
    return [
        b"data: " + _dump({"type": "delta", "index": index, "text": f" word{index % 97}"}) + b"\n\n"
        for index in range(EVENTS)
    ]
