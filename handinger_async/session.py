"""`Session`: a client of the Handinger API, over any transport."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs
from yarl import URL

from ._asyncio.attempts import Observer, configure_logging
from ._asyncio.calls import DEFAULT_MAX_BODY_SIZE, Call, Settings, send
from ._asyncio.credentials import KeyFunction, KeySource
from ._asyncio.exchanges import Exchange
from ._asyncio.locations import locate
from ._asyncio.options import Options, Timeouts, add_custom_headers, hide_credentials
from ._asyncio.pool import Pool
from ._checks import check_base_url, check_relative_url, encode_json
from ._query import join_queries, to_query
from .codec import encode_request
from .errors import ConfigurationError, quoted
from .http import BINARY, DEFAULT_BASE_URL, JSON, Headers, Request, Response, authorize, make_endpoint
from .models import File
from .operations import Operation
from .resources import Tasks, Workers
from .resources._resource import resource
from .resources.runs import Runs
from .retry import RetryPolicy
from .sse import MAX_EVENT_SIZE
from .streams import EventStream, FileDownload
from .transports import Transport
from .transports._proxies import check_environment

__all__ = ["Exchange", "Session"]

R = TypeVar("R")


class Session(Runs):
    """A client of the Handinger API.

    ::

        async with Session() as session:
            outcome = await session.run("Compare three tents.")

    It can be created anywhere, even outside an event loop, and shared by any number of tasks. Close it with ``async
    with`` or `aclose`, which closes the transport too.

    Args:
        api_key: The API key, or a function that returns it, plain or async, which is called before each attempt; None
            for the environment variable HANDINGER_API_KEY.
        base_url: The URL of the service; None for the environment variable HANDINGER_BASE_URL, else the public service.
        transport: The transport; None for aiohttp.
        timeouts: The timeouts.
        retry: The retry policy.
        headers: Sent with every request; they win over the library's own, and over those in the environment variable
            HANDINGER_CUSTOM_HEADERS, lines of ``Name: value``. None leaves out the header of this name.
        observe: Called with an `Attempt` after each attempt, in the task that makes the call. Its exceptions are logged
            and do not affect the call.
        max_body_size: Maximum bytes of a response in memory, after decompression. Streams, and files that are saved or
            iterated over, have no limit.
        max_event_size: Maximum bytes of an event of a stream.

    Raises:
        ConfigurationError: There is no API key, an argument is malformed, or the proxy in the environment is unusable.
    """

    def __init__(
        self,
        *,
        api_key: str | KeySource | None = None,
        base_url: str | URL | None = None,
        transport: Transport | None = None,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
        headers: Mapping[str, str | None] | None = None,
        observe: Observer | None = None,
        max_body_size: int = DEFAULT_MAX_BODY_SIZE,
        max_event_size: int = MAX_EVENT_SIZE,
    ) -> None:
        headers = hide_credentials(headers)
        key_name, url_name = "api_key", "base_url"
        if api_key is None:
            key_name = "the environment variable HANDINGER_API_KEY, used as api_key,"
            api_key = os.environ.get("HANDINGER_API_KEY")
        if api_key is None:
            raise ConfigurationError(
                "there is no API key: pass Session(api_key=…), or set the environment variable HANDINGER_API_KEY"
            )
        key = KeyFunction(api_key) if callable(api_key) else None
        authorization, problem = (Headers(), "") if key else authorize(api_key)
        del api_key  # tracebacks may show local variables
        if problem:
            raise ConfigurationError(f"{key_name} {problem}")
        if base_url is None:
            url_name = "the environment variable HANDINGER_BASE_URL, used as base_url,"
            base_url = os.environ.get("HANDINGER_BASE_URL") or DEFAULT_BASE_URL
        endpoint = make_endpoint(check_base_url(base_url, url_name), authorization)
        if transport is None:
            check_environment(endpoint.base_url)
        for name, size in {"max_body_size": max_body_size, "max_event_size": max_event_size}.items():
            if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
                raise ConfigurationError(f"{name} must be a number of bytes above zero, not {quoted(size)}")
        if observe is not None and not callable(observe):
            raise ConfigurationError(f"observe must be callable, not {quoted(observe)}")
        self._settings = Settings(
            pool=Pool(_check_transport(transport)),
            endpoint=endpoint,
            key=key,
            options=add_custom_headers(Options(timeouts=timeouts, retry=retry)).extend(headers=headers),
            observe=observe,
            max_body_size=max_body_size,
            max_event_size=max_event_size,
        )
        self._is_view = False
        configure_logging()

    @resource
    def workers(self) -> Workers:
        """The methods for workers, their schedules and webhooks."""
        return Workers(self)

    @resource
    def tasks(self) -> Tasks:
        """The methods for tasks."""
        return Tasks(self)

    def with_options(
        self,
        *,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str | None] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Return a view of this session with other options. It shares the transport, and closing it does nothing.

        Args:
            timeouts: Replaces the session's timeouts.
            retry: Replaces the session's retry policy.
            headers: Added to the session's headers; they win. None leaves out the header of this name.
            query: Fields of the query; they win over the operation's. Lists become repeated fields, None removes
                a field.
            body: Fields of JSON bodies; they win over the operation's. A request without a JSON object is refused.
            idempotency_key: Sent as ``Idempotency-Key``, the same with every attempt, so that a POST can be retried.

        Returns:
            The view.

        Raises:
            ConfigurationError: An argument is malformed.
        """
        headers = hide_credentials(headers)
        options = self._settings.options.extend(headers=headers, query=query, body=body)
        if idempotency_key is not None:
            options = options.extend(headers={"Idempotency-Key": idempotency_key})
        given: dict[str, Any] = {"timeouts": timeouts, "retry": retry}
        options = attrs.evolve(options, **{name: value for name, value in given.items() if value is not None})
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
        _check_json(operation)
        return await send(self._settings, operation)

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
        _check_json(operation)
        call = Call(self._settings.for_operation(operation), encode_request(operation))
        response = await call.fetch()
        result = call.decode(operation, response)
        return Exchange(result=result, response=response, attempts=call.attempts, elapsed=call.elapsed)

    def stream(self, operation: Operation[Any], *, resume: bool = True, last_event_id: str = "") -> EventStream:
        """Send an operation whose response is a stream of events.

        Args:
            operation: The operation; it is sent with ``stream=True`` if it has that field.
            resume: Reconnect after an interruption; only GETs are resumed.
            last_event_id: Begin after the event with this id. It wins over a ``Last-Event-ID`` among the headers of the
                session, which has the same effect.

        Returns:
            The events, opened by ``async with`` or ``async for``.

        Raises:
            ConfigurationError: The operation cannot respond with a stream, or no header can carry the id.
        """
        _check_operation(operation)
        request = encode_request(operation.as_stream())
        return EventStream(self._settings.for_operation(operation), request, resume=resume, last_event_id=last_event_id)

    def download(self, source: Operation[bytes] | File | str | URL) -> FileDownload:
        """Download a file: the response to an operation, a file that a worker or a task has published, or a URL.

        Up to five redirects are followed. The API key, and the headers and the query of the options, are sent to the
        origin of the base URL only.

        Args:
            source: An operation whose response is a file, a `File`, or a URL, absolute or relative to the base URL.

        Returns:
            The file, to be read, saved or iterated over.

        Raises:
            ConfigurationError: The response is not a file, or the URL is not http or https, or contains a user or a
                password.
        """
        if isinstance(source, File):
            return FileDownload(*locate(self._settings, source.url), source)
        if isinstance(source, str | URL):
            return FileDownload(*locate(self._settings, source))
        _check_operation(source)
        if source.accept != BINARY:
            raise ConfigurationError(f"the response to {type(source).__name__} is not a file")
        return FileDownload(self._settings, encode_request(source))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Response:
        """Call an endpoint that is not an operation of this library.

        Args:
            method: The HTTP method.
            path: The path below the base URL, such as ``"/api/anything"``; never another host.
            query: Fields of the query, added to those of the path. Values are sent as in JSON, lists as repeated
                fields; None is left out.
            json: The body; None for no body.
            headers: Added to the session's headers; they win. None leaves out the header of this name.

        Returns:
            The response, with a 2xx status.

        Raises:
            ConfigurationError: An argument is malformed, or the session is closed.
            APIError: The call failed.
        """
        headers = hide_credentials(headers)
        if not isinstance(method, str) or not re.fullmatch(r"[A-Za-z]+", method):
            raise ConfigurationError(f"{quoted(method)} is not an HTTP method")
        target = check_relative_url(path)
        if query is not None and (fields := to_query(query)):
            path, _, own_fields = target.partition("?")
            target = f"{path}?{join_queries(own_fields, fields)}"
        own = Headers({"Accept": JSON})
        body = b""
        if json is not None:
            own |= {"Content-Type": JSON}
            body = encode_json(json, "json")
        settings = self._settings
        if headers is not None:
            settings = attrs.evolve(settings, options=settings.options.extend(headers=headers))
        return await Call(settings, Request(method.upper(), target, own, body)).fetch()

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
        settings: Settings | None = getattr(self, "_settings", None)  # tracebacks may show a half-made session
        return f"<Session {settings.endpoint.base_url}>" if settings else "<Session>"


def _check_operation(operation: object) -> None:
    if not isinstance(operation, Operation):
        raise ConfigurationError(f"operation must be an instance of an operation class, not {quoted(operation)}")


def _check_json(operation: Operation[Any]) -> None:
    _check_operation(operation)
    if operation.streams:
        raise ConfigurationError(f"the response to this {type(operation).__name__} is a stream: use stream()")


def _check_transport(transport: object) -> Transport | None:
    """Refuse objects that are not transports, with a hint for those that a transport can wrap."""
    if transport is None or (isinstance(transport, Transport) and not isinstance(transport, type)):
        return transport
    hint = ": wrap a handler, MemoryTransport(…)" if callable(transport) and not isinstance(transport, type) else ""
    raise ConfigurationError(f"transport must be a Transport, not {quoted(transport)}{hint}")
