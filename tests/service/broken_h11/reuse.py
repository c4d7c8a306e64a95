"""Transports that fail a clause of `handinger_async.testing.conformance.reuse`."""

from ..h11_transport import Connection, H11Transport
from .registry import breaks


@breaks("connections_are_reused")
class ConnectsEachTime(H11Transport):
    """Closes each connection after its response."""

    def release(self, origin, connection):
        connection.abort()


@breaks("connections_are_reused")
class KeepsNoConnectionOfAChunkedBody(H11Transport):
    """Closes a connection when a body without a length has ended."""

    def respond(self, response):
        self.keeps = "content-length" in response.headers
        return super().respond(response)

    def release(self, origin, connection):
        if self.keeps:
            super().release(origin, connection)
        else:
            connection.abort()


class TakesIdleDataConnection(Connection):
    def data_received(self, data):
        idle, self.idle = self.idle, False
        super().data_received(data)
        self.idle = idle


@breaks("a_connection_with_idle_data_is_not_reused")
class TakesIdleData(H11Transport):
    def new_connection(self):
        return TakesIdleDataConnection(self)


@breaks("a_connection_with_idle_data_is_not_reused")
class TakesPartsOfAHead(H11Transport):
    def is_fresh(self, connection):
        data, ended = connection.state.trailing_data
        return not (connection.lost or ended or b"\r\n\r\n" in data)


@breaks("a_connection_with_surplus_data_is_not_reused")
class TakesSurplusData(H11Transport):
    def has_surplus(self, connection):
        return False
