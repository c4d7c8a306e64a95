"""Transport based on wreq, a client in Rust. It needs the extra ``wreq``."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from threading import Lock

import wreq
from yarl import URL

from ..errors import APIConnectionError, ConfigurationError, quoted
from ..http import Request
from . import StreamedResponse
from ._decompression import decode_body
from ._lasting import may_last
from ._proxies import Proxies, check_environment, parse_proxy
from ._wreq_clients import Clients, load_certificates
from ._wreq_errors import FAILURES, adapt_error
from ._wreq_requests import to_body
from ._wreq_responses import LoopState, WreqResponse

__all__ = ["KNOWN_LIMITS", "WreqTransport"]

DEFAULT_CONNECTION_LIMIT = 100
#: The abilities of `AiohttpTransport` that wreq lacks, by a short name.
KNOWN_LIMITS = {
    "lower_case_names": "The names of header fields are sent in lower case.",
    "registered_methods": "A request has one of the methods GET, HEAD, POST, PUT, DELETE, OPTIONS and PATCH.",
    "no_ssl_context": "Certificates to trust are a PEM file; an SSLContext is refused, and so is a client certificate.",
    "smaller_heads": "The head of a response has between 128 and 256 KiB at most.",
    "strict_fields": "A response with a folded header field, or with a control character in one, is refused.",
    "shorter_urls": "A URL has less than 64 KiB.",
    "a_chunk_at_a_time": "HTTP chunks that arrive together are read one by one, which takes longer if they are small.",
}
_METHODS = {name: getattr(wreq.Method, name) for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")}


class WreqTransport:
    """Sends requests with wreq, over HTTP/1.1.

    Event streams, and tasks whose response comes when they are over, do not count against ``limit``, so that they
    never block other requests. Cookies are not stored, redirects are not followed and nothing is retried.

    The transport can be created outside an event loop and used in several loops, one after the other or in threads.
    They share its connections, which belong to a thread. It ends after `aclose`, with the last reference to the
    transport and its responses. A forked process has connections of its own.

    The connect timeout covers name resolution, all addresses, a proxy's tunnel and the TLS handshake, but not the wait
    for one of the ``limit`` requests. A response can have 1024 header fields. Its head can have 128 KiB; between
    that and 256 KiB it depends on how it arrives.

    Args:
        limit: The maximum number of requests in flight in each event loop, not counting event streams and tasks; 0 for
            no limit. The default is 100.
        ssl: True to verify servers with the certificates that Python trusts, the path of a PEM file with others, or
            False to disable verification.
        proxy: The URL of an HTTP proxy for all requests, with or without a user and password.
        trust_env: Read proxies from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY unless ``proxy`` is given. They are
            read on the first request to a server.

    Raises:
        ConfigurationError: An argument is invalid, or the proxies in the environment are unusable for all servers.
    """

    def __init__(
        self,
        *,
        limit: int | None = None,
        ssl: bool | str | Path = True,
        proxy: str | URL | None = None,
        trust_env: bool = True,
    ) -> None:
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ConfigurationError(f"limit must be a non-negative integer, not {quoted(limit)}")
        if not isinstance(ssl, bool | str | Path):
            raise ConfigurationError(f"ssl must be the path of a PEM file, True or False, not {quoted(ssl)}")
        self._limit = DEFAULT_CONNECTION_LIMIT if limit is None else limit
        self._clients = Clients(load_certificates(ssl) if isinstance(ssl, str | Path) else ssl)
        trust_env = trust_env and proxy is None
        parsed, problem = (None, "") if proxy is None else parse_proxy(proxy)
        del proxy  # tracebacks may show local variables
        if problem:
            raise ConfigurationError(f"proxy {problem}")
        if trust_env:
            check_environment()
        self._proxies = Proxies(parsed, trust_env=trust_env)
        self._states: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self._closed = False
        #: For `_states` and `_closed`, since threads with an event loop each can share the transport.
        self._lock = Lock()

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Send a request; see `Transport.open`."""
        state = self._states.get(asyncio.get_running_loop()) or self._new_state()
        if state.inherited:
            raise ConfigurationError("the connections belong to the parent of this process: use a new event loop")
        method = _METHODS.get(request.method)
        if method is None:
            raise ConfigurationError(f"WreqTransport cannot send {request.method} requests")
        proxy = self._proxies.find(url)
        body, fields, upload = to_body(request)
        slots = None if may_last(request) else state.slots
        failure: Exception
        response = pool = None
        task = asyncio.current_task()
        cancelling = task.cancelling() if task else 0
        if slots is not None:
            await slots.acquire()
        try:
            if self._closed:
                raise APIConnectionError("the transport is closed", request_sent=False)
            pool = self._clients.get(connect_timeout, tls="https" in (url.scheme, proxy and proxy.url.scheme))
            if proxy is None:
                response = await pool.client.request(method, str(url), headers=fields, body=body)
            else:
                native = self._clients.proxy(proxy)
                response = await pool.client.request(method, str(url), headers=fields, body=body, proxy=native)
        except FAILURES as error:
            failure = adapt_error(error, url, proxy)
            if upload is not None and upload.failure is not None:
                failure, upload.failure = upload.failure, None
        except asyncio.CancelledError:
            # A cancellation may have been counted before this function was called, and arrive here.
            if not self._closed or (task and task.cancelling() > cancelling):
                raise
            failure = APIConnectionError("the transport was closed")
        else:
            adapted = WreqResponse(response, state, slots, upload)
            return adapted if adapted.is_plain else decode_body(adapted)
        finally:
            del task  # it keeps its exception, which keeps this frame: no cycle of the three
            pool = None  # a kept exception keeps this frame, and a client keeps its idle connections and the thread
            if response is None:
                if slots is not None:
                    slots.release()
                if upload is not None:
                    upload.close()
        del body, upload  # they may know the failure, whose traceback refers to this frame
        try:
            raise failure  # not in the except block: the context would be an exception of wreq
        finally:
            del failure  # its traceback refers to this frame

    async def aclose(self) -> None:
        """Close all open responses and connections, and end the thread.

        The responses of another event loop are closed by that loop, when it runs. In a forked process, those of the
        parent stay open.
        """
        with self._lock:
            self._closed = True
            states = [state for state in self._states.values() if not state.inherited]
            self._states = {state.loop: state for state in self._states.values() if state.inherited}
        loop = asyncio.get_running_loop()
        for state in states:
            if state.loop is loop:
                state.close()
            else:
                state.close_soon()
        self._clients.close()

    def __del__(self) -> None:
        clients = getattr(self, "_clients", None)
        if clients is not None and clients.needs_closing:
            message = f"{self!r} was never closed: use 'async with' on its session, or call aclose()"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    def _new_state(self) -> LoopState:
        """Create the state of the running event loop, and forget that of closed loops."""
        state = LoopState(self._limit)
        with self._lock:
            if not self._closed:
                self._states = {loop: old for loop, old in self._states.items() if not loop.is_closed()}
                self._states[state.loop] = state
        return state
