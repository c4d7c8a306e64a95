"""The seam between the session and the network: what one has to write to bring another HTTP client.

A transport turns a request into a status, headers and chunks, and decides nothing: timeouts (but the one to connect),
retries, the meaning of statuses and the size of bodies are the session's. `handinger_async.testing.check_transport`
tells whether a transport keeps to this page.
"""

from typing import Protocol, runtime_checkable

from yarl import URL

from ..http import Headers, Request

__all__ = ["StreamedResponse", "Transport"]


@runtime_checkable
class StreamedResponse(Protocol):
    """An answer whose head is here and whose body may still be on its way."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Headers:
        """The header fields."""
        ...

    async def read_chunk(self) -> bytes:
        """Return the next piece of the body, decompressed, as soon as there is one.

        Returns:
            A piece; ``b""`` at the end, and from then on.

        Raises:
            APIConnectionError: The body is cut short, or the answer was closed.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it.

        It may be called again, and from any task: one that waits in `read_chunk` then gets an APIConnectionError. It
        completes even if the task that calls it is cancelled.
        """


@runtime_checkable
class Transport(Protocol):
    """Sends requests, many at a time."""

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Send a request and wait for the head of the answer; redirects are not followed.

        If it is cancelled, nothing is left open.

        Args:
            url: Where to, absolute and percent-encoded; to be sent as it is.
            request: What to send. Its headers are complete but for those that belong to the connection.
            connect_timeout: Seconds to wait for a connection; None for no limit.

        Returns:
            The answer; the caller closes it.

        Raises:
            APITimeoutError: There was no connection in time.
            APIConnectionError: There is no answer. Its ``request_sent`` is False only if the request cannot have
                reached the server.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; it may be called again."""
