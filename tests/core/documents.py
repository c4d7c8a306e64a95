"""Documents of the API reference and larger ones made from them, shared by the codec's tests."""

import json
from datetime import UTC, datetime
from typing import Any

from handinger_async.http import Response
from handinger_async.models import (
    CronWhen,
)
from handinger_async.operations import (
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateWorker,
    ListSchedules,
    RetrieveWorker,
    StreamWorkerUpdates,
)

WORKER = """
{"id": "id", "created_at": 0, "error": null,
 "files": [{"filename": "filename", "mediaType": "mediaType", "url": "url"}],
 "incomplete_details": null, "messages": [{}], "metadata": {"foo": "bar"}, "object": "worker",
 "output": [{"id": "id", "content": [{"text": "text", "type": "output_text"}],
             "role": "assistant", "status": "completed", "type": "message"}],
 "output_text": "output_text", "running": true,
 "sources": [{"id": "id", "title": "title", "type": "url", "url": "url"}], "status": "running",
 "costs": {"internalCostUsd": 0, "modelCostUsd": 0, "sandboxCostUsd": 0, "toolCostUsd": 0},
 "usage": {"cacheReadTokens": 0, "cacheWriteTokens": 0, "costUsd": 0, "inputTokens": 0, "outputTokens": 0,
           "reasoningTokens": 0, "steps": 0, "totalTokens": 0, "credits": 0}}
"""

SCHEDULES = """
{"schedules": [{"id": "id", "budget": "low", "input": "input",
                "nextRunAt": "2019-12-27T18:11:19.117Z", "type": "scheduled"}],
 "workerId": "workerId"}
"""

SCHEDULE = json.dumps(json.loads(SCHEDULES)["schedules"][0])

CANCELLED = '{"cancelled": true}'

FULL_WORKER = WORKER.replace('"credits": 0', '"credits": 0, "durationMs": 0')

FULL_SCHEDULES = json.dumps(
    {
        "workerId": "w",
        "schedules": [
            json.loads(SCHEDULE),
            json.loads(SCHEDULE) | {"type": "delayed", "delayInSeconds": 60},
            json.loads(SCHEDULE) | {"type": "cron", "cron": "* * * * *"},
            json.loads(SCHEDULE) | {"type": "interval", "intervalSeconds": 60},
        ],
    }
)

NOON = datetime(2019, 12, 27, 18, 11, 19, 117000, UTC)

LIST = ListSchedules("w")

CREATE = CreateSchedule("w", "x", CronWhen("0 9 * * 1"))

DOCUMENTS = [(RetrieveWorker("w"), FULL_WORKER), (LIST, FULL_SCHEDULES), (CancelSchedule("s", "w"), CANCELLED)]

STREAMS = [
    StreamWorkerUpdates("w"),
    RetrieveWorker("w", stream=True),
    CreateWorker("x", stream=True),
    ContinueWorker("w", "x", stream=True),
]


def make_response(
    body: str | bytes, status: int = 200, content_type: str = "application/json", **headers: str
) -> Response:
    """Return a response; keyword arguments are headers, with ``_`` for ``-``."""
    """Return a response; keyword arguments are headers, with ``_`` for ``-``."""
    fields = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Response(status, fields, body if isinstance(body, bytes) else body.encode())


#: Fields that the reference says may be missing or null.
OPTIONAL = {
    "cacheReadTokens",
    "cacheWriteTokens",
    "costUsd",
    "costs",
    "created_at",
    "credits",
    "durationMs",
    "filename",
    "inputTokens",
    "outputTokens",
    "reasoningTokens",
    "steps",
    "title",
    "totalTokens",
    "usage",
}
#: Fields that hold any JSON, so that there is no field of ours inside them.
_OPAQUE = {"messages", "metadata"}


def places(document: Any, path: str = "$") -> list[tuple[str, dict[str, Any], str]]:
    """Return every field of a document: its path, the object that contains it and its key."""
    if isinstance(document, list):
        return [place for index, item in enumerate(document) for place in places(item, f"{path}[{index}]")]
    if not isinstance(document, dict):
        return []
    own = [(f"{path}.{key}", document, key) for key in document]
    return own + [
        place for key, item in document.items() if key not in _OPAQUE for place in places(item, f"{path}.{key}")
    ]
