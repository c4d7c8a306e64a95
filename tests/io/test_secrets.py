"""A canary for the API key: it is sent, and shows up nowhere else, whatever fails."""

import asyncio
import copy
import gc
import io
import logging
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from handinger_async import APIError, Attempt, ConfigurationError, HandingerError, RetryPolicy, Session, Timeouts
from handinger_async.operations import CreateWorker, RetrieveWorker
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import Clock, ObservedTransport, WireRequest, chunked, forever, reset, response, wire_server

KEY = "sk-canary-1234567890"
PROMPT = "prompt-canary: the user's input"
OUTPUT = "output-canary: the worker's output"
REFUSAL = response(b'{"message": "no"}', status="401 Unauthorized")


def shown(error: BaseException) -> str:
    """Return all that a debugger, a log or an error tracker may show of an exception."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    text = []
    while todo:
        current = todo.pop()
        if current is None or current in seen:
            continue
        seen.append(current)
        todo += [current.__cause__, current.__context__]
        text += [str(current), repr(current), repr(current.args), repr(vars(current))]
        text += traceback.TracebackException.from_exception(current, capture_locals=True).format()
        frame = current.__traceback__
        while frame is not None:
            text += [f"{name} = {value!r}" for name, value in frame.tb_frame.f_locals.items()]
            ours = [
                value for value in frame.tb_frame.f_locals.values() if type(value).__module__.startswith("handinger")
            ]
            text += [repr(vars(value)) for value in ours if hasattr(value, "__dict__")]
            frame = frame.tb_next
    return "\n".join(text)


async def fail_before(writer: asyncio.StreamWriter, transport: ObservedTransport, clock: Clock) -> None:
    reset(writer)


async def fail_within(writer: asyncio.StreamWriter, transport: ObservedTransport, clock: Clock) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata: a\n\n")
    await transport.waits_after(len(b"data: a\n\n"))
    reset(writer)


async def garbage(writer: asyncio.StreamWriter, transport: ObservedTransport, clock: Clock) -> None:
    writer.write(b"garbage\r\n\r\n")


async def refuse(writer: asyncio.StreamWriter, transport: ObservedTransport, clock: Clock) -> None:
    writer.write(REFUSAL)


async def silence(writer: asyncio.StreamWriter, transport: ObservedTransport, clock: Clock) -> None:
    clock.advance(120)
    await forever()


async def nonsense(writer: asyncio.StreamWriter, transport: ObservedTransport, clock: Clock) -> None:
    writer.write(response(b"[]"))


async def collect(session: Session) -> Any:
    async with session.workers.stream_updates("w") as events:
        return [event async for event in events]


CALLS: list[Callable[[Session], Any]] = [
    lambda session: session.workers.retrieve("w"),
    lambda session: session.workers.create(input=PROMPT),
    collect,
    lambda session: session.workers.retrieve_file("f", worker_id="w").read(),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("failure", [fail_before, fail_within, garbage, refuse, silence, nonsense])
async def test_no_failure_on_the_wire_shows_the_key(
    failure: Any, call: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    attempts: list[Attempt] = []
    transport = ObservedTransport()

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        await failure(writer, transport, clock)

    async with (
        wire_server(reply) as server,
        Session(
            api_key=KEY,
            base_url=server.url,
            transport=transport,
            retry=RetryPolicy(max_retries=1, initial_delay=0),
            timeouts=Timeouts(attempt=60),
            observe=attempts.append,
        ) as session,
    ):
        try:
            await call(session)
        except HandingerError as caught:
            error = caught
            text = shown(error)
        else:
            assert call is CALLS[3]  # a download takes any body
            text = ""
    assert server.requests[0].header("authorization") == [f"Bearer {KEY}"]
    for attempt in attempts:
        text += repr(attempt)
        if attempt.error:
            text += shown(attempt.error)
    text += caplog.text + "".join(map(repr, (vars(record) for record in caplog.records)))
    assert KEY not in text
    assert PROMPT not in caplog.text


async def test_no_refused_connection_shows_the_key(refusing_url: str) -> None:
    async with Session(api_key=KEY, base_url=refusing_url, retry=RetryPolicy(max_retries=0)) as session:
        for call in CALLS:
            with pytest.raises(APIError) as caught:
                await call(session)
            assert KEY not in shown(caught.value)


async def test_no_cancellation_shows_the_key(clock: Clock) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        clock.advance(40)
        await forever()

    async with wire_server(reply) as server, Session(api_key=KEY, base_url=server.url) as session:
        for call in CALLS:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(30):
                    await call(session)
            assert not isinstance(caught.value, APIError)
            assert KEY not in shown(caught.value)
        assert len(server.requests) == len(CALLS)


async def test_no_repr_shows_the_key() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}") if "stream" not in request.target else chunked(b"data: a\n\n", end=False))

    transport = AiohttpTransport(proxy=None)
    async with (
        wire_server(reply) as server,
        Session(
            api_key=KEY, base_url=server.url, transport=transport, headers={"X-Api-Key": KEY, "Cookie": KEY}
        ) as session,
    ):
        view = session.with_options(headers={"Authorization": f"Bearer {KEY}"})
        events = view.workers.stream_updates("w")
        await anext(events)
        download = session.workers.retrieve_file("f", worker_id="w")
        await anext(download)
        seen = {}
        todo: list[Any] = [session, view, events, download, transport, session.workers]
        while todo:
            value = todo.pop()
            if id(value) in seen or not type(value).__module__.startswith("handinger_async"):
                continue
            seen[id(value)] = value
            todo += list(getattr(value, "__dict__", {}).values())
            if attrs.has(type(value)):
                todo += [getattr(value, field.name) for field in attrs.fields(type(value))]
        assert len(seen) > 10
        for value in seen.values():
            assert KEY not in repr(value) + str(value) * (not isinstance(value, str))
            assert KEY not in f"{vars(value)!r}" if hasattr(value, "__dict__") else True
        await events.aclose()
        await download.aclose()


async def test_pickles_and_copies_do_not_hold_the_key() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(REFUSAL)

    async with wire_server(reply) as server:
        attempts: list[Attempt] = []
        session = Session(api_key=KEY, base_url=server.url, headers={"X-Api-Key": KEY}, observe=attempts.append)
        async with session:
            with pytest.raises(APIError) as caught:
                await session.workers.create(input=PROMPT)
            exchange_error = caught.value
            for value in (session, session.with_options(), session._settings, session._settings.endpoint):
                with pytest.raises(TypeError):
                    pickle.dumps(value)
        for value in (exchange_error, exchange_error.response, attempts[0], session._settings.options):
            assert KEY.encode() not in pickle.dumps(value)
            assert KEY not in repr(copy.deepcopy(value))


async def test_prompts_and_responses_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.header("accept") == ["text/event-stream"]:
            writer.write(chunked(f"data: {OUTPUT}\n\n".encode()))
        elif request.method == "POST":
            writer.write(response(f'{{"message": "{OUTPUT}"}}'.encode(), status="422 No"))
        else:
            writer.write(response(f'{{"id": "{OUTPUT}"}}'.encode()))

    async with wire_server(reply) as server, Session(api_key=KEY, base_url=server.url) as session:
        async with session.workers.create(input=PROMPT, stream=True) as events:
            assert [str(event) async for event in events] == [OUTPUT]
        for operation in (CreateWorker(input=PROMPT), RetrieveWorker("w")):
            with pytest.raises(APIError):
                await session.send(operation)
        await session.request("GET", "/x", query={"q": PROMPT})
    assert "POST /api/workers: 422" in caplog.text
    everything = caplog.text + "".join(repr(vars(record)) for record in caplog.records if record.name != "asyncio")
    assert KEY not in everything
    assert PROMPT not in caplog.text
    assert OUTPUT not in caplog.text


def test_printed_traceback_does_not_show_the_key() -> None:
    """A program that ends with an exception prints its traceback."""
    stream = io.StringIO()
    try:
        Session(api_key=f"{KEY}\n")
    except ConfigurationError:
        traceback.print_exception(*sys.exc_info(), file=stream)
    assert KEY not in stream.getvalue().replace(f'Session(api_key=f"{KEY}', "")
    gc.collect()
