"""Error responses of the in-memory service."""

from __future__ import annotations

from ..._json import dumps
from ...http import Response

__all__ = ["ServiceError"]


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
        body = dumps({"error": {"message": message, "code": code}})
        self.response = Response(status, {"Content-Type": "application/json"} | (headers or {}), body)
