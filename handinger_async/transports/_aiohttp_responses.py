"""Adapt aiohttp's responses and errors to the transport protocol."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from weakref import ReferenceType, ref

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from ..errors import APIConnectionError, APITimeoutError, ConfigurationError, shorten
from ..http import Headers
from ._decompression import decode_body

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from . import StreamedResponse

__all__ = ["FAILURES", "NOT_SENT", "OpenResponses", "adapt_error", "adapt_response"]

#: The exceptions of aiohttp for network and server failures. The second escapes from its pure-Python parser.
FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError)

#: The exceptions that aiohttp raises before a connection is established: the request cannot have reached the server.
#: After that, it may have, since aiohttp passes a request to the kernel as soon as it has a connection.
NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.ServerFingerprintMismatch,
)


def adapt_error(error: Exception) -> APIConnectionError:
    """Convert an exception of aiohttp to one of this library, without its traceback."""
    sent = not isinstance(error, NOT_SENT)
    text = shorten(str(error)) or type(error).__name__
    if sent and isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        text = f"malformed HTTP response: {shorten(error.message)}"
    if isinstance(error, TimeoutError):
        return APITimeoutError(text, request_sent=sent)
    return APIConnectionError(text, request_sent=sent)


async def adapt_response(response: aiohttp.ClientResponse, open_responses: OpenResponses) -> StreamedResponse:
    """Convert a response of aiohttp whose status and headers have arrived.

    Args:
        response: The response. It is closed if its headers are malformed.
        open_responses: The set that the new response joins until it is closed.

    Returns:
        The response as defined by the transport protocol.

    Raises:
        APIConnectionError: The headers are malformed.
    """
    try:
        headers = Headers(response.headers)
    except ConfigurationError as error:
        response.close()
        reason = error.message
    else:
        adapted: StreamedResponse
        connection = response.connection
        if connection is None:  # the body has arrived too, and aiohttp has released the connection
            body = response.content.read_nowait() or await response.read()  # a middleware may have read it already
            adapted = _CompleteResponse(response.status, headers, body)
        else:
            adapted = _IncompleteResponse(response, connection.protocol, headers, open_responses)
        return decode_body(adapted)
    raise APIConnectionError(f"malformed response headers: {reason}")


class _CompleteResponse:
    """A response that has arrived completely, so its connection is released already."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body: bytes | None = body

    async def read_chunk(self) -> bytes:
        if self._body is None:
            raise APIConnectionError("the response is closed")
        chunk, self._body = self._body, b""
        return chunk

    async def aclose(self) -> None:
        self._body = None


class _IncompleteResponse:
    """A response whose body is still arriving."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        protocol: ResponseHandler | None,
        headers: Headers,
        open_responses: OpenResponses,
    ) -> None:
        self._response = response
        self._open_responses = open_responses
        self.status = response.status
        self.headers = headers
        self._connection_lost: asyncio.Future[None] | None = None
        self._reference: ReferenceType[_IncompleteResponse] = ref(
            self, partial(_close_collected, open_responses, asyncio.get_running_loop(), response)
        )
        open_responses.add(self._reference)
        self._wake_reader = partial(_wake_reader, response.content)
        if protocol is not None and "transfer-encoding" in headers:
            self._connection_lost = protocol.closed
        if self._connection_lost is not None:
            # Removed first, since an earlier response on this connection may have added it.
            self._connection_lost.remove_done_callback(_retrieve_exception)
            self._connection_lost.add_done_callback(_retrieve_exception)
            self._connection_lost.add_done_callback(self._wake_reader)

    async def read_chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except FAILURES as error:
            failure = adapt_error(error)
        raise failure

    async def aclose(self) -> None:
        self._response.close()
        self._open_responses.discard(self._reference)
        if self._connection_lost is not None:
            self._connection_lost.remove_done_callback(self._wake_reader)


#: The responses of a transport that are not closed yet. Weak references let forgotten ones be collected.
OpenResponses: TypeAlias = set[ReferenceType[_IncompleteResponse]]


def _close_collected(
    open_responses: OpenResponses,
    loop: asyncio.AbstractEventLoop,
    response: aiohttp.ClientResponse,
    reference: ReferenceType[_IncompleteResponse],
) -> None:
    """Close the connection of a response that was garbage-collected before it was closed."""
    open_responses.discard(reference)
    if not loop.is_closed():
        loop.call_soon_threadsafe(response.close)  # the garbage collector can run in any thread


def _wake_reader(content: aiohttp.StreamReader, _: asyncio.Future[None]) -> None:
    """Wake a blocked reader: on a malformed chunk, aiohttp closes the connection without setting an exception."""
    if not content.is_eof() and content.exception() is None:
        content.set_exception(aiohttp.ClientPayloadError("malformed HTTP response: malformed chunk"))


def _retrieve_exception(connection_lost: asyncio.Future[None]) -> None:
    """Avoid asyncio's "exception was never retrieved" log."""
    if not connection_lost.cancelled():
        connection_lost.exception()
