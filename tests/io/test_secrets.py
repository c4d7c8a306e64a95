"""A canary for the API key: it is sent, and shows up nowhere else, whatever fails."""

import asyncio
import copy
import functools
import gc
import io
import json
import logging
import pickle
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import pytest

from handinger_async import (
    APIConnectionError,
    APIError,
    Attempt,
    ConfigurationError,
    EventStream,
    FileDownload,
    HandingerError,
    RetryPolicy,
    Session,
    StreamInterruptedError,
    Timeouts,
    Worker,
)
from handinger_async.http import Endpoint, Headers, Request, Response
from handinger_async.operations import CreateWorker, RetrieveWorker
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

from .wire import Clock, ObservedTransport, WireRequest, chunked, forever, reset, response, wire_server

SSE = "text/event-stream"
KEY = "sk-canary-1234567890"
PROMPT = "prompt-canary: the user's input"
OUTPUT = "output-canary: the worker's output"
REFUSAL = response(b'{"message": "no"}', status="401 Unauthorized")


def attributes(value: object) -> dict[str, Any]:
    """Return what an object has in its ``__dict__`` and in its slots."""
    slots = [getattr(cls, "__slots__", ()) for cls in type(value).__mro__]
    names = [name for given in slots for name in ([given] if isinstance(given, str) else given)]
    return getattr(value, "__dict__", {}) | {name: getattr(value, name) for name in names if hasattr(value, name)}


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
            text += [repr(attributes(value)) for value in ours]
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
    failure: Any, call: Any, clock: Clock, caplog: pytest.LogCaptureFixture, make_transport: Callable[[], Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    attempts: list[Attempt] = []
    transport = ObservedTransport(make_transport())

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


async def test_no_refused_connection_shows_the_key(refusing_url: str, make_transport: Callable[[], Any]) -> None:
    once = RetryPolicy(max_retries=0)
    async with Session(api_key=KEY, base_url=refusing_url, transport=make_transport(), retry=once) as session:
        for call in CALLS:
            with pytest.raises(APIError) as caught:
                await call(session)
            assert KEY not in shown(caught.value)


async def test_no_cancellation_shows_the_key(clock: Clock, make_transport: Callable[[], Any]) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        clock.advance(40)
        await forever()

    async with (
        wire_server(reply) as server,
        Session(api_key=KEY, base_url=server.url, transport=make_transport()) as session,
    ):
        for call in CALLS:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(30):
                    await call(session)
            assert not isinstance(caught.value, APIError)
            assert KEY not in shown(caught.value)
        assert len(server.requests) == len(CALLS)


async def test_no_cancelled_connect_shows_the_key(clock: Clock) -> None:
    """The server accepts the connection, and is silent in the TLS handshake."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock.advance(40)
        await reader.read()  # the end, when the client gives up
        await reader.read()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        session = Session(api_key=KEY, base_url=url, timeouts=Timeouts(connect=None))
        async with session:
            for call in CALLS:
                with pytest.raises(TimeoutError) as caught:
                    async with asyncio.timeout(30):
                        await call(session)
                assert not isinstance(caught.value, APIError)
                assert KEY not in shown(caught.value)


@pytest.mark.parametrize("source", ["argument", "environment", "function", "endpoint"])
async def test_refused_key_is_in_no_local_variable_of_ours(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = f"{KEY}\n"

    async def refuse() -> None:
        if source == "environment":
            monkeypatch.setenv("HANDINGER_API_KEY", key)
            Session()
        elif source == "argument":
            Session(api_key=key)
        elif source == "endpoint":
            Endpoint("https://example.com", key)
        else:
            await Session(api_key=lambda: key, transport=MemoryTransport(Response)).request("GET", "/x")

    with pytest.raises(ConfigurationError, match="api_key") as caught:
        await refuse()
    check_locals(caught.value)
    traceback.TracebackException.from_exception(caught.value, capture_locals=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}\n"},
        {"authorization": f"Bearer {KEY}\x01"},
        {"X-Api-Key": f"{KEY}\ud800"},
        {"Authorization": KEY.encode()},
        {"Cookie": f"key={KEY}", "X": 5},
        {"Authorization": f"Bearer {KEY}", "Content-Length": "5"},
        {"Authorization": f"Bearer {KEY}", 5: "x"},
    ],
)
async def test_key_in_refused_headers_is_in_no_local_variable_of_ours(headers: Any) -> None:
    async with Session(api_key="key", transport=MemoryTransport(Response)) as session:
        calls: list[Callable[[], Any]] = [
            lambda: Session(api_key="key", headers=headers),
            lambda: session.with_options(headers=headers),
            lambda: asyncio.ensure_future(session.request("GET", "/x", headers=headers)),
        ]
        for call in calls:
            with pytest.raises(ConfigurationError, match="header") as caught:
                await call()
            check_locals(caught.value, masked=True)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {KEY}\nX A: 1",
        f"Authorization: Bearer {KEY}\x01",
        f"Cookie: {KEY}\nContent-Length: 5",
        f"X-Anything: {KEY}\x01",
        f"Bearer {KEY}: 1",
    ],
)
def test_key_in_refused_custom_headers_is_in_no_local_variable(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDINGER_CUSTOM_HEADERS", text)
    with pytest.raises(ConfigurationError, match="HANDINGER_CUSTOM_HEADERS") as caught:
        Session(api_key="key")
    check_locals(caught.value, masked=True)
    assert caught.value.__context__ is None


async def test_custom_credentials_are_masked_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDINGER_CUSTOM_HEADERS", f"Authorization: Bearer {KEY}")

    def echo(request: Request) -> Response:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        return Response(400, {"X-Seen": f"Bearer {KEY}"}, json.dumps({"error": f"no {KEY}"}).encode())

    async with Session(api_key="key", transport=MemoryTransport(echo)) as session:
        with pytest.raises(APIError) as caught:
            await session.workers.retrieve("w")
    assert str(caught.value) == "400 Bad Request: no *** (GET /api/workers/w)"
    assert KEY not in repr(caught.value) + repr(caught.value.response.headers)  # type: ignore[attr-defined]
    assert KEY not in repr(vars(session))


@pytest.mark.parametrize("fields", [{"X": KEY.encode()}, {"X": f"{KEY}\r"}, [("X", KEY, "b")], [("Cookie", KEY), 5]])
def test_refused_fields_are_in_no_local_variable_of_headers(fields: Any) -> None:
    with pytest.raises(ConfigurationError, match="header") as caught:
        Headers(fields)
    check_locals(caught.value)


class Vault:
    """A source of keys that shows its key."""

    def __init__(self, key: str) -> None:
        self.key = key

    def get_key(self) -> str:
        return self.key

    def fail(self) -> str:
        raise LookupError

    def __repr__(self) -> str:
        return f"Vault({self.key!r})"


@pytest.mark.parametrize(
    "source", [Vault(KEY).get_key, Vault(f"{KEY}\n").get_key, Vault(KEY).fail, functools.partial(str, KEY)]
)
async def test_function_that_shows_the_key_is_in_no_local_variable_of_ours(source: Any) -> None:
    async with Session(api_key=source, transport=MemoryTransport(lambda request: Response(401))) as session:
        with pytest.raises((APIError, ConfigurationError, LookupError)) as caught:
            await session.workers.retrieve("w")
    check_locals(caught.value)
    with pytest.raises(ConfigurationError) as refused:
        Session(api_key=source, observe=5)  # type: ignore[arg-type]
    check_locals(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://a..b"},
        {"headers": {"X": "\n"}},
        {"timeouts": 5},
        {"transport": 5},
        {"max_body_size": 0},
        {"observe": 5},
    ],
)
def test_good_key_is_in_no_local_variable_when_another_argument_is_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Session(api_key=KEY, **options)
    check_locals(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        Session(**{"api_key": "key", "headers": {"Authorization": KEY}} | options)
    check_locals(caught.value, masked=True)


def check_locals(error: BaseException, *, masked: bool = False) -> None:
    """Check that no frame of the library has the key; ``masked`` if a string with a masked ``repr`` may have it."""
    frame = error.__traceback__
    while frame is not None:
        if "handinger_async" in frame.tb_frame.f_globals["__name__"]:
            for name, value in frame.tb_frame.f_locals.items():
                assert KEY not in repr(value) + ("" if masked else str(value)), name
        frame = frame.tb_next


# Echoes ###############################################################################################################

ECHOED = 'sk-echo/+"1234567890'


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error": {"message": f"no: Bearer {ECHOED}!", "code": ECHOED}}),
        json.dumps({"message": "x" * 790 + ECHOED}),
        f"Authorization: Bearer {ECHOED}",
        f"GET /?key={quote(ECHOED, safe='')}",
        f"GET /?key={quote(ECHOED, safe='').lower()}",
        ECHOED.replace("/", "\\/").replace("+", "\\u002b"),
        ECHOED.replace('"', "&quot;").replace("+", "&#43;"),
        " " * 990 + ECHOED,
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("rotates", [False, True])
async def test_no_error_shows_the_key_that_a_server_echoes(body: str, status: int, rotates: bool) -> None:
    attempts: list[Attempt] = []
    error: Any
    headers = {"Content-Type": "text/plain", "X-Request-Id": f"r {ECHOED}", "X-Echo": ECHOED}
    transport = MemoryTransport(lambda request: Response(status, headers, body.encode()))
    options: dict[str, Any] = {"retry": RetryPolicy(max_retries=1, initial_delay=0), "observe": attempts.append}
    async with Session(api_key=(lambda: ECHOED) if rotates else ECHOED, transport=transport, **options) as session:
        with pytest.raises(APIError) as caught:
            await session.workers.retrieve("w")
    for error in [caught.value, *(attempt.error for attempt in attempts if attempt.error)]:
        text = f"{error} {error!r} {error.message} {error.args} {getattr(error, 'code', '')} {error.response!r}"
        assert ECHOED[:8] not in text
        assert "***" in text
    assert ECHOED[:8] not in "".join(str(attempt) for attempt in attempts if attempt.error)


async def test_no_interrupted_stream_shows_the_key_that_a_server_echoes() -> None:
    async def chunks(request: Request) -> AsyncIterator[bytes]:
        yield b"data: a\n\n"
        raise APIConnectionError(f"malformed chunk {request.headers['authorization']}")

    transport = MemoryTransport(lambda request: StreamingResponse(200, {"Content-Type": SSE}, chunks(request)))
    async with Session(api_key=KEY, transport=transport) as session:
        with pytest.raises(StreamInterruptedError) as caught:
            await collect(session)
    assert KEY not in shown(caught.value)
    assert "malformed chunk Bearer ***" in shown(caught.value)


OLD, NEW = f"sk-live-{KEY}-old", f"sk-live-{KEY}-new"


@pytest.mark.parametrize("keys", [(OLD, NEW), (NEW, OLD), ("alpha-key-0123456789", NEW)])
async def test_no_error_shows_a_key_of_an_earlier_attempt(keys: tuple[str, str]) -> None:
    """A server that rotates keys may name the old one. Both may begin alike."""
    given = iter(keys)
    statuses = iter([503, 401])
    transport = MemoryTransport(lambda request: Response(next(statuses), {}, f"use {keys[1]}, not {keys[0]}!".encode()))
    retry = RetryPolicy(initial_delay=0)
    async with Session(api_key=lambda: next(given), transport=transport, retry=retry) as session:
        with pytest.raises(APIError, match=r"use \*{3}, not \*{3}!"):
            await session.workers.retrieve("w")


async def test_no_error_of_a_stream_shows_a_key_of_an_earlier_connection() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"retry: 0\nid: 1\ndata: a\n\n"
        raise APIConnectionError

    given = iter([OLD, NEW])
    responses: Any = iter(
        [
            StreamingResponse(200, {"Content-Type": SSE}, chunks()),
            Response(401, {}, f"{OLD} was rotated".encode()),
        ]
    )
    transport = MemoryTransport(lambda request: next(responses))
    async with Session(api_key=lambda: next(given), transport=transport) as session:
        with pytest.raises(APIError) as caught:
            await collect(session)
    assert "*** was rotated" in f"{caught.value} {caught.value.__cause__}"
    assert "sk-live" not in f"{caught.value} {caught.value.__cause__}"


async def test_words_of_a_message_are_not_taken_for_a_short_key() -> None:
    transport = MemoryTransport(lambda request: Response(400, {}, b"the key is wrong"))
    async with Session(api_key="key", transport=transport) as session:
        with pytest.raises(APIError, match="the key is wrong"):
            await session.workers.retrieve("w")


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
            todo += attributes(value).values()
        assert {"Endpoint", "Headers", "Request", "ResumableStream"} <= {
            type(value).__name__ for value in seen.values()
        }
        for value in seen.values():
            assert KEY not in repr(value) + str(value) * (not isinstance(value, str))
            assert KEY not in f"{attributes(value)!r}"
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


@pytest.mark.parametrize("cls", [Session, Endpoint, EventStream, FileDownload, Worker])
def test_half_made_object_has_a_repr(cls: Any) -> None:
    """A traceback with local variables shows it as ``self``. On 3.11, its error would hide the exception."""
    assert cls.__name__ in repr(cls.__new__(cls))


def test_printed_traceback_does_not_show_the_key() -> None:
    """A program that ends with an exception prints its traceback."""
    stream = io.StringIO()
    try:
        Session(api_key=f"{KEY}\n")
    except ConfigurationError:
        traceback.print_exception(*sys.exc_info(), file=stream)
    assert KEY not in stream.getvalue().replace(f'Session(api_key=f"{KEY}', "")
    gc.collect()
