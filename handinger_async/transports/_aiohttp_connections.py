"""Connections that aiohttp never uses again after anything unexpected: a subclass of its protocol class.

aiohttp 3.14 takes data that arrives on an idle connection for the response to the next request, and a reset for the
end of a body. Its pool notices a closed connection only after the event loop did.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from typing import Any

    from aiohttp import AddrInfoType, ClientRequest, ClientTimeout, StreamReader
    from aiohttp.http import RawResponseMessage
    from aiohttp.tracing import Trace

__all__ = ["CheckedConnection", "Connector"]

#: TCP keepalive: seconds without traffic until the first probe, seconds between probes, and their number. A peer that
#: vanished is noticed within two minutes. Routers forget an idle connection after four minutes or more.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class CheckedConnection(ResponseHandler):
    """A connection, idle until `set_response_params` announces a request, and again after its response."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._idle = True
        #: The body of the response; None until its head has arrived.
        self._body: StreamReader | None = None
        self._descriptor: int | None = None
        self._ended = False

    def is_connected(self) -> bool:
        """Return True if the connection can be used. The pool asks this before it reuses one."""
        if not super().is_connected():
            return False
        if not self._idle:
            return True
        if self._descriptor is None:
            self._descriptor = _descriptor(self.transport)
        return not _is_readable(self._descriptor)

    def set_response_params(self, **params: Any) -> None:
        """Begin to wait for a response."""
        self._idle, self._body = False, None
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Parse data from the server. Close the connection if nothing is expected."""
        if self._idle:
            if data:
                self._refuse()
            return
        super().data_received(data)
        if self._body is not None and self._body.is_eof():
            # The beginning of a head after the response would stay unnoticed in the parser. Empty lines complete it, or
            # are an error there; after a response they are skipped. Both parsers of aiohttp take them without CR.
            super().data_received(b"\n\n")
            self._idle = True

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Deliver the head of a response. Refuse a second response to one request."""
        message, body = data
        if self._body is not None:
            self._refuse()
            return
        if message.code >= 200:
            self._body = body
        super().feed_data(data, size)
        if not message.chunked and "chunked" in message.headers.get("Transfer-Encoding", "").lower():
            self._fail("malformed HTTP response: malformed Transfer-Encoding")  # its chunks were not decoded

    def eof_received(self) -> None:
        """Take note of the end of the server's data."""
        self._ended = _is_orderly(self.transport)
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let the reader of an incomplete body know: aiohttp takes every end for one without length or chunks."""
        if not self._ended:
            cause = "TLS ended without close_notify" if exc is None else "the connection was reset"
            self._fail(f"the body is truncated: {cause}")
        super().connection_lost(exc)

    def set_exception(self, exc: BaseException, *args: Any, **options: Any) -> None:
        """Pass an error on to the reader of the body: aiohttp does not after a malformed chunk."""
        super().set_exception(exc, *args, **options)
        self._fail("malformed HTTP response: malformed chunk")

    def close(self) -> None:
        """Close the connection, at once if a response is missing or a request not sent: the peer may never read it."""
        transport = self.transport
        complete = self._idle or (self._body is not None and self._body.is_eof())
        if transport is not None and (not complete or transport.get_write_buffer_size()):
            self.abort()
        else:
            super().close()

    def _fail(self, reason: str) -> None:
        body = self._body
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError(reason))

    def _refuse(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Connector(aiohttp.TCPConnector):
    """A pool of checked connections, whose connect timeout includes all that connecting consists of.

    Args:
        limit: The maximum number of connections; 0 for no limit.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit, socket_factory=_new_socket)
        self._timeouts: set[asyncio.Timeout] = set()
        self._interrupted = False
        #: False if this version of aiohttp does not let us check connections.
        self.checks = False
        factory = getattr(self, "_factory", None)
        if isinstance(factory, partial) and factory.func is ResponseHandler and hasattr(factory.func, "feed_data"):
            self._factory = partial(CheckedConnection, **factory.keywords)  # type: ignore[assignment]
            self.checks = True

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - as in the base class
    ) -> ResponseHandler:
        """Connect within ``timeout.sock_connect``. aiohttp applies it to each address and handshake anew.

        This is where aiohttp's connectors differ. If a version has no such method, aiohttp's own timeouts remain.
        """
        limit = asyncio.timeout(timeout.sock_connect)
        self._timeouts.add(limit)
        try:
            async with limit:
                return await super()._create_connection(req, traces, timeout)
        except TimeoutError:
            if not self._interrupted:
                raise
        finally:
            self._timeouts.discard(limit)
            del limit  # it knows the task, which keeps the exception, which keeps this frame: no cycle of the three
        raise aiohttp.ClientConnectionError("the transport was closed")

    def interrupt(self) -> None:
        """End all attempts to connect: `close` does not."""
        self._interrupted = True
        for limit in self._timeouts:
            if not limit.expired():
                limit.reschedule(0)


def _descriptor(transport: asyncio.BaseTransport | None) -> int:
    """Return the file descriptor of a connection; -1 if it has none."""
    used = None if transport is None else transport.get_extra_info("socket")
    return -1 if used is None else int(used.fileno())


def _is_readable(descriptor: int) -> bool:
    """Return True if data or the end of the connection is waiting in a socket.

    Data on an idle connection need not be seen by the event loop first. A TLS record may be harmless, but is rare.
    """
    if descriptor < 0:
        return False
    if not hasattr(select, "poll"):  # Windows, where descriptors have no limit for select()
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()  # to keep one would save less than a microsecond, and take 500 bytes of each connection
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _is_orderly(transport: asyncio.BaseTransport | None) -> bool:
    """Return True if the end of data is authentic: over TLS, a close_notify has arrived (RFC 9112, section 9.8)."""
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:  # both sides have sent one
        return True


def _new_socket(address: AddrInfoType) -> socket.socket:
    """Create a socket with TCP keepalive."""
    family, kind, protocol, *_ = address
    new = socket.socket(family, kind, protocol)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:
            new.setsockopt(socket.IPPROTO_TCP, option, value)
    return new
