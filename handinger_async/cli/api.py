"""The verb api: call any endpoint of the service."""

from __future__ import annotations

import json
import sys
from collections.abc import Coroutine
from typing import Any

from .command import Command
from .output import UsageError
from .values import read_text

__all__ = ["api"]

#: Characters of a response that are shown if it cannot be written.
_SHOWN = 2000


def api(command: Command) -> Coroutine[Any, Any, None]:
    """Call an endpoint, and print the body of its response."""
    body = None
    if command.options.data is not None:
        try:
            body = json.loads(read_text(command.options.data, "body"))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"the body is not JSON: {error}") from None
    return _call(command, body)


async def _call(command: Command, body: Any) -> None:
    options, output = command.options, command.output
    query: dict[str, list[str]] = {}
    for name, value in options.query:
        query.setdefault(name, []).append(value)
    async with command.session() as session:
        response = await session.request(options.method, options.path, query=query, json=body)
    output.note(f"status: {response.status}")
    try:
        text = response.body.decode()
    except UnicodeDecodeError:
        if sys.stdout is not None and sys.stdout.isatty():
            output.result(response.body.decode(errors="backslashreplace"))
        else:
            output.data(response.body)
        return
    if options.method != "GET":
        command.made = f"the response: {text[:_SHOWN]}"
    try:
        output.document(json.loads(text, parse_constant=_refuse))
    except (ValueError, RecursionError):
        if options.json:
            output.document(text)
        elif text:
            output.result(text.removesuffix("\n"))


def _refuse(constant: str) -> None:
    """Refuse NaN and infinities, which are not JSON."""
    raise ValueError(constant)
