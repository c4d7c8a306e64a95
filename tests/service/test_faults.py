"""Each fault has its effect, in memory and over HTTP, on the selected requests and as often as it says.

Tests that measure time run in memory, in virtual time. Tests over HTTP run in real time, and measure none.
"""

import asyncio
import math

import pytest

from handinger_async import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    ConfigurationError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    Session,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.http import Request, Response
from handinger_async.operations import (
    CreateTask,
    CreateWorker,
    RetrieveTask,
    RetrieveWorker,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import (
    CloseConnection,
    Corrupt,
    Cut,
    Delay,
    Drop,
    FaultyHandler,
    Postpone,
    Refuse,
    Status,
    Trickle,
)
from handinger_async.testing.scripts import Step
from handinger_async.testing.server import Server
from handinger_async.transports.memory import MemoryTransport, call_handler

ONCE = RetryPolicy(max_retries=0)
AT_ONCE = RetryPolicy(max_retries=10, initial_delay=0)
#: Timeouts that only end a test that hangs.
GENEROUS = Timeouts(connect=60, attempt=60, idle=60)
NETWORK = pytest.mark.parametrize("network", [False, True], ids=["in memory", "over HTTP"])


class Faulty:
    """A session over an in-memory service with faults, directly or over HTTP."""

    def __init__(self, *faults, network=False, seed=0, **options):
        self.fake = FakeHandinger()
        self.fake.script(*[Step(word, after=0) for word in ("one ", "two ", "three ", "four ", "five")])
        self.performed = asyncio.Event()
        self.handler = FaultyHandler(self.perform, *faults, seed=seed)
        self.server = Server(self.handler) if network else None
        self.options = {"retry": ONCE, "timeouts": GENEROUS, **options}

    def perform(self, request):
        response = self.fake(request)
        if request.method == "POST":
            self.performed.set()
        return response

    async def __aenter__(self):
        if self.server is None:
            self.session = Session(api_key="k", transport=MemoryTransport(self.handler), **self.options)
        else:
            await self.server.__aenter__()
            self.session = Session(api_key="k", base_url=self.server.url, **self.options)
        self.workers = self.session.workers
        return self

    async def __aexit__(self, *exc):
        await self.session.aclose()
        if self.server is not None:
            await self.server.__aexit__(*exc)


def now():
    return asyncio.get_running_loop().time()


@NETWORK
async def test_refuse_does_not_perform_the_request(network):
    async with Faulty(Refuse(), network=network) as faulty:
        with pytest.raises(APIConnectionError) as failure:
            await faulty.workers.create(input="x")
        assert failure.value.request_sent == network  # over HTTP, the client cannot tell
        assert faulty.fake.requests == []


@NETWORK
async def test_drop_performs_the_request_and_loses_the_response(network):
    async with Faulty(Drop(), network=network) as faulty:
        with pytest.raises(APIConnectionError) as failure:
            await faulty.workers.create(input="x")
        assert failure.value.request_sent
        assert len(faulty.fake.workers) == 1


@NETWORK
async def test_status_responds_with_an_error_without_performing(network):
    async with Faulty(Status(429, retry_after=2.5, headers={"X-Odd": "y"}), network=network) as faulty:
        with pytest.raises(RateLimitError, match="on purpose") as failure:
            await faulty.workers.create(input="x")
        assert (failure.value.retry_after, failure.value.code) == (2.5, "injected")
        assert failure.value.response.headers["x-odd"] == "y"
        assert faulty.fake.requests == []


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("after", [0, 10])
async def test_drop_may_lose_the_connection_during_a_run(after):
    fake = FakeHandinger()
    fake.script(Step("x", after=100))
    async with fake.session(Drop(after=after), retry=ONCE) as session:
        with pytest.raises(APIConnectionError):
            await session.send(CreateTask(input="x", task_id="t"))
        assert now() == after
        assert (await session.send(RetrieveTask("t"))).task.status == "pending"
        await asyncio.sleep(100)
        assert (await session.send(RetrieveTask("t"))).task.status == "completed"
    assert fake.runs == {"x": 1}


@NETWORK
async def test_a_postponed_task_is_performed_once_a_get_said_404(network):
    async with Faulty(Postpone(), network=network) as faulty:
        with pytest.raises(APIConnectionError) as failure:
            await faulty.session.send(CreateTask(input="x", task_id="t"))
        assert failure.value.request_sent
        with pytest.raises(NotFoundError):  # this GET is of another task
            await faulty.session.send(RetrieveTask("other"))
        assert not faulty.fake.runs
        with pytest.raises(NotFoundError):
            await faulty.session.send(RetrieveTask("t"))
        async with asyncio.timeout(60):
            await faulty.performed.wait()
        assert (await faulty.session.send(RetrieveTask("t"))).task.id == "t"
        assert faulty.fake.runs == {"x": 1}


@pytest.mark.usefixtures("virtual_time")
async def test_a_postponed_request_may_be_performed_later_still():
    async with Faulty(Postpone(20)) as faulty:
        with pytest.raises(APIConnectionError):
            await faulty.session.send(CreateTask(input="x", task_id="t"))
        await asyncio.sleep(100)
        for expected in (0, 19):
            await asyncio.sleep(expected)
            with pytest.raises(NotFoundError):
                await faulty.session.send(RetrieveTask("t"))
        await asyncio.sleep(2)
        assert (await faulty.session.send(RetrieveTask("t"))).task.id == "t"


@pytest.mark.usefixtures("virtual_time")
async def test_a_postponed_turn_is_performed_once_its_task_was_shown_without_it():
    async with Faulty(Postpone(skip=1, on=CreateTask)) as faulty:
        await faulty.session.send(CreateTask(input="one", task_id="t"))
        with pytest.raises(APIConnectionError):
            await faulty.session.send(CreateTask(input="two", task_id="t"))
        for turns in (1, 2):
            shown = await faulty.session.send(RetrieveTask("t"))
            assert len(shown.turns) == turns
            await asyncio.sleep(1)


@pytest.mark.usefixtures("virtual_time")
async def test_a_postponed_request_without_a_task_waits_for_any_404():
    async with Faulty(Postpone(on=CreateWorker, skip=1)) as faulty:
        worker = await faulty.workers.create(input="x")
        with pytest.raises(APIConnectionError):
            await faulty.workers.create(input="y")
        await faulty.workers.retrieve(worker.id)
        await asyncio.sleep(1)
        assert faulty.fake.runs == {"x": 1}
        with pytest.raises(NotFoundError):
            await faulty.workers.retrieve("nobody")
        await asyncio.sleep(1)
        assert faulty.fake.runs == {"x": 1, "y": 1}


async def test_status_can_have_another_body():
    async with Faulty(Status(502, body=b"<html>", headers={"Content-Type": "text/html"})) as faulty:
        with pytest.raises(InternalServerError) as failure:
            await faulty.workers.create(input="x")
        assert failure.value.response.body == b"<html>"


@pytest.mark.usefixtures("virtual_time")
async def test_delay_performs_the_request_first_and_responds_late():
    async with Faulty(Delay(30, times=None)) as faulty:
        await faulty.workers.create(input="x")
        assert now() == pytest.approx(30)
        with pytest.raises(APITimeoutError):
            await faulty.session.with_options(timeouts=Timeouts(attempt=10)).workers.create(input="x")
        assert len(faulty.fake.workers) == 2


@NETWORK
async def test_an_infinite_delay_performs_the_request_and_never_responds(network):
    async with Faulty(Delay(math.inf), network=network) as faulty:
        creating = asyncio.create_task(faulty.workers.create(input="x"))
        async with asyncio.timeout(60):
            await faulty.performed.wait()
        assert not creating.done()
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating


@pytest.mark.usefixtures("virtual_time")
async def test_delay_within_the_body_stops_the_stream():
    async with Faulty(Delay(math.inf, at=40), timeouts=Timeouts(idle=100)) as faulty:
        with pytest.raises(StreamInterruptedError):
            async with faulty.workers.create(input="x", stream=True) as events:
                [event async for event in events]
        assert now() == pytest.approx(100)


@pytest.mark.usefixtures("virtual_time")
async def test_trickle_pauses_before_each_small_chunk():
    async with Faulty(Trickle(7, pause=0.5, on=RetrieveWorkerFile)) as faulty:
        worker = await faulty.workers.create(input="x")
        faulty.fake.publish(worker.id, "f", b"0123456789" * 10)
        chunks = [chunk async for chunk in faulty.workers.retrieve_file("f", worker_id=worker.id)]
        assert b"".join(chunks) == b"0123456789" * 10
        assert max(map(len, chunks)) <= 7
        assert now() == pytest.approx(15 * 0.5)


@NETWORK
async def test_trickle_loses_nothing(network):
    async with Faulty(Trickle(7, pause=0, on=RetrieveWorkerFile), network=network) as faulty:
        worker = await faulty.workers.create(input="x")
        faulty.fake.publish(worker.id, "f", b"0123456789" * 10)
        assert await faulty.workers.retrieve_file("f", worker_id=worker.id).read() == b"0123456789" * 10


@NETWORK
@pytest.mark.parametrize("at", [0, 1, 5, 10])
async def test_cut_truncates_the_body(network, at):
    async with Faulty(Cut(at, on=RetrieveWorkerFile), network=network) as faulty:
        worker = await faulty.workers.create(input="x")
        faulty.fake.publish(worker.id, "f", b"0123456789")
        if at < 10 or not network:  # over HTTP, a body is complete once all its bytes have arrived
            with pytest.raises(APIConnectionError):
                await faulty.workers.retrieve_file("f", worker_id=worker.id).read()
        assert await faulty.workers.retrieve_file("f", worker_id=worker.id).read() == b"0123456789"


@pytest.mark.parametrize("at", [0, 3, 4, 9, 10])
async def test_cut_delivers_exactly_the_bytes_before_it(at):
    handler = FaultyHandler(lambda _: iter([b"0123", b"", b"456789"]), Cut(at))
    response = await call_handler(handler, Request("GET", "/"))
    received = []
    with pytest.raises(APIConnectionError):
        await collect(response.chunks, received)
    assert b"".join(received) == b"0123456789"[:at]


async def collect(chunks, received):
    async for chunk in chunks:
        received.append(chunk)


async def test_cut_leaves_a_shorter_body_complete():
    handler = FaultyHandler(lambda _: Response(200, {}, b"short"), Cut(6))
    response = await call_handler(handler, Request("GET", "/"))
    assert [chunk async for chunk in response.chunks] == [b"short"]


@NETWORK
async def test_a_cut_stream_is_resumed_without_loss_or_duplicates(network):
    faults = [Cut(2000, on=StreamWorkerUpdates, times=3)]
    async with Faulty(*faults, network=network, retry=AT_ONCE) as faulty:
        worker = await faulty.workers.create(input="x")
        async with faulty.workers.stream_updates(worker.id) as events:
            assert [event.id async for event in events] == list("123456")
        assert len(faulty.handler.injected) > 0


@NETWORK
@pytest.mark.parametrize("at", [0, 30])
async def test_a_corrupt_byte_makes_the_json_invalid(network, at):
    async with Faulty(Corrupt(at), network=network) as faulty:
        with pytest.raises(APIResponseValidationError):
            await faulty.workers.create(input="x")


async def test_corrupt_replaces_one_byte_at_any_chunk_boundary():
    for at in range(8):
        handler = FaultyHandler(lambda _: iter([b"ab", b"", b"cde", b"f"]), Corrupt(at))
        response = await call_handler(handler, Request("GET", "/"))
        body = b"".join([chunk async for chunk in response.chunks])
        assert body == b"abcdef"[:at] + b"\0" * (at < 6) + b"abcdef"[at + 1 :]


async def test_get_requests_survive_connections_that_are_closed_unannounced():
    async with Faulty(CloseConnection(times=None), network=True, retry=AT_ONCE) as faulty:
        worker = await faulty.workers.create(input="x")
        for _ in range(5):
            assert (await faulty.workers.retrieve(worker.id)).id == worker.id
        assert faulty.server.connections >= 5


async def test_close_connection_has_no_effect_in_memory():
    async with Faulty(CloseConnection(times=None)) as faulty:
        assert (await faulty.workers.create(input="x")).id


# Selection ############################################################################################################


async def outcomes(handler, requests):
    """Return the statuses of the responses to requests."""
    return [(await call_handler(handler, request)).status for request in requests]


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
async def test_times_and_skip_count_the_selected_requests(fault, expected):
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
async def test_on_selects_requests(on, expected):
    handler = FaultyHandler(lambda _: Response(200), Status(503, on=on, times=None))
    assert await outcomes(handler, [CREATE, RETRIEVE, ODD]) == expected


async def test_chance_depends_on_the_seed_alone():
    def handler(seed):
        return FaultyHandler(lambda _: Response(200), Status(503, chance=0.3, times=None), seed=seed)

    first, again, other = [await outcomes(handler(seed), [ODD] * 200) for seed in (1, 1, 2)]
    assert first == again != other
    assert 30 <= first.count(503) <= 90


async def test_faults_apply_in_order_and_are_recorded():
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
async def test_invalid_arguments_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()
