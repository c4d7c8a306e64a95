"""The testing kit: a Handinger that runs on your desk, and what it takes to try a client's patience.

- `FakeHandinger`: the whole service in memory, deterministic, scriptable.
- `serve`: any handler over real HTTP on loopback.
- `check_transport`: whether a transport keeps to its protocol.
- `handinger_async.testing.faults`: refused connections, errors, cut bodies and the like, in front of any handler.
- `handinger_async.testing.virtual_time`: an event loop in which hours pass in no time.
- `handinger_async.testing.strategies`: Hypothesis strategies for everything that crosses the wire.
- `handinger_async.testing.recording`: exchanges written to a file, and answered from one.
- `handinger_async.testing.pytest_plugin`: fixtures.

The names below are imported when they are first used: aiohttp only by `serve` and `check_transport`, Hypothesis only by
the strategies.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .conformance import check_transport
    from .fake import FakeHandinger
    from .server import serve

__all__ = ["FakeHandinger", "check_transport", "serve"]

_HOMES = {"FakeHandinger": "fake", "check_transport": "conformance", "serve": "server"}


def __getattr__(name: str) -> object:
    """Import a public name from the module that it lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
