"""JSON of the newer generation: fields that are always there, null or not."""

from __future__ import annotations

from typing import Any

import attrs

from ..._json import dumps
from ...codec import to_dict
from ...http import JSON, Response
from ...models import Task, Turn, Webhook, WebhookExecution, Worker, WorkerTemplate

__all__ = ["document", "json_response", "to_text"]

#: The fields that are null instead of absent.
_NULLABLE: dict[Any, tuple[str, ...]] = {
    Task: ("completedAt", "createdByUserId"),
    Turn: ("completedAt", "structuredOutput"),
    Webhook: ("token", "url"),
    WebhookExecution: ("errorMessage", "responseStatus", "taskId", "taskTitle"),
    Worker: ("created_at", "structured_output"),
    WorkerTemplate: ("createdAt", "outputSchema", "updatedAt"),
}


def document(value: Any) -> dict[str, Any]:
    """Return the JSON of a model, as the newer generation writes it."""
    fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    lists = {
        name: item for name, item in fields.items() if isinstance(item, list) and item and type(item[0]) in _NULLABLE
    }
    written: dict[str, Any] = to_dict(attrs.evolve(value, **{name: [] for name in lists}))
    written = dict.fromkeys(_NULLABLE.get(type(value), ())) | written
    for name, item in fields.items():
        if type(item) in _NULLABLE:
            written[name] = document(item)
    for name, items in lists.items():
        written[name] = [document(item) for item in items]
    return written


def json_response(value: Any, *, newer: bool = True) -> Response:
    """Return the response with a model or a dict.

    Args:
        value: The model; a dict is written as it is.
        newer: Write null for the fields that the newer generation always sends.
    """
    return Response(200, {"Content-Type": JSON}, _encode(value, newer=newer))


def to_text(value: Any, *, newer: bool) -> str:
    """Return the text of the body of `json_response`."""
    return _encode(value, newer=newer).decode()


def _encode(value: Any, *, newer: bool) -> bytes:
    return dumps(value if isinstance(value, dict) else document(value) if newer else to_dict(value))
