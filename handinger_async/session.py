"""`Session`: a client of the Handinger API, over any transport."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote

import attrs
from yarl import URL

from ._asyncio.attempts import Observer, configure_logging
from ._asyncio.calls import DEFAULT_MAX_BODY_SIZE, Call, Pool, Settings
from ._asyncio.options import Options, Timeouts
from ._json import dumps
from .codec import encode_request, to_query
from .errors import ConfigurationError
from .http import BINARY, DEFAULT_BASE_URL, EVENT_STREAM, JSON, Endpoint, Headers, Request, Response
from .operations import Operation
from .resources import Workers, resource
from .retry import RetryPolicy
from .streams import EventStream, FileDownload
from .transports import Transport
from .transports._proxies import check_environment

__all__ = ["Exchange", "Session"]

R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Exchange(Generic[R]):
    """A result with its response, attempt count and duration.

    Args:
        result: The result.
        response: The response that it was decoded from.
        attempts: The number of requests sent.
        elapsed: Seconds from the first attempt to the result.
    """

    result: R
    response: Response
    attempts: int
    elapsed: float

    @property
    def request_id(self) -> str | None:
        """The service's id for the request."""
        return self.response.request_id


class Session:
    """A client of the Handinger API.

    ::

        async with Session() as session:
            worker = await session.workers.create(input="What's the weather today in Barcelona?")

    It can be created anywhere, even outside an event loop, and shared by any number of tasks. Close it with ``async
    with`` or `aclose`, which closes the transport too.

    Args:
        api_key: The API key; None for the environment variable HANDINGER_API_KEY.
        base_url: The URL of the service; None for the environment variable HANDINGER_BASE_URL, else the public service.
        transport: The transport; None for aiohttp.
        timeouts: The timeouts.
        retry: The retry policy.
        headers: Sent with every request; they win over the library's own.
        observe: Called with an `Attempt` after each attempt, in the task that makes the call. Its exceptions are logged
            and do not affect the call.
        max_body_size: Maximum bytes of a response in memory, after decompression. Streams, and files that are saved or
            iterated over, have no limit.

    Raises:
        ConfigurationError: There is no API key, an argument is malformed, or the proxy in the environment is unusable.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | URL | None = None,
        transport: Transport | None = None,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
        headers: Mapping[str, str] | None = None,
        observe: Observer | None = None,
        max_body_size: int = DEFAULT_MAX_BODY_SIZE,
    ) -> None:
        _check_mappings(headers=headers)
        if api_key is None:
            api_key = os.environ.get("HANDINGER_API_KEY")
        if api_key is None:
            raise ConfigurationError(
                "there is no API key: pass Session(api_key=…), or set the environment variable HANDINGER_API_KEY"
            )
        if not isinstance(max_body_size, int) or max_body_size <= 0:
            raise ConfigurationError(f"max_body_size must be a number of bytes above zero, not {max_body_size!r}")
        if base_url is None:
            base_url = os.environ.get("HANDINGER_BASE_URL") or DEFAULT_BASE_URL
        endpoint = Endpoint(base_url, api_key)
        if transport is None:
            check_environment(endpoint.base_url)
        self._settings = Settings(
            pool=Pool(transport),
            endpoint=endpoint,
            options=Options(timeouts=timeouts, retry=retry, headers=headers or {}),
            observe=observe,
            max_body_size=max_body_size,
        )
        self._is_view = False
        configure_logging()

    @resource
    def workers(self) -> Workers:
        """The methods for workers and their schedules."""
        return Workers(self)

    def with_options(
        self,
        *,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Return a view of this session with other options. It shares the transport, and closing it does nothing.

        Args:
            timeouts: Replaces the session's timeouts.
            retry: Replaces the session's retry policy.
            headers: Added to the session's headers; they win.
            query: Fields of the query; they win over the operation's.
            body: Fields of JSON bodies; they win over the operation's.
            idempotency_key: Sent as ``Idempotency-Key``, the same with every attempt, so that a POST can be retried.

        Returns:
            The view.

        Raises:
            ConfigurationError: An argument is malformed.
        """
        _check_mappings(headers=headers, query=query, body=body)
        current = self._settings.options
        added = Headers(headers or {})
        if idempotency_key is not None:
            added |= {"Idempotency-Key": idempotency_key}
        options = Options(
            timeouts=current.timeouts if timeouts is None else timeouts,
            retry=current.retry if retry is None else retry,
            headers=current.headers | added,
            query={**current.query, **(query or {})},
            body={**current.body, **(body or {})},
        )
        view = Session.__new__(Session)
        view.__dict__.update(_settings=attrs.evolve(self._settings, options=options), _is_view=True)
        return view

    async def send(self, operation: Operation[R]) -> R:
        """Send an operation with a JSON response, or read a file whole.

        Args:
            operation: The operation.

        Returns:
            Its result.

        Raises:
            ConfigurationError: The response is a stream, or the session is closed.
            APIError: The call failed.
        """
        call = self._call(operation)
        return call.decode(operation, await call.fetch())

    async def exchange(self, operation: Operation[R]) -> Exchange[R]:
        """Like `send`, but return the result with its response, attempt count and duration.

        Args:
            operation: The operation.

        Returns:
            The result with its response.

        Raises:
            ConfigurationError: The response is a stream, or the session is closed.
            APIError: The call failed.
        """
        call = self._call(operation)
        response = await call.fetch()
        result = call.decode(operation, response)
        return Exchange(result=result, response=response, attempts=call.attempts, elapsed=call.elapsed)

    def _call(self, operation: Operation[Any]) -> Call:
        if operation.accept == EVENT_STREAM:
            raise ConfigurationError(f"the response to this {type(operation).__name__} is a stream: use stream()")
        return Call(self._settings, encode_request(operation))

    def stream(self, operation: Operation[Any], *, resume: bool = True) -> EventStream:
        """Send an operation whose response is a stream of events.

        Args:
            operation: The operation; it is sent with ``stream=True`` if it has that field.
            resume: Reconnect after an interruption; only GETs are resumed.

        Returns:
            The events, opened by ``async with`` or ``async for``.

        Raises:
            ConfigurationError: The operation cannot respond with a stream.
        """
        return EventStream(self._settings, encode_request(operation.as_stream()), resume=resume)

    def download(self, operation: Operation[bytes]) -> FileDownload:
        """Send an operation whose response is a file.

        Args:
            operation: The operation.

        Returns:
            The file, to be read, saved or iterated over.

        Raises:
            ConfigurationError: The response is not a file.
        """
        if operation.accept != BINARY:
            raise ConfigurationError(f"the response to {type(operation).__name__} is not a file")
        return FileDownload(self._settings, encode_request(operation))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Call an endpoint that is not an operation of this library.

        Args:
            method: The HTTP method.
            path: The path below the base URL, such as ``"/api/anything"``; never another host.
            query: Fields of the query; booleans are sent as ``true`` and ``false``, None is left out.
            json: The body; None for no body.
            headers: Added to the session's headers; they win.

        Returns:
            The response, with a 2xx status.

        Raises:
            ConfigurationError: An argument is malformed, or the session is closed.
            APIError: The call failed.
        """
        if not isinstance(method, str) or not re.fullmatch(r"[A-Za-z]+", method):
            raise ConfigurationError(f"{method!r} is not an HTTP method")
        target = _check_target(path)
        if query:
            target += ("&" if "?" in target else "?") + to_query(query)
        own = Headers({"Accept": JSON})
        body = b""
        if json is not None:
            own |= {"Content-Type": JSON}
            try:
                body = dumps(json)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(f"json cannot be encoded: {error}") from None
        request = Request(method.upper(), target, own | (headers or {}), body)
        return await Call(self._settings, request).fetch()

    async def aclose(self) -> None:
        """Close the session and its transport. Idempotent; on a view of a session it does nothing."""
        if not self._is_view:
            await self._settings.pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Session {self._settings.endpoint.base_url}>"


def _check_mappings(**given: object) -> None:
    """Refuse arguments that are neither mappings nor None. Messages omit the value, which may contain a secret."""
    for name, value in given.items():
        if value is not None and not isinstance(value, Mapping):
            raise ConfigurationError(f"{name} must be a mapping, not {type(value).__name__}")


def _check_target(path: object) -> str:
    """Return a relative path, percent-encoded where necessary. Refuse a path that could lead to another host."""
    if not isinstance(path, str) or not path:
        raise ConfigurationError("path must be a non-empty string")
    target = path if path.startswith("/") else f"/{path}"
    if target.startswith("//") or re.match(r"/[A-Za-z][A-Za-z0-9+.-]*:", target):
        raise ConfigurationError("path must be relative to the base URL: the key goes to no other host")
    if not path.isprintable() or "\\" in path or "#" in path:
        raise ConfigurationError("path contains a control character, a backslash or '#'")
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in target.partition("?")[0].split("/")):
        raise ConfigurationError("path contains a segment '.' or '..'")
    return quote(target, safe="/?%!$&'()*+,;=:@~")
