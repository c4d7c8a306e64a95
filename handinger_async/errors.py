"""Every exception of the library, in one tree.

::

    HandingerError
    ├── ConfigurationError (also ValueError)   a missing or malformed key, base URL or argument: before anything is sent
    └── APIError
        ├── APIConnectionError                 no complete answer; .request_sent
        │   ├── APITimeoutError (also TimeoutError)
        │   └── StreamInterruptedError         .last_event_id .events_seen
        ├── APIStatusError                     .status_code .response .body .code .message .request_id .retry_after
        .attempts │   ├── BadRequestError                400
        │   ├── AuthenticationError            401
        │   ├── PermissionDeniedError          403
        │   ├── NotFoundError                  404
        │   ├── ConflictError                  409
        │   ├── UnprocessableEntityError       422
        │   ├── RateLimitError                 429
        │   └── InternalServerError            500 and above
        └── APIResponseValidationError         a 2xx that cannot be read; .path says where: "$.usage.inputTokens"
            └── EventTooLargeError

All of them pickle, copy and deep-copy with their attributes, none carries the API key, and the text of each stays
under 2 kB whatever the server sent.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
    "StreamInterruptedError",
    "UnprocessableEntityError",
]

#: Bytes of a server's or a caller's text that an error repeats: the message, the call, code and request id together
#: stay under 2 kB.
_LONGEST_QUOTE = 800
#: What a terminal would obey (Unicode's category Cc) and what UTF-8 cannot carry (half a surrogate pair).
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def shorten(text: str, limit: int = _LONGEST_QUOTE) -> str:
    """Return ``text`` for an error message: on one line, printable, in at most ``limit`` bytes of UTF-8."""
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", " ".join(text[: 4 * limit].split()))
    data = text.encode()
    return text if len(data) <= limit else data[: limit - 3].decode(errors="ignore") + "…"


class HandingerError(Exception):
    """The root of everything that this library raises.

    Args:
        message: What went wrong.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[HandingerError], args: tuple[Any, ...], state: dict[str, Any]) -> HandingerError:
    """Rebuild an exception without calling its ``__init__``, whose arguments ``args`` are not."""
    error = cls.__new__(cls)
    error.args = args  # OSError, above TimeoutError, leaves them to its __init__
    error.__dict__.update(state)
    return error


class ConfigurationError(HandingerError, ValueError):
    """A key, a base URL or an argument is missing or malformed; nothing was sent."""


class APIError(HandingerError):
    """Something went wrong between the request and its answer.

    Args:
        message: What went wrong.

    Attributes:
        call: What was asked, as far as it is known: ``"GET /api/workers/w1"``.
        attempts: How many times it was asked.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.call = ""
        self.attempts = 1

    def _notes(self) -> list[str]:
        """What stands in parentheses behind the message."""
        return [shorten(self.call, 400), f"{self.attempts} attempts" if self.attempts > 1 else ""]

    def __str__(self) -> str:
        notes = ", ".join(filter(None, self._notes()))
        said = shorten(self.message)
        return f"{said} ({notes})" if notes else said


class APIConnectionError(APIError):
    """There is no complete answer: the server was not reached, or the connection was lost.

    Args:
        message: What went wrong.
        request_sent: Whether the server may have received the request. False only when that is impossible.
    """

    def __init__(self, message: str = "Connection error.", *, request_sent: bool = True) -> None:
        super().__init__(message)
        self.request_sent = request_sent


class APITimeoutError(APIConnectionError, TimeoutError):
    """The answer did not come in time."""

    def __init__(self, message: str = "Request timed out.", *, request_sent: bool = True) -> None:
        super().__init__(message, request_sent=request_sent)


class StreamInterruptedError(APIConnectionError):
    """A stream of events ended before it was complete, and was not resumed.

    Args:
        message: What went wrong.
        last_event_id: The id to resume after, ``""`` if none was seen.
        events_seen: How many events were delivered before.
    """

    def __init__(
        self, message: str = "The stream was interrupted.", *, last_event_id: str = "", events_seen: int = 0
    ) -> None:
        super().__init__(message, request_sent=True)
        self.last_event_id = last_event_id
        self.events_seen = events_seen


class APIResponseValidationError(APIError):
    """The server said that it succeeded, in words that cannot be understood.

    Args:
        message: What is wrong with the answer.
        path: Where, as a JSON path: ``"$.usage.inputTokens"``; ``"$"`` is the whole body.
        response: The answer, if it is at hand.
    """

    def __init__(self, message: str, *, path: str = "$", response: Response | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.response = response

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
    """One server-sent event grew past the size that the parser was told to accept."""


class APIStatusError(APIError):
    """The server answered with an error status.

    Args:
        message: What the server said.
        response: The answer.
        body: Its body: what the JSON says, else the text, else None.
        code: The server's own code for the error.
        retry_after: Seconds that the server asks to wait before another try.
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
        """The status."""
        return self.response.status

    @property
    def request_id(self) -> str | None:
        """What the server calls this exchange."""
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
        said = f"{status}: {shorten(self.message)}" if self.message else status
        return f"{said} ({notes})" if notes else said


class BadRequestError(APIStatusError):
    """400: the request is malformed."""


class AuthenticationError(APIStatusError):
    """401: the key is missing, unknown or expired."""


class PermissionDeniedError(APIStatusError):
    """403: the key does not allow this."""


class NotFoundError(APIStatusError):
    """404: there is no such worker, file or schedule."""


class ConflictError(APIStatusError):
    """409: the request contradicts the current state."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well formed, but its values are not acceptable."""


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
    """Return the class for an error status."""
    return InternalServerError if status >= 500 else _BY_STATUS.get(status, APIStatusError)
