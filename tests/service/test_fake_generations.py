"""The in-memory service as the older generation, as the newer one, and as both."""

import json

import pytest

from handinger_async import ConfigurationError, NotFoundError, Session, UnprocessableEntityError
from handinger_async.codec import encode_request
from handinger_async.http import Endpoint, Request
from handinger_async.operations import (
    OPERATIONS,
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateTask,
    CreateWorker,
    CreateWorkerTemplate,
    ListSchedules,
    RetrieveTask,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from handinger_async.testing import FakeHandinger
from handinger_async.transports.memory import MemoryTransport, call_handler

from ..core.test_wire_table import ROWS

pytestmark = pytest.mark.usefixtures("virtual_time")

SHARED = {RetrieveWorker, RetrieveWorkerEmail, ListSchedules, CreateSchedule, CancelSchedule}
OLDER = {CreateWorker, ContinueWorker, StreamWorkerUpdates, RetrieveWorkerFile}
NEWER = set(OPERATIONS) - SHARED - OLDER


async def body_of(fake, request):
    """Return the JSON of a response, and its status."""
    _, prepared = Endpoint("https://example.com", "test").prepare(request)
    response = await call_handler(fake, prepared)
    return json.loads(b"".join(response.chunks)), response.status


@pytest.mark.parametrize("cls", OPERATIONS)
@pytest.mark.parametrize(("api", "unknown"), [("both", set()), ("seed", NEWER), ("today", OLDER)])
async def test_each_generation_knows_its_own_operations(api, unknown, cls):
    (operation, *_) = (row.operation for row in ROWS if type(row.operation) is cls)
    _, request = Endpoint("https://example.com", "key").prepare(encode_request(operation))
    fake = FakeHandinger(api=api, lenient=True)
    response = await call_handler(fake, request)
    if cls in (CreateWorker, CreateWorkerTemplate):  # one route
        assert response.status == (422 if (api, cls) == ("seed", CreateWorkerTemplate) else 200)
    elif cls is RetrieveWorkerFile and api != "today":
        assert response.status in (200, 404)
    else:
        assert response.status == (404 if cls in unknown else 200)


async def test_an_unknown_route_is_404_whatever_its_body():
    probe = Request("POST", "/api/tasks", {}, b"{}")
    continued = Request("POST", "/api/workers/w", {}, b"{")
    assert [(await body_of(FakeHandinger(api=api), probe))[1] for api in ("seed", "both", "today")] == [404, 422, 422]
    assert [(await body_of(FakeHandinger(api=api), continued))[1] for api in ("seed", "both", "today")] == [
        400,
        400,
        404,
    ]


async def test_today_a_create_with_an_input_makes_a_template_and_runs_nothing():
    fake = FakeHandinger(api="today")
    body, status = await body_of(fake, encode_request(CreateWorker(input="x", budget="low", stream=True)))
    assert (status, body["instructions"], body["id"][:4]) == (200, "", "wrk_")
    assert not fake.runs
    body, _ = await body_of(FakeHandinger(api="both"), encode_request(CreateWorker(input="x")))
    assert body["object"] == "worker"


async def test_today_the_email_address_is_an_object():
    for api, kind in (("today", dict), ("both", str), ("seed", str)):
        fake = FakeHandinger(api=api, lenient=True)
        body, _ = await body_of(fake, encode_request(RetrieveWorkerEmail("w")))
        assert isinstance(body, kind)
        async with fake.session() as session:
            assert await session.workers.retrieve_email("w") == "w@workers.handinger.example"


async def test_workers_have_the_form_of_their_generation():
    older = {"costs", "usage"}
    newer = {"structured_output", "url", "usage"}
    for api in ("both", "seed"):
        shown, _ = await body_of(FakeHandinger(api=api), encode_request(CreateWorker(input="x")))
        assert shown.keys() & (older | newer) == older
        assert "totalTokens" in shown["usage"]
    for api in ("both", "today"):
        fake = FakeHandinger(api=api)
        shown, _ = await body_of(fake, encode_request(CreateTask(input="x")))
        assert shown.keys() & (older | newer) == newer
        assert shown["usage"].keys() == {"credits", "durationMs"}
        again, _ = await body_of(fake, encode_request(RetrieveWorker(shown["id"])))
        assert again == shown
        assert "size" in shown["files"][0]


async def test_errors_have_the_form_of_their_generation():
    requests = [
        encode_request(RetrieveWorker("nobody")),
        encode_request(RetrieveTask("nobody")),
        Request("POST", "/api/workers", {}, b'{"input": 1}'),
        Request("POST", "/api/workers", {}, b'{"title": 1}'),
    ]
    kinds = {"both": [dict, str, dict, str], "seed": [dict] * 4, "today": [str, str, None, str]}
    for api, expected in kinds.items():
        for request, kind in zip(requests, expected, strict=True):
            body, status = await body_of(FakeHandinger(api=api), request)
            assert kind is None or (status >= 400 and isinstance(body["error"], kind))
        response = FakeHandinger(api=api)(Request("GET", "/api/tasks/t"))
        assert response.status == 401
        assert isinstance(json.loads(response.body)["error"], dict if api == "seed" else str)


async def test_today_files_have_another_address():
    fake = FakeHandinger(api="today")
    async with fake.session() as session:
        worker = await session.send(CreateTask(input="x"))
        (file,) = worker.files
        assert "/api/" not in file.url
        path = file.url.partition("://")[2].partition("/")[2]
        assert (await session.request("GET", f"/{path}")).body.startswith(b"# Plan")
        with pytest.raises(NotFoundError):
            await session.request("GET", "/files/")
        with pytest.raises(NotFoundError):
            await session.workers.retrieve_file("scratchpad/plan.md", worker_id=worker.id).read()


async def test_the_older_generation_ignores_task_ids():
    fake = FakeHandinger(api="seed")
    async with fake.session() as session:
        worker = await session.workers.create(input="x")
        shown = await session.send(RetrieveWorker(worker.id, task_id="nobody"))
        assert shown.id == worker.id


async def test_the_newer_generation_names_its_time_zone_and_limits_delays():
    async with FakeHandinger(api="today").session() as session:
        worker = await session.send(CreateWorkerTemplate())
        assert (await session.send(ListSchedules(worker.id))).timezone == "UTC"
        for seconds in (0, 31_536_001):
            with pytest.raises(UnprocessableEntityError, match="seconds"):
                await session.workers.schedules.create(
                    worker.id, input="x", when={"type": "delayed", "delay_in_seconds": seconds}
                )
    async with FakeHandinger().session() as session:
        worker = await session.workers.create(input="x")
        assert (await session.send(ListSchedules(worker.id))).timezone is None


async def test_the_same_seed_gives_the_same_tasks():
    async def conversation(seed):
        fake = FakeHandinger(seed=seed)
        async with Session(api_key="k", transport=MemoryTransport(fake)) as session:
            await session.send(CreateTask(input="x"))
            return fake.tasks

    first, again, other = [await conversation(seed) for seed in (1, 1, 2)]
    assert [*first] == [*again] != [*other]


async def test_an_unknown_generation_is_refused():
    with pytest.raises(ConfigurationError, match="both, seed, today"):
        FakeHandinger(api="tomorrow")
