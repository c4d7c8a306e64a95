"""`Exchange`: a result with its response."""

from typing import Generic, TypeVar

import attrs

from .._values import by_value
from ..http import Response

__all__ = ["Exchange"]

R = TypeVar("R")


@by_value
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Exchange(Generic[R]):
    """A result with its response, attempt count and duration.

    Args:
        result: The result.
        response: The response that it was decoded from.
        attempts: The number of requests sent.
        elapsed: Seconds from the first attempt to the result.
    """

    result: R
    response: Response
    attempts: int
    elapsed: float

    @property
    def request_id(self) -> str | None:
        """The service's id for the request."""
        return self.response.request_id
