"""The responses of the in-memory service: a handler for each operation, in a module per noun."""

from __future__ import annotations

from . import schedules, tasks, webhooks, workers

__all__ = ["HANDLERS"]

#: The handlers by the class of their operation. Each takes the service, the operation and the call, and returns a
#: response, or an awaitable of one.
HANDLERS = workers.HANDLERS | tasks.HANDLERS | webhooks.HANDLERS | schedules.HANDLERS
