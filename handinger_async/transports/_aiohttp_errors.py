"""Convert errors of aiohttp, and tell if the request was sent."""

from __future__ import annotations

import asyncio
import re

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from ..errors import APIConnectionError, APITimeoutError, shorten

__all__ = ["FAILURES", "adapt_error", "send_once"]

#: The exceptions of aiohttp for network and server failures. The second escapes from its pure-Python parser.
FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError)

#: The beginning of a quotation from the response in a message of the parser.
_QUOTE = re.compile(r":?\s*\n|:\s*b?['\"]")


class _NotSentError(aiohttp.ClientConnectionError):
    """The request was not sent, for a reason that aiohttp's exception does not tell."""


#: The exceptions that are raised before a connection is established: the request cannot have reached the server.
#: After that, it may have, since aiohttp passes a request to the kernel as soon as it has a connection.
_NOT_SENT = (
    _NotSentError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.ServerFingerprintMismatch,
)


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request; the innermost middleware.

    It prevents aiohttp from retrying an idempotent request after a lost connection: retries belong to the session. It
    tells if a request was sent, and turns a cancellation that nobody asked for into an error: aiohttp cancels the tasks
    that wait for a connection or an address when it is closed.
    """
    task = asyncio.current_task()
    cancelling = task.cancelling() if task else 0
    failure: Exception
    try:
        return await handler(request)
    except _NOT_SENT:
        raise
    except FAILURES as error:
        if getattr(request, "response", request) is None:
            failure = _NotSentError(_text(error))
        elif isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError):
            failure = aiohttp.ClientConnectionError(_text(error))
        else:
            raise
    except (ValueError, RuntimeError) as error:  # an unsendable header or host name, a closed event loop
        failure = _NotSentError(f"the request cannot be sent: {_text(error)}")
    except asyncio.CancelledError:
        # A cancellation may have been counted before this function was called, and arrive here.
        if not request.session.closed or (task and task.cancelling() > cancelling):
            raise
        failure = _NotSentError("the transport was closed")
    finally:
        del task  # it keeps its exception, which keeps this frame: no cycle of the three
    try:
        raise failure
    finally:
        del failure  # its traceback refers to this frame


def adapt_error(error: Exception) -> APIConnectionError:
    """Convert an exception of aiohttp to one of this library, without its traceback."""
    kind = APITimeoutError if isinstance(error, TimeoutError) else APIConnectionError
    adapted = kind(_text(error), request_sent=not isinstance(error, _NOT_SENT))
    _forget_frames(error)
    return adapted


def _forget_frames(error: BaseException | None) -> None:
    """Remove tracebacks: aiohttp's frames keep the exceptions that keep them, and their callers."""
    while error is not None:
        error.__traceback__ = None
        if isinstance(cause := getattr(error, "os_error", None), OSError):
            cause.__traceback__ = None
        error = error.__cause__ or error.__context__


def _text(error: Exception) -> str:
    """Return a message without objects of aiohttp, and without anything that the server has sent."""
    if isinstance(error, aiohttp.ClientConnectorError):
        to = "the proxy " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        return f"cannot connect to {to}{error.host}:{error.port}: {shorten(_reason(error))}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refused the tunnel: status {error.status}"
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return f"malformed HTTP response: {shorten(_QUOTE.split(error.message, 1)[0])}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        where = "" if isinstance(error.message, str) else " inside the head of the response"
        return f"the server disconnected{where}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "timed out waiting for a connection"
    text = _QUOTE.split(str(error), 1)[0]
    if isinstance(error, OSError) and error.errno is None and error.strerror:
        text = "the request could not be sent" if error.strerror.startswith("Can not write") else error.strerror
    if isinstance(error, aiohttp.ClientPayloadError) and text.startswith("Response payload is not completed"):
        return "the body is truncated"
    return shorten(text) or type(error).__name__


def _reason(error: aiohttp.ClientConnectorError) -> str:
    cause = getattr(error, "certificate_error", None) or error.os_error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
