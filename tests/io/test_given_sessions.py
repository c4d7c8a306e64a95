"""An aiohttp session given by the user: the effect of each of its settings, as the documentation has it."""

import asyncio
import inspect
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from handinger_async import APIConnectionError, NotFoundError, RetryPolicy, Session
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import Clock, ObservedTransport, WireRequest, WireServer, response, wire_server

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "aiohttp-session.rst"
once = RetryPolicy(max_retries=0)

Use = Callable[..., Any]


async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
    if request.target == "/missing":
        writer.write(response(b'{"message": "gone"}', status="404 Not Found"))
    elif request.target == "/gzip":
        deflated = zlib.compress(b'{"n": 1}')
        writer.write(response(deflated, headers="Content-Encoding: deflate\r\n"))
    elif request.target == "/fields":
        fields = "".join(f"X-{number}: {number}\r\n" for number in range(900))
        writer.write(response(b"{}", headers=f"X-Long: {'x' * 60_000}\r\n{fields}"))
    elif request.target == "/cookie":
        writer.write(response(b"{}", headers="Set-Cookie: own=1; Path=/\r\n"))
    else:
        writer.write(response(b'{"n": 1}'))


class Given:
    """A server, and calls over a given session."""

    def __init__(self, server: WireServer) -> None:
        self.server = server
        self.transport: AiohttpTransport

    async def call(self, given: aiohttp.ClientSession, path: str = "/x", method: str = "GET", **options: Any) -> Any:
        """Call the server over the given session, and return its request."""
        url = self.server.url.replace("127.0.0.1", "localhost")
        self.transport = AiohttpTransport(given, **options)
        async with Session(api_key="key", base_url=url, retry=once, transport=self.transport) as session:
            self.response = await session.request(method, path)
        assert not given.closed
        return self.server.requests[-1]


@pytest.fixture
async def given() -> Any:
    async with wire_server(reply) as server:
        yield Given(server)


# Honoured #############################################################################################################


async def connector(given: Given) -> None:
    pool = aiohttp.TCPConnector(limit=3)
    async with aiohttp.ClientSession(connector=pool) as session:
        await given.call(session)
        assert sum(map(len, pool._conns.values())) == 1


async def connector_owner(given: Given) -> None:
    async with aiohttp.TCPConnector() as pool:
        async with aiohttp.ClientSession(connector=pool, connector_owner=False) as session:
            await given.call(session)
        assert not pool.closed


async def headers(given: Given) -> None:
    fields = {"X-Mine": "1", "Authorization": "Basic x", "User-Agent": "mine", "Accept-Encoding": "br", "Accept": "a/b"}
    async with aiohttp.ClientSession(headers=fields) as session:
        request = await given.call(session)
    assert request.header("x-mine") == ["1"]
    assert request.header("authorization") == ["Bearer key"]
    assert request.header("accept-encoding") == ["gzip, deflate"]
    assert request.header("accept") == ["application/json"]
    assert request.header("user-agent")[0].startswith("handinger-async/")


async def skip_auto_headers(given: Given) -> None:
    async with aiohttp.ClientSession(skip_auto_headers=["User-Agent"]) as session:
        request = await given.call(session, method="POST")
    assert request.header("user-agent")[0].startswith("handinger-async/")
    assert not request.header("content-type")


async def cookies(given: Given) -> None:
    async with aiohttp.ClientSession(cookies={"mine": "1"}) as session:
        assert (await given.call(session, "/cookie")).header("cookie") == ["mine=1"]
        (sent,) = (await given.call(session)).header("cookie")
        assert sorted(sent.split("; ")) == ["mine=1", "own=1"]


async def cookie_jar(given: Given) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        for path in ("/cookie", "/x"):
            assert not (await given.call(session, path)).header("cookie")


async def proxy(given: Given) -> None:
    async with aiohttp.ClientSession(proxy=given.server.url) as session:
        assert (await given.call(session)).target.startswith("http://localhost:")
    async with wire_server(reply) as other, aiohttp.ClientSession(proxy=given.server.url) as session:
        await given.call(session, proxy=other.url)
        assert len(given.server.requests) == len(other.requests) == 1


async def proxy_auth(given: Given) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but honoured
        session = aiohttp.ClientSession(proxy=given.server.url, proxy_auth=aiohttp.BasicAuth("a", "b"))
    async with session:
        request = await given.call(session)
    assert request.header("proxy-authorization") == ["Basic YTpi"]
    assert request.header("authorization") == ["Bearer key"]


async def trust_env(given: Given) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTP_PROXY", given.server.url)
        async with aiohttp.ClientSession(trust_env=True) as session:
            request = await given.call(session)
    assert request.target.startswith("http://localhost:")
    assert request.header("authorization") == ["Bearer key"]


async def middlewares(given: Given) -> None:
    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> Any:
        request.headers["X-Mine"] = "1"
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[middleware]) as session:
        assert (await given.call(session)).header("x-mine") == ["1"]


async def trace_configs(given: Given) -> None:
    seen = []

    async def start(_: Any, __: Any, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(params.url.path)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(start)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        await given.call(session)
    assert seen == ["/x"]


async def request_class(given: Given) -> None:
    class Request(aiohttp.ClientRequest):
        DEFAULT_HEADERS = {**aiohttp.ClientRequest.DEFAULT_HEADERS, aiohttp.hdrs.VIA: "mine"}  # noqa: RUF012

    async with aiohttp.ClientSession(request_class=Request) as session:
        assert (await given.call(session)).header("via") == ["mine"]


async def response_class(given: Given) -> None:
    started = []

    class Response(aiohttp.ClientResponse):
        async def start(self, *args: Any) -> Any:
            started.append(self)
            return await super().start(*args)

    async with aiohttp.ClientSession(response_class=Response) as session:
        await given.call(session)
    assert len(started) == 1


async def read_bufsize(given: Given) -> None:
    sizes = []

    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> Any:
        got = await handler(request)
        sizes.append(got.content.get_read_buffer_limits()[0])
        return got

    async with aiohttp.ClientSession(read_bufsize=100, middlewares=[middleware]) as session:
        await given.call(session)
    assert sizes == [100]


async def version(given: Given) -> None:
    async with aiohttp.ClientSession(version=aiohttp.HttpVersion10) as session:
        assert (await given.call(session)).header("connection") == ["keep-alive"]


# Overruled ############################################################################################################


async def auth(given: Given) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("a", "b"))
    async with session:
        assert (await given.call(session)).header("authorization") == ["Bearer key"]


async def base_url(given: Given) -> None:
    async with aiohttp.ClientSession("http://elsewhere.example/base/") as session:
        assert (await given.call(session)).target == "/x"


async def timeout(given: Given) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1, sock_read=1)) as session:
        clock, transport = Clock(), ObservedTransport(AiohttpTransport(session))

        async def stalled(request: WireRequest, writer: asyncio.StreamWriter) -> None:
            whole = response(b'{"n": 1}')
            writer.write(whole[:-4])
            await transport.waits_after(4)
            clock.advance(10)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            writer.write(whole[-4:])

        async with (
            wire_server(stalled) as server,
            Session(api_key="key", base_url=server.url, retry=once, transport=transport) as client,
        ):
            assert (await client.request("GET", "/x")).body == b'{"n": 1}'


async def raise_for_status(given: Given) -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        with pytest.raises(NotFoundError, match="gone"):
            await given.call(session, "/missing")


async def auto_decompress(given: Given) -> None:
    for value in (True, False):
        async with aiohttp.ClientSession(auto_decompress=value) as session:
            await given.call(session, "/gzip")
            assert given.response.body == b'{"n": 1}'


async def max_field_size(given: Given) -> None:
    async with aiohttp.ClientSession(max_line_size=100, max_field_size=100, max_headers=5) as session:
        await given.call(session, "/fields")
    assert len(given.response.headers) > 900
    assert len(given.response.headers["x-long"]) == 60_000


#: The rows of the documentation, but for unused settings, by the first argument that they name.
ROWS: tuple[Use, ...] = (
    *(connector, connector_owner, headers, skip_auto_headers, cookies, cookie_jar, proxy, proxy_auth, trust_env),
    *(middlewares, trace_configs, request_class, response_class, read_bufsize, version),
    *(auth, base_url, timeout, raise_for_status, auto_decompress, max_field_size),
)
TESTED_TOGETHER = {"max_line_size": "max_field_size", "max_headers": "max_field_size"}
DEPRECATED = {"read_timeout", "conn_timeout"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_setting_of_a_given_session_has_the_documented_effect(row: Use, given: Given) -> None:
    await row(given)


def documented() -> dict[str, str]:
    """Return the effect of each argument according to the documentation."""
    rows = re.findall(r"^   \* - (``.*?)\n     - (\w+)", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return {name: effect for names, effect in rows for name in re.findall(r"``(\w+)``", names)}


def test_every_argument_of_an_aiohttp_session_is_documented_and_tested() -> None:
    effects = documented()
    assert set(effects.values()) == {"honoured", "overruled", "unused"}
    assert set(effects) == {"connector", *inspect.signature(aiohttp.ClientSession).parameters} - {"self"}
    tested = {row.__name__ for row in ROWS} | set(TESTED_TOGETHER) | DEPRECATED
    assert {name for name, effect in effects.items() if effect != "unused"} == tested


async def test_session_without_private_attributes_is_used_as_it_is() -> None:
    """Another version of aiohttp may not tell the middlewares of a session: they apply, and aiohttp retries."""
    seen = []

    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> Any:
        seen.append(request.url.path)
        return await handler(request)

    async with wire_server(reply) as server, aiohttp.ClientSession(middlewares=[middleware]) as given:

        class Proxy:
            __class__ = aiohttp.ClientSession  # for isinstance()

            def __getattr__(self, name: str) -> Any:
                if name == "_middlewares":
                    raise AttributeError(name)
                return getattr(given, name)

        transport = AiohttpTransport(Proxy())  # type: ignore[arg-type]
        async with Session(api_key="key", base_url=server.url, retry=once, transport=transport) as session:
            assert (await session.request("GET", "/x")).body == b'{"n": 1}'
    assert seen == ["/x"]


async def test_not_sent_is_told_over_a_given_session_too(refusing_url: str) -> None:
    async with aiohttp.ClientSession() as given:
        transport = AiohttpTransport(given)
        async with Session(api_key="key", base_url=refusing_url, retry=once, transport=transport) as session:
            with pytest.raises(APIConnectionError) as caught:
                await session.request("POST", "/x")
    assert not caught.value.request_sent
