"""Transports that fail a clause of `handinger_async.testing.conformance.uploads`."""

import asyncio

import h11

from handinger_async.errors import APIConnectionError

from ..h11_transport import H11Transport
from .registry import breaks


@breaks("a_multipart_body_arrives_whole")
class LosesTheEndOfChunkedBodies(H11Transport):
    async def send_chunks(self, connection, body):
        if body.length is not None:
            await super().send_chunks(connection, body)
        else:
            connection.send(h11.Data(data=body.read()[:-100]))


@breaks("an_unreadable_body_is_no_request")
class WrapsErrorsOfBodies(H11Transport):
    async def send_chunks(self, connection, body):
        try:
            await super().send_chunks(connection, body)
        except OSError as error:
            raise APIConnectionError(str(error)) from error


@breaks("an_unreadable_body_is_no_request")
class CompletesUnreadableBodies(H11Transport):
    async def send_chunks(self, connection, body):
        try:
            await super().send_chunks(connection, body)
        except OSError:
            if body.length is None:
                connection.send(h11.EndOfMessage())
                await self.head(connection)
            raise


@breaks("a_multipart_body_is_read_in_step")
class ReadsBodiesWhole(H11Transport):
    async def send_chunks(self, connection, body):
        connection.send(h11.Data(data=body.read()))


@breaks("a_multipart_body_is_read_in_step")
class SendsBodiesWithoutWaiting(H11Transport):
    async def send_chunks(self, connection, body):
        for chunk in body.chunks():
            connection.send(h11.Data(data=chunk))


@breaks("a_multipart_body_is_read_in_step")
class SendsBodiesWithoutTheirLength(H11Transport):
    def framing(self, body):
        return super().framing(body) if isinstance(body, bytes) else ("Transfer-Encoding", "chunked")


@breaks("an_unfinished_body_is_closed")
class NeverClosesBodies(H11Transport):
    def __init__(self, handler=None):
        super().__init__(handler)
        self.unfinished = []

    async def send_chunks(self, connection, body):
        chunks = body.chunks()
        self.unfinished.append(chunks)
        while connection.lost is None and (chunk := await asyncio.to_thread(next, chunks, b"")):
            connection.send(h11.Data(data=chunk))
            await connection.writable.wait()
