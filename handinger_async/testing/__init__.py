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

The names below are imported on first use: `serve` and `check_transport` import aiohttp.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing: importing typing takes time, and this module imports nothing
if TYPE_CHECKING:
    from .conformance import check_transport
    from .fake import FakeHandinger
    from .server import serve

__all__ = ["FakeHandinger", "check_transport", "serve"]

#: The module that defines each public name.
_HOMES = {
    "FakeHandinger": "handinger_async.testing.fake",
    "check_transport": "handinger_async.testing.conformance",
    "serve": "handinger_async.testing.server",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
