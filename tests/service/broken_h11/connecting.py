"""Transports that fail a clause of `handinger_async.testing.conformance.connecting`."""

import asyncio
import socket

from handinger_async.errors import APIConnectionError, APITimeoutError

from ..h11_transport import Connection, H11Transport
from .registry import breaks


@breaks("a_dropped_connection_is_reported_and_not_retried")
class RetriesOnReusedConnections(H11Transport):
    """Sends a request again if the connection that it reused is lost, as most HTTP clients do."""

    async def open(self, url, request, **kwargs):
        reuses = bool(self.pool.get(url.origin()))
        try:
            return await super().open(url, request, **kwargs)
        except APIConnectionError:
            if not reuses:
                raise
            return await super().open(url, request, **kwargs)


@breaks("a_dropped_connection_is_reported_and_not_retried")
class ReportsALostConnectionAsNotSent(H11Transport):
    """Reports a request as not sent if the server closes the connection in response."""

    async def head(self, connection):
        try:
            return await super().head(connection)
        except APIConnectionError as error:
            error.request_sent = "ConnectionClosed" not in str(error)
            raise


class Misreports(H11Transport):
    """A transport with a step that changes how a failure to connect is reported."""

    async def connect(self, url, connect_timeout):
        try:
            return await super().connect(url, connect_timeout)
        except APIConnectionError as error:
            if isinstance(error.__context__, self.reason):
                self.report(error)
            raise

    def report(self, error):
        error.request_sent = True


@breaks("a_refused_connection_was_not_sent")
class ReportsARefusedConnectionAsSent(Misreports):
    """Does not tell a refused connection from one that was lost later."""

    reason = ConnectionRefusedError


@breaks("a_refused_connection_was_not_sent")
class RaisesConnectionRefusedError(Misreports):
    """Raises the ConnectionRefusedError of the socket."""

    reason = ConnectionRefusedError

    def report(self, error):
        raise error.__context__


@breaks("an_unknown_host_was_not_sent")
class ReportsAnUnknownHostAsSent(Misreports):
    """Does not tell an unknown host from a lost connection."""

    reason = socket.gaierror


@breaks("an_unknown_host_was_not_sent")
class RaisesGaierror(Misreports):
    """Raises the gaierror of the resolver."""

    reason = socket.gaierror

    def report(self, error):
        raise error.__context__


class MalformedConnection(Connection):
    async def next_event(self):
        try:
            return await super().next_event()
        except APIConnectionError as error:
            if str(error).startswith("illegal status line"):
                self.owner.report(error)
            raise


@breaks("a_malformed_response_is_a_connection_error")
class ReportsAMalformedResponseAsNotSent(H11Transport):
    """Reports a request as not sent if its response is not HTTP."""

    def new_connection(self):
        return MalformedConnection(self)

    def report(self, error):
        error.request_sent = False


@breaks("a_malformed_response_is_a_connection_error")
class RaisesTheErrorOfTheParser(ReportsAMalformedResponseAsNotSent):
    """Raises the error of its parser for a response that is not HTTP."""

    def report(self, error):
        raise error.__context__


@breaks("connecting_ends_at_connect_timeout")
class IgnoresConnectTimeout(H11Transport):
    async def connect(self, url, connect_timeout):
        return await super().connect(url, None)


@breaks("connecting_ends_at_connect_timeout")
class LimitsTheTCPConnectionAlone(H11Transport):
    async def connect(self, url, connect_timeout):
        return await super().connect(url, None if url.scheme == "https" else connect_timeout)


@breaks("connecting_ends_at_connect_timeout")
class ReportsNoTimeout(H11Transport):
    async def connect(self, url, connect_timeout):
        try:
            return await super().connect(url, connect_timeout)
        except APITimeoutError as error:
            raise APIConnectionError(str(error), request_sent=False) from None


@breaks("connecting_ends_at_connect_timeout")
class RaisesABareTimeout(H11Transport):
    async def connect(self, url, connect_timeout):
        try:
            return await super().connect(url, connect_timeout)
        except APITimeoutError:
            raise TimeoutError from None


@breaks("connecting_ends_at_connect_timeout")
class ReportsATimeoutAsSent(H11Transport):
    async def connect(self, url, connect_timeout):
        try:
            return await super().connect(url, connect_timeout)
        except APITimeoutError as error:
            error.request_sent = True
            raise


@breaks("connect_timeout_is_for_connecting_alone")
class LimitsTheTimeToRespond(H11Transport):
    """Limits each wait on the socket by the time for connecting, as ``timeout=`` of `http.client` does."""

    timeout = None

    async def connect(self, url, connect_timeout):
        self.timeout = connect_timeout
        return await super().connect(url, connect_timeout)

    async def head(self, connection):
        try:
            async with asyncio.timeout(self.timeout):
                return await super().head(connection)
        except TimeoutError:
            raise APITimeoutError("no response in time") from None
