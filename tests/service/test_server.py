"""The local server passes requests on unchanged, streams responses, and stops without leaving anything open."""

import asyncio
import io
import logging
import math

import aiohttp
import pytest

from handinger_async import Session, Timeouts
from handinger_async.errors import APIConnectionError
from handinger_async.http import Request, Response
from handinger_async.operations import CreateTask, CreateWorkerTemplate, ListWebhookExecutions, UpdateWebhook
from handinger_async.testing import FakeHandinger, post_to_loopback, serve
from handinger_async.testing.scripts import Step
from handinger_async.testing.server import Server
from handinger_async.transports.memory import StreamingResponse

#: Seconds after which a test that hangs fails.
HANG_GUARD = 60.0


async def exchange(url, text):
    """Send bytes, and return all bytes received until the connection is closed."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(text)
    try:
        async with asyncio.timeout(HANG_GUARD):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_request_is_passed_on_unchanged():
    seen = []

    def handler(request):
        seen.append(request)
        return Response(418, {"X-Odd": "yes", "Connection": "close"}, b"tea")

    async with serve(handler) as url:
        response = await exchange(
            url,
            b"PUT /a%2fb/./c?x=%20&y HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: 4\r\n"
            b"Connection: close\r\n\r\nbody",
        )
    (request,) = seen
    assert (request.method, request.target, request.body) == ("PUT", "/a%2fb/./c?x=%20&y", b"body")
    assert (request.headers["x-one"], request.headers["host"]) == ("1, 2", "h")
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 418")
    assert b"X-Odd: yes" in head
    assert b"Content-Length: 3" in head
    assert body == b"tea"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_stream_of_unknown_length_arrives_complete(version):
    async with serve(lambda _: iter([b"one", b"", b"two"])) as url:
        response = await exchange(
            url, b"GET / HTTP/%s\r\nHost: h\r\nAccept: text/odd\r\nConnection: close\r\n\r\n" % version
        )
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"Content-Type: text/odd" in head
    assert body == (b"onetwo" if version == b"1.0" else b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_a_large_body_is_accepted():
    async with (
        serve(lambda request: Response(200, {}, str(len(request.body)).encode())) as url,
        aiohttp.ClientSession() as client,
        client.post(url, data=io.BytesIO(b"x" * (5 << 20))) as response,
    ):
        assert await response.text() == str(5 << 20)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_connection_error_of_the_handler_closes_the_connection(begun):
    async def chunks():
        yield b"some"
        raise APIConnectionError("cut")

    def handler(_: Request):
        if begun:
            return chunks()
        raise APIConnectionError("dropped")

    async with serve(handler) as url:
        response = await exchange(url, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert response.endswith(b"4\r\nsome\r\n" if begun else b"")
    assert bool(response) == begun


async def test_any_other_error_gets_500_and_is_logged(caplog):
    def handler(_):
        raise ZeroDivisionError("a mistake")

    async with serve(handler) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        assert response.status == 500
    assert "a mistake" in caplog.text


async def test_chunks_are_closed_when_the_client_disconnects():
    closed = asyncio.Event()

    class Chunks:
        def __iter__(self):
            return self

        def __next__(self):
            return b"x" * 65536

        def close(self):
            closed.set()

    async with serve(lambda _: StreamingResponse(200, {}, Chunks())) as url, aiohttp.ClientSession() as client:
        async with client.get(url) as response:
            await response.content.readany()
        async with asyncio.timeout(HANG_GUARD):
            await closed.wait()


async def test_it_stops_while_streams_are_open_and_leaves_nothing_open(caplog):
    left = asyncio.Event()

    async def chunks():
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            left.set()

    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().slow_callback_duration = math.inf  # in debug mode, a slow machine would log warnings
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as client, asyncio.timeout(HANG_GUARD):
        async with serve(lambda _: chunks()) as url:
            response = await client.get(url)
            assert await response.content.readany() == b"first"
            idle = await client.get(url)
            await idle.content.readany()
        assert left.is_set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
        response.close()
        idle.close()
        await asyncio.gather(*asyncio.all_tasks() - before - {asyncio.current_task()})
    assert asyncio.all_tasks() == before
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_a_port_in_use_is_an_os_error():
    async with Server(lambda _: Response(200)) as server:
        with pytest.raises(OSError, match="address"):
            async with serve(lambda _: Response(200), port=int(server.url.rpartition(":")[2])):
                pass


async def test_an_ipv6_address_is_in_brackets():
    try:
        async with serve(lambda _: Response(204, {"Connection": "close"}), "::1") as url:
            assert url.startswith("http://[::1]:")
            assert (await exchange(url, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 204")
    except OSError as error:
        pytest.skip(f"IPv6 is not available: {error}")


async def test_a_session_uses_the_service_through_it(handinger_server, fake_handinger):
    fake_handinger.script(Step("one", after=0, files={"plan.md": b"# Plan"}), Step("two", after=0))
    timeouts = Timeouts(connect=HANG_GUARD, attempt=HANG_GUARD, idle=HANG_GUARD)
    async with Session(api_key="k", base_url=handinger_server, timeouts=timeouts) as session:
        worker = await session.workers.create(input="x")
        async with session.workers.stream_updates(worker.id) as events:
            assert [event.id async for event in events] == list("123")
        done = await session.workers.retrieve(worker.id)
        assert done.status == "completed"
        assert done.files[0].url.startswith(handinger_server)
        assert await session.workers.retrieve_file("plan.md", worker_id=worker.id).read() == b"# Plan"


@pytest.mark.parametrize(
    ("method", "status", "length"), [(b"HEAD", 200, b"Content-Length: 4"), (b"GET", 204, b""), (b"GET", 304, b"")]
)
async def test_a_response_that_must_not_have_a_body_is_sent_without(method, status, length):
    for chunks in ([b"some"], iter([b"so", b"me"])):
        async with serve(lambda _, chunks=chunks: StreamingResponse(status, {}, chunks)) as url:
            response = await exchange(url, method + b" / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        head, _, body = response.partition(b"\r\n\r\n")
        assert body == b""
        assert not isinstance(chunks, list) or length in head


@pytest.fixture
async def delivering():
    """A worker with a webhook: a function that sets its URL and ends a run, and returns the log of the delivery."""
    fake = FakeHandinger(deliver=post_to_loopback)
    fake.script()
    async with fake.session() as session:

        async def deliver(url):
            worker = await session.send(CreateWorkerTemplate())
            await session.send(UpdateWebhook(worker.id, url=url))
            before = asyncio.all_tasks()
            await session.send(CreateTask(input="x", worker_id=worker.id))
            async with asyncio.timeout(HANG_GUARD):
                await asyncio.gather(*asyncio.all_tasks() - before)
            (execution,) = (await session.send(ListWebhookExecutions(worker.id))).logs
            return execution

        yield deliver


async def test_a_delivery_reaches_a_server_of_this_machine(delivering):
    received = []

    def handler(request):
        received.append(request)
        return Response(202, {}, b"thanks")

    async with serve(handler) as url:
        execution = await delivering(f"{url}/hook?a=%20")
    (request,) = received
    assert (request.method, request.target) == ("POST", "/hook?a=%20")
    assert request.headers["x-handinger-token"].startswith("whk_")
    assert request.headers["content-type"] == "application/json"
    assert b'"status":"completed"' in request.body
    assert (execution.request_status, execution.response_status) == ("success", 202)


async def test_a_redirect_of_a_delivery_is_not_followed(delivering):
    async with serve(lambda _: Response(307, {"Location": "http://127.0.0.1:1/"})) as url:
        assert (await delivering(url)).response_status == 307


@pytest.mark.parametrize(
    ("url", "reason"), [("https://example.com/", "beyond this machine"), ("http://127.0.0.1:1/", "connect")]
)
async def test_a_delivery_without_a_response_is_an_error(delivering, url, reason):
    execution = await delivering(url)
    assert (execution.request_status, execution.response_status) == ("error", None)
    assert reason in execution.error_message
