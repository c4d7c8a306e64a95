"""The verbs for webhooks: webhook show, set, clear, executions and token."""

from __future__ import annotations

from .._converter import to_dict
from .command import Command
from .tables import local_time, show_line, show_table

__all__ = ["clear_webhook", "list_executions", "set_webhook", "show_token", "show_webhook"]


async def show_webhook(command: Command) -> None:
    """Show the URL of a webhook."""
    await _call(command, "retrieve")


async def set_webhook(command: Command) -> None:
    """Set the URL of a webhook."""
    await _call(command, "update", url=command.options.url)


async def clear_webhook(command: Command) -> None:
    """Remove a webhook."""
    await _call(command, "delete")


async def show_token(command: Command) -> int:
    """Print the token of a webhook, or make a new one."""
    async with command.session() as session:
        webhooks = session.workers.webhooks
        method = webhooks.regenerate_token if command.options.new else webhooks.retrieve
        webhook = await method(command.options.worker_id)
    if webhook.token or command.options.json:
        show_line(command, {"token": webhook.token}, webhook.token or "")
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
    show_table(command, documents, ("TIME", "STATUS", "RESPONSE", "TASK", "URL"), rows)


async def _call(command: Command, method: str, **arguments: str) -> None:
    """Call a method that returns a webhook, and show its URL, without the token."""
    async with command.session() as session:
        webhook = await getattr(session.workers.webhooks, method)(command.options.worker_id, **arguments)
    if webhook.url or command.options.json:
        show_line(command, {"url": webhook.url}, webhook.url)
    else:
        command.output.note("there is no webhook")
