"""Error responses of the in-memory service."""

from __future__ import annotations

from ..._json import dumps
from ...errors import shorten
from ...http import Response

__all__ = ["ServiceError", "invalid", "missing"]


class ServiceError(Exception):
    """The service refuses a request. It is turned into an error response, and never leaves the service.

    Args:
        status: The status code of the response.
        code: The service's code for the error.
        message: The message of the response.
        headers: Further header fields of the response.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self._status = status
        self._code = code
        self._message = message
        self._headers = {"Content-Type": "application/json"} | (headers or {})

    def response(self, *, plain: bool) -> Response:
        """Return the error response.

        Args:
            plain: Only a message, as services of the newer generation send it; otherwise with a code.
        """
        error = self._message if plain else {"message": self._message, "code": self._code}
        return Response(self._status, self._headers, dumps({"error": error}))


def missing(noun: str, name: str) -> ServiceError:
    """Return the error for something that does not exist, status 404."""
    return ServiceError(404, "not_found", f"There is no {noun} {shorten(name, 120)}.")


def invalid(message: str) -> ServiceError:
    """Return the error for an argument that is refused, status 422."""
    return ServiceError(422, "validation_error", message)
