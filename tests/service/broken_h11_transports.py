"""Broken transports over h11: each differs from `H11Transport` in one step, and fails one clause alone."""

import asyncio
import zlib

import h11

from handinger_async.errors import APIConnectionError, APITimeoutError
from handinger_async.http import Headers

from .h11_transport import Connection, H11Transport
from .wrapped_transports import PassingResponse

#: The broken transports, by the clause that they fail.
BROKEN_H11 = {}


def breaks(clause):
    """Register a transport that fails this clause, and no other."""

    def add(cls):
        BROKEN_H11.setdefault(clause, []).append(cls)
        return cls

    return add


# Requests #############################################################################################################


@breaks("headers_outside_ascii_are_sent_in_utf8")
class SendsASCIIAlone(H11Transport):
    def encode(self, value):
        return value.encode("ascii")


@breaks("headers_outside_ascii_are_sent_in_utf8")
class SendsLatin1IfPossible(H11Transport):
    def encode(self, value):
        try:
            return value.encode("latin-1")
        except UnicodeError:
            return value.encode()


class MakesUpAContentType(H11Transport):
    method = "POST"
    body = False

    def fields(self, url, request):
        fields = super().fields(url, request)
        made_up = request.method == self.method and bool(request.body) == self.body
        if made_up and "content-type" not in request.headers:
            fields.append(("Content-Type", b"application/octet-stream"))
        return fields


@breaks("no_content_type_is_made_up")
class MakesUpAContentTypeForPatch(MakesUpAContentType):
    method = "PATCH"


@breaks("no_content_type_is_made_up")
class MakesUpAContentTypeForOptions(MakesUpAContentType):
    method = "OPTIONS"


@breaks("no_content_type_is_made_up")
class MakesUpAContentTypeForBodies(MakesUpAContentType):
    body = True


class KeepsCookies(H11Transport):
    hosts = ()
    cookie = None

    def headers(self, fields):
        headers = super().headers(fields)
        self.cookie = headers.get("set-cookie", "").partition(";")[0] or self.cookie
        return headers

    def fields(self, url, request):
        fields = super().fields(url, request)
        if self.cookie and url.host in self.hosts:
            fields.append(("Cookie", self.cookie))
        return fields


@breaks("no_cookies_are_kept")
class KeepsCookiesOfAddresses(KeepsCookies):
    hosts = ("127.0.0.1",)


@breaks("no_cookies_are_kept")
class KeepsCookiesOfNames(KeepsCookies):
    hosts = ("localhost",)


@breaks("host_names_the_port")
class LeavesOutThePort(H11Transport):
    def authority(self, url):
        return url.host


# Uploads ##############################################################################################################


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


# Responses ############################################################################################################


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


# Bodies ###############################################################################################################


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


class Gunzips(H11Transport):
    """Decompresses whole bodies in gzip."""

    def respond(self, response):
        if response.headers.get("content-encoding") != "gzip":
            return super().respond(response)
        passing = PassingResponse(response)

        async def read_chunk():
            packed = b"".join([chunk async for chunk in iterate(response)])
            return self.gunzip(packed) if packed else b""

        passing.read_chunk = read_chunk
        return passing


async def iterate(response):
    while chunk := await response.read_chunk():
        yield chunk


@breaks("all_gzip_members_are_decompressed")
class ReadsOneMember(Gunzips):
    def gunzip(self, packed):
        stream = zlib.decompressobj(31)
        body = stream.decompress(packed)
        if not stream.eof:
            raise APIConnectionError("truncated")
        return body


@breaks("a_truncated_compressed_body_is_an_error")
class TakesTruncatedGzip(Gunzips):
    def gunzip(self, packed):
        body = b""
        while packed:
            stream = zlib.decompressobj(31)
            body += stream.decompress(packed)
            packed = stream.unused_data
        return body


@breaks("no_body_is_no_truncated_body")
class WantsAGzipBody(H11Transport):
    def respond(self, response):
        if response.status in (204, 304) and response.headers.get("content-encoding") == "gzip":
            raise APIConnectionError("the body is truncated")
        return super().respond(response)


class DeliversACoding(H11Transport):
    def respond(self, response):
        return response if response.headers.get("content-encoding") == self.coding else super().respond(response)


@breaks("bodies_are_never_delivered_compressed")
class DeliversBrotli(DeliversACoding):
    coding = "br"


@breaks("bodies_are_never_delivered_compressed")
class DeliversZstandard(DeliversACoding):
    coding = "zstd"


@breaks("bodies_are_never_delivered_compressed")
class DeliversUnknownCodings(DeliversACoding):
    coding = "x-unknown"


# Connections ##########################################################################################################


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


@breaks("a_cancelled_upload_leaves_no_socket")
class SendsTheRestOfAnUpload(H11Transport):
    def abandon(self, connection):
        connection.transport.close()
