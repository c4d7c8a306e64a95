"""Broken transports, at least one for each clause of the conformance suite."""

import asyncio
import gzip
from urllib.parse import unquote

import aiohttp
import attrs

from handinger_async.errors import APIConnectionError, APITimeoutError
from handinger_async.http import Headers
from handinger_async.transports.memory import call_handler

from .wrapped_transports import InMemory, OverNetwork, Passing, WithGivenSession

#: The broken transports, by the clause that they fail.
BROKEN = {}


def breaks(*clauses):
    """Register a transport that fails these clauses."""

    def add(cls):
        for clause in clauses:
            BROKEN.setdefault(clause, []).append(cls)
        return cls

    return add


@breaks("target_arrives_as_given")
class Unquotes(InMemory):
    async def open(self, url, request, **kwargs):
        return await super().open(url, attrs.evolve(request, target=unquote(request.target)), **kwargs)


@breaks("method_headers_and_body_arrive_as_given")
class DropsAHeader(InMemory):
    async def open(self, url, request, **kwargs):
        kept = {name: value for name, value in request.headers.items() if name != "X-Odd"}
        return await super().open(url, attrs.evolve(request, headers=kept), **kwargs)


@breaks("method_headers_and_body_arrive_as_given")
class TruncatesTheRequest(InMemory):
    async def open(self, url, request, **kwargs):
        return await super().open(url, attrs.evolve(request, body=request.body[:65536]), **kwargs)


@breaks("no_content_type_is_made_up")
class AddsAContentType(InMemory):
    async def open(self, url, request, **kwargs):
        headers = Headers({"Content-Type": "text/plain"}) | request.headers
        return await super().open(url, attrs.evolve(request, headers=headers), **kwargs)


@breaks("many_requests_at_a_time")
class OneAtATime(InMemory):
    lock = None

    async def open(self, url, request, **kwargs):
        self.lock = self.lock or asyncio.Lock()
        async with self.lock:
            return await super().open(url, request, **kwargs)


@breaks("response_arrives_as_given")
class DropsTheHeaders(InMemory):
    def respond(self, response):
        passing = super().respond(response)
        passing.headers = Headers()
        return passing


@breaks("response_arrives_as_given", "end_is_empty_from_then_on")
class LosesChunks(InMemory):
    def respond(self, response):
        passing = super().respond(response)

        async def read_chunk():
            return (await response.read_chunk())[:1]

        passing.read_chunk = read_chunk
        return passing


@breaks("statuses_are_no_errors")
class RaisesForStatus(InMemory):
    def respond(self, response):
        if response.status >= 400:
            raise APIConnectionError(f"status {response.status}")
        return super().respond(response)


@breaks("redirects_are_not_followed")
class FollowsRedirects(OverNetwork):
    async def open(self, url, request, **kwargs):
        response = await super().open(url, request, **kwargs)
        if 300 < response.status < 304:
            await response.aclose()
            response = await super().open(url, request, **kwargs)
        return response


class Reading(Passing):
    """Reads chunks ahead, and delivers them later."""

    def respond(self, response):
        passing = super().respond(response)
        passing.ahead = []

        async def read_chunk():
            return passing.ahead.pop(0) if passing.ahead else await response.read_chunk()

        passing.read_chunk = read_chunk
        return passing


@breaks("head_comes_before_the_body")
class WaitsForTheBody(InMemory, Reading):
    async def open(self, *args, **kwargs):
        response = await super().open(*args, **kwargs)
        response.ahead.append(await response.inner.read_chunk())
        return response


@breaks("chunks_come_as_they_are_sent")
class Buffers(InMemory):
    def respond(self, response):
        passing = super().respond(response)

        async def read_chunk():
            chunks = []
            while chunk := await response.read_chunk():
                chunks.append(chunk)
            return b"".join(chunks)

        passing.read_chunk = read_chunk
        return passing


@breaks("end_is_empty_from_then_on")
class RaisesAfterTheEnd(InMemory):
    def respond(self, response):
        passing = super().respond(response)
        passing.ended = False

        async def read_chunk():
            if passing.ended:
                raise APIConnectionError("it has ended")
            chunk = await response.read_chunk()
            passing.ended = not chunk
            return chunk

        passing.read_chunk = read_chunk
        return passing


@breaks("empty_chunks_are_not_the_end")
class DeliversEmptyChunks(InMemory):
    async def open(self, url, request, **kwargs):
        response = await super().open(url, request, **kwargs)
        result = await call_handler(self.handler, request)
        if not hasattr(result.chunks, "aclose"):
            chunks = iter(result.chunks)

            async def read_chunk():
                return next(chunks, b"")

            response.read_chunk = read_chunk
        return response


@breaks("responses_without_a_body_end_immediately")
class AddsABody(InMemory, Reading):
    def respond(self, response):
        passing = super().respond(response)
        passing.ahead = [b"null"] if response.status == 204 else []
        return passing


@breaks("bodies_are_decompressed")
class DoesNotDecompress(OverNetwork, Reading):
    def respond(self, response):
        passing = super().respond(response)
        if response.headers.get("content-encoding") == "gzip":
            passing.ahead = [gzip.compress(b"still packed")]
        return passing


@breaks("a_truncated_body_is_an_error")
class TakesTruncationForTheEnd(OverNetwork):
    def respond(self, response):
        passing = super().respond(response)

        async def read_chunk():
            try:
                return await response.read_chunk()
            except APIConnectionError:
                return b""

        passing.read_chunk = read_chunk
        return passing


@breaks("a_truncated_body_is_an_error")
class RaisesOtherErrors(InMemory):
    def respond(self, response):
        passing = super().respond(response)

        async def read_chunk():
            try:
                return await response.read_chunk()
            except APIConnectionError:
                raise ConnectionResetError from None

        passing.read_chunk = read_chunk
        return passing


@breaks("a_dropped_connection_is_reported_and_not_retried")
class Retries(OverNetwork):
    async def open(self, *args, **kwargs):
        try:
            return await super().open(*args, **kwargs)
        except APIConnectionError:
            return await super().open(*args, **kwargs)


class Misjudges(OverNetwork):
    sent = True

    async def open(self, *args, **kwargs):
        try:
            return await super().open(*args, **kwargs)
        except APIConnectionError as error:
            error.request_sent = self.sent
            raise


@breaks("a_refused_connection_was_not_sent", "an_unknown_host_was_not_sent", "a_closed_transport_sends_nothing")
class ReportsAllAsSent(Misjudges):
    sent = True


@breaks("a_malformed_response_is_a_connection_error", "a_dropped_connection_is_reported_and_not_retried")
class ReportsNothingAsSent(Misjudges):
    sent = False


@breaks("connect_timeout_is_for_connecting_alone")
class CountsTheTimeToRespond(InMemory):
    async def open(self, url, request, *, connect_timeout):
        try:
            async with asyncio.timeout(connect_timeout):
                return await super().open(url, request, connect_timeout=None)
        except TimeoutError:
            raise APITimeoutError from None


@breaks("closing_twice_is_closing_once")
class ClosesOnce(InMemory):
    def respond(self, response):
        passing = super().respond(response)
        closes = iter([response.aclose])
        passing.aclose = lambda: next(closes)()
        return passing


@breaks("closing_is_seen_at_the_other_end", "closing_completes_under_cancellation")
class ForgetsToClose(OverNetwork):
    def respond(self, response):
        passing = super().respond(response)

        async def aclose():
            pass

        passing.aclose = aclose
        return passing


@breaks("closing_wakes_a_reader")
class WaitsForTheReader(InMemory):
    def respond(self, response):
        passing = super().respond(response)
        lock = asyncio.Lock()

        async def read_chunk():
            async with lock:
                return await response.read_chunk()

        async def aclose():
            async with lock:
                await response.aclose()

        passing.read_chunk, passing.aclose = read_chunk, aclose
        return passing


@breaks("closing_completes_under_cancellation")
class ClosesUnlessCancelled(OverNetwork):
    def respond(self, response):
        passing = super().respond(response)

        async def aclose():
            for _ in range(3):
                await asyncio.sleep(0)
            await response.aclose()

        passing.aclose = aclose
        return passing


@breaks("a_cancelled_open_leaves_nothing")
class IgnoresCancelledOpens(OverNetwork):
    async def open(self, *args, **kwargs):
        return await asyncio.shield(super().open(*args, **kwargs))


@breaks("a_cancelled_read_loses_nothing")
class IgnoresCancelledReads(InMemory):
    def respond(self, response):
        passing = super().respond(response)

        async def read_chunk():
            return await asyncio.shield(asyncio.ensure_future(response.read_chunk()))

        passing.read_chunk = read_chunk
        return passing


@breaks("connections_are_reused")
class ConnectsEachTime(WithGivenSession):
    def __init__(self, handler):
        super().__init__(connector=aiohttp.TCPConnector(force_close=True))


@breaks("closing_the_transport_closes_its_responses", "a_closed_transport_sends_nothing")
class NeverCloses(InMemory):
    async def aclose(self):
        pass
