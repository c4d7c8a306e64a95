"""Structure hooks for the types of JSON, strict: a value of another type is refused with its reason."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from .errors import shorten

__all__ = [
    "MismatchError",
    "describe",
    "refuse",
    "structure_bool",
    "structure_dict",
    "structure_float",
    "structure_instant",
    "structure_int",
    "structure_string",
]


class MismatchError(ValueError):
    """A JSON value has the wrong type or form.

    Args:
        reason: The reason.
        key: The key in the object, if one of its values is to blame.
    """

    def __init__(self, reason: str, key: str | None = None) -> None:
        super().__init__(reason)
        self.key = key


_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


def refuse(wanted: str, value: object) -> NoReturn:
    """Raise a `MismatchError`: ``wanted`` names the type with its article."""
    raise MismatchError(f"must be {wanted}, not {describe(value)}")


def describe(value: object) -> str:
    """Return the JSON type of ``value`` with its article."""
    return "null" if value is None else _NAMES.get(type(value), "this")


def structure_string(value: Any, _: Any) -> str:
    """Accept a string."""
    return value if isinstance(value, str) else refuse("a string", value)


def structure_bool(value: Any, _: Any) -> bool:
    """Accept a boolean."""
    return value if isinstance(value, bool) else refuse("a boolean", value)


def structure_int(value: Any, _: Any) -> int:
    """Accept a whole number. JSON has one kind of number: 1.0 is 1."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    return refuse("a whole number", value)


def structure_float(value: Any, _: Any) -> float:
    """Accept a number."""
    return float(value) if type(value) in (float, int) else refuse("a number", value)


def structure_dict(value: Any, _: Any) -> dict[str, Any]:
    """Accept an object."""
    return value if isinstance(value, dict) else refuse("an object", value)


def structure_instant(value: Any, _: Any) -> datetime:
    """Accept a timestamp with its offset from UTC (RFC 3339)."""
    if not isinstance(value, str):
        refuse("a string", value)
    try:
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            instant = datetime.fromisoformat(value.upper())  # RFC 3339, section 5.6, allows "t" and "z"
    except ValueError:
        raise MismatchError(f"must be an instant (RFC 3339), not {shorten(value, 60)!r}") from None
    if instant.tzinfo is None:
        raise MismatchError(f"must name its offset from UTC (RFC 3339), which {shorten(value, 60)!r} does not")
    return instant
