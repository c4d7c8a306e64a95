"""Transports that fail a clause of `handinger_async.testing.conformance.compression`."""

import zlib

from handinger_async.errors import APIConnectionError

from ..h11_transport import H11Transport
from ..wrapped_transports import PassingResponse
from .registry import ReadsChunks, breaks


@breaks("bodies_are_decompressed")
class ForgetsTheUnconsumedTail(ReadsChunks):
    """Delivers as much of a decompressed chunk as zlib's ``max_length`` allows, and forgets the rest."""

    def respond(self, response):
        return super().respond(response) if "content-encoding" in response.headers else response

    async def read_chunk(self, response):
        return (await super().read_chunk(response))[:1024]


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
