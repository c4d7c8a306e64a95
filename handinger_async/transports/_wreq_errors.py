"""Convert errors of wreq, and tell if the request was sent."""

from __future__ import annotations

import re

from wreq import exceptions
from yarl import URL

from ..errors import APIConnectionError, APITimeoutError, shorten
from ._proxies import Proxy

__all__ = ["FAILURES", "adapt_error"]

#: The exceptions of wreq for network and server failures, and for requests that cannot be sent.
FAILURES = (
    exceptions.BodyError,
    exceptions.BuilderError,
    exceptions.ConnectionError,
    exceptions.ConnectionResetError,
    exceptions.DecodingError,
    exceptions.ProxyConnectionError,
    exceptions.RequestError,
    exceptions.TimeoutError,
    exceptions.TlsError,
    exceptions.UpgradeError,
    RuntimeError,
    ValueError,
)
_UNSENDABLE = (exceptions.BuilderError, RuntimeError, ValueError)
#: The stage of a request in the text of an error. There is no space in the URL before it, and all else is wreq's.
_CONNECTING = re.compile(r"source: Error \{ kind: ((?:Proxy)?Connect),")
#: The message of the operating system, and the reason of the TLS library.
_MESSAGE = re.compile(r'message: "([^"\\]*)"')
_TLS_REASON = re.compile(r'reason: "([A-Z0-9_]+)"')
#: Parts of the text of an error, and the reason why there is no connection.
_REASONS = (
    ("dns error", "the name of the host cannot be resolved"),
    ("CERTIFICATE_VERIFY_FAILED", "the certificate cannot be verified"),
    ("ProxyAuthRequired", "it wants a user and password"),
    ("TunnelUnsuccessful", "it refused the tunnel"),
    ("TunnelUnexpectedEof", "it disconnected"),
)
#: Parts of the text of an error, and their meaning for a response.
_MEANINGS = (
    ("TooLarge", "malformed HTTP response: its head is too large"),
    ("Parse(", "malformed HTTP response"),
    ("IncompleteMessage", "the server disconnected"),
    ("IncompleteBody", "the body is truncated"),
    ("UnexpectedEof", "the body is truncated"),
    ("InvalidInput", "malformed HTTP response: malformed chunk"),
    ("InvalidData", "malformed HTTP response: malformed chunk"),
    ("ConnectionReset", "the connection was reset"),
    ("BrokenPipe", "the connection was reset"),
    ("TimedOut", "the connection timed out"),
)


def adapt_error(error: Exception, url: URL | None = None, proxy: Proxy | None = None) -> APIConnectionError:
    """Convert an exception of wreq to one of this library.

    Args:
        error: The exception.
        url: The URL of the request; None once its response has begun.
        proxy: The proxy of the request.
    """
    text = str(error)
    if url is not None and (stage := _CONNECTING.search(text)):
        details = text[stage.end() :]
        if "source: Some(TimedOut)" in details or '"connect timeout"' in details:
            return APITimeoutError("timed out waiting for a connection", request_sent=False)
        through_proxy = proxy is not None and stage[1] == "ProxyConnect"
        peer = proxy.url if proxy is not None and through_proxy else url
        to = f"{'the proxy ' if through_proxy else ''}{peer.raw_host}:{peer.port}"
        return APIConnectionError(f"cannot connect to {to}: {_reason(details)}", request_sent=False)
    if url is not None and isinstance(error, _UNSENDABLE):
        return APIConnectionError(f"the request cannot be sent: {_problem(text)}", request_sent=False)
    for part, meaning in _MEANINGS:
        if part in text:
            return APIConnectionError(meaning)
    return APIConnectionError("the connection failed")


def _reason(details: str) -> str:
    if found := _MESSAGE.search(details):
        return shorten(found[1])
    for part, reason in _REASONS:
        if part in details:
            return reason
    if found := _TLS_REASON.search(details):
        return f"TLS: {found[1]}"
    return "there was no connection"


def _problem(text: str) -> str:
    """Return the reason why a request cannot be sent, without its URL: the query may be secret."""
    if "InvalidUri(TooLong)" in text:
        return "its URL is too long"
    if "wreq::Error" in text:
        text = text.partition("source: ")[2].removesuffix("}").strip()
    return shorten(text) or "it is malformed"
