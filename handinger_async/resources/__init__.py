"""The typed methods of a session. Each creates an operation and sends it through the session."""

from .schedules import Schedules
from .tasks import Tasks
from .webhooks import WebhookExecutions, Webhooks
from .workers import Workers

__all__ = ["Schedules", "Tasks", "WebhookExecutions", "Webhooks", "Workers"]
