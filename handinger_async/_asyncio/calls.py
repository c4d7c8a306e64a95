"""Send a request with timeouts and retries, and report each attempt."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from logging import INFO
from typing import Any, TypeVar

import attrs
from yarl import URL

from .._values import by_value
from ..codec import decode_response, encode_request, raise_for_status
from ..errors import APIConnectionError, APIError, APIResponseValidationError, APIStatusError, ConfigurationError
from ..http import Endpoint, Request, Response
from ..operations import Operation
from ..retry import RetryPolicy, is_idempotent, is_readable
from ..transports import StreamedResponse
from .attempts import Attempt, Observer, logger, report
from .credentials import KeyFunction, mask_secrets, remember
from .options import Options
from .pool import Pool
from .timers import CancelScope

__all__ = ["DEFAULT_MAX_BODY_SIZE", "Call", "Settings", "send"]

R = TypeVar("R")
E = TypeVar("E", bound=APIError)
ResponseT = TypeVar("ResponseT", Response, StreamedResponse)

#: Bytes of a decompressed body kept in memory: two hundred times the largest workers seen, and little enough that a
#: few decompression bombs at once do not exhaust a small machine.
DEFAULT_MAX_BODY_SIZE = 64 * 2**20
#: The number of prepared requests that are cached.
_MAX_PREPARED = 256
#: Bytes of an error body that are read.
_MAX_ERROR_BODY = 2**20


@attrs.define(eq=False, repr=False)
class Generation:
    """The generation of the service, as far as a session has learned it.

    Args:
        older: True if the service has no tasks; None before it was asked.
    """

    older: bool | None = None


@by_value
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Settings:
    """The settings of a session or a view, shared by its calls.

    Args:
        pool: The transport and the timers.
        endpoint: Base URL and API key.
        key: The function that returns the API key for each attempt; None if the endpoint has it.
        options: The per-call options.
        observe: Called with each `Attempt`.
        max_body_size: Maximum bytes of a decompressed body that is kept in memory.
        max_event_size: Maximum bytes of an event of a stream.
        generation: The generation of the service.
    """

    pool: Pool
    endpoint: Endpoint
    key: KeyFunction | None
    options: Options
    observe: Observer | None
    max_body_size: int
    max_event_size: int
    generation: Generation = attrs.field(factory=Generation)
    #: By method and target: a request without a body, and its URL and request as prepared.
    _prepared: dict[tuple[str, str], tuple[Request, URL, Request]] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )

    def for_operation(self, operation: Operation[Any]) -> Settings:
        """Return the settings for an operation: without the attempt limit if its response comes when a run is over."""
        if not operation.route.blocking:
            return self
        timeouts = attrs.evolve(self.options.timeouts, attempt=None)
        return attrs.evolve(self, options=attrs.evolve(self.options, timeouts=timeouts))

    def without_additions(self) -> Settings:
        """Return the settings for a request that the caller did not ask for; see `Options.without_additions`."""
        return attrs.evolve(self, options=self.options.without_additions())

    def prepare(self, request: Request) -> tuple[URL, Request]:
        """Return the absolute URL and the authenticated request, with the options applied.

        Equal requests without a body are prepared once: workers are polled, and preparing takes 3 % of a call.
        """
        if request.body:
            return self._prepare(request)
        key = request.method, request.target
        cached = self._prepared.get(key)
        if cached is None or cached[0].headers != request.headers:
            if len(self._prepared) >= _MAX_PREPARED:
                self._prepared.clear()
            cached = self._prepared[key] = request, *self._prepare(request)
        return cached[1:]

    def _prepare(self, request: Request) -> tuple[URL, Request]:
        url, prepared = self.endpoint.prepare(self.options.apply(request))
        return url, self.options.omit(prepared)


class Call:
    """One call: a request, sent as often as the retry policy allows.

    Args:
        settings: The settings of the session.
        request: The request, without host and credentials.

    Attributes:
        attempts: The number of requests sent so far.
        deadline: Time of the event loop at which the call must have ended; None for no deadline, and before the start.
        needs_key: True while an attempt waits for its key, and after the function for the key has failed.
    """

    __slots__ = (
        "_arrived",
        "_attempts_before",
        "_failure",
        "_keys",
        "_sent",
        "_started",
        "attempts",
        "deadline",
        "needs_key",
        "request",
        "settings",
    )

    def __init__(self, settings: Settings, request: Request) -> None:
        self.settings = settings
        self.request = self._sent = request
        self._failure: APIError | None = None
        self._keys: tuple[str, ...] = ()
        self.needs_key = self._arrived = False
        self._started: float | None = None
        self.attempts = self._attempts_before = 0
        self.deadline: float | None = None

    @property
    def name(self) -> str:
        """Method and path, for errors and logs."""
        return f"{self.request.method} {self.request.path}"

    @property
    def elapsed(self) -> float:
        """Seconds since the first attempt, or since the first one after `restart`."""
        return 0.0 if self._started is None else asyncio.get_running_loop().time() - self._started

    @property
    def time_left(self) -> float | None:
        """Seconds until the deadline; None without a deadline."""
        return None if self.deadline is None else self.deadline - asyncio.get_running_loop().time()

    def fetch(self) -> Coroutine[Any, Any, Response]:
        """Send the request and read the response.

        Returns:
            To await: a 2xx response.

        Raises:
            APIError: There is no such response.
        """
        return self._send_with_retries(self.request, self._send_and_read, self.settings.options.retry)

    def open(
        self, request: Request | None = None, *, retry: RetryPolicy | None = None
    ) -> Coroutine[Any, Any, StreamedResponse]:
        """Send the request and wait for the headers of the response.

        Args:
            request: A request to send instead.
            retry: A retry policy to use instead.

        Returns:
            To await: a 2xx response; the caller closes it.

        Raises:
            APIError: There is no such response.
        """
        return self._send_with_retries(request or self.request, self._send, retry or self.settings.options.retry)

    @property
    def is_repeatable(self) -> bool:
        """True if the request can be sent again, and that cannot double its effect."""
        return is_idempotent(self._sent) and is_readable(self._sent)

    def restart(self, *, keep_deadline: bool = False) -> None:
        """Begin again, with all retries and a new deadline; the attempts are counted on."""
        self._attempts_before, self._failure = self.attempts, None
        if not keep_deadline:
            self._started, self.deadline = None, None

    def decode(self, operation: Operation[R], response: Response) -> R:
        """Decode the response to an operation; see `handinger_async.codec.decode_response`."""
        try:
            return decode_response(operation, response)
        except APIError as error:
            self.describe(error)
            raise

    def describe(self, error: E) -> E:
        """Complete an error with the facts of the call, mask secrets in it, and return it."""
        self.mask(error)
        if self._arrived and isinstance(error, APIConnectionError):
            error.request_sent = True  # by an attempt before
        error.add_context(self.name, self.attempts)
        return error

    def mask(self, error: APIError) -> None:
        """Replace the credentials of the requests wherever an error quotes them."""
        mask_secrets(error, self._sent, self._keys)

    def delay(self, failure: APIError, retry: RetryPolicy | None = None) -> float | None:
        """Decide about the next attempt.

        Args:
            failure: The outcome of the attempt that has ended.
            retry: A retry policy to use instead.

        Returns:
            Seconds to wait before the next attempt; None if there is none, or not before the deadline, or if the
            session is closed.
        """
        if self.settings.pool.closed:
            return None
        outcome = failure.response if isinstance(failure, APIStatusError) else failure
        if not isinstance(outcome, Response | APIConnectionError):
            return None
        policy = retry or self.settings.options.retry
        delay = policy.delay(self._sent, outcome, attempt=self.attempts - self._attempts_before)
        time_left = self.time_left
        return delay if delay is None or time_left is None or delay < time_left else None

    async def _send_with_retries(
        self, request: Request, send: Callable[[URL, Request], Awaitable[ResponseT]], retry: RetryPolicy
    ) -> ResponseT:
        settings = self.settings
        timeouts = settings.options.timeouts
        url, request = settings.prepare(request)
        self._sent = request
        loop = asyncio.get_running_loop()
        if self._started is None:
            self._started = loop.time()
            self.deadline = None if timeouts.deadline is None else self._started + timeouts.deadline
        observed = settings.observe is not None or logger.isEnabledFor(INFO)
        while True:
            self.attempts += 1
            if observed:
                logger.debug("%s %s: attempt %d begins", request.method, request.path, self.attempts)
            start = loop.time()
            try:
                with CancelScope(settings.pool.timers, timeouts.attempt, self.deadline, "response"):
                    response = await send(url, request)
                if response.status != 200 and _is_refused(response.status, request):
                    await self._refuse(response, start)
            except APIError as error:  # raised again in here: as a local variable of this frame, it would be in a cycle
                self._correct(error)
                delay = self.delay(error, retry)
                if observed:
                    self._report(error, loop.time() - start, delay)
                if delay is None or not await settings.pool.pause(delay):
                    self.describe(error)
                    raise
            except ConfigurationError as error:
                self._raise_earlier(error)
                raise
            except BaseException as error:  # cancelled, or a bug in a transport: the request may have been sent
                if observed:
                    self._report(error, loop.time() - start, None)
                raise
            else:
                if observed:
                    self._report(response, loop.time() - start, None)
                return response

    def _send(self, url: URL, request: Request) -> Coroutine[Any, Any, StreamedResponse]:
        """Send the request once; to await."""
        settings = self.settings
        if settings.key is not None and not settings.options.replaces("authorization"):
            return self._send_with_key(settings.key, url, request)
        return settings.pool.transport().open(url, request, connect_timeout=settings.options.timeouts.connect)

    async def _send_with_key(self, key: KeyFunction, url: URL, request: Request) -> StreamedResponse:
        """Send the request once, with the API key of the moment."""
        settings = self.settings
        self.needs_key = True
        self._sent = request = await key.authenticate(request)
        self._keys = remember(self._keys, request)
        self.needs_key = False
        return await settings.pool.transport().open(url, request, connect_timeout=settings.options.timeouts.connect)

    async def _send_and_read(self, url: URL, request: Request) -> Any:
        """Send the request once and read the response, unless it is to be refused: then return it unread."""
        streamed = await self._send(url, request)
        if streamed.status != 200 and _is_refused(streamed.status, request):
            return streamed
        limit = self.settings.max_body_size
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := await streamed.read_chunk():
                size += len(chunk)
                if size > limit:
                    response = Response(streamed.status, streamed.headers)
                    raise APIResponseValidationError(
                        f"the body is larger than {limit} bytes (max_body_size)", response=response
                    )
                chunks.append(chunk)
        finally:
            await streamed.aclose()
        return Response(streamed.status, streamed.headers, b"".join(chunks))

    async def _refuse(self, streamed: Any, start: float) -> None:
        """Raise the exception for a status, with as much of the body as arrives in time: without it, the status counts.

        Args:
            streamed: The response, unread.
            start: Time of the event loop at which the attempt began.
        """
        attempt = self.settings.options.timeouts.attempt
        ends = [end for end in (self.deadline, None if attempt is None else start + attempt) if end is not None]
        chunks: list[bytes] = []
        try:
            with (
                suppress(APIConnectionError),  # truncated, or too late
                CancelScope(self.settings.pool.timers, None, min(ends, default=None), "body"),
            ):
                await self._read_error(streamed, chunks)
        finally:
            await streamed.aclose()
        response = Response(streamed.status, streamed.headers, b"".join(chunks))
        raise_for_status(response)
        raise APIResponseValidationError(
            "only a part of the response was sent (206), though no Range was requested", response=response
        )

    async def _read_error(self, streamed: StreamedResponse, chunks: list[bytes]) -> None:
        left = min(self.settings.max_body_size, _MAX_ERROR_BODY)
        while left > 0 and (chunk := await streamed.read_chunk()):
            chunks.append(chunk[:left])
            left -= len(chunk)

    def _correct(self, failure: APIError) -> None:
        """Correct the failure of an attempt: without secrets, and not counted as sent if it had no key yet."""
        if self.needs_key and isinstance(failure, APIConnectionError):
            failure.request_sent = False
        self.needs_key = False
        self._arrived = self._arrived or getattr(failure, "request_sent", True)
        self.mask(failure)
        self._failure = copy.copy(failure)  # without the traceback, which has this call in a frame: a cycle

    def _raise_earlier(self, refusal: Exception) -> None:
        """Raise the failure of the attempt before one that was refused: it may have been performed."""
        if self._failure is not None:
            self.attempts -= 1
            raise self.describe(copy.copy(self._failure)) from refusal

    def _report(self, outcome: Any, elapsed: float, delay: float | None) -> None:
        error = outcome if isinstance(outcome, BaseException) else None
        response: Any = getattr(outcome, "response", None) if error else outcome
        attempt = Attempt(
            method=self.request.method,
            path=self.request.path,
            number=self.attempts,
            status=response.status if response else None,
            error=error,
            request_id=Response(response.status, response.headers).request_id if response else None,
            elapsed=elapsed,
            delay=delay,
        )
        report(attempt, self.settings.observe)


def _is_refused(status: int, request: Request) -> bool:
    """Return True for a status other than 2xx, and for a part of the response that the request did not ask for."""
    return not 200 <= status < 300 or (status == 206 and not request.headers.get("range"))


async def send(settings: Settings, operation: Operation[R]) -> R:
    """Send an operation and return its result."""
    call = Call(settings.for_operation(operation), encode_request(operation))
    return call.decode(operation, await call.fetch())
