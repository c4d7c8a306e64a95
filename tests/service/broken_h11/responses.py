"""Transports that fail a clause of `handinger_async.testing.conformance.responses`."""

import attrs

from handinger_async.errors import APIConnectionError
from handinger_async.http import Headers

from ..h11_transport import Connection, H11Transport
from .registry import ReadsChunks, breaks


@breaks("response_arrives_as_given")
class TakesEverySuccessFor200(H11Transport):
    """Reports the status of a transforming proxy, 203, as 200."""

    def respond(self, response):
        response.status = {203: 200}.get(response.status, response.status)
        return super().respond(response)


@breaks("response_arrives_as_given")
class UnquotesHeaders(H11Transport):
    """Takes an ETag for a quoted string, and delivers it without its quotes."""

    def headers(self, fields):
        return Headers([(name, value.strip('"')) for name, value in super().headers(fields).items()])


@breaks("response_arrives_as_given")
class EndsLargeBodiesEarly(ReadsChunks):
    """Ends a body at the size of its buffer, without an error."""

    async def read_chunk(self, response):
        room = 2**18 - sum(map(len, response.buffer))
        chunk = (await super().read_chunk(response))[:room] if room else b""
        response.buffer.append(chunk)
        return chunk


@breaks("interim_responses_are_skipped")
class TakesInterimResponses(H11Transport):
    async def head(self, connection):
        return await connection.next_event()


@breaks("interim_responses_are_skipped")
class SkipsOneInterimResponse(H11Transport):
    async def head(self, connection):
        event = await connection.next_event()
        return event if event.status_code >= 200 else await connection.next_event()


@breaks("repeated_headers_are_joined")
class KeepsTheLastField(H11Transport):
    def headers(self, fields):
        return super().headers(dict(fields).items())


class DecodesFields(H11Transport):
    def headers(self, fields):
        return Headers([(name.decode(), value.decode(self.encoding)) for name, value in fields])


@breaks("headers_are_decoded_from_utf8")
class DecodesLatin1(DecodesFields):
    encoding = "latin-1"


@breaks("headers_are_decoded_from_utf8")
class DecodesUTF8Strictly(DecodesFields):
    encoding = "utf-8"


@breaks("statuses_are_no_errors")
class RaisesForStatus(H11Transport):
    """Raises an error for a status of 400 or more, as with ``raise_for_status=True``."""

    def respond(self, response):
        if response.status >= 400:
            raise APIConnectionError(f"status {response.status}")
        return super().respond(response)


@breaks("redirects_are_not_followed")
class FollowsRedirects(H11Transport):
    """Sends the request again, to the Location of the redirect."""

    async def open(self, url, request, **kwargs):
        response = await super().open(url, request, **kwargs)
        if location := response.headers.get("location"):
            await response.aclose()
            response = await super().open(url, attrs.evolve(request, target=location), **kwargs)
        return response


class PeekingConnection(Connection):
    peeked = None

    async def next_event(self):
        if self.peeked is None:
            return await super().next_event()
        event, self.peeked = self.peeked, None
        return event


@breaks("head_comes_before_the_body")
class WaitsForTheFirstChunk(H11Transport):
    """Looks into the body before it delivers the head, as a client that guesses the charset does."""

    def new_connection(self):
        return PeekingConnection(self)

    async def head(self, connection):
        event = await super().head(connection)
        connection.peeked = await connection.next_event()
        return event
