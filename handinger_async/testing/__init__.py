"""Testing tools: an in-memory Handinger service, fault injection, virtual time, Hypothesis strategies.

- `FakeHandinger`: the whole service in memory, deterministic and scriptable.
- `serve`: any handler over real HTTP on loopback.
- `check_transport`: the conformance suite for transports.
- `handinger_async.testing.faults`: refused connections, error responses, truncated bodies and more, in front of any
  handler; `handinger_async.testing.fault_specs` reads them from text.
- `handinger_async.testing.virtual_time`: an event loop in which hours pass immediately.
- `handinger_async.testing.strategies`: Hypothesis strategies for operations, results, events and their JSON.
- `handinger_async.testing.recording`: exchanges recorded to a file, and replayed from it.
- `handinger_async.testing.pytest_plugin`: fixtures.

All public names of these modules, except strategies and fixtures, can be imported from here. They are imported on first
use: `serve`, `check_transport` and the other names of the conformance suite import aiohttp.
"""

from __future__ import annotations

# Not from typing, whose import would take time. With the annotation, jedi does not take the block below for dead code.
TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from .conformance import CLAUSES, Clause, Harness, check_transport
    from .fake import FakeHandinger
    from .fault_specs import ABBREVIATIONS, OPERATION_NAMES, SYNTAX, parse_faults
    from .faults import (
        CloseConnection,
        Corrupt,
        Cut,
        Delay,
        Drop,
        Fault,
        FaultyHandler,
        Postpone,
        Refuse,
        Status,
        Trickle,
    )
    from .recording import RecordingTransport, ReplayMismatchError, ReplayTransport
    from .scripts import Matcher, Script, Step, improvise
    from .server import Server, post_to_loopback, serve
    from .virtual_time import NothingToWaitFor, VirtualTimeLoop, run

__all__ = [
    "ABBREVIATIONS",
    "CLAUSES",
    "OPERATION_NAMES",
    "SYNTAX",
    "Clause",
    "CloseConnection",
    "Corrupt",
    "Cut",
    "Delay",
    "Drop",
    "FakeHandinger",
    "Fault",
    "FaultyHandler",
    "Harness",
    "Matcher",
    "NothingToWaitFor",
    "Postpone",
    "RecordingTransport",
    "Refuse",
    "ReplayMismatchError",
    "ReplayTransport",
    "Script",
    "Server",
    "Status",
    "Step",
    "Trickle",
    "VirtualTimeLoop",
    "check_transport",
    "improvise",
    "parse_faults",
    "post_to_loopback",
    "run",
    "serve",
]

#: The public names that each module defines.
_MODULES = {
    "conformance": "CLAUSES Clause Harness check_transport",
    "fake": "FakeHandinger",
    "fault_specs": "ABBREVIATIONS OPERATION_NAMES SYNTAX parse_faults",
    "faults": "CloseConnection Corrupt Cut Delay Drop Fault FaultyHandler Postpone Refuse Status Trickle",
    "recording": "RecordingTransport ReplayMismatchError ReplayTransport",
    "scripts": "Matcher Script Step improvise",
    "server": "Server post_to_loopback serve",
    "virtual_time": "NothingToWaitFor VirtualTimeLoop run",
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import a public name from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
