"""Deliveries of webhooks, from the headers and the body that any web framework received.

The form of the body is not documented. `receive` checks that the service sent it; what it says is a hint: retrieve the
task to learn its state.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs

from ._checks import key_problem
from ._converter import structure
from ._json import loads
from .errors import APIResponseValidationError, ConfigurationError, HandingerError, WebhookTokenError
from .models import Task

__all__ = ["WebhookDelivery", "receive"]

_HEADER = b"x-handinger-token"


@attrs.frozen(repr=False)
class WebhookDelivery:
    """The report of a finished task. All but ``body`` is a best guess, as the body's form is not documented.

    Args:
        body: The body.
    """

    body: bytes

    def json(self) -> Any:
        """Parse the body as JSON.

        Returns:
            The decoded value.

        Raises:
            ValueError: The body is not valid JSON.
        """
        return loads(self.body)

    @property
    def task_id(self) -> str | None:
        """The id of the task, as a hint; None if none was found."""
        nested = [document.get("id") for document in self._objects()[1:]]
        hints = [self._find("taskId", "task_id"), *nested, self.task.id if self.task else None]
        return next((hint for hint in hints if hint and isinstance(hint, str)), None)

    @property
    def worker_id(self) -> str | None:
        """The id of the worker, as a hint; None if none was found."""
        return self._find("workerId", "worker_id")

    @property
    def task(self) -> Task | None:
        """The task, as a hint: the body itself, or its ``task``; None if neither is one."""
        for document in self._objects():
            try:
                task: Task = structure(document, Task)
            except APIResponseValidationError:
                continue
            return task
        return None

    def _objects(self) -> list[dict[str, Any]]:
        try:
            document = self.json()
        except ValueError:
            return []
        if not isinstance(document, dict):
            return []
        return [part for part in (document, document.get("task")) if isinstance(part, dict)]

    def _find(self, *names: str) -> str | None:
        found = (document.get(name) for document in self._objects() for name in names)
        return next((value for value in found if value and isinstance(value, str)), None)

    def __repr__(self) -> str:
        return f"WebhookDelivery(task_id={self.task_id!r}, worker_id={self.worker_id!r}, {len(self.body)} bytes)"


def receive(
    headers: Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]],
    body: bytes | bytearray | memoryview,
    *,
    token: str | Collection[str],
) -> WebhookDelivery:
    """Check the token of a delivery, in constant time.

    Args:
        headers: The header fields of the request: a mapping or pairs, strings or bytes. Names may be in any case.
        body: The body of the request.
        token: The token of the webhook. Or several, of which any is accepted: those of several workers, or the old one
            and the new one while a token is replaced.

    Returns:
        The delivery.

    Raises:
        WebhookTokenError: The token is missing, wrong, or there twice. Respond with 401 or 403.
        ConfigurationError: ``token`` is empty or no string, or another argument has a wrong type.
    """
    problem = _problem(headers, token)
    del headers, token  # tracebacks may show local variables
    if problem is not None:
        raise problem
    if not isinstance(body, bytes | bytearray | memoryview):
        raise ConfigurationError(f"body must be bytes, not {type(body).__name__}")
    return WebhookDelivery(bytes(body))


def _problem(headers: Any, token: Any) -> HandingerError | None:
    """Return the reason to refuse a delivery."""
    if not isinstance(token, str | Collection):
        return ConfigurationError(f"token must be a string or a collection of strings, not {type(token).__name__}")
    tokens = [token] if isinstance(token, str) else list(token)
    if problem := next(filter(None, map(key_problem, tokens)), "" if tokens else "is an empty collection"):
        return ConfigurationError(f"token {problem}")
    try:
        pairs = headers.items() if hasattr(headers, "items") else headers
        given = [_encode(value) for name, value in pairs if _encode(name).lower() == _HEADER]
    except (TypeError, ValueError):
        return ConfigurationError("headers must be a mapping, or pairs, of strings or bytes")
    if len(given) != 1:
        return WebhookTokenError(f"the delivery has {'several' if given else 'no'} X-Handinger-Token")
    matches = [hmac.compare_digest(given[0], item.encode()) for item in tokens]  # always all of them
    return None if any(matches) else WebhookTokenError("the delivery has another X-Handinger-Token than the webhook")


def _encode(text: str | bytes) -> bytes:
    """Return the bytes of a header name or value; other characters than ASCII match nothing."""
    return text.encode(errors="surrogatepass") if isinstance(text, str) else bytes(memoryview(text))
