"""Transports that fail a clause of `handinger_async.testing.conformance.closing`."""

import asyncio

import h11

from handinger_async.errors import APIConnectionError

from ..h11_transport import H11Transport
from ..wrapped_transports import PassingResponse
from .registry import ReadsChunks, breaks


@breaks("closing_twice_is_closing_once")
class ReleasesAConnectionTwice(H11Transport):
    """Raises an error for a response that is closed again at its end, whose connection was released."""

    def respond(self, response):
        passing = PassingResponse(super().respond(response))

        async def aclose():
            if response.closed and response.ended:
                raise RuntimeError("the connection was released")
            await passing.inner.aclose()

        passing.aclose = aclose
        return passing


@breaks("closing_twice_is_closing_once")
class EndsClosedBodies(ReadsChunks):
    """Delivers the end of the body to a reader of a closed response."""

    def respond(self, response):
        passing = super().respond(response)
        passing.raw = response
        return passing

    async def read_chunk(self, response):
        return b"" if response.raw.closed else await super().read_chunk(response)


@breaks("closing_is_seen_at_the_other_end")
class WaitsForTheRest(H11Transport):
    """Keeps a connection that is closed early for the rest of its body, unless closing is cancelled."""

    def respond(self, response):
        passing = PassingResponse(super().respond(response))

        async def aclose():
            try:
                for _ in range(5):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                await response.aclose()
                raise
            if response.ended or response.connection.lost:
                await response.aclose()
            else:
                response.closed = True
                response.connection.lost = ConnectionError("the response is closed")
                response.connection.changed.set()

        passing.aclose = aclose
        return passing


@breaks("closing_wakes_a_reader")
class WaitsForTheReader(H11Transport):
    """Closes a response when no task reads it, behind a lock for both."""

    def respond(self, response):
        passing = PassingResponse(super().respond(response))
        lock = asyncio.Lock()

        async def read_chunk():
            async with lock:
                return await passing.inner.read_chunk()

        async def aclose():
            async with lock:
                await passing.inner.aclose()

        passing.read_chunk, passing.aclose = read_chunk, aclose
        return passing


@breaks("closing_completes_under_cancellation")
class ClosesUnlessCancelled(H11Transport):
    """Waits for other tasks before it closes, and does not close if the wait is cancelled."""

    def respond(self, response):
        passing = PassingResponse(super().respond(response))

        async def aclose():
            for _ in range(5):
                await asyncio.sleep(0)
            await passing.inner.aclose()

        passing.aclose = aclose
        return passing


@breaks("a_cancelled_open_leaves_nothing")
class LeavesSentRequests(H11Transport):
    """Leaves the connection of a cancelled request that was sent whole, to reuse it after the response."""

    def abandon(self, connection):
        if connection.state.our_state is not h11.DONE or connection.transport.get_write_buffer_size():
            super().abandon(connection)


@breaks("a_cancelled_upload_leaves_no_socket")
class SendsTheRestOfAnUpload(H11Transport):
    def abandon(self, connection):
        connection.transport.close()


@breaks("closing_the_transport_closes_its_responses")
class ClosesIdleConnectionsAlone(H11Transport):
    """Closes the connections in its pool, and leaves those of the responses that are open."""

    async def aclose(self):
        self.closed = True
        for connections in self.pool.values():
            for connection in connections:
                connection.abort()


@breaks("a_closed_transport_sends_nothing")
class ConnectsAgain(H11Transport):
    """Opens a new pool for a request after it was closed."""

    async def aclose(self):
        await super().aclose()
        self.closed = False
        self.pool = {}


@breaks("a_closed_transport_sends_nothing")
class ReportsAClosedTransportAsSent(H11Transport):
    """Reports a request over a closed transport as sent."""

    async def open(self, *args, **kwargs):
        try:
            return await super().open(*args, **kwargs)
        except APIConnectionError as error:
            error.request_sent |= self.closed
            raise
