"""The verbs for workers: email."""

from __future__ import annotations

from .command import Command

__all__ = ["email"]


async def email(command: Command) -> None:
    """Print the e-mail address of a worker."""
    async with command.session() as session:
        address = await session.workers.retrieve_email(command.options.worker_id)
    if command.options.json:
        command.output.document({"email": address})
    else:
        command.output.result(address)
