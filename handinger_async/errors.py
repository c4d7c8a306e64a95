"""Every exception of the library, in one tree.

::

    HandingerError
    ├── ConfigurationError (also ValueError)   a wrong argument, or use of an object
    ├── RunError                               of run and wait; .worker_id .task_id .outcome
    │   ├── RunFailedError                     the run ended in failure
    │   ├── RunTimeoutError (also TimeoutError) it had not ended at the deadline
    │   └── RunUnknownError                    it may have been started, or not
    ├── WebhookTokenError                      a delivery without the webhook's token
    └── APIError                               .call .attempts
        ├── APIConnectionError                 no complete response; .request_sent
        │   ├── APITimeoutError (also TimeoutError)
        │   └── StreamInterruptedError         .last_event_id .events_seen
        ├── APIStatusError                     .status_code .response .body .code
        │   │                                  .request_id .retry_after
        │   ├── BadRequestError                400
        │   ├── AuthenticationError            401
        │   ├── PermissionDeniedError          403
        │   ├── NotFoundError                  404
        │   ├── ConflictError                  409
        │   ├── UnprocessableEntityError       422
        │   ├── RateLimitError                 429
        │   └── InternalServerError            500 and above
        └── APIResponseValidationError         2xx with an unreadable body; .path
            └── EventTooLargeError

All have a ``.message``. They pickle, copy and deep-copy with their attributes. The text of each stays under 2 kB
whatever the server sent. It does not show the API key, even if the server quotes it; a key of less than 8 characters,
or the end of a key, is not recognized. ``.body`` and ``.response.body`` are as the server sent them, echoes included.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from .http import Response

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "EventTooLargeError",
    "HandingerError",
    "InternalServerError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RunError",
    "RunFailedError",
    "RunTimeoutError",
    "RunUnknownError",
    "StreamInterruptedError",
    "UnprocessableEntityError",
    "WebhookTokenError",
]

#: Bytes of a server's or a caller's text that an error quotes. Message, call, code and request id together stay
#: under 2 kB.
_MAX_QUOTE = 800
#: Control characters (Unicode category Cc), which steer terminals, and lone surrogates, which UTF-8 cannot encode.
_UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\ud800-\udfff]"


def shorten(text: str, limit: int = _MAX_QUOTE) -> str:
    """Return ``text`` on one line, printable, and truncated to ``limit`` bytes of UTF-8."""
    text = re.sub(_UNPRINTABLE, "\N{REPLACEMENT CHARACTER}", " ".join(text[: 4 * limit].split()))
    data = text.encode()
    return text if len(data) <= limit else data[: limit - 3].decode(errors="ignore") + "…"


def quoted(value: object) -> str:
    """Return the ``repr`` of a value for a message, or the name of its type if it has no ``repr``."""
    try:
        return shorten(repr(value))
    except Exception:  # that of the user's object; an int of 5000 digits has none either
        return f"this {type(value).__name__}"


class HandingerError(Exception):
    """The root of every exception of this library.

    Args:
        message: The reason.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[HandingerError], args: tuple[Any, ...], state: dict[str, Any]) -> HandingerError:
    """Rebuild an exception without calling ``__init__``, which takes other arguments than ``args``."""
    error = cls.__new__(cls)
    error.args = args  # OSError, a base of TimeoutError, sets them in __init__ only
    error.__dict__.update(state)
    return error


class ConfigurationError(HandingerError, ValueError):
    """A key, base URL or argument is missing or malformed, or an object is used wrongly. Nothing was sent for it.

    A key function that fails after an attempt was sent is the ``__cause__`` of that attempt's failure.
    """


class RunError(HandingerError):
    """A run has no result to return. It is no `APIError`, so that nothing that retries calls retries paid work.

    Args:
        message: The reason.
        worker_id: The id of the worker; None if it is not known.
        task_id: The id of the task; None if there is none, as on a service of the older generation.
        outcome: What there is of the result: an `Outcome`, or None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        worker_id: str | None = None,
        task_id: str | None = None,
        outcome: Any = None,
    ) -> None:
        super().__init__(message)
        self.worker_id = worker_id
        self.task_id = task_id
        self.outcome = outcome

    def __str__(self) -> str:
        ids = {"worker": self.worker_id, "task": self.task_id}
        notes = ", ".join(f"{noun} {shorten(value, 200)}" for noun, value in ids.items() if value)
        return f"{shorten(self.message)} ({notes})" if notes else shorten(self.message)


class RunFailedError(RunError):
    """The worker or the task ended in failure; ``outcome`` is what there is of it."""


class RunTimeoutError(RunError, TimeoutError):
    """The run had not ended at the deadline. The message says whether it was started: if so, it goes on."""


class RunUnknownError(RunError):
    """The run may have been started, and the service does not know it."""


class WebhookTokenError(HandingerError):
    """A webhook delivery does not carry the webhook's token."""


class APIError(HandingerError):
    """A call failed after its arguments were accepted.

    Args:
        message: The reason.

    Attributes:
        call: Method and path of the request: ``"GET /api/workers/w1"``; ``""`` if unknown.
        attempts: The number of requests sent.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.call: str = ""
        self.attempts: int = 1

    def add_context(self, call: str, attempts: int = 1) -> Self:
        """Record the call and its attempts. The only place that changes them.

        Args:
            call: Method and path of the request.
            attempts: The number of requests sent so far.

        Returns:
            The error itself.
        """
        self.call, self.attempts = call, attempts
        return self

    def _notes(self) -> list[str]:
        """Return the details appended to the message in parentheses."""
        return [shorten(self.call, 400), f"{self.attempts} attempts" if self.attempts > 1 else ""]

    def __str__(self) -> str:
        notes = ", ".join(filter(None, self._notes()))
        reason = shorten(self.message)
        return f"{reason} ({notes})" if notes else reason


class APIConnectionError(APIError):
    """There is no complete response: the server was not reached, or the connection was lost.

    Args:
        message: The reason.
        request_sent: True if the server may have received the request. False only if that is impossible.
    """

    def __init__(self, message: str = "connection error", *, request_sent: bool = True) -> None:
        super().__init__(message)
        self.request_sent = request_sent


class APITimeoutError(APIConnectionError, TimeoutError):
    """The response, or the next chunk of it, did not arrive in time."""

    def __init__(self, message: str = "request timed out", *, request_sent: bool = True) -> None:
        super().__init__(message, request_sent=request_sent)


class StreamInterruptedError(APIConnectionError):
    """A stream of events was interrupted and could not be resumed.

    Args:
        message: The reason.
        last_event_id: The id to resume after; ``""`` if the server sent none. Continue with
            ``stream_updates(worker_id, last_event_id=error.last_event_id)``.
        events_seen: The number of events delivered before.
    """

    def __init__(
        self, message: str = "the stream was interrupted", *, last_event_id: str = "", events_seen: int = 0
    ) -> None:
        super().__init__(message, request_sent=True)
        self.last_event_id = last_event_id
        self.events_seen = events_seen


class APIResponseValidationError(APIError):
    """A 2xx response whose body could not be decoded.

    Args:
        message: The reason.
        path: The JSON path of the value to blame: ``"$.usage.inputTokens"``; ``"$"`` is the whole body.
        response: The response, if it is at hand.

    Attributes:
        outcome: The `Outcome` of a run whose structured output does not fit the class; else None.
    """

    def __init__(self, message: str, *, path: str = "$", response: Response | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.response = response
        self.outcome: Any = None

    def _notes(self) -> list[str]:
        if self.response is None:
            return super()._notes()
        request_id = self.response.request_id
        return [
            *super()._notes(),
            f"status {self.response.status}",
            f"request id {shorten(request_id, 80)}" if request_id else "",
        ]


class EventTooLargeError(APIResponseValidationError):
    """A server-sent event is larger than the parser accepts."""


class APIStatusError(APIError):
    """The server responded with an error status.

    Args:
        message: The server's explanation.
        response: The response.
        body: Its body: the parsed JSON, else the text, else None.
        code: The service's code for the error.
        retry_after: Seconds to wait before a retry, if the server said so.
    """

    def __init__(
        self,
        message: str = "",
        *,
        response: Response,
        body: Any = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.response = response
        self.body = body
        self.code = code
        self.retry_after = retry_after

    @property
    def status_code(self) -> int:
        """The status code."""
        return self.response.status

    @property
    def request_id(self) -> str | None:
        """The service's id for this request, from the response headers."""
        return self.response.request_id

    def _notes(self) -> list[str]:
        return [
            *super()._notes(),
            f"code {shorten(self.code, 80)}" if self.code else "",
            f"request id {shorten(self.request_id, 80)}" if self.request_id else "",
        ]

    def __str__(self) -> str:
        status = f"{self.status_code} {self.response.reason}".rstrip()
        notes = ", ".join(filter(None, self._notes()))
        reason = f"{status}: {shorten(self.message)}" if self.message else status
        return f"{reason} ({notes})" if notes else reason


class BadRequestError(APIStatusError):
    """400: the request is malformed."""


class AuthenticationError(APIStatusError):
    """401: the key is missing, unknown or expired."""


class PermissionDeniedError(APIStatusError):
    """403: the key does not allow this."""


class NotFoundError(APIStatusError):
    """404: there is no such worker, task, file or schedule."""


class ConflictError(APIStatusError):
    """409: the request conflicts with the current state."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well formed, but its values are invalid."""


class RateLimitError(APIStatusError):
    """429: too many requests."""


class InternalServerError(APIStatusError):
    """500 and above: the server failed."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error_class(status: int) -> type[APIStatusError]:
    """Return the exception class for an error status."""
    return InternalServerError if status >= 500 else _BY_STATUS.get(status, APIStatusError)
