"""Transport based on aiohttp."""

from __future__ import annotations

import asyncio
import warnings
from functools import lru_cache
from ssl import SSLContext
from threading import Lock

import aiohttp
from yarl import URL

from ..errors import APIConnectionError, ConfigurationError, quoted
from ..http import Headers, Request
from . import StreamedResponse
from ._aiohttp_errors import FAILURES, adapt_error, send_once
from ._aiohttp_responses import adapt_response
from ._aiohttp_sessions import DEFAULT_HEADERS, LoopState
from ._aiohttp_uploads import UploadPayload, to_data
from ._lasting import may_last
from ._proxies import Proxies, check_environment, parse_proxy

__all__ = ["AiohttpTransport"]

DEFAULT_CONNECTION_LIMIT = 100
#: Bytes of a header field, and the number of fields. Together they are no more than a body may have by default.
MAX_FIELD_SIZE = 2**16
MAX_FIELDS = 2**10


#: The fields, in lower case, that aiohttp would make up for a request without a body.
_NAMED = {"accept", "user-agent"}


class AiohttpTransport:
    """Sends requests with aiohttp.

    Event streams, and tasks whose response comes when they are over, use a separate, unlimited connection pool, so that
    they never block other requests. Cookies are not stored, redirects are not followed and nothing is retried.

    The transport can be created outside an event loop and used in several loops, one after the other or in threads.
    Each loop has its own connections. They are closed by `aclose`, or when ``asyncio.run`` shuts the loop down.

    The connect timeout covers name resolution, all addresses, a proxy's tunnel and the TLS handshake, but not the wait
    for one of the ``limit`` connections. A header field of a response can have 64 KiB, and there can be 1024.

    Args:
        session: An aiohttp session to use; :doc:`/howto/aiohttp-session` tells the effect of its settings. It is not
            closed with the transport, and its connection pool also serves event streams. None to create sessions when
            they are needed.
        limit: The maximum number of connections, not counting event streams and tasks; 0 for no
            limit. The default is 100.
        ssl: An SSL context to verify servers with, or False to disable verification.
        proxy: The URL of an HTTP proxy for all requests, with or without a user and password.
        trust_env: Read proxies from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY unless ``proxy`` is given. They are
            read on the first request to a server. (aiohttp's own ``trust_env`` would also read a .netrc and replace
            the API key with its credentials.)

    Raises:
        ConfigurationError: ``limit`` is given together with ``session``, or an argument is invalid, or the proxies in
            the environment are unusable for all servers.
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
        self._states: dict[asyncio.AbstractEventLoop, LoopState] = {}
        if session is not None and limit is not None:
            raise ConfigurationError("limit cannot be combined with session: set it on the session's connector")
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ConfigurationError(f"limit must be a non-negative integer, not {quoted(limit)}")
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise ConfigurationError(f"session must be an aiohttp.ClientSession, not {quoted(session)}")
        if not isinstance(ssl, bool | SSLContext | aiohttp.Fingerprint):
            raise ConfigurationError(f"ssl must be an SSLContext, True or False, not {quoted(ssl)}")
        self._user_session = session
        self._limit = DEFAULT_CONNECTION_LIMIT if limit is None else limit
        self._ssl = ssl
        trust_env = trust_env and proxy is None and session is None
        parsed, problem = (None, "") if proxy is None else parse_proxy(proxy)
        del proxy  # tracebacks may show local variables
        if problem:
            raise ConfigurationError(f"proxy {problem}")
        if trust_env:
            check_environment()
        self._proxies = Proxies(parsed, trust_env=trust_env)
        self._closed = False
        #: For `_states` and `_closed`, since threads with an event loop each can share the transport.
        self._lock = Lock()

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Send a request; see `Transport.open`."""
        state = self._states.get(asyncio.get_running_loop()) or await self._new_state()
        if state.inherited:
            raise ConfigurationError("the connections belong to the parent of this process: use a new event loop")
        data = to_data(request.body)
        failure: Exception
        state.opening += 1
        try:
            if not state.checks:
                # Let the event loop notice closed connections before one is used. This takes two iterations: the first
                # polls the sockets, but this task resumes before their callbacks run.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            elif state.opening > 1:
                # Prepare all concurrent requests before sending the first: a sixth faster than one by one.
                await asyncio.sleep(0)
            session = state.streams if may_last(request) else state.plain
            if self._closed or session is None or session.closed:
                closed = "transport" if self._closed else "aiohttp session"
                raise APIConnectionError(f"the {closed} is closed", request_sent=False)
            proxy = self._proxies.find(url)
            headers = request.headers
            if proxy is not None and url.scheme == "http":  # for https, proxy_headers go to the CONNECT request
                headers |= proxy.headers
            fields = headers.as_dict()  # aiohttp takes three times as long with other mappings
            middlewares: tuple[aiohttp.ClientMiddlewareType, ...] | None = (send_once,)
            if session is self._user_session:
                fields, middlewares = _fit(session, headers)
            response = await session.request(
                request.method,
                url,
                headers=fields,
                skip_auto_headers=_absent_defaults(request.method, headers),
                data=data,
                allow_redirects=False,
                auto_decompress=False,  # aiohttp does not detect truncated gzip bodies
                raise_for_status=False,
                timeout=_connect_timeout(connect_timeout),
                ssl=self._ssl,
                proxy=proxy and proxy.url,
                proxy_headers=proxy and proxy.headers,
                middlewares=middlewares,
                max_line_size=MAX_FIELD_SIZE,
                max_field_size=MAX_FIELD_SIZE,
                max_headers=MAX_FIELDS,
            )
        except FAILURES as error:
            failure = adapt_error(error)
            if isinstance(data, UploadPayload) and data.failure is not None:
                failure, data.failure = data.failure, None
        else:
            return await adapt_response(response, state)
        finally:
            state.opening -= 1
        del data  # it may know the failure, whose traceback refers to this frame
        try:
            raise failure  # not in the except block: the frames of aiohttp's traceback contain the API key
        finally:
            del failure  # its traceback refers to this frame

    async def aclose(self) -> None:
        """Close all open responses and connections. A session given by the user stays open.

        Those of another event loop are closed by that loop, when it runs. In a forked process, those of the parent stay
        open.
        """
        with self._lock:
            self._closed = True
            states = [state for state in self._states.values() if not state.inherited]
            self._states = {state.loop: state for state in self._states.values() if state.inherited}
        loop = asyncio.get_running_loop()
        for state in states:
            if state.loop is loop:
                await state.aclose()
            else:
                state.close_soon()

    def __del__(self) -> None:
        if any(state.needs_closing for state in self._states.values()):
            message = f"{self!r} was never closed: use 'async with' on its session, or call aclose()"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    async def _new_state(self) -> LoopState:
        """Create the state of the running event loop, and forget that of closed loops."""
        given = self._user_session
        state = LoopState(given) if given is not None or self._closed else await LoopState.create(self._limit)
        with self._lock:
            if not self._closed:
                if given is None:
                    self._states = {loop: old for loop, old in self._states.items() if not loop.is_closed()}
                elif self._states:
                    raise ConfigurationError("the aiohttp session belongs to another event loop")
                self._states[state.loop] = state
        return state


def _absent_defaults(method: str, headers: Headers) -> list[str] | None:
    """Return the header fields that aiohttp is not to make up; None if it would not."""
    if method == "GET" and headers._fields.keys() >= _NAMED:
        return None
    return [name for name in ("Accept", "Content-Type", "User-Agent") if name not in headers]


@lru_cache(8)
def _connect_timeout(seconds: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=seconds)


def _fit(
    session: aiohttp.ClientSession, headers: Headers
) -> tuple[dict[str, str], tuple[aiohttp.ClientMiddlewareType, ...] | None]:
    """Return the header fields and middlewares for a request by a session that the user gave."""
    fields = (DEFAULT_HEADERS | headers).as_dict()
    # Middlewares of a request replace those of the session, so include the latter. Their attribute is not public.
    theirs = getattr(session, "_middlewares", None)
    if theirs is None:
        return fields, None
    middlewares = (*theirs, send_once)
    if "Authorization" in headers and (session.trust_env or session.auth is not None):
        # A .netrc or the session's auth would replace the API key or conflict with it, so add it last.
        middlewares += (_authorize(headers["Authorization"]),)
        fields = {name: value for name, value in fields.items() if name.lower() != "authorization"}
    return fields, middlewares


def _authorize(authorization: str) -> aiohttp.ClientMiddlewareType:
    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = authorization
        return await handler(request)

    return authorize
