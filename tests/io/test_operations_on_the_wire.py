"""Every operation over both transports: method, raw path, query, headers and body, and the types of the result."""

import json
import platform
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict

import handinger_async as h
from handinger_async import Session, to_dict
from handinger_async.http import Request, Response
from handinger_async.transports.memory import MemoryTransport

from .service import LIST, SCHEDULE, WORKER
from .wire import Clock, WireRequest, response, wire_server

W = "t_org_123_w_01HZY2ZJQ8G7K42W2D7WF6V4GM"
S = "sch_01HZY31W2SZJ8MJ2FQTR3M1K9D"
EVENTS = b"id: 1\ndata: one\n\ndata: two\n\n"


class Seen:
    """The request of a call, as received over either transport."""

    def __init__(self, method: str, target: str, headers: Any, body: bytes) -> None:
        self.method = method
        self.target = target
        self.headers = CIMultiDict(headers)
        self.body = body


@pytest.fixture(params=["memory", "aiohttp"])
def run(request: pytest.FixtureRequest) -> Any:
    """Make a call to a server with one response; return the result and the request that the server received."""

    async def over_memory(content_type: str, body: bytes, call: Any) -> tuple[Any, Seen]:
        seen: list[Request] = []

        def handler(got: Request) -> Response:
            seen.append(got)
            return Response(200, {"Content-Type": content_type}, body)

        async with Session(api_key="key", transport=MemoryTransport(handler)) as session:
            result = await call(session)
        (one,) = seen
        return result, Seen(one.method, one.target, one.headers.items(), one.body)

    async def over_aiohttp(content_type: str, body: bytes, call: Any) -> tuple[Any, Seen]:
        async def reply(got: WireRequest, writer: Any) -> None:
            writer.write(response(body, content_type=content_type))

        async with wire_server(reply) as server, Session(api_key="key", base_url=server.url) as session:
            result = await call(session)
        (one,) = server.requests
        return result, Seen(one.method, one.target, one.headers, one.body)

    return over_memory if request.param == "memory" else over_aiohttp


async def collect(stream: h.EventStream) -> list[str]:
    async with stream as events:
        return [str(event) async for event in events]


JSON = "application/json"
SSE = "text/event-stream"
BINARY = "application/octet-stream"

CASES = [
    # the call; the request: method, target, accept, body; the body of the response; the result
    (lambda s: s.workers.create(input="x"), "POST", "/api/workers", JSON, {"input": "x"}, WORKER, WORKER),
    (
        lambda s: s.workers.create(input="å", budget="low", stream=False),
        "POST",
        "/api/workers",
        JSON,
        {"input": "å", "budget": "low"},
        WORKER,
        WORKER,
    ),
    (
        lambda s: collect(s.workers.create(input="x", stream=True)),
        "POST",
        "/api/workers",
        SSE,
        {"input": "x", "stream": True},
        EVENTS,
        ["one", "two"],
    ),
    (lambda s: s.workers.retrieve(W), "GET", f"/api/workers/{W}", JSON, None, WORKER, WORKER),
    (
        lambda s: collect(s.workers.retrieve(W, stream=True)),
        "GET",
        f"/api/workers/{W}?stream=true",
        SSE,
        None,
        EVENTS,
        ["one", "two"],
    ),
    (
        lambda s: s.workers.continue_(W, input="x", budget="unlimited"),
        "POST",
        f"/api/workers/{W}",
        JSON,
        {"input": "x", "budget": "unlimited"},
        WORKER,
        WORKER,
    ),
    (
        lambda s: collect(s.workers.continue_(W, input="x", stream=True)),
        "POST",
        f"/api/workers/{W}",
        SSE,
        {"input": "x", "stream": True},
        EVENTS,
        ["one", "two"],
    ),
    (
        lambda s: collect(s.workers.stream_updates(W)),
        "GET",
        f"/api/workers/{W}/stream",
        SSE,
        None,
        EVENTS,
        ["one", "two"],
    ),
    (lambda s: s.workers.retrieve_email(W), "GET", f"/api/workers/{W}/email", JSON, None, "a@b", "a@b"),
    (
        lambda s: s.workers.retrieve_file("scratchpad/plan é#1.md", worker_id="a/b?c#d"),
        "GET",
        "/api/workers/a%2Fb%3Fc%23d/files/scratchpad/plan%20%C3%A9%231.md",
        BINARY,
        None,
        b"\x00bytes",
        b"\x00bytes",
    ),
    (lambda s: s.workers.schedules.list(W), "GET", f"/api/workers/{W}/schedules", JSON, None, LIST, LIST),
    (
        lambda s: s.workers.schedules.create(W, input="x", when=h.DelayedWhen(delay_in_seconds=60), budget="high"),
        "POST",
        f"/api/workers/{W}/schedules",
        JSON,
        {"input": "x", "when": {"type": "delayed", "delayInSeconds": 60}, "budget": "high"},
        SCHEDULE,
        SCHEDULE,
    ),
    (
        lambda s: s.workers.schedules.create(
            worker_id=W,
            input="x",
            when={"date": datetime.fromisoformat("2019-12-27T18:11:19.117"), "type": "scheduled"},
        ),
        "POST",
        f"/api/workers/{W}/schedules",
        JSON,
        {"input": "x", "when": {"type": "scheduled", "date": "2019-12-27T18:11:19.117000"}},
        SCHEDULE,
        SCHEDULE,
    ),
    (
        lambda s: s.workers.schedules.create(W, input="x", when={"type": "interval", "interval_seconds": 5}),
        "POST",
        f"/api/workers/{W}/schedules",
        JSON,
        {"input": "x", "when": {"type": "interval", "intervalSeconds": 5}},
        SCHEDULE,
        SCHEDULE,
    ),
    (
        lambda s: s.workers.schedules.create(W, input="x", when=h.CronWhen("0 9 * * 1")),
        "POST",
        f"/api/workers/{W}/schedules",
        JSON,
        {"input": "x", "when": {"type": "cron", "cron": "0 9 * * 1"}},
        SCHEDULE,
        SCHEDULE,
    ),
    (
        lambda s: s.workers.schedules.cancel(S, worker_id=W),
        "DELETE",
        f"/api/workers/{W}/schedules/{S}",
        JSON,
        None,
        {"cancelled": True},
        {"cancelled": True},
    ),
]


def plain(result: Any) -> Any:
    """Return the JSON document of a result, with dates as the server formats them."""
    if isinstance(result, bytes | str | list):
        return result
    document = to_dict(result)
    return json.loads(json.dumps(document).replace("2019-12-27T18:11:19.117000+00:00", "2019-12-27T18:11:19.117Z"))


@pytest.mark.parametrize(("call", "method", "target", "accept", "body", "given", "result"), CASES)
async def test_operation_is_sent_and_decoded_as_the_reference_says(
    run: Any, call: Any, method: str, target: str, accept: str, body: Any, given: Any, result: Any
) -> None:
    async def perform(session: Session) -> Any:
        result = call(session)
        return await (result.read() if isinstance(result, h.FileDownload) else result)

    raw = given if isinstance(given, bytes) else json.dumps(given).encode()
    got, seen = await run(accept, raw, perform)

    assert (seen.method, seen.target) == (method, target)
    assert seen.headers.getall("Accept") == [accept]
    assert seen.headers.getall("Authorization") == ["Bearer key"]
    assert seen.headers.getall("User-Agent") == [f"handinger-async/{h.__version__} Python/{platform.python_version()}"]
    assert "Cookie" not in seen.headers
    if body is None:
        assert seen.body == b""
        assert "Content-Type" not in seen.headers
    else:
        assert seen.headers.getall("Content-Type") == [JSON]
        assert json.loads(seen.body) == body
        assert b" " not in seen.body.replace(b"0 9 * * 1", b"")
        assert "å".encode() in seen.body or "å" not in str(body)
    assert plain(got) == result


async def test_results_have_the_types_of_the_reference(run: Any) -> None:
    worker, _ = await run(JSON, json.dumps(WORKER).encode(), lambda s: s.workers.retrieve("w"))
    assert type(worker) is h.Worker
    assert [type(part) for part in (worker.files[0], worker.output[0], worker.output[0].content[0])] == [
        h.File,
        h.Output,
        h.OutputContent,
    ]
    assert (type(worker.sources[0]), type(worker.costs), type(worker.usage)) == (h.Source, h.Costs, h.Usage)
    listed, _ = await run(JSON, json.dumps(LIST).encode(), lambda s: s.workers.schedules.list("w"))
    assert type(listed) is h.ScheduleListResponse
    assert type(listed.schedules[0]) is h.ScheduledWorkerSchedule
    assert listed.schedules[0].next_run_at == datetime(2019, 12, 27, 18, 11, 19, 117000, tzinfo=UTC)
    assert listed.schedules[0].type == "scheduled"


async def test_undocumented_endpoint_can_be_called(run: Any) -> None:
    response, seen = await run(
        JSON,
        b"[1]",
        lambda s: s.request(
            "post",
            "api/any thing",
            query={"deep": True, "q": "a&b", "no": None},
            json={"x": 1},
            headers={"x-mine": "1"},
        ),
    )
    assert (response.status, response.body) == (200, b"[1]")
    assert (seen.method, seen.target) == ("POST", "/api/any%20thing?deep=true&q=a%26b")
    assert seen.body == b'{"x":1}'
    assert seen.headers["X-Mine"] == "1"


async def test_options_override_arguments_and_arguments_override_the_session(run: Any) -> None:
    async def call(session: Session) -> h.Worker:
        view = session.with_options(
            headers={"authorization": "Bearer other", "X-A": "view"},
            body={"budget": "high", "new": [1]},
            query={"debug": True},
            idempotency_key="once",
        )
        return await view.workers.create(input="x", budget="low")

    _, seen = await run(JSON, json.dumps(WORKER).encode(), call)
    assert seen.target == "/api/workers?debug=true"
    assert json.loads(seen.body) == {"input": "x", "budget": "high", "new": [1]}
    assert seen.headers.getall("Authorization") == ["Bearer other"]
    assert seen.headers.getall("Idempotency-Key") == ["once"]
    assert seen.headers.getall("X-A") == ["view"]


async def test_exchange_has_the_response_attempts_and_duration(clock: Clock) -> None:
    async def reply(got: WireRequest, writer: Any) -> None:
        clock.advance(20)
        writer.write(response(json.dumps(WORKER).encode(), headers="X-Request-Id: r1\r\n"))

    async with wire_server(reply) as server, Session(api_key="key", base_url=f"{server.url}/prefix/") as session:
        exchange = await session.exchange(h.operations.RetrieveWorker("w"))
    assert server.requests[0].target == "/prefix/api/workers/w"
    assert exchange.result.id == "id"
    assert exchange.response.status == 200
    assert exchange.response.headers["x-request-id"] == exchange.request_id == "r1"
    assert exchange.attempts == 1
    assert exchange.elapsed >= 20
