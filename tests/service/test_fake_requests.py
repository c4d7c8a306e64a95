"""Requests to the in-memory service: authentication, errors, idempotency and the request log."""

from typing import ClassVar

import attrs
import pytest

from handinger_async import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    DelayedWhen,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    Session,
    UnprocessableEntityError,
)
from handinger_async.codec import decode_request, decode_response
from handinger_async.http import Request
from handinger_async.operations import CreateWorker, Operation, RetrieveWorker, Route
from handinger_async.testing import FakeHandinger, FaultyHandler, Status, fake
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

from .watching import watch

pytestmark = pytest.mark.usefixtures("virtual_time")


async def test_any_key_authenticates_unless_keys_are_given():
    fake = FakeHandinger(api_keys={"right"})
    for key in ("wrong", "right"):
        async with Session(api_key=key, transport=MemoryTransport(fake)) as session:
            if key == "right":
                await session.workers.create(input="x")
            else:
                with pytest.raises(AuthenticationError, match="API key") as failure:
                    await session.workers.create(input="x")
                assert failure.value.code == "unauthorized"
    with pytest.raises(ConfigurationError):
        FakeHandinger(api_keys="right")


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Basic eDp5", "key"])
async def test_a_request_without_a_bearer_key_gets_401(value):
    headers = {} if value is None else {"Authorization": value}
    assert FakeHandinger()(Request("GET", "/api/workers/w", headers)).status == 401


@pytest.mark.parametrize(
    "call",
    [
        lambda workers: workers.retrieve("nobody"),
        lambda workers: workers.continue_("nobody", input="x"),
        lambda workers: workers.retrieve_email("nobody"),
        lambda workers: workers.retrieve_file("f", worker_id="nobody").read(),
        lambda workers: workers.schedules.list("nobody"),
        lambda workers: workers.schedules.create("nobody", input="x", when=DelayedWhen(delay_in_seconds=1)),
        lambda workers: workers.schedules.cancel("s", worker_id="nobody"),
        lambda workers: workers.stream_updates("nobody").__anext__(),
    ],
)
async def test_every_operation_on_an_unknown_worker_gets_404(handinger, call):
    with pytest.raises(NotFoundError, match="nobody") as failure:
        await call(handinger.workers)
    assert (failure.value.code, failure.value.request_id[:4]) == ("not_found", "req_")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", BadRequestError),
        (b"{", BadRequestError),
        (b"\xff", BadRequestError),
        (b"[]", UnprocessableEntityError),
        (b'{"input": 1}', UnprocessableEntityError),
        (b'{"input": ""}', UnprocessableEntityError),
        (b'{"input": " "}', UnprocessableEntityError),
        (b'{"input": "x", "budget": "lavish"}', UnprocessableEntityError),
        (b'{"input": "x", "stream": "yes"}', UnprocessableEntityError),
    ],
)
async def test_an_invalid_body_is_an_error_and_creates_nothing(fake_handinger, body, error):
    response = fake_handinger(Request("POST", "/api/workers", {"Authorization": "Bearer k"}, body))
    with pytest.raises(error) as failure:
        decode_response(CreateWorker(input="x"), response)
    assert failure.value.message
    assert failure.value.code
    assert failure.value.request_id
    assert fake_handinger.workers == {}


async def test_an_unknown_path_gets_404(handinger):
    with pytest.raises(NotFoundError):
        await handinger.request("GET", "/api/anything")


async def test_every_request_is_kept_without_showing_its_key(handinger, fake_handinger):
    worker = await handinger.workers.create(input="x", budget="low")
    with pytest.raises(NotFoundError):
        await handinger.workers.retrieve("nobody")
    assert [decode_request(request) for request in fake_handinger.requests] == [
        CreateWorker(input="x", budget="low"),
        RetrieveWorker(worker_id="nobody"),
    ]
    assert "Bearer test" not in repr(fake_handinger.requests)
    assert list(fake_handinger.workers) == [worker.id]
    assert fake_handinger.workers[worker.id].id == worker.id


async def test_requests_with_one_idempotency_key_are_performed_once(handinger, fake_handinger):
    once = handinger.with_options(idempotency_key="k1", retry=RetryPolicy(max_retries=0))
    first = await once.workers.create(input="x")
    assert (await once.workers.create(input="x")).id == first.id
    with pytest.raises(UnprocessableEntityError, match="Idempotency-Key"):
        await once.workers.create(input="y")
    assert list(fake_handinger.workers) == [first.id]
    other = handinger.with_options(idempotency_key="k2")
    for _ in range(2):
        await other.workers.schedules.create(first.id, input="x", when=DelayedWhen(delay_in_seconds=60))
    assert len((await handinger.workers.schedules.list(first.id)).schedules) == 1
    third = handinger.with_options(idempotency_key="k3")
    streams = [await watch(third.workers.continue_(first.id, input="z", stream=True)) for _ in range(2)]
    assert [event[0] for event in streams[0]] == [event[0] for event in streams[1]]


@attrs.frozen
class ArchiveWorker(Operation[bool]):
    route: ClassVar[Route] = Route("POST", "/api/archive", bool)


async def test_an_operation_without_a_handler_gets_501_with_the_fix(fake_handinger, monkeypatch):
    monkeypatch.setattr(fake, "read", lambda request, api: ArchiveWorker())
    response = fake_handinger(Request("POST", "/api/archive", {"Authorization": "Bearer k"}, b"{}"))
    with pytest.raises(InternalServerError, match=r"no handler for ArchiveWorker: add one to a module of"):
        decode_response(CreateWorker(input="x"), response)
    assert response.status == 501


@pytest.mark.parametrize(
    ("accept", "streamed"),
    [
        ("application/json, text/event-stream", True),
        ("Text/Event-Stream ; q=0.5", True),
        ("application/json, text/event-stream;q=0", False),
        ("text/event-stream; charset=utf-8; Q=0.000, */*", False),
        ("text/event-stream;q=0.001", True),
        ("text/event-streams, */*", False),
    ],
)
async def test_accept_asks_for_a_stream_unless_its_weight_is_0(accept, streamed):
    fake = FakeHandinger(lenient=True)
    response = fake(Request("GET", "/api/workers/w", {"Authorization": "Bearer k", "Accept": accept}))
    assert isinstance(response, StreamingResponse) == streamed


@pytest.mark.parametrize(("weight", "streamed"), [("", True), (";q=0.1", True), (";q=0", False)])
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [("GET", "/api/workers/w?stream=true", b""), ("POST", "/api/workers", b'{"input": "x", "stream": true}')],
)
async def test_a_weight_of_0_refuses_the_stream_that_a_field_asks_for(method, target, body, weight, streamed):
    accept = f"application/json, text/event-stream{weight}"
    headers = {"Authorization": "Bearer k", "Accept": accept, "Content-Type": "application/json"}
    response = FakeHandinger(api="seed", lenient=True)(Request(method, target, headers, body))
    assert isinstance(response, StreamingResponse) == streamed


async def test_a_lenient_service_makes_a_worker_of_any_id():
    fake = FakeHandinger(lenient=True)
    async with Session(api_key="k", transport=MemoryTransport(fake)) as session:
        assert (await session.workers.retrieve("w1")).id == "w1"
        assert (await session.workers.continue_("w2", input="x")).id == "w2"
        assert len(await watch(session.workers.stream_updates("w3"))) == 6
        assert (await session.workers.schedules.list("w4")).schedules == []
        assert (await session.workers.schedules.cancel("s1", worker_id="w5")).cancelled
        fake.publish("w6", "a.txt", b"a")
        assert await session.workers.retrieve_file("a.txt", worker_id="w6").read() == b"a"
        with pytest.raises(NotFoundError):
            await session.workers.retrieve_file("b.txt", worker_id="w6").read()
    assert list(fake.workers) == ["w1", "w2", "w3", "w4", "w5", "w6"]


async def test_json_streams_are_responses_in_json_unless_events_are_accepted():
    fake = FakeHandinger(json_streams=True)
    headers = {"Authorization": "Bearer k", "Accept": "application/json"}
    created = fake(Request("POST", "/api/workers", headers, b'{"input":"x","stream":true}'))
    assert created.headers["content-type"] == "application/json"
    (worker_id,) = fake.workers
    shown = fake(Request("GET", f"/api/workers/{worker_id}?stream=true", headers))
    assert shown.headers["content-type"] == "application/json"
    async with Session(api_key="k", transport=MemoryTransport(fake)) as session:
        assert len(await watch(session.workers.create(input="x", stream=True))) == 6
        assert len(await watch(session.workers.stream_updates(worker_id))) == 6


async def test_a_session_of_the_service_is_one_call_away():
    fake = FakeHandinger(api_keys=["b", "a"])
    async with fake.session() as session:
        assert (await session.workers.create(input="x")).id in fake.workers
    async with fake.session(api_key="c") as session:
        with pytest.raises(AuthenticationError):
            await session.workers.create(input="x")


async def test_a_session_with_faults_meets_them():
    async with FakeHandinger().session(Status(429, times=3), retry=RetryPolicy(max_retries=1)) as session:
        with pytest.raises(RateLimitError):
            await session.workers.create(input="x")
        assert (await session.exchange(CreateWorker(input="x"))).attempts == 2


async def test_the_last_ten_thousand_requests_and_faults_are_kept(fake_handinger):
    handler = FaultyHandler(fake_handinger, Status(503, on=lambda request: request.target == "/fault", times=None))
    for number in range(10_005):
        fake_handinger(Request("GET", f"/{number}"))
        await handler(Request("GET", "/fault", {"X-Number": str(number)}))
    assert [request.target for request in fake_handinger.requests] == [f"/{number}" for number in range(5, 10_005)]
    assert [int(request.headers["x-number"]) for request, _ in handler.injected] == list(range(5, 10_005))
