"""Each fault does what it says, as often as it says, to those whom it concerns, in memory and over HTTP."""

import asyncio
import math

import pytest

from handinger_async import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    ConfigurationError,
    InternalServerError,
    RateLimitError,
    RetryPolicy,
    Session,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.http import Request, Response
from handinger_async.operations import CreateWorker, RetrieveWorker, RetrieveWorkerFile, StreamWorkerUpdates
from handinger_async.testing import FakeHandinger
from handinger_async.testing.cli import parse_faults
from handinger_async.testing.faults import (
    CloseConnection,
    Corrupt,
    Cut,
    Delay,
    Drop,
    FaultyHandler,
    Refuse,
    Status,
    Trickle,
)
from handinger_async.testing.server import Server
from handinger_async.transports.memory import MemoryTransport, ask

pytestmark = pytest.mark.usefixtures("virtual_time")

ONCE = RetryPolicy(max_retries=0)
NETWORK = pytest.mark.parametrize("network", [False, True], ids=["in memory", "over HTTP"])


class Desk:
    """A session over a fake with faults before it."""

    def __init__(self, *faults, network=False, seed=0, **options):
        self.fake = FakeHandinger()
        self.handler = FaultyHandler(self.fake, *faults, seed=seed)
        self.server = Server(self.handler)
        self.network = network
        self.options = {"retry": ONCE, **options}

    async def __aenter__(self):
        await self.server.__aenter__()
        transport = None if self.network else MemoryTransport(self.handler)
        self.session = Session(api_key="k", base_url=self.server.url, transport=transport, **self.options)
        self.workers = self.session.workers
        return self

    async def __aexit__(self, *exc):
        await self.session.aclose()
        await self.server.__aexit__(*exc)


def now():
    return asyncio.get_running_loop().time()


@NETWORK
async def test_refuse_performs_nothing(network):
    async with Desk(Refuse(), network=network) as desk:
        with pytest.raises(APIConnectionError) as failure:
            await desk.workers.create(input="x")
        assert failure.value.request_sent == network  # whoever has reached a server cannot know
        assert desk.fake.requests == []


@NETWORK
async def test_drop_performs_and_loses_the_answer(network):
    async with Desk(Drop(), network=network) as desk:
        with pytest.raises(APIConnectionError) as failure:
            await desk.workers.create(input="x")
        assert failure.value.request_sent
        assert len(desk.fake.workers) == 1


@NETWORK
async def test_status_answers_with_an_error_and_performs_nothing(network):
    async with Desk(Status(429, retry_after=2.5, headers={"X-Odd": "y"}), network=network) as desk:
        with pytest.raises(RateLimitError, match="on purpose") as failure:
            await desk.workers.create(input="x")
        assert (failure.value.retry_after, failure.value.code) == (2.5, "injected")
        assert failure.value.response.headers["x-odd"] == "y"
        assert desk.fake.requests == []


async def test_status_can_have_another_body():
    async with Desk(Status(502, body=b"<html>", headers={"Content-Type": "text/html"})) as desk:
        with pytest.raises(InternalServerError) as failure:
            await desk.workers.create(input="x")
        assert failure.value.response.body == b"<html>"


@NETWORK
async def test_delay_performs_first_and_answers_late(network):
    async with Desk(Delay(30, times=None), network=network) as desk:
        begin = now()
        await desk.workers.create(input="x")
        assert now() - begin == pytest.approx(30, abs=1)
        with pytest.raises(APITimeoutError):
            await desk.session.with_options(timeouts=Timeouts(attempt=10)).workers.create(input="x")
        assert len(desk.fake.workers) == 2


@NETWORK
async def test_delay_within_the_body_is_silence(network):
    async with Desk(Delay(math.inf, at=40), network=network, timeouts=Timeouts(idle=100)) as desk:
        begin = now()
        with pytest.raises(StreamInterruptedError, match="no byte"):
            async with desk.workers.create(input="x", stream=True) as events:
                [event async for event in events]
        assert now() - begin == pytest.approx(100, abs=5)


@NETWORK
async def test_trickle_takes_its_time_and_loses_nothing(network):
    async with Desk(Trickle(7, pause=0.5, on=RetrieveWorkerFile), network=network) as desk:
        worker = await desk.workers.create(input="x")
        desk.fake.publish(worker.id, "f", b"0123456789" * 10)
        begin = now()
        chunks = [chunk async for chunk in desk.workers.retrieve_file("f", worker_id=worker.id)]
        assert b"".join(chunks) == b"0123456789" * 10
        assert max(map(len, chunks)) <= 7
        assert now() - begin == pytest.approx(15 * 0.5, abs=1)


@NETWORK
@pytest.mark.parametrize("at", [0, 1, 5, 10])
async def test_cut_lets_so_many_bytes_through(network, at):
    async with Desk(Cut(at, on=RetrieveWorkerFile), network=network) as desk:
        worker = await desk.workers.create(input="x")
        desk.fake.publish(worker.id, "f", b"0123456789")
        if at < 10 or not network:  # a whole body is whole, whatever becomes of its connection
            with pytest.raises(APIConnectionError):
                await desk.workers.retrieve_file("f", worker_id=worker.id).read()
        assert await desk.workers.retrieve_file("f", worker_id=worker.id).read() == b"0123456789"


async def test_a_body_that_is_shorter_than_the_cut_is_whole():
    handler = FaultyHandler(lambda _: Response(200, {}, b"short"), Cut(6))
    async with MemoryTransportOpen(handler) as response:
        assert await response.read_chunk() == b"short"
        assert await response.read_chunk() == b""


class MemoryTransportOpen:
    def __init__(self, handler):
        self.transport = MemoryTransport(handler)

    async def __aenter__(self):
        return await self.transport.open(None, Request("GET", "/"), connect_timeout=None)

    async def __aexit__(self, *exc):
        await self.transport.aclose()


@NETWORK
async def test_a_cut_stream_is_resumed_without_loss_or_repetition(network):
    async with Desk(Cut(2000, on=StreamWorkerUpdates, times=3), network=network, retry=RetryPolicy()) as desk:
        worker = await desk.workers.create(input="x")
        async with desk.workers.stream_updates(worker.id) as events:
            assert [event.id async for event in events] == list("123456")
        assert len(desk.handler.injected) > 0


@NETWORK
@pytest.mark.parametrize("at", [0, 30])
async def test_corrupt_json_is_found_out(network, at):
    async with Desk(Corrupt(at), network=network) as desk:
        with pytest.raises(APIResponseValidationError):
            await desk.workers.create(input="x")


async def test_corrupt_replaces_one_byte_wherever_the_pieces_end():
    for at in range(8):
        handler = FaultyHandler(lambda _: iter([b"ab", b"", b"cde", b"f"]), Corrupt(at))
        answer = await ask(handler, Request("GET", "/"))
        body = b"".join([chunk async for chunk in answer.chunks])
        assert body == b"abcdef"[:at] + b"\0" * (at < 6) + b"abcdef"[at + 1 :]


async def test_a_connection_that_is_closed_behind_an_answer_costs_a_get_nothing():
    async with Desk(CloseConnection(times=None), network=True, retry=RetryPolicy()) as desk:
        worker = await desk.workers.create(input="x")
        for _ in range(5):
            assert (await desk.workers.retrieve(worker.id)).id == worker.id
        assert desk.server.connections >= 5


async def test_in_memory_there_is_no_connection_to_close():
    async with Desk(CloseConnection(times=None)) as desk:
        assert (await desk.workers.create(input="x")).status == "pending"


# Which, how often, how likely #########################################################################################


async def outcomes(handler, requests):
    """Return the statuses with which requests are answered."""
    return [(await ask(handler, request)).status for request in requests]


CREATE = Request("POST", "/api/workers", {}, b'{"input":"x"}')
RETRIEVE = Request("GET", "/api/workers/w1")
ODD = Request("GET", "/odd")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Status(503), [503, 200, 200, 200]),
        (Status(503, times=2), [503, 503, 200, 200]),
        (Status(503, times=None), [503, 503, 503, 503]),
        (Status(503, times=0), [200, 200, 200, 200]),
        (Status(503, skip=2), [200, 200, 503, 200]),
        (Status(503, skip=1, times=2), [200, 503, 503, 200]),
        (Status(503, chance=0.0, times=None), [200, 200, 200, 200]),
    ],
)
async def test_by_count(fault, expected):
    assert await outcomes(FaultyHandler(lambda _: Response(200), fault), [ODD] * 4) == expected


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (None, [503, 503, 503]),
        (CreateWorker, [503, 200, 200]),
        ((CreateWorker, RetrieveWorker), [503, 503, 200]),
        (lambda request: request.target == "/odd", [200, 200, 503]),
    ],
)
async def test_by_operation(on, expected):
    handler = FaultyHandler(lambda _: Response(200), Status(503, on=on, times=None))
    assert await outcomes(handler, [CREATE, RETRIEVE, ODD]) == expected


async def test_by_chance_the_same_for_the_same_seed():
    def handler(seed):
        return FaultyHandler(lambda _: Response(200), Status(503, chance=0.3, times=None), seed=seed)

    first, again, other = [await outcomes(handler(seed), [ODD] * 200) for seed in (1, 1, 2)]
    assert first == again != other
    assert 30 <= first.count(503) <= 90


async def test_the_first_fault_is_met_first_and_what_went_wrong_is_kept():
    refuse, status = Refuse(skip=1), Status(503, times=2)
    handler = FaultyHandler(lambda _: Response(200), refuse, status)
    assert await outcomes(handler, [ODD]) == [503]
    with pytest.raises(APIConnectionError):
        await handler(RETRIEVE)
    assert await outcomes(handler, [ODD, ODD]) == [503, 200]
    assert handler.injected == [(ODD, status), (RETRIEVE, refuse), (ODD, status)]


@pytest.mark.parametrize(
    "make", [lambda: Cut(-1), lambda: Drop(times=-1), lambda: Drop(chance=2), lambda: Drop(skip=-1)]
)
async def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(ConfigurationError):
        make()


# As text ##############################################################################################################


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", []),
        ("drop", [Drop()]),
        ("refuse*3, drop@create", [Refuse(times=3), Drop(on=CreateWorker)]),
        ("503", [Status(503)]),
        ("429:0.5*all", [Status(429, retry_after=0.5, times=None)]),
        ("cut:120@stream*all%50", [Cut(120, on=StreamWorkerUpdates, times=None, chance=0.5)]),
        ("delay:2.5,trickle:3,corrupt:4,close", [Delay(2.5), Trickle(3), Corrupt(4), CloseConnection()]),
        ("delay,trickle,corrupt,cut", [Delay(1.0), Trickle(1), Corrupt(0), Cut(0)]),
    ],
)
async def test_faults_as_text(text, faults):
    assert parse_faults(text) == faults


@pytest.mark.parametrize(
    "text", ["explode", "200", "drop@everything", "cut:", "cut:1.2.3", "drop*", "drop%", "drop drop"]
)
async def test_text_that_names_no_fault_is_refused_by_name(text):
    with pytest.raises(ConfigurationError, match=text.split(maxsplit=1)[0].replace("*", r"\*").replace(".", r"\.")):
        parse_faults(text)


@pytest.mark.parametrize("at", [0, 3, 4, 9, 10])
async def test_cut_delivers_exactly_so_many_bytes(at):
    handler = FaultyHandler(lambda _: iter([b"0123", b"", b"456789"]), Cut(at))
    answer = await ask(handler, Request("GET", "/"))
    received = []
    with pytest.raises(APIConnectionError):
        await collect(answer.chunks, received)
    assert b"".join(received) == b"0123456789"[:at]


async def collect(chunks, received):
    async for chunk in chunks:
        received.append(chunk)
