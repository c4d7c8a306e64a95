"""How the in-memory service says no."""

from __future__ import annotations

from .._json import dumps
from ..http import Response

__all__ = ["Refusal"]


class Refusal(Exception):  # noqa: N818 - it never leaves the service
    """The request is answered with an error.

    Args:
        status: The status.
        code: The service's own code for the error.
        message: What is wrong.
        headers: Other header fields.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        body = dumps({"error": {"message": message, "code": code}})
        self.response = Response(status, {"Content-Type": "application/json"} | (headers or {}), body)
