"""The transport over wreq alone: its arguments, its known limits, its thread, its errors."""

import asyncio
import gc
import multiprocessing
import os
import ssl
import threading
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from yarl import URL

from handinger_async import APIConnectionError, ConfigurationError, RetryPolicy, Session
from handinger_async.http import Headers, ReceivedHeaders, Request

from .test_secrets import KEY, shown
from .wire import HANG_GUARD, WireRequest, WireServer, chunked, forever, reset, response, wire_server

pytest.importorskip("wreq")

from wreq.header import HeaderMap

from handinger_async.transports._wreq_clients import Pool
from handinger_async.transports._wreq_responses import Fields
from handinger_async.transports.wreq import KNOWN_LIMITS, WreqTransport

once = RetryPolicy(max_retries=0)
THREAD = "handinger_async"


def native_threads() -> set[str]:
    """Return the ids of the transports' threads, which Python does not know."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended
            if (task / "comm").read_text().strip() == THREAD:
                found.add(task.name)
    return found


def new_session(url: str, **options: Any) -> Session:
    return Session(api_key=KEY, base_url=url, transport=WreqTransport(**options), retry=once)


# Its known limits #####################################################################################################


def test_each_known_limit_has_a_test() -> None:
    tested = {
        "lower_case_names",
        "registered_methods",
        "no_ssl_context",
        "smaller_heads",
        "strict_fields",
        "shorter_urls",
        "a_chunk_at_a_time",
    }
    assert set(KNOWN_LIMITS) == tested


def test_fields_of_a_response_behave_as_headers() -> None:
    received = HeaderMap()
    for name, value in (("X-A", "1"), ("x-a", "2"), ("Set-Cookie", "secret"), ("X-B", "")):
        received.append(name, value)
    headers = ReceivedHeaders(Fields(received))
    expected = Headers([("x-a", "1"), ("x-a", "2"), ("set-cookie", "secret"), ("x-b", "")])
    for name in ("X-A", "x-b", "Set-Cookie", "absent", "é", "\udc80", ""):
        assert repr(headers.get(name)) == repr(expected.get(name))
        assert (name in headers) is (name in expected)
    assert 1 not in headers
    assert headers == expected


async def test_names_of_headers_are_sent_in_lower_case(server: WireServer) -> None:
    async with new_session(server.url) as session:
        await session.request("GET", "/x", headers={"X-Odd": "Value"})
    names = [name for name, _ in server.requests[0].headers]
    assert names == [name.lower() for name in names]
    assert server.requests[0].header("x-odd") == ["Value"]


async def test_unregistered_method_is_refused(server: WireServer) -> None:
    async with new_session(server.url) as session:
        with pytest.raises(ConfigurationError, match="WreqTransport cannot send PURGE requests"):
            await session.request("PURGE", "/x")
    assert not server.requests


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"ssl": ssl.create_default_context()}, "ssl must be the path of a PEM file"),
        ({"ssl": "missing.pem"}, "cannot load 'missing.pem': No such file"),
        ({"ssl": __file__}, "not a PEM file of certificates"),
        ({"limit": -1}, "limit must be a non-negative integer"),
        ({"limit": "1"}, "limit must be a non-negative integer"),
        ({"proxy": "socks5://127.0.0.1"}, "proxy is a SOCKS proxy"),
    ],
)
def test_invalid_argument_is_refused(options: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        WreqTransport(**options)


@pytest.mark.parametrize(("size", "fits"), [(100, True), (300, False)])
async def test_head_of_a_response_has_128_to_256_kib_at_most(size: int, fits: bool) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}", headers="".join(f"X-{each}: {'x' * 1000}\r\n" for each in range(size))))

    async with wire_server(reply) as server, new_session(server.url) as session:
        if fits:
            assert len((await session.request("GET", "/x")).headers["x-99"]) == 1000
        else:
            with pytest.raises(APIConnectionError, match="its head is too large"):
                await session.request("GET", "/x")


@pytest.mark.parametrize(("value", "fits"), [("a\tb", True), ("a\r\n b", False), ("a\x01b", False)])
async def test_folded_field_or_control_character_in_a_field_is_refused(value: str, fits: bool) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}", headers=f"X-A: {value}\r\n"))

    async with wire_server(reply) as server, new_session(server.url) as session:
        if fits:
            assert (await session.request("GET", "/x")).headers["x-a"] == value
        else:
            with pytest.raises(APIConnectionError, match="malformed HTTP response"):
                await session.request("GET", "/x")


async def test_http_chunks_are_read_one_by_one() -> None:
    sent = [b"%d" % number for number in range(10)]

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(chunked(*sent))

    async with wire_server(reply) as server:
        transport = WreqTransport()
        opened = await transport.open(URL(server.url), Request("GET", "/"), connect_timeout=None)
        assert [await opened.read_chunk() for _ in sent] == sent
        assert await opened.read_chunk() == b""
        await transport.aclose()


# Requests #############################################################################################################


async def test_nothing_is_added_to_a_request_but_what_describes_the_connection(server: WireServer) -> None:
    transport = WreqTransport()
    target = "/%7Ea%2f/..%2e/x'y?q='a'|%27"
    request = Request("GET", target, {"X-A": "1"})
    opened = await transport.open(URL(server.url + target, encoded=True), request, connect_timeout=None)
    await opened.aclose()
    await transport.aclose()
    (sent,) = server.requests
    assert sent.target == target
    assert sorted(name for name, _ in sent.headers) == ["accept-encoding", "host", "x-a"]


async def test_request_with_an_unsendable_header_was_not_sent(server: WireServer) -> None:
    transport = WreqTransport()
    request = Request("GET", "/", {"X-A": "\x01"})
    with pytest.raises(APIConnectionError, match="cannot be sent") as caught:
        await transport.open(URL(server.url), request, connect_timeout=None)
    await transport.aclose()
    assert not caught.value.request_sent


async def test_limit_applies_to_requests_but_not_to_streams(server: WireServer) -> None:
    async with (
        new_session(server.url, limit=1) as session,
        session.workers.stream_updates("w") as one,
        session.workers.stream_updates("w") as two,
    ):
        assert str(await anext(one)) == str(await anext(two)) == "a"
        await asyncio.gather(*(session.request("GET", "/x") for _ in range(5)))
    assert server.connections == 3


async def test_cancelled_wait_for_the_limit_takes_no_place() -> None:
    started = asyncio.Event()

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        started.set()
        if request.target == "/wait":
            await forever()
        writer.write(response(b"{}"))

    async with wire_server(reply) as server, new_session(server.url, limit=1) as session:
        first = asyncio.ensure_future(session.request("GET", "/wait"))
        await started.wait()
        second = asyncio.ensure_future(session.request("GET", "/x"))
        await asyncio.sleep(0)
        for task in (second, first):
            task.cancel()
        await asyncio.wait((first, second))
        assert (await session.request("GET", "/x")).body == b"{}"


# Errors ###############################################################################################################


@pytest.mark.parametrize("how", ["drop", "reset", "malformed"])
async def test_no_failure_shows_the_key_or_names_wreq(how: str) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if how == "reset":
            reset(writer)
        if how == "malformed":
            writer.write(b"HTTP/9 %s\r\n\r\n" % KEY.encode())
        writer.close()

    async with wire_server(reply) as server, new_session(server.url) as session:
        with pytest.raises(APIConnectionError) as caught:
            await session.workers.retrieve("w")
    assert caught.value.request_sent
    assert KEY not in shown(caught.value)
    assert "wreq" not in str(caught.value)
    assert caught.value.__context__ is caught.value.__cause__ is None


async def test_refused_connection_names_the_server_and_was_not_sent(refusing_url: str) -> None:
    async with new_session(refusing_url) as session:
        with pytest.raises(APIConnectionError, match=r"cannot connect to 127.0.0.1:.*: Connection refused") as caught:
            await session.workers.retrieve("w")
    assert not caught.value.request_sent
    assert KEY not in shown(caught.value)


# TLS and proxies ######################################################################################################


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[WireServer, Path]]:
    authority = trustme.CA()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))

    async with wire_server(reply, context) as server:
        yield server, path


async def test_certificates_are_verified_unless_told_otherwise(secure: tuple[WireServer, Path]) -> None:
    server, path = secure
    async with new_session(server.url) as session:
        with pytest.raises(APIConnectionError, match="certificate") as caught:
            await session.request("POST", "/x")
    assert not caught.value.request_sent
    assert not server.requests
    for trusted in (path, str(path), False):
        async with new_session(server.url, ssl=trusted) as session:
            await session.request("GET", "/x")
    assert len(server.requests) == 3


async def test_certificates_of_an_https_proxy_are_verified_too(secure: tuple[WireServer, Path]) -> None:
    server, path = secure
    async with new_session("http://api.example", proxy=server.url, ssl=path) as session:
        await session.request("GET", "/x")
    assert [request.target for request in server.requests] == ["http://api.example/x"]
    async with new_session("http://api.example", proxy=server.url) as session:
        with pytest.raises(APIConnectionError, match=r"cannot connect to the proxy .*certificate"):
            await session.request("GET", "/x")


@pytest.mark.parametrize("from_environment", [False, True])
async def test_proxy_gets_requests_with_its_password(
    from_environment: bool, server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = server.url.replace("http://", "http://us%20er:pa@")
    if from_environment:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with new_session("http://api.example", proxy=None if from_environment else proxy) as session:
        await session.request("GET", "/x?a=b")
    if from_environment:
        async with new_session(server.url) as session:
            await session.request("GET", "/direct")
    assert server.requests[0].target == "http://api.example/x?a=b"
    assert server.requests[0].header("proxy-authorization") == ["Basic dXMgZXI6cGE="]
    assert [request.target for request in server.requests[1:]] == ["/direct"] * from_environment


async def test_environment_is_ignored_unless_it_is_trusted(
    server: WireServer, refusing_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", refusing_url)  # wreq reads it too, unless told otherwise
    async with new_session(server.url, trust_env=False) as session:
        await session.request("GET", "/x")
    assert [request.target for request in server.requests] == ["/x"]


# Its life #############################################################################################################


async def test_threads_share_the_transport(server: WireServer) -> None:
    session = new_session(server.url)

    async def use() -> None:
        for _ in range(5):
            assert (await session.request("GET", "/x")).body == b"{}"

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, use()) for _ in range(4)))
    await use()
    await session.aclose()
    await server.empty()


async def test_closing_in_one_loop_wakes_the_reader_of_another(server: WireServer) -> None:
    session = new_session(server.url)
    waiting = threading.Event()

    async def read() -> None:
        async with session.with_options(retry=once).workers.stream_updates("w", resume=False) as events:
            assert str(await anext(events)) == "a"
            asyncio.get_running_loop().call_soon(waiting.set)
            with pytest.raises(Exception, match="closed"):
                await anext(events)

    reading = asyncio.ensure_future(asyncio.to_thread(asyncio.run, read()))
    await asyncio.to_thread(waiting.wait, HANG_GUARD)
    await session.aclose()
    await reading
    await server.empty()


def test_transport_that_was_never_closed_warns(refusing_url: str) -> None:
    async def use(transport: WreqTransport) -> None:
        with pytest.raises(APIConnectionError):
            await transport.open(URL(refusing_url), Request("GET", "/"), connect_timeout=HANG_GUARD)

    transports = [WreqTransport()]
    asyncio.run(use(transports[0]))
    with pytest.warns(ResourceWarning, match="was never closed"):
        transports.clear()


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc")  # noqa: PTH110
async def test_thread_ends_with_the_transport(server: WireServer) -> None:
    before = native_threads()
    async with new_session(server.url) as session:
        await session.request("GET", "/x")
        (ours,) = native_threads() - before
    del session
    gc.collect()
    while ours in native_threads():  # noqa: ASYNC110 - it ends by itself, soon
        await asyncio.sleep(0)


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc")  # noqa: PTH110
async def test_error_that_is_kept_keeps_no_connection() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target == "/x":
            writer.write(response(b"{}"))
        else:
            writer.close()

    before = native_threads()
    async with wire_server(reply) as server:
        async with new_session(server.url) as session:
            with pytest.raises(APIConnectionError) as kept:
                await session.request("POST", "/drop")
            await session.request("GET", "/x")
        shown_locals = [frame.f_locals.values() for frame, _ in traceback.walk_tb(kept.tb)]
        assert not any(isinstance(value, Pool) for values in shown_locals for value in values)
        await server.empty()
        while native_threads() - before:  # noqa: ASYNC110 - it ends by itself, soon
            await asyncio.sleep(0)


def _use_in_child(session: Session, url: str, results: Any) -> None:
    async def use() -> bytes:
        body = (await session.request("GET", "/x")).body
        await session.aclose()
        return body

    try:
        results.put(asyncio.run(use()))
    except BaseException:
        results.put(traceback.format_exc())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_forked_process_has_connections_of_its_own(server: WireServer) -> None:
    """Another thread of the parent may create a client meanwhile, and hold the lock."""
    transport = WreqTransport()
    async with Session(api_key=KEY, base_url=server.url, transport=transport) as session:
        await session.request("GET", "/x")
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        process = context.Process(target=_use_in_child, args=(session, server.url, results))
        with transport._clients._lock:
            process.start()
        assert await asyncio.to_thread(results.get, timeout=HANG_GUARD) == b"{}"
        await asyncio.to_thread(process.join)
        assert process.exitcode == 0
        assert (await session.request("GET", "/x")).body == b"{}"


async def test_response_is_complete_with_the_last_byte_of_its_length(server: WireServer) -> None:
    transport = WreqTransport(limit=1)
    opened = await transport.open(URL(server.url), Request("GET", "/"), connect_timeout=None)
    assert await opened.read_chunk() == b"{}"
    another = await transport.open(URL(server.url), Request("GET", "/"), connect_timeout=None)
    for each in (another, opened):
        await each.aclose()
    await transport.aclose()
    assert server.connections == 1


async def test_dropped_response_closes_its_connection_and_frees_its_place() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if request.target == "/long":
            writer.write(chunked(b"a", content_type="text/plain", end=False))
            await forever()
        writer.write(response(b"{}"))

    async with wire_server(reply) as server:
        transport = WreqTransport(limit=1)
        opened = await transport.open(URL(server.url + "/long"), Request("GET", "/long"), connect_timeout=None)
        del opened
        gc.collect()
        opened = await transport.open(URL(server.url), Request("GET", "/"), connect_timeout=None)
        await server.empty(but=1)
        await opened.aclose()
        await transport.aclose()
