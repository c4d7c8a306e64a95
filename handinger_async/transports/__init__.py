"""The transport protocol: implement it to send requests with another HTTP client.

A transport turns a request into a status, headers and chunks, and makes no decisions. Timeouts (except the connect
timeout), retries, error statuses and body size limits belong to the session. Test a transport of your own with
`handinger_async.testing.check_transport`.
"""

from typing import Protocol, runtime_checkable

from yarl import URL

from ..http import Headers, Request

__all__ = ["StreamedResponse", "Transport"]


@runtime_checkable
class StreamedResponse(Protocol):
    """A response whose status and headers have arrived; its body is read in chunks."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Headers:
        """The header fields, their values decoded from UTF-8."""
        ...

    async def read_chunk(self) -> bytes:
        """Return the next chunk of the body, decompressed, as soon as it arrives.

        Returns:
            The chunk; ``b""`` at the end of the body and on every later call.

        Raises:
            APIConnectionError: The body is truncated, or the response is closed.
        """
        ...

    async def aclose(self) -> None:
        """Release the connection if the body was read to the end, else close it.

        Can be called more than once, and from any task: a task blocked in `read_chunk` gets an APIConnectionError.
        Cleanup completes even if the calling task is cancelled.
        """


@runtime_checkable
class Transport(Protocol):
    """Sends requests, many of them concurrently."""

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Send a request and wait for the status and headers of the response. Redirects are not followed.

        If the call is cancelled, no connection is left open.

        A `MultipartBody` is read while it is sent, in threads, since reading may block. It has a ``length``, for
        Content-Length, or is sent in chunks. If the response comes early, or the call is cancelled, its chunks are
        closed.

        Args:
            url: The absolute, percent-encoded URL, to be sent unchanged.
            request: The request. Its headers are complete, except those that describe the connection, and their values
                are sent in UTF-8.
            connect_timeout: The maximum time to establish a connection in seconds, TLS included; None for no limit.

        Returns:
            The response; the caller closes it.

        Raises:
            APITimeoutError: No connection was established in time.
            APIConnectionError: No response arrived. ``request_sent`` is False only if the request cannot have reached
                the server.
            Exception: The chunks of a `MultipartBody` raised it, such as an OSError. It is raised unchanged, and the
                connection is closed.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections. Can be called more than once."""
