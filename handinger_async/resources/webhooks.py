"""The typed methods for webhooks, and the iteration over their deliveries."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Self

from .. import operations
from ..models import Webhook, WebhookExecution, WebhookExecutionList
from ._resource import Sender, coroutine_function

__all__ = ["WebhookExecutions", "Webhooks"]


class Webhooks:
    """Webhooks: where the service reports finished tasks. Only the creator of a worker may use them.

    Every method raises `ConfigurationError` at once if an argument is malformed. Awaiting its result raises an
    `APIError` if the call fails.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @coroutine_function
    def retrieve(self, worker_id: str) -> Coroutine[Any, Any, Webhook]:
        """Retrieve the webhook of a worker.

        Args:
            worker_id: The id of the worker.

        Returns:
            To await: the webhook; its fields are None if there is none.
        """
        return self._sender.send(operations.RetrieveWebhook(worker_id=worker_id))

    @coroutine_function
    def update(self, worker_id: str, *, url: str | None) -> Coroutine[Any, Any, Webhook]:
        """Set or remove the URL of a worker's webhook. The first URL creates a token, later ones keep it.

        Args:
            worker_id: The id of the worker.
            url: An HTTPS URL of at most 2048 characters; None to remove the webhook.

        Returns:
            To await: the webhook, with its token.
        """
        return self._sender.send(operations.UpdateWebhook(worker_id=worker_id, url=url))

    @coroutine_function
    def delete(self, worker_id: str) -> Coroutine[Any, Any, Webhook]:
        """Remove the webhook of a worker.

        Args:
            worker_id: The id of the worker.

        Returns:
            To await: the webhook, whose fields are None.
        """
        return self._sender.send(operations.DeleteWebhook(worker_id=worker_id))

    @coroutine_function
    def list_executions(self, worker_id: str, *, page: int = 1) -> Coroutine[Any, Any, WebhookExecutionList]:
        """List one page of the deliveries to a worker's webhook, the newest first.

        Args:
            worker_id: The id of the worker.
            page: The number of the page, from 1.

        Returns:
            To await: the page.
        """
        return self._sender.send(operations.ListWebhookExecutions(worker_id=worker_id, page=page))

    def executions(self, worker_id: str) -> WebhookExecutions:
        """Iterate over all deliveries to a worker's webhook, the newest first.

        Args:
            worker_id: The id of the worker.

        Returns:
            To iterate: the deliveries of all pages. A page is requested when the one before has been read. Deliveries
            made meanwhile shift the pages: those that were seen already are left out.
        """
        return WebhookExecutions(self._sender, operations.ListWebhookExecutions(worker_id=worker_id))

    @coroutine_function
    def regenerate_token(self, worker_id: str) -> Coroutine[Any, Any, Webhook]:
        """Replace the token of a worker's webhook. The old one is invalid at once.

        Args:
            worker_id: The id of the worker.

        Returns:
            To await: the webhook, with its new token.
        """
        return self._sender.send(operations.RegenerateWebhookToken(worker_id=worker_id))


class WebhookExecutions:
    """The deliveries to a webhook, from all pages of the log; see `Webhooks.executions`."""

    def __init__(self, sender: Sender, operation: operations.ListWebhookExecutions) -> None:
        self._sender = sender
        self._operation = operation
        self._next_page: int | None = 1
        self._ready: list[WebhookExecution] = []
        self._seen: set[str] = set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WebhookExecution:
        while not self._ready:
            if self._next_page is None:
                raise StopAsyncIteration
            await self._read(self._next_page)
        return self._ready.pop(0)

    async def _read(self, page: int) -> None:
        operation = operations.ListWebhookExecutions(worker_id=self._operation.worker_id, page=page)
        result = await self._sender.send(operation)
        # Each delivery made since the page before was read moves one of that page to this one.
        self._ready = [execution for execution in result.logs if execution.id not in self._seen]
        self._seen.update(execution.id for execution in self._ready)
        self._next_page = page + 1 if result.logs and page < result.page_count else None
