"""Handlers of webhooks. Only the creator of a worker may read or change any of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yarl import URL

from ....errors import shorten
from ....http import Response
from ....models import Webhook, WebhookExecutionList
from ....operations import (
    DeleteWebhook,
    ListWebhookExecutions,
    RegenerateWebhookToken,
    RetrieveWebhook,
    UpdateWebhook,
)
from ..documents import json_response
from ..errors import ServiceError, invalid
from ..service import Call, Service
from ..webhooks import LOOPBACK, Hook

__all__ = ["HANDLERS"]

#: The number of executions on a page.
_PAGE = 50


def _hook(service: Service, worker_id: str, call: Call) -> Hook:
    worker = service.worker(worker_id, call.user_id, own=True)
    return service.deliveries.hooks.setdefault(worker.id, Hook())


def _show(hook: Hook) -> Response:
    return json_response(Webhook(token=hook.token, url=hook.url))


def _retrieve(service: Service, operation: RetrieveWebhook, call: Call) -> Response:
    return _show(_hook(service, operation.worker_id, call))


def _update(service: Service, operation: UpdateWebhook, call: Call) -> Response:
    hook = _hook(service, operation.worker_id, call)
    if operation.url is None:
        hook.url = hook.token = None
        return _show(hook)
    _check_url(operation.url)
    if hook.url is None:
        service.workers[operation.worker_id].forget_ended()
    hook.url = operation.url
    hook.token = hook.token or service.context.ids.new("whk")
    return _show(hook)


def _check_url(text: str) -> None:
    """Accept HTTPS, and HTTP of this machine, on which nobody has a certificate."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    allowed = url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK)
    if not (allowed and url.host) or len(text) > 2048:
        raise invalid(f"url must be an HTTPS URL of at most 2048 characters, not {shorten(repr(text), 80)}")


def _delete(service: Service, operation: DeleteWebhook, call: Call) -> Response:
    hook = _hook(service, operation.worker_id, call)
    hook.url = hook.token = None
    return _show(hook)


def _regenerate(service: Service, operation: RegenerateWebhookToken, call: Call) -> Response:
    hook = _hook(service, operation.worker_id, call)
    if hook.url is None and not service.lenient:
        raise ServiceError(404, "not_found", "The worker has no webhook.")
    hook.token = service.context.ids.new("whk")
    return _show(hook)


def _list_executions(service: Service, operation: ListWebhookExecutions, call: Call) -> Response:
    newest_first = _hook(service, operation.worker_id, call).executions[::-1]
    begin = (operation.page - 1) * _PAGE
    return json_response(
        WebhookExecutionList(
            logs=newest_first[begin : begin + _PAGE],
            page=operation.page,
            page_count=max(1, -(-len(newest_first) // _PAGE)),
            total_count=len(newest_first),
        )
    )


HANDLERS: dict[type, Callable[..., Any]] = {
    RetrieveWebhook: _retrieve,
    UpdateWebhook: _update,
    DeleteWebhook: _delete,
    RegenerateWebhookToken: _regenerate,
    ListWebhookExecutions: _list_executions,
}
