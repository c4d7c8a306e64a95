"""Documents of the API reference and larger ones made from them, shared by the codec's tests."""

import json
import re
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
    CreateTask,
    CreateWorker,
    CreateWorkerTemplate,
    DeleteTask,
    DeleteWorker,
    ListSchedules,
    ListTaskTurns,
    ListWebhookExecutions,
    Operation,
    RetrieveTask,
    RetrieveWebhook,
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

#: A worker of the newer generation: no costs, other counters, an object that fits the output schema.
TODAYS_WORKER = """
{"id": "wrk_vk81XUHKHG-qr4", "created_at": 1778490862, "error": null,
 "files": [{"filename": "plan.md", "mediaType": "text/markdown", "url": "https://files.example/plan.md", "size": 2048}],
 "incomplete_details": null, "messages": [{"role": "user"}], "metadata": {}, "object": "worker",
 "output": [{"id": "msg_1", "content": [{"text": "It is 21 degrees.", "type": "output_text"}],
             "role": "assistant", "status": "completed", "type": "message"}],
 "output_text": "It is 21 degrees.", "running": false,
 "sources": [{"id": "src_1", "title": null, "type": "url", "url": "https://example.com"}], "status": "completed",
 "structured_output": {"verdict": "true"}, "url": "https://example.com/worker/wrk_vk81XUHKHG-qr4",
 "usage": {"credits": 42, "durationMs": 25812}}
"""

TEMPLATE = """
{"id": "wrk_vk81XUHKHG-qr4", "createdAt": "2026-05-11T09:14:22.000Z", "instructions": "Check each claim.",
 "organizationId": "org_8s1Df9aLp-1z",
 "outputSchema": {"type": "object", "properties": {"verdict": {"type": "string"}}},
 "summary": "Checks claims.", "title": "Biscuit", "updatedAt": null,
 "url": "https://example.com/worker/wrk_vk81XUHKHG-qr4", "userId": "usr_7yh-91XzM2nQ4", "visibility": "public"}
"""

TASK = """
{"task": {"id": "tsk_2Z-YWz3hFq6VlW", "completedAt": "2026-05-11T09:14:48.000Z",
  "createdAt": "2026-05-11T09:14:22.000Z", "createdByUserId": null, "organizationId": "org_8s1Df9aLp-1z",
  "status": "completed", "title": "Weather report", "totals": {"credits": 42, "durationMs": 25812, "turnCount": 1},
  "triggeredBy": "api", "url": "https://example.com/worker/wrk_vk81XUHKHG-qr4/task/tsk_2Z-YWz3hFq6VlW",
  "workerId": "wrk_vk81XUHKHG-qr4"},
 "turns": [{"id": "trn_4Hq-9Vk2pLm8Rx", "completedAt": "2026-05-11T09:14:48.000Z", "credits": 42,
  "durationMs": 25812, "input": "Weather?", "inputTokens": 1842, "outputText": "It is 21 degrees.",
  "outputTokens": 312, "role": "user", "seq": 0, "startedAt": "2026-05-11T09:14:22.000Z", "status": "completed",
  "structuredOutput": null, "taskId": "tsk_2Z-YWz3hFq6VlW"}]}
"""

TURNS = json.dumps(
    {"items": [turn | {"files": []} for turn in json.loads(TASK)["turns"]], "taskId": "tsk_2Z-YWz3hFq6VlW"}
)

WEBHOOK = '{"token": "whk_01HZY31W2SZJ8MJ2FQTR3M1K9D", "url": "https://example.com/hook"}'

EXECUTIONS = """
{"logs": [{"id": "whe_01HZY31W2SZJ8MJ2FQTR3M1K9D", "createdAt": "2026-05-11T09:14:49.000Z", "durationMs": 180,
  "errorMessage": null, "requestStatus": "success", "responseStatus": 200, "taskId": "tsk_2Z-YWz3hFq6VlW",
  "taskTitle": "Weather report", "url": "https://example.com/hook", "workerId": "wrk_vk81XUHKHG-qr4"}],
 "page": 1, "pageCount": 1, "totalCount": 1}
"""

#: Each operation of a service of either generation with a sample of its result.
DOCUMENTS: list[tuple[Any, str]] = [
    (RetrieveWorker("w"), FULL_WORKER),
    (LIST, FULL_SCHEDULES),
    (CancelSchedule("s", "w"), CANCELLED),
    (CreateTask("x"), TODAYS_WORKER),
    (CreateWorkerTemplate(), TEMPLATE),
    (DeleteWorker("w"), '{"deleted": true}'),
    (RetrieveTask("t"), TASK),
    (ListTaskTurns("t"), TURNS),
    (DeleteTask("t"), '{"archived": true}'),
    (RetrieveWebhook("w"), WEBHOOK),
    (ListWebhookExecutions("w"), EXECUTIONS),
    (LIST, '{"schedules": [], "timezone": "Europe/Madrid", "workerId": "wrk_vk81XUHKHG-qr4"}'),
]

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
    fields = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Response(status, fields, body if isinstance(body, bytes) else body.encode())


#: Fields that the reference says may be missing or null, or that only one generation of the service has.
OPTIONAL = {
    "Worker": "created_at costs structured_output url usage files.filename files.size sources.title "
    "usage.cacheReadTokens usage.cacheWriteTokens usage.costUsd usage.credits usage.durationMs usage.inputTokens "
    "usage.outputTokens usage.reasoningTokens usage.steps usage.totalTokens",
    "WorkerTemplate": "createdAt outputSchema updatedAt",
    "TaskWithTurns": "turns task.completedAt task.createdByUserId turns.completedAt turns.structuredOutput",
    "TaskTurnList": "items.completedAt items.files items.structuredOutput",
    "Webhook": "token url",
    "WebhookExecutionList": "logs.errorMessage logs.responseStatus logs.taskId logs.taskTitle",
    "ScheduleListResponse": "timezone",
}
OPTIONAL_KEYS = {path.rpartition(".")[2] for paths in OPTIONAL.values() for path in paths.split()}


def is_optional(operation: Operation[Any], path: str) -> bool:
    """Return True if the field at a path of the result, such as ``$.files[0].size``, may be missing."""
    paths = OPTIONAL.get(operation.route.returns.__name__, "")
    return re.sub(r"\[\d+\]", "", path).removeprefix("$.") in paths.split()


#: Fields that hold any JSON, so that there is no field of ours inside them.
_OPAQUE = {"messages", "metadata", "outputSchema", "structured_output", "structuredOutput"}


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
