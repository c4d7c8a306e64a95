"""Webhooks: where the service reports finished tasks, and the log of its deliveries.

Every class keeps unknown fields in ``extra``, and unknown values as they are.
"""

from datetime import datetime
from typing import Any, Literal

import attrs

from ._model import response_model

__all__ = ["Webhook", "WebhookExecution", "WebhookExecutionList"]


def _mask(secret: str | None) -> str:
    return "None" if secret is None else "'***'"


@response_model
class Webhook:
    """The webhook of a worker.

    Args:
        token: The secret in ``X-Handinger-Token`` of deliveries; masked in the ``repr``. None without a webhook.
        url: The HTTPS URL that receives deliveries; None without a webhook.
        extra: Fields unknown to this version, as the server sent them.
    """

    token: str | None = attrs.field(default=None, repr=_mask)
    url: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class WebhookExecution:
    """One attempt to deliver.

    Args:
        id: The id of the execution.
        created_at: Time of the attempt, timezone-aware.
        duration_ms: Duration in milliseconds.
        request_status: ``"success"`` for a 2xx response, else ``"error"``.
        url: The URL that the request was sent to.
        worker_id: The id of the worker.
        error_message: The reason of a failure.
        response_status: The status of the response; None if there was none.
        task_id: The id of the finished task.
        task_title: Its title.
        extra: Fields unknown to this version, as the server sent them.
    """

    id: str
    created_at: datetime
    duration_ms: int
    request_status: Literal["success", "error"] | str
    url: str
    worker_id: str
    error_message: str | None = None
    response_status: int | None = None
    task_id: str | None = None
    task_title: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class WebhookExecutionList:
    """One page of the log of deliveries, the newest first.

    Args:
        logs: The executions of this page, at most 50.
        page: The number of this page; the first is 1.
        page_count: The number of pages.
        total_count: The number of executions on all pages.
        extra: Fields unknown to this version, as the server sent them.
    """

    logs: list[WebhookExecution]
    page: int
    page_count: int
    total_count: int
    extra: dict[str, Any] = attrs.field(factory=dict)
