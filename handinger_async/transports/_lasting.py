"""Tell which responses may take hours, and so must not count against the limit of connections."""

from __future__ import annotations

from ..http import EVENT_STREAM, Request
from ..operations import OPERATIONS

__all__ = ["may_last"]

#: Methods and paths of the operations whose response comes when a run is over.
_BLOCKING = [(cls.route.method, cls.route.path) for cls in OPERATIONS if cls.route.blocking]


def may_last(request: Request) -> bool:
    """Return True if the response may take hours: an event stream, or that of a task, which comes when it is over."""
    for method, path in _BLOCKING:
        if request.method == method and request.path.endswith(path):
            return True
    return request.headers.get("accept") == EVENT_STREAM
