"""Faults as text, for command lines and configuration files: ``"503:1*2,drop@create-worker"``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..errors import ConfigurationError
from ..operations import OPERATIONS, Operation
from .faults import CloseConnection, Corrupt, Cut, Delay, Drop, Fault, Postpone, Refuse, Status, Trickle

__all__ = ["ABBREVIATIONS", "OPERATION_NAMES", "SYNTAX", "parse_faults"]

#: The form of one fault.
SYNTAX = "KIND[:VALUE][@OPERATION][*TIMES][%PERCENT]"

#: All operations by name: that of the class, in kebab-case.
OPERATION_NAMES: dict[str, type[Operation[Any]]] = {
    re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower(): cls for cls in OPERATIONS
}

#: Short names of operations.
ABBREVIATIONS = {
    "create": "create-worker",
    "retrieve": "retrieve-worker",
    "continue": "continue-worker",
    "stream": "stream-worker-updates",
    "email": "retrieve-worker-email",
    "file": "retrieve-worker-file",
    "schedules": "list-schedules",
    "schedule": "create-schedule",
    "cancel": "cancel-schedule",
    "task": "create-task",
}

_KINDS: dict[str, Callable[..., Fault]] = {
    "refuse": lambda _, **common: Refuse(**common),
    "drop": lambda seconds, **common: Drop(after=seconds, **common),
    "postpone": lambda seconds, **common: Postpone(seconds or 0.0, **common),
    "delay": lambda seconds, **common: Delay(1.0 if seconds is None else seconds, **common),
    "trickle": lambda size, **common: Trickle(int(size or 1), **common),
    "cut": lambda at, **common: Cut(int(at or 0), **common),
    "corrupt": lambda at, **common: Corrupt(int(at or 0), **common),
    "close": lambda _, **common: CloseConnection(**common),
}

_FAULT = re.compile(
    r"(?P<kind>[a-z]+|[345]\d\d)(?::(?P<value>[\d.]+))?(?:@(?P<on>[a-z-]+))?(?:\*(?P<times>\d+|all))?(?:%(?P<percent>\d+))?",
    re.ASCII,
)


def parse_faults(text: str) -> list[Fault]:
    """Parse a list of faults, separated by commas.

    Each has the form ``KIND[:VALUE][@OPERATION][*TIMES][%PERCENT]``:

    - KIND is ``refuse``, ``drop`` or ``drop:SECONDS``, ``postpone:SECONDS``, ``delay:SECONDS``, ``trickle:BYTES``,
      ``cut:BYTE``, ``corrupt:BYTE``, ``close``, or a status code such as ``503:RETRY_AFTER``.
    - OPERATION is the name of an operation's class in kebab-case, such as ``create-worker`` (see `OPERATION_NAMES`), or
      a short name from `ABBREVIATIONS`. All operations if it is left out.
    - TIMES is a number or ``all``; 1 if it is left out.
    - PERCENT is the probability for each request; 100 if it is left out.

    Args:
        text: The faults, such as ``"503:1*2,drop@create,cut:120@stream*all%50"``.

    Returns:
        The faults, in order.

    Raises:
        ConfigurationError: The text is malformed, or names an unknown kind or operation.
    """
    return [_parse_fault(part.strip()) for part in text.split(",") if part.strip()]


def _parse_fault(text: str) -> Fault:
    found = _FAULT.fullmatch(text)
    if found is None or not (found["kind"].isdigit() or found["kind"] in _KINDS):
        kinds = ", ".join(_KINDS)
        raise ConfigurationError(f"{text!r} is not a fault: {SYNTAX}, where KIND is {kinds} or a status code")
    name = found["on"]
    if name and name not in OPERATION_NAMES and name not in ABBREVIATIONS:
        names = ", ".join([*ABBREVIATIONS, *OPERATION_NAMES])
        raise ConfigurationError(f"{text!r}: {name!r} is not an operation; the names are {names}")
    try:
        value = float(found["value"]) if found["value"] else None
    except ValueError:
        raise ConfigurationError(f"{text!r}: {found['value']!r} is not a number") from None
    common: dict[str, Any] = {
        "on": OPERATION_NAMES[ABBREVIATIONS.get(name, name)] if name else None,
        "times": None if found["times"] == "all" else int(found["times"] or 1),
        "chance": int(found["percent"] or 100) / 100,
    }
    if found["kind"].isdigit():
        return Status(int(found["kind"]), retry_after=value, **common)
    return _KINDS[found["kind"]](value, **common)
