"""The transport over aiohttp."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator
from functools import lru_cache, partial
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from weakref import ReferenceType, ref

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ..errors import APIConnectionError, APITimeoutError, ConfigurationError, shorten
from ..http import Headers, Request
from . import StreamedResponse
from ._decompression import ACCEPT_ENCODING, DecompressedResponse
from ._hangups import Hangups
from ._proxies import Proxy, check_proxy, proxy_from_environment

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp.client_proto import ResponseHandler

__all__ = ["AiohttpTransport"]

DEFAULT_LIMIT = 100

#: What is added to all requests.
_ACCEPT = Headers({"Accept-Encoding": ACCEPT_ENCODING})

#: What aiohttp raises where the network or the server fails; the second escapes from its parser in Python.
_FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError)

#: What aiohttp raises while there is no connection yet: the request cannot have reached the server. Once there is one,
#: nothing can be excluded: aiohttp hands a request to the kernel as soon as it has a connection for it.
_NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.ServerFingerprintMismatch,
)


class AiohttpTransport:
    """Sends requests with aiohttp.

    Streams of events have a pool of connections of their own, without a limit, so that they never keep a plain request
    waiting. Cookies are not kept, redirects are not followed, nothing is repeated.

    It may be made outside an event loop, and used in one after the other: each loop has its own connections, which are
    closed by `aclose`, or else when ``asyncio.run`` shuts the loop down.

    Args:
        session: A session to send with, which stays yours to close; its own pool then serves streams too, and its own
            proxy is used unless ``proxy`` is given. None for sessions of our own, made when they are first needed.
        limit: The most connections for requests that are not streams; 0 for no limit; 100 by default.
        ssl: A context to verify servers with, or False not to verify them.
        proxy: The URL of an HTTP proxy for everything; it may hold a user and a password.
        trust_env: Without ``proxy``, take proxies from the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY,
            as they are when a server is first called. (aiohttp's own ``trust_env`` also reads a .netrc, and with it
            would replace our key.)

    Raises:
        ConfigurationError: ``limit`` is given beside a session, or it or ``proxy`` makes no sense.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        limit: int | None = None,
        ssl: SSLContext | bool = True,
        proxy: str | URL | None = None,
        trust_env: bool = True,
    ) -> None:
        self._kept: dict[asyncio.AbstractEventLoop, _Kept] = {}
        if session is not None and limit is not None:
            raise ConfigurationError("limit belongs to the connector of the session that you give")
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ConfigurationError(f"limit must be a whole number that is not negative, not {limit!r}")
        self._given = session
        self._given_loop: asyncio.AbstractEventLoop | None = None
        self._limit = DEFAULT_LIMIT if limit is None else limit
        self._ssl = ssl
        self._proxy = None if proxy is None else check_proxy(proxy, "proxy")
        self._trust_env = trust_env and proxy is None and session is None
        self._proxies: dict[URL, Proxy | None] = {}
        self._answers: set[ReferenceType[_AiohttpResponse]] = set()
        self._opening = 0
        self._closed = False

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Send a request; see `Transport.open`."""
        kept = None
        if self._given is None and not self._closed:
            kept = self._kept.get(asyncio.get_running_loop()) or await self._keep()
        self._opening += 1
        try:
            if kept is None or kept.hangups.possible():
                # What servers have closed is noticed now, not when it is used: a turn of the event loop to look at its
                # sockets, and one to act, since a task that waits for the first goes on before what was seen is done.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            elif self._opening > 1:
                # All that begin together are prepared before the first is sent: a sixth faster than one by one.
                await asyncio.sleep(0)
            session = self._session_for(request, kept)
            proxy = self._proxy_for(url)
            headers = request.headers
            if proxy is not None and url.scheme == "http":  # for https it is the tunnel that is asked for, below
                headers |= proxy.headers
            fields = headers.as_dict()  # aiohttp takes three times as long for another kind of mapping
            middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (_send_once,)
            if session is self._given:
                fields = (_ACCEPT | headers).as_dict()
                # What a call brings takes the place of the session's own middlewares, so they are named here too.
                middlewares = (*session._middlewares, _send_once)  # noqa: SLF001 - there is no public name
                if session.trust_env or session.auth is not None:
                    # A .netrc, or its own auth, would replace our key, or be refused beside it: the key comes in last.
                    middlewares += (_authorize(headers["Authorization"]),)
                    fields = {name: value for name, value in fields.items() if name.lower() != "authorization"}
            response = await session.request(
                request.method,
                url,
                headers=fields,
                data=BytesIO(request.body) if request.body else None,  # bytes of a certain size make it warn
                allow_redirects=False,
                auto_decompress=False,  # aiohttp takes a gzip body that is cut short for a whole one
                raise_for_status=False,
                timeout=_to_connect(connect_timeout),
                ssl=self._ssl,
                proxy=proxy and proxy.url,
                proxy_headers=proxy and proxy.headers,
                middlewares=middlewares,
            )
        except _FAILURES as error:
            failure = _translate(error)
        else:
            return await self._adopt(response)
        finally:
            self._opening -= 1
        raise failure  # outside the except: the frames of aiohttp's traceback hold the key

    async def aclose(self) -> None:
        """Close the answers that are still open and our own connections; a session that was given stays open.

        Connections of other event loops are closed when these shut down.
        """
        self._closed = True
        for reference in list(self._answers):
            if (answer := reference()) is not None:
                await answer.aclose()
        kept = self._kept.pop(asyncio.get_running_loop(), None)
        self._kept.clear()
        if kept is not None:
            await kept.keeper.aclose()

    def __del__(self) -> None:
        if any(not loop.is_closed() for loop in self._kept):
            message = f"{self!r} was never closed: use 'async with' on its session, or call aclose()"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    async def _keep(self) -> _Kept:
        """Make the sessions of this event loop."""
        self._kept = {loop: kept for loop, kept in self._kept.items() if not loop.is_closed()}
        keeper = _keep_sessions(self._limit)
        kept = self._kept[asyncio.get_running_loop()] = _Kept(keeper, *await anext(keeper))
        return kept

    def _session_for(self, request: Request, kept: _Kept | None) -> aiohttp.ClientSession:
        if self._closed:
            raise APIConnectionError("The transport is closed.", request_sent=False)
        if kept is None:
            session = self._given
        else:
            session = kept.streams if request.headers.get("accept") == "text/event-stream" else kept.plain
        if session is None or session.closed:
            raise APIConnectionError("The aiohttp session is closed.", request_sent=False)
        if kept is None:
            loop = asyncio.get_running_loop()
            self._given_loop = self._given_loop or loop
            if self._given_loop is not loop:
                raise ConfigurationError("The aiohttp session that was given belongs to another event loop.")
        return session

    async def _adopt(self, response: aiohttp.ClientResponse) -> StreamedResponse:
        try:
            headers = Headers(response.headers)
        except ConfigurationError as error:
            response.close()
            reason = error.message
        else:
            answer: StreamedResponse
            connection = response.connection
            if connection is None:  # the body is here too, and the connection given back
                body = response.content.read_nowait() or await response.read()  # which a middleware may have read
                answer = _WholeResponse(response.status, headers, body)
            else:
                answer = _AiohttpResponse(response, connection.protocol, headers, self._answers)
            encoding = headers.get("content-encoding")
            return DecompressedResponse(answer, encoding) if encoding else answer
        raise APIConnectionError(f"The head of the answer is malformed: {reason}.")

    def _proxy_for(self, url: URL) -> Proxy | None:
        if not self._trust_env:
            return self._proxy
        origin = url.origin()
        try:
            return self._proxies[origin]
        except KeyError:
            proxy = self._proxies[origin] = proxy_from_environment(url)
            return proxy


_Sessions: TypeAlias = tuple[aiohttp.ClientSession, aiohttp.ClientSession, Hangups]


class _Kept(NamedTuple):
    """The sessions of one event loop, what watches their connections, and what closes all three."""

    keeper: AsyncGenerator[_Sessions]
    plain: aiohttp.ClientSession
    streams: aiohttp.ClientSession
    hangups: Hangups


#: All that are open: the collector must not come across them before their keeper, or aiohttp complains.
_OPEN: dict[_Sessions, asyncio.AbstractEventLoop] = {}


async def _keep_sessions(limit: int) -> AsyncGenerator[_Sessions]:
    """Yield a session for requests, one for streams and what watches both, and close them at the end.

    A generator, since an event loop that shuts down closes those that were begun in it, and before that those that
    nobody refers to any more (PEP 525).
    """
    for sessions in [sessions for sessions, loop in _OPEN.items() if loop.is_closed()]:
        del _OPEN[sessions]
    with Hangups() as hangups:
        async with _new_session(limit, hangups) as plain, _new_session(0, hangups) as streams:
            _OPEN[plain, streams, hangups] = asyncio.get_running_loop()
            try:
                yield plain, streams, hangups
            finally:
                del _OPEN[plain, streams, hangups]


def _new_session(limit: int, hangups: Hangups) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=limit, socket_factory=hangups.new_socket)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=_ACCEPT)


@lru_cache(8)
def _to_connect(seconds: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=seconds)


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating an idempotent request after a dropped connection: the session decides that."""
    try:
        return await handler(request)
    except _NOT_SENT:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        failure = aiohttp.ClientConnectionError(str(error) or type(error).__name__)
    raise failure


def _authorize(authorization: str) -> aiohttp.ClientMiddlewareType:
    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = authorization
        return await handler(request)

    return authorize


class _WholeResponse:
    """An answer that has come whole: nothing is left to wait for, or to give back."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body: bytes | None = body

    async def read_chunk(self) -> bytes:
        if self._body is None:
            raise APIConnectionError("The answer was closed.")
        chunk, self._body = self._body, b""
        return chunk

    async def aclose(self) -> None:
        self._body = None


class _AiohttpResponse:
    """An answer whose body is still on its way."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        protocol: ResponseHandler | None,
        headers: Headers,
        siblings: set[ReferenceType[_AiohttpResponse]],
    ) -> None:
        self._response = response
        self._siblings = siblings
        self.status = response.status
        self.headers = headers
        self._connection_lost: asyncio.Future[None] | None = None
        self._reference: ReferenceType[_AiohttpResponse] = ref(
            self, partial(_close_dropped, siblings, asyncio.get_running_loop(), response)
        )
        siblings.add(self._reference)
        self._tell = partial(_tell_reader, response.content)
        if protocol is not None and "transfer-encoding" in headers:
            self._connection_lost = protocol.closed
        if self._connection_lost is not None:
            self._connection_lost.remove_done_callback(_look_at)  # of an earlier answer on this connection
            self._connection_lost.add_done_callback(_look_at)
            self._connection_lost.add_done_callback(self._tell)

    async def read_chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except _FAILURES as error:
            failure = _translate(error)
        raise failure

    async def aclose(self) -> None:
        self._response.close()
        self._siblings.discard(self._reference)
        if self._connection_lost is not None:
            self._connection_lost.remove_done_callback(self._tell)


def _close_dropped(
    siblings: set[ReferenceType[_AiohttpResponse]],
    loop: asyncio.AbstractEventLoop,
    response: aiohttp.ClientResponse,
    reference: ReferenceType[_AiohttpResponse],
) -> None:
    """Close the connection of an answer that was collected before it was closed."""
    siblings.discard(reference)
    if not loop.is_closed():
        loop.call_soon_threadsafe(response.close)  # the collector runs in any thread


def _tell_reader(content: aiohttp.StreamReader, _: asyncio.Future[None]) -> None:
    """Wake whoever reads: aiohttp, when it cannot make sense of a chunk, closes the connection and tells nobody."""
    if not content.is_eof() and content.exception() is None:
        content.set_exception(aiohttp.ClientPayloadError("The answer is not HTTP as it should be: a malformed chunk"))


def _look_at(connection_lost: asyncio.Future[None]) -> None:
    """Take note of why a connection was lost, or asyncio complains that nobody did."""
    if not connection_lost.cancelled():
        connection_lost.exception()


def _translate(error: Exception) -> APIConnectionError:
    """Return what went wrong in our own terms, without a trace of aiohttp's."""
    sent = not isinstance(error, _NOT_SENT)
    text = shorten(str(error)) or type(error).__name__
    if sent and isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        text = f"The answer is not HTTP as it should be: {shorten(error.message)}"
    if isinstance(error, TimeoutError):
        return APITimeoutError(text, request_sent=sent)
    return APIConnectionError(text, request_sent=sent)
