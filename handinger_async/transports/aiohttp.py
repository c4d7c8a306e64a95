"""Transport based on aiohttp."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import aiohttp
from yarl import URL

from ..errors import APIConnectionError, ConfigurationError
from ..http import Headers, Request
from . import StreamedResponse
from ._aiohttp_responses import FAILURES, NOT_SENT, OpenResponses, adapt_error, adapt_response
from ._decompression import ACCEPT_ENCODING
from ._proxies import Proxy, check_environment, parse_proxy, proxy_from_environment
from ._stale_connections import StaleConnections

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["AiohttpTransport"]

DEFAULT_CONNECTION_LIMIT = 100

#: Sent with every request.
_DEFAULT_HEADERS = Headers({"Accept-Encoding": ACCEPT_ENCODING})


class AiohttpTransport:
    """Sends requests with aiohttp.

    Event streams use a separate, unlimited connection pool, so that they never block other requests. Cookies are not
    stored, redirects are not followed and nothing is retried.

    The transport can be created outside an event loop and used in several loops, one after the other. Each loop has its
    own connections. They are closed by `aclose`, or when ``asyncio.run`` shuts the loop down.

    Args:
        session: An aiohttp session to use. It is not closed with the transport, its connection pool also serves event
            streams, and its proxy applies unless ``proxy`` is given. None to create sessions when they are needed.
        limit: The maximum number of connections, not counting event streams; 0 for no limit. The default is 100.
        ssl: An SSL context to verify servers with, or False to disable verification.
        proxy: The URL of an HTTP proxy for all requests, with or without a user and password.
        trust_env: Read proxies from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY unless ``proxy`` is given. They are
            read on the first request to a server. (aiohttp's own ``trust_env`` would also read a .netrc and replace
            the API key with its credentials.)

    Raises:
        ConfigurationError: ``limit`` is given together with ``session``, or ``limit`` or ``proxy`` is invalid, or the
            proxies in the environment are unusable for all servers.
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
        self._loop_sessions: dict[asyncio.AbstractEventLoop, _LoopSessions] = {}
        if session is not None and limit is not None:
            raise ConfigurationError("limit cannot be combined with session: set it on the session's connector")
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ConfigurationError(f"limit must be a non-negative integer, not {limit!r}")
        self._user_session = session
        self._user_session_loop: asyncio.AbstractEventLoop | None = None
        self._limit = DEFAULT_CONNECTION_LIMIT if limit is None else limit
        self._ssl = ssl
        self._trust_env = trust_env and proxy is None and session is None
        self._proxy, problem = (None, "") if proxy is None else parse_proxy(proxy)
        del proxy  # tracebacks may show local variables
        if problem:
            raise ConfigurationError(f"proxy {problem}")
        if self._trust_env:
            check_environment()
        self._proxies: dict[URL, Proxy | None] = {}
        self._open_responses: OpenResponses = set()
        self._opening = 0
        self._closed = False

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Send a request; see `Transport.open`."""
        sessions = None
        if self._user_session is None and not self._closed:
            sessions = self._loop_sessions.get(asyncio.get_running_loop()) or await self._new_loop_sessions()
        self._opening += 1
        try:
            if sessions is None or sessions.stale_connections.possible():
                # Let the event loop notice closed connections before one is used. This takes two iterations: the first
                # polls the sockets, but this task resumes before their callbacks run.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            elif self._opening > 1:
                # Prepare all concurrent requests before sending the first: a sixth faster than one by one.
                await asyncio.sleep(0)
            session = self._session_for(request, sessions)
            proxy = self._proxy_for(url)
            headers = request.headers
            if proxy is not None and url.scheme == "http":  # for https, proxy_headers go to the CONNECT request
                headers |= proxy.headers
            fields = headers.as_dict()  # aiohttp takes three times as long with other mappings
            middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (_prevent_retry,)
            if session is self._user_session:
                fields = (_DEFAULT_HEADERS | headers).as_dict()
                # Middlewares of a call replace those of the session, so include the latter here.
                middlewares = (*session._middlewares, _prevent_retry)  # noqa: SLF001 - no public attribute
                if session.trust_env or session.auth is not None:
                    # A .netrc or the session's auth would replace the API key or conflict with it, so add it last.
                    middlewares += (_authorize(headers["Authorization"]),)
                    fields = {name: value for name, value in fields.items() if name.lower() != "authorization"}
            response = await session.request(
                request.method,
                url,
                headers=fields,
                data=BytesIO(request.body) if request.body else None,  # aiohttp warns about large bytes
                allow_redirects=False,
                auto_decompress=False,  # aiohttp does not detect truncated gzip bodies
                raise_for_status=False,
                timeout=_connect_timeout(connect_timeout),
                ssl=self._ssl,
                proxy=proxy and proxy.url,
                proxy_headers=proxy and proxy.headers,
                middlewares=middlewares,
            )
        except FAILURES as error:
            failure = adapt_error(error)
        else:
            return await adapt_response(response, self._open_responses)
        finally:
            self._opening -= 1
        raise failure  # not in the except block: the frames of aiohttp's traceback contain the API key

    async def aclose(self) -> None:
        """Close all open responses and the connections of this event loop.

        Connections of other event loops are closed when these loops shut down. A session given by the user stays open.
        """
        self._closed = True
        for reference in list(self._open_responses):
            if (response := reference()) is not None:
                await response.aclose()
        sessions = self._loop_sessions.pop(asyncio.get_running_loop(), None)
        self._loop_sessions.clear()
        if sessions is not None:
            await sessions.generator.aclose()

    def __del__(self) -> None:
        if any(not loop.is_closed() for loop in self._loop_sessions):
            message = f"{self!r} was never closed: use 'async with' on its session, or call aclose()"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    async def _new_loop_sessions(self) -> _LoopSessions:
        """Create the sessions of the running event loop, and forget those of closed loops."""
        self._loop_sessions = {loop: old for loop, old in self._loop_sessions.items() if not loop.is_closed()}
        generator = _open_sessions(self._limit)
        sessions = _LoopSessions(generator, *await anext(generator))
        self._loop_sessions[asyncio.get_running_loop()] = sessions
        return sessions

    def _session_for(self, request: Request, sessions: _LoopSessions | None) -> aiohttp.ClientSession:
        if self._closed:
            raise APIConnectionError("the transport is closed", request_sent=False)
        if sessions is None:
            session = self._user_session
        else:
            session = sessions.streams if request.headers.get("accept") == "text/event-stream" else sessions.plain
        if session is None or session.closed:
            raise APIConnectionError("the aiohttp session is closed", request_sent=False)
        if sessions is None:
            loop = asyncio.get_running_loop()
            self._user_session_loop = self._user_session_loop or loop
            if self._user_session_loop is not loop:
                raise ConfigurationError("the aiohttp session belongs to another event loop")
        return session

    def _proxy_for(self, url: URL) -> Proxy | None:
        if not self._trust_env:
            return self._proxy
        origin = url.origin()
        try:
            return self._proxies[origin]
        except KeyError:
            proxy = self._proxies[origin] = proxy_from_environment(url)
            return proxy


_Sessions: TypeAlias = tuple[aiohttp.ClientSession, aiohttp.ClientSession, StaleConnections]


class _LoopSessions(NamedTuple):
    """The sessions of one event loop, the check of their connections, and the generator that closes all three."""

    generator: AsyncGenerator[_Sessions]
    plain: aiohttp.ClientSession
    streams: aiohttp.ClientSession
    stale_connections: StaleConnections


#: Keeps sessions alive until their generator closes them, so that aiohttp does not log "Unclosed client session".
_OPEN_SESSIONS: dict[_Sessions, asyncio.AbstractEventLoop] = {}


async def _open_sessions(limit: int) -> AsyncGenerator[_Sessions]:
    """Yield a session for plain requests, one for event streams and the check of both, and close them at the end.

    This is an async generator so that the event loop closes it on shutdown, or earlier once it is unreferenced
    (PEP 525).
    """
    for sessions in [sessions for sessions, loop in _OPEN_SESSIONS.items() if loop.is_closed()]:
        del _OPEN_SESSIONS[sessions]
    with StaleConnections() as stale:
        async with _new_session(limit, stale) as plain, _new_session(0, stale) as streams:
            _OPEN_SESSIONS[plain, streams, stale] = asyncio.get_running_loop()
            try:
                yield plain, streams, stale
            finally:
                del _OPEN_SESSIONS[plain, streams, stale]


def _new_session(limit: int, stale_connections: StaleConnections) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=limit, socket_factory=stale_connections.new_socket)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=_DEFAULT_HEADERS)


@lru_cache(8)
def _connect_timeout(seconds: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=seconds)


async def _prevent_retry(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Prevent aiohttp from retrying an idempotent request after a lost connection: retries belong to the session."""
    try:
        return await handler(request)
    except NOT_SENT:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        failure = aiohttp.ClientConnectionError(str(error) or type(error).__name__)
    raise failure


def _authorize(authorization: str) -> aiohttp.ClientMiddlewareType:
    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = authorization
        return await handler(request)

    return authorize
