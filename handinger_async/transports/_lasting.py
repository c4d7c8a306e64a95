"""Tell which responses may take hours, and so must not count against the limit of connections."""

from __future__ import annotations

from ..http import Request
from ..operations import OPERATIONS

__all__ = ["may_last"]

#: By method, the paths of the operations whose response comes when a run is over.
_BLOCKING = {
    method: tuple(cls.route.path for cls in OPERATIONS if cls.route.blocking and cls.route.method == method)
    for method in {cls.route.method for cls in OPERATIONS if cls.route.blocking}
}


def may_last(request: Request) -> bool:
    """Return True if the response may take hours: an event stream, or that of a task, which comes when it is over."""
    blocking = _BLOCKING.get(request.method)
    if blocking and request.path.endswith(blocking):
        return True
    return request.headers.get("accept") == "text/event-stream"
