"""The verbs for webhooks: webhook show, set, clear, executions and token."""

from __future__ import annotations

from .._converter import to_dict
from ..models import Webhook
from .command import Command
from .tables import local_time, show_table

__all__ = ["clear_webhook", "list_executions", "set_webhook", "show_token", "show_webhook"]


async def show_webhook(command: Command) -> None:
    """Show the URL of a webhook."""
    async with command.session() as session:
        webhook = await session.workers.webhooks.retrieve(command.options.worker_id)
    _show(command, webhook)


async def set_webhook(command: Command) -> None:
    """Set the URL of a webhook."""
    async with command.session() as session:
        webhook = await session.workers.webhooks.update(command.options.worker_id, url=command.options.url)
    _show(command, webhook)


async def clear_webhook(command: Command) -> None:
    """Remove a webhook."""
    async with command.session() as session:
        webhook = await session.workers.webhooks.delete(command.options.worker_id)
    _show(command, webhook)


async def show_token(command: Command) -> int:
    """Print the token of a webhook, or make a new one."""
    async with command.session() as session:
        webhooks = session.workers.webhooks
        method = webhooks.regenerate_token if command.options.new else webhooks.retrieve
        webhook = await method(command.options.worker_id)
    if command.options.json:
        command.output.document({"token": webhook.token})
    elif webhook.token:
        command.output.result(webhook.token)
    else:
        command.output.error("there is no webhook")
    return 0 if webhook.token else 1


async def list_executions(command: Command) -> None:
    """List the deliveries of a webhook, the newest first."""
    rows, documents = [], []
    async with command.session() as session:
        executions = session.workers.webhooks.executions(command.options.worker_id)
        async for each in executions:
            documents.append(to_dict(each))
            result = each.error_message or each.response_status
            rows.append((local_time(each.created_at), each.request_status, result, each.task_id, each.url))
            if len(rows) == command.options.limit:
                break
    if command.options.json:
        command.output.document(documents)
    else:
        show_table(command, ("TIME", "STATUS", "RESPONSE", "TASK", "URL"), rows)


def _show(command: Command, webhook: Webhook) -> None:
    """Show the URL, without the token."""
    if command.options.json:
        command.output.document({"url": webhook.url})
    elif webhook.url:
        command.output.result(webhook.url)
    else:
        command.output.note("there is no webhook")
