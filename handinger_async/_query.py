"""Fields as a query: each value as JSON has it, lists as repeated fields."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from enum import Enum
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from .errors import ConfigurationError, quoted

__all__ = ["check_names", "join_queries", "to_query"]


def _query_text(name: object, value: object) -> str:
    """Return a value as JSON has it, without the quotes of strings."""
    while isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID) or (isinstance(value, int | float) and value - value == 0):  # neither NaN nor infinite
        with suppress(ValueError):  # an int of more than 4300 digits
            return str(value)
    raise ConfigurationError(f"query field {quoted(name)} must not be or contain {quoted(value)}")


def check_names(fields: Mapping[str, Any], argument: str) -> None:
    """Refuse names that are not strings: they would not replace a field of the same form.

    Raises:
        ConfigurationError: A name is not a string.
    """
    for name in fields:
        if not isinstance(name, str):
            raise ConfigurationError(f"{argument} field {quoted(name)} must have a string as its name")


def join_queries(*queries: str) -> str:
    """Return percent-encoded queries, any of them perhaps empty, as one."""
    return "&".join(filter(None, (query.strip("&") for query in queries)))


def to_query(fields: Mapping[str, Any]) -> str:
    """Return ``fields`` as a percent-encoded query.

    Values have their form in JSON: ``true``, ``2030-01-01T00:00:00+00:00``, the value of an enum member. A list or a
    tuple becomes repeated fields; None is left out.

    Raises:
        ConfigurationError: ``fields`` is not a mapping from strings, or contains a value that has no such form.
    """
    if not isinstance(fields, Mapping):
        raise ConfigurationError(f"query must be a mapping, not {type(fields).__name__}")
    check_names(fields, "query")
    pairs = [
        (_query_text(name, name), _query_text(name, value))
        for name, given in fields.items()
        for value in (given if isinstance(given, list | tuple) else [given])
        if value is not None
    ]
    try:
        return urlencode(pairs)
    except UnicodeEncodeError:
        raise ConfigurationError("query contains a lone surrogate, which UTF-8 cannot encode") from None
