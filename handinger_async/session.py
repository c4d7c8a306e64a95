"""`Session`: the API as methods, over any transport."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote

import attrs
from yarl import URL

from ._json import dumps
from .attempts import Observer, configure_logging
from .calls import DEFAULT_MAX_BODY_SIZE, Caller, Options, Pool, Timeouts
from .codec import decode_response, encode_request, to_query
from .errors import APIError, ConfigurationError
from .http import DEFAULT_BASE_URL, Endpoint, Headers, Request, Response
from .operations import JSON, Operation
from .resources import Workers
from .retry import RetryPolicy
from .streams import EventStream, FileDownload
from .transports import Transport

__all__ = ["Exchange", "Session"]

R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Exchange(Generic[R]):
    """A result, and what it took to get it.

    Args:
        result: The result.
        response: The answer that it was read from.
        attempts: How many times the request was sent.
        elapsed: Seconds from the call to the result.
    """

    result: R
    response: Response
    attempts: int
    elapsed: float

    @property
    def request_id(self) -> str | None:
        """What the server calls this exchange."""
        return self.response.request_id


class Session:
    """A client of the Handinger API.

    ::

        async with Session() as session:
            worker = await session.workers.create(input="What's the weather today in Barcelona?")

    It may be made anywhere, outside an event loop too, and shared by any number of tasks. Close it with ``async with``
    or `aclose`; the transport is closed with it.

    Args:
        api_key: The key; None for the environment's HANDINGER_API_KEY.
        base_url: Where the service is; None for the environment's HANDINGER_BASE_URL, or else the public one.
        transport: What sends requests; None for aiohttp.
        timeouts: How long to wait.
        retry: What to repeat.
        headers: Sent with every request; they win over our own.
        observe: Called with an `Attempt` after each attempt, in the task that makes the call. What it raises is logged,
            and does not disturb the call.
        max_body_size: The most bytes of an answer that is kept in memory, after decompression; files that are iterated
            over or saved, and streams, have no limit.

    Raises:
        ConfigurationError: There is no key, or an argument is malformed.
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
                "There is no API key: give one as Session(api_key=…) or in the environment as HANDINGER_API_KEY."
            )
        if not isinstance(max_body_size, int) or max_body_size <= 0:
            raise ConfigurationError(f"max_body_size must be a number of bytes above zero, not {max_body_size!r}")
        if base_url is None:
            base_url = os.environ.get("HANDINGER_BASE_URL") or DEFAULT_BASE_URL
        self._caller = Caller(
            pool=Pool(transport),
            endpoint=Endpoint(base_url, api_key),
            options=Options(timeouts=timeouts, retry=retry, headers=headers or {}),
            observe=observe,
            max_body_size=max_body_size,
        )
        self.workers = Workers(self)
        configure_logging()

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
        """Return a view of this session with other options; it shares the transport, and closing it does nothing.

        Args:
            timeouts: Instead of the session's.
            retry: Instead of the session's.
            headers: Added to the session's, and winning over them.
            query: Fields for the query; they win over the operation's.
            body: Fields for JSON bodies; they win over the operation's.
            idempotency_key: Sent as ``Idempotency-Key``, one over all attempts, so that a POST can be repeated.

        Returns:
            The view.

        Raises:
            ConfigurationError: An argument is malformed.
        """
        _check_mappings(headers=headers, query=query, body=body)
        now = self._caller.options
        added = Headers(headers or {})
        if idempotency_key is not None:
            added |= {"Idempotency-Key": idempotency_key}
        options = Options(
            timeouts=now.timeouts if timeouts is None else timeouts,
            retry=now.retry if retry is None else retry,
            headers=now.headers | added,
            query={**now.query, **(query or {})},
            body={**now.body, **(body or {})},
        )
        return _View(attrs.evolve(self._caller, options=options))

    async def send(self, operation: Operation[R]) -> R:
        """Perform an operation with a JSON answer, or read a file whole.

        Args:
            operation: The operation.

        Returns:
            Its result.

        Raises:
            ConfigurationError: The operation answers with a stream, or the session is closed.
            APIError: The call failed.
        """
        response, attempts = await self._fetch(operation)
        return _decode(operation, response, attempts)

    async def exchange(self, operation: Operation[R]) -> Exchange[R]:
        """Perform an operation with a JSON answer, and tell what it took.

        Args:
            operation: The operation.

        Returns:
            Its result, with the answer, the number of attempts and the time.

        Raises:
            ConfigurationError: The operation answers with a stream, or the session is closed.
            APIError: The call failed.
        """
        clock = asyncio.get_running_loop().time
        start = clock()
        response, attempts = await self._fetch(operation)
        result = _decode(operation, response, attempts)
        return Exchange(result=result, response=response, attempts=attempts, elapsed=clock() - start)

    def _fetch(self, operation: Operation[Any]) -> Coroutine[Any, Any, tuple[Response, int]]:
        """Return, to await, the answer to an operation, and how many times the request was sent."""
        if operation.streams:
            raise ConfigurationError(f"{type(operation).__name__} answers with a stream here: use stream()")
        return self._caller.fetch(encode_request(operation), deadline=self._caller.deadline(), keep=True)

    def stream(self, operation: Operation[Any], *, resume: bool = True) -> EventStream:
        """Perform an operation that answers with events.

        Args:
            operation: The operation; ``stream=True`` is sent where it has that field.
            resume: Connect again after an interruption; only GETs are.

        Returns:
            The events, to be opened by ``async with`` or ``async for``.

        Raises:
            ConfigurationError: The operation cannot answer with events.
        """
        return EventStream(self._caller, encode_request(operation.as_stream()), resume=resume)

    def download(self, operation: Operation[bytes]) -> FileDownload:
        """Perform an operation that answers with a file.

        Args:
            operation: The operation.

        Returns:
            The file, to be read, saved or iterated over.

        Raises:
            ConfigurationError: The operation does not answer with a file.
        """
        if operation.route.returns is not bytes:
            raise ConfigurationError(f"{type(operation).__name__} does not answer with a file")
        return FileDownload(self._caller, encode_request(operation))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Call an endpoint that this library does not know.

        Args:
            method: The HTTP method.
            path: The path below the base URL, such as ``"/api/anything"``: never another host.
            query: Fields for the query; booleans are sent as ``true`` and ``false``, None is left out.
            json: The body; None for none.
            headers: Added to the session's, and winning over them.

        Returns:
            The answer, whose status is 2xx.

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
                raise ConfigurationError(f"json cannot be sent: {error}") from None
        request = Request(method.upper(), target, own | (headers or {}), body)
        response, _ = await self._caller.fetch(request, deadline=self._caller.deadline())
        return response

    async def aclose(self) -> None:
        """Close the session and its transport; it may be called again. On a view of a session it does nothing."""
        await self._caller.pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Session {self._caller.endpoint.base_url}>"


class _View(Session):
    """A session with other options, over the transport of the one that it was made from."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.workers = Workers(self)

    async def aclose(self) -> None:
        """Do nothing: the transport belongs to the session that this is a view of."""


def _decode(operation: Operation[R], response: Response, attempts: int) -> R:
    """Return the result that an answer holds; an error about it says how many times the request was sent."""
    try:
        return decode_response(operation, response)
    except APIError as error:
        error.attempts = attempts
        raise


def _check_mappings(**given: object) -> None:
    """Refuse what is neither a mapping nor left out; the value, which may hold a secret, is not repeated."""
    for name, value in given.items():
        if value is not None and not isinstance(value, Mapping):
            raise ConfigurationError(f"{name} must be a mapping, not {type(value).__name__}")


def _check_target(path: object) -> str:
    """Return a relative path, percent-encoded where it was not; refuse whatever could lead to another host."""
    if not isinstance(path, str) or not path:
        raise ConfigurationError("path must be a string that is not empty")
    target = path if path.startswith("/") else f"/{path}"
    if target.startswith("//") or re.match(r"/[A-Za-z][A-Za-z0-9+.-]*:", target):
        raise ConfigurationError("path must be relative to the base URL: the key goes to no other host")
    if not path.isprintable() or "\\" in path or "#" in path:
        raise ConfigurationError("path holds a control character, a backslash or '#'")
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in target.partition("?")[0].split("/")):
        raise ConfigurationError("path holds a segment '.' or '..'")
    return quote(target, safe="/?%!$&'()*+,;=:@~")
