"""Transports that fail a clause of `handinger_async.testing.conformance.bodies`."""

import asyncio
from http.client import IncompleteRead

import h11

from handinger_async.errors import APIConnectionError

from ..h11_transport import Connection, H11Transport
from .registry import ReadsChunks, breaks


@breaks("chunks_come_as_they_are_sent")
class FillsABuffer(ReadsChunks):
    """Delivers what came with the head, and the rest when its buffer is full or the body has ended."""

    async def read_chunk(self, response):
        if not response.begun:
            response.begun = True
            return await super().read_chunk(response)
        while chunk := await super().read_chunk(response):
            response.buffer.append(chunk)
        body, response.buffer = b"".join(response.buffer), []
        return body


@breaks("end_is_empty_from_then_on")
class RaisesAfterTheEnd(ReadsChunks):
    """Raises an error for reading at the end, as httpx does for a stream that is consumed."""

    async def read_chunk(self, response):
        if response.ended:
            raise APIConnectionError("the body has ended")
        chunk = await super().read_chunk(response)
        response.ended = not chunk
        return chunk


@breaks("empty_chunks_are_not_the_end")
class DeliversEndsOfChunks(ReadsChunks):
    """Delivers an empty chunk between two that arrive at once, as aiohttp's ``readchunk`` does."""

    def respond(self, response):
        if response.headers.get("transfer-encoding") != "chunked" or "content-encoding" in response.headers:
            return H11Transport.respond(self, response)
        passing = super().respond(response)

        async def aclose():
            while passing.ended and not response.closed and await response.read_chunk():
                pass  # the rest is skipped, and the connection reused
            await response.aclose()

        passing.aclose = aclose
        return passing

    async def read_chunk(self, response):
        if response.buffer:
            response.ended = True
            return response.buffer.pop()
        chunk = await super().read_chunk(response)
        following = response.inner.connection.state.trailing_data[0].lstrip(b"\r\n")
        if following and not following.startswith(b"0"):
            response.buffer.append(b"")
        return chunk


@breaks("responses_without_a_body_end_immediately")
class DeliversItsCache(ReadsChunks):
    """Delivers a body from its cache for a 304."""

    def respond(self, response):
        passing = super().respond(response)
        if response.status == 304 and "content-encoding" not in response.headers:
            passing.buffer.append(b"cached")
        return passing

    async def read_chunk(self, response):
        return response.buffer.pop() if response.buffer else await super().read_chunk(response)


class TruncatedConnection(Connection):
    async def next_event(self):
        try:
            return await super().next_event()
        except APIConnectionError as error:
            if self.owner.reason in str(error):
                return self.owner.end(error)
            raise


class TakesTruncationForTheEnd(H11Transport):
    def new_connection(self):
        return TruncatedConnection(self)

    def end(self, error):
        return h11.EndOfMessage()


@breaks("a_truncated_body_is_an_error")
class IgnoresContentLength(TakesTruncationForTheEnd):
    """Ends a body with the connection, before its Content-Length, as urllib3 did before 2.0."""

    reason = "without sending complete message body (received"


@breaks("a_truncated_body_is_an_error")
class IgnoresTheLastChunk(TakesTruncationForTheEnd):
    """Ends a body with the connection, before the chunk of length 0."""

    reason = "without sending complete message body (incomplete chunked read"


@breaks("a_truncated_body_is_an_error")
class RaisesIncompleteRead(TakesTruncationForTheEnd):
    """Raises the error of its parser for a truncated body."""

    reason = "without sending complete message body"

    def end(self, error):
        raise IncompleteRead(b"") from error


@breaks("a_truncated_body_is_an_error")
class ReportsATruncatedBodyAsNotSent(TakesTruncationForTheEnd):
    """Reports a truncated body as a request that was not sent."""

    reason = "without sending complete message body"

    def end(self, error):
        raise APIConnectionError(str(error), request_sent=False) from error


class TakesResetForTheEndConnection(Connection):
    def connection_lost(self, error):
        if error is not None:
            self.eof_received()
        super().connection_lost(error)


@breaks("a_reset_is_an_error")
class TakesResetForTheEnd(H11Transport):
    def new_connection(self):
        return TakesResetForTheEndConnection(self)


class RaisesABareResetConnection(Connection):
    async def next_event(self):
        try:
            return await super().next_event()
        except APIConnectionError:
            if isinstance(self.lost, ConnectionResetError):
                raise self.lost from None
            raise


@breaks("a_reset_is_an_error")
class RaisesABareReset(H11Transport):
    def new_connection(self):
        return RaisesABareResetConnection(self)


class TakesTheEndForAResetConnection(Connection):
    def eof_received(self):
        pass  # the connection is lost in the next iteration of the loop


@breaks("an_orderly_end_of_the_connection_ends_the_body")
class TakesTheEndForAReset(H11Transport):
    def new_connection(self):
        return TakesTheEndForAResetConnection(self)


@breaks("a_cancelled_read_loses_nothing")
class LeavesCancelledReads(ReadsChunks):
    """Lets a cancelled read go on, which takes the next chunk, as with ``asyncio.shield``."""

    async def read_chunk(self, response):
        return await asyncio.shield(asyncio.ensure_future(super().read_chunk(response)))
