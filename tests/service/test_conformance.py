"""Both transports pass every clause, and for each clause there is a transport that fails it, and it by name."""

import asyncio
import gzip
from urllib.parse import unquote

import aiohttp
import attrs
import pytest

from handinger_async.errors import APIConnectionError, APITimeoutError
from handinger_async.http import Headers
from handinger_async.testing import check_transport
from handinger_async.testing.conformance import CLAUSES
from handinger_async.testing.recording import RecordingTransport
from handinger_async.testing.virtual_time import run
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import MemoryTransport, ask


class WithGivenSession(AiohttpTransport):
    """The transport over aiohttp, with a session of the caller's."""

    def __init__(self, **kwargs):
        self.session = aiohttp.ClientSession(**kwargs)
        super().__init__(self.session)

    async def aclose(self):
        await super().aclose()
        await self.session.close()


class Passing:
    """A transport that does nothing of its own; the broken ones below each change one thing."""

    def __init__(self, inner):
        self.inner = inner

    async def open(self, url, request, *, connect_timeout):
        return self.respond(await self.inner.open(url, request, connect_timeout=connect_timeout))

    def respond(self, response):
        return PassingResponse(response)

    async def aclose(self):
        await self.inner.aclose()


class PassingResponse:
    def __init__(self, inner):
        self.inner = inner
        self.status = inner.status
        self.headers = inner.headers

    async def read_chunk(self):
        return await self.inner.read_chunk()

    async def aclose(self):
        await self.inner.aclose()


class InMemory(Passing):
    def __init__(self, handler):
        self.handler = handler
        super().__init__(MemoryTransport(handler))


class OverNetwork(Passing):
    def __init__(self, handler):
        super().__init__(AiohttpTransport())


MAKERS = {
    "memory": MemoryTransport,
    "aiohttp": lambda handler: AiohttpTransport(),
    "aiohttp with a given session": lambda handler: WithGivenSession(),
    "a wrapped one in memory": InMemory,
    "a wrapped one over a network": OverNetwork,
}


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_transports_that_keep_to_the_protocol_pass(make, clause):
    run(check_transport(make, clauses=[clause]))


def test_a_recording_transport_passes(tmp_path):
    run(check_transport(lambda handler: RecordingTransport(MemoryTransport(handler), tmp_path / "recording.json")))


async def test_they_pass_in_real_time_too():
    await check_transport(lambda handler: AiohttpTransport())


# One broken transport for each clause #################################################################################

BROKEN = {}


def breaks(*clauses):
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
class LosesAHeader(InMemory):
    async def open(self, url, request, **kwargs):
        kept = {name: value for name, value in request.headers.items() if name != "X-Odd"}
        return await super().open(url, attrs.evolve(request, headers=kept), **kwargs)


@breaks("method_headers_and_body_arrive_as_given")
class LosesTheBody(InMemory):
    async def open(self, url, request, **kwargs):
        return await super().open(url, attrs.evolve(request, body=request.body[:65536]), **kwargs)


@breaks("method_headers_and_body_arrive_as_given")
class MakesUpAContentType(InMemory):
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


@breaks("answer_arrives_as_given")
class LosesTheHeaders(InMemory):
    def respond(self, response):
        passing = super().respond(response)
        passing.headers = Headers()
        return passing


@breaks("answer_arrives_as_given", "end_is_empty_from_then_on")
class LosesThePieces(InMemory):
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
    """Reads pieces ahead, and hands them out later."""

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
class RaisesBehindTheEnd(InMemory):
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


@breaks("empty_pieces_are_not_the_end")
class DeliversEmptyPieces(InMemory):
    async def open(self, url, request, **kwargs):
        response = await super().open(url, request, **kwargs)
        answer = await ask(self.handler, request)
        if not hasattr(answer.chunks, "aclose"):
            chunks = iter(answer.chunks)

            async def read_chunk():
                return next(chunks, b"")

            response.read_chunk = read_chunk
        return response


@breaks("answers_without_a_body_end_at_once")
class MakesUpABody(InMemory, Reading):
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


@breaks("a_cut_body_is_no_end")
class TakesACutForTheEnd(OverNetwork):
    def respond(self, response):
        passing = super().respond(response)

        async def read_chunk():
            try:
                return await response.read_chunk()
            except APIConnectionError:
                return b""

        passing.read_chunk = read_chunk
        return passing


@breaks("a_cut_body_is_no_end")
class RaisesErrorsOfItsOwn(InMemory):
    def respond(self, response):
        passing = super().respond(response)

        async def read_chunk():
            try:
                return await response.read_chunk()
            except APIConnectionError:
                raise ConnectionResetError from None

        passing.read_chunk = read_chunk
        return passing


@breaks("a_dropped_connection_is_reported_and_not_repeated")
class Repeats(OverNetwork):
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
class HoldsAllForSent(Misjudges):
    sent = True


@breaks("an_answer_that_is_not_http_is_a_connection_error", "a_dropped_connection_is_reported_and_not_repeated")
class HoldsNothingForSent(Misjudges):
    sent = False


@breaks("connect_timeout_is_for_connecting_alone")
class CountsTheTimeToAnswer(InMemory):
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
class OpensOnRegardless(OverNetwork):
    async def open(self, *args, **kwargs):
        return await asyncio.shield(super().open(*args, **kwargs))


@breaks("a_cancelled_read_loses_nothing")
class ReadsOnRegardless(InMemory):
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


@breaks("closing_the_transport_closes_its_answers", "a_closed_transport_sends_nothing")
class NeverCloses(InMemory):
    async def aclose(self):
        pass


@pytest.mark.parametrize(
    ("clause", "make"),
    [(clause, make) for clause in CLAUSES for make in BROKEN.get(clause.__name__, [])],
    ids=lambda value: value.__name__,
)
def test_a_broken_transport_fails_the_clause_that_it_breaks(clause, make):
    with pytest.raises(AssertionError, match=clause.__name__) as failure:
        run(check_transport(make, clauses=[clause]))
    assert clause.__doc__.splitlines()[0] in str(failure.value)


def test_every_clause_has_a_transport_that_breaks_it():
    assert set(BROKEN) == {clause.__name__ for clause in CLAUSES}


def test_all_clauses_are_checked_by_default():
    with pytest.raises(AssertionError, match=r"^closing_the_transport_closes_its_answers: To close the transport"):
        run(check_transport(NeverCloses))
