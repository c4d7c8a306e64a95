"""The verbs for workers: email, workers create, update and delete."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from .._converter import to_dict
from ..models import WorkerTemplate
from .command import Command
from .output import UsageError
from .tables import show_done, show_line, show_record
from .values import read_schema, read_text

__all__ = ["create_worker", "delete_worker", "email", "update_worker"]


async def email(command: Command) -> None:
    """Print the e-mail address of a worker."""
    async with command.session() as session:
        address = await session.workers.retrieve_email(command.options.worker_id)
    show_line(command, {"email": address}, address)


def create_worker(command: Command) -> Coroutine[Any, Any, None]:
    """Create a worker without running it."""
    settings = _settings(command)
    if command.options.prompt is not None:
        settings["prompt"] = read_text(command.options.prompt, "prompt")
    return _create(command, settings)


async def _create(command: Command, settings: dict[str, Any]) -> None:
    async with command.session() as session:
        template = await session.workers.create_template(**settings)
    command.made = f"worker {template.id}"
    show_line(command, to_dict(template), template.id)


def update_worker(command: Command) -> Coroutine[Any, Any, None]:
    """Change a worker."""
    settings = _settings(command)
    if command.options.no_schema:
        if "output_schema" in settings:
            raise UsageError("--schema and --no-schema: give one of them")
        settings["output_schema"] = None
    if not settings:
        raise UsageError("there is nothing to change: give --title or another option")
    return _update(command, settings)


async def _update(command: Command, settings: dict[str, Any]) -> None:
    async with command.session() as session:
        template = await session.workers.update(command.options.worker_id, **settings)
    show_record(command, to_dict(template), _record(template))


async def delete_worker(command: Command) -> int:
    """Delete a worker."""
    async with command.session() as session:
        result = await session.workers.delete(command.options.worker_id)
    return show_done(command, to_dict(result), "deleted", done=result.deleted)


def _settings(command: Command) -> dict[str, Any]:
    """Return the settings that the options name."""
    options = command.options
    settings = {name: getattr(options, name) for name in ("title", "summary", "visibility")}
    if options.instructions is not None:
        settings["instructions"] = read_text(options.instructions, "text of the instructions")
    settings["output_schema"] = read_schema(options.schema)
    return {name: value for name, value in settings.items() if value is not None}


def _record(template: WorkerTemplate) -> dict[str, Any]:
    return {
        "id": template.id,
        "title": template.title,
        "summary": template.summary,
        "visibility": template.visibility,
        "output": "JSON" if template.output_schema else "text",
        "instructions": template.instructions,
        "url": template.url,
    }
