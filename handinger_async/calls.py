"""One request, sent as often as it takes: time limits, retries, and the account of each attempt.

`Options` say what is wanted; the transport knows how to send; what happens in between is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from logging import INFO
from typing import Any, TypeVar

import attrs
from yarl import URL

from .attempts import Attempt, Observer, logger, report
from .codec import raise_for_status
from .errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
)
from .http import Endpoint, Headers, Request, Response, new_response, to_headers
from .limits import TimeLimits
from .options import Options, Timeouts
from .retry import RetryPolicy
from .transports import StreamedResponse, Transport

__all__ = ["DEFAULT_MAX_BODY_SIZE", "Attempt", "Caller", "Options", "Pool", "Timeouts"]

A = TypeVar("A", Response, StreamedResponse)

#: Bytes of a decompressed body that is kept in memory. Two hundred times the largest workers seen, and little enough
#: that a handful of compressed bombs at once do not take a small machine down.
DEFAULT_MAX_BODY_SIZE = 64 * 2**20
#: How many requests are kept for when they are sent again.
_MOST_PREPARED = 256
#: Bytes of the body of an error that are read: what is in it only explains the status.
_LONGEST_ERROR_BODY = 2**20


class Pool:
    """What a session and its views share: the transport, made when it is first needed, and the time limits.

    Args:
        transport: The transport, or None for one over aiohttp.
    """

    def __init__(self, transport: Transport | None) -> None:
        self._transport = transport
        self.limits = TimeLimits()
        self.closed = False

    def transport(self) -> Transport:
        """Return the transport.

        Raises:
            ConfigurationError: The session is closed.
        """
        if self.closed:
            raise ConfigurationError("The session is closed.")
        if self._transport is None:
            from .transports.aiohttp import AiohttpTransport  # here, since aiohttp is slow to import

            self._transport = AiohttpTransport()
        return self._transport

    async def aclose(self) -> None:
        """Close the transport; it may be called again."""
        self.closed = True
        self.limits.close()
        if self._transport is not None:
            await self._transport.aclose()


@attrs.frozen(kw_only=True)
class Caller:
    """Sends requests, each as often as the policy allows.

    Args:
        pool: Holds the transport.
        endpoint: Where to, and with which key.
        options: The options of this call.
        observe: Called with each `Attempt`.
        max_body_size: The most bytes of a decompressed body that is read whole.
    """

    pool: Pool
    endpoint: Endpoint
    options: Options
    observe: Observer | None
    max_body_size: int
    #: By method and target, the headers of a request without a body, and what was made of it.
    _prepared: dict[tuple[str, str], tuple[Headers, URL, Request]] = attrs.field(factory=dict, init=False, repr=False)

    def deadline(self) -> float | None:
        """Return the time of the loop at which a call that starts now must have ended."""
        limit = self.options.timeouts.deadline
        return None if limit is None else asyncio.get_running_loop().time() + limit

    def fetch(
        self, request: Request, *, deadline: float | None, keep: bool = False
    ) -> Coroutine[Any, Any, tuple[Response, int]]:
        """Send a request and read the answer.

        Args:
            request: The request, without authentication.
            deadline: The time of the loop by which to have the answer.
            keep: Prepare the request once for all times, unless it has a body; for those whose headers are the same
                object each time.

        Returns:
            To await: the answer, whose status is 2xx, and the number of attempts.

        Raises:
            APIError: There is no such answer.
        """
        return self._repeat(request, self._send_and_read, deadline, limit=self.options.timeouts.attempt, keep=keep)

    def fetch_file(self, request: Request, *, deadline: float | None) -> Coroutine[Any, Any, tuple[Response, int]]:
        """Send a request and read the answer, however long that takes while bytes keep coming.

        Args:
            request: The request, without authentication.
            deadline: The time of the loop by which to have the answer.

        Returns:
            To await: the answer, whose status is 2xx, and the number of attempts.

        Raises:
            APIError: There is no such answer.
        """
        timeouts = self.options.timeouts

        wait = self.pool.limits.wait

        async def send(url: URL, prepared: Request) -> Response:
            stream = await wait(self._send(url, prepared), timeouts.attempt, deadline, "answer")
            return await self._read(stream, lambda: wait(stream.read_chunk(), timeouts.idle, deadline, "byte"))

        return self._repeat(request, send, deadline, limit=None)

    def open(
        self, request: Request, *, deadline: float | None, retry: RetryPolicy | None = None, number: int = 1
    ) -> Coroutine[Any, Any, tuple[StreamedResponse, int]]:
        """Send a request and wait for the headers of the answer.

        Args:
            request: The request, without authentication.
            deadline: The time of the loop by which to have the headers.
            retry: A policy instead of that of the options.
            number: The number of the first attempt.

        Returns:
            To await: the answer, whose status is 2xx, and the number of the last attempt; the caller closes the answer.

        Raises:
            APIError: There is no such answer.
        """
        limit = self.options.timeouts.attempt
        return self._repeat(request, self._send, deadline, limit=limit, retry=retry, first=number)

    async def _repeat(
        self,
        request: Request,
        send: Callable[[URL, Request], Awaitable[A]],
        deadline: float | None,
        *,
        limit: float | None,
        retry: RetryPolicy | None = None,
        first: int = 1,
        keep: bool = False,
    ) -> tuple[A, int]:
        """Send until there is an answer or the policy gives up; return the answer and the number of attempts."""
        url, request = self._prepare_once(request) if keep and not request.body else self._prepare(request)
        loop = asyncio.get_running_loop()
        watched = self.observe is not None or logger.isEnabledFor(INFO)
        number = first
        while True:
            if watched:
                logger.debug("%s %s: attempt %d begins", request.method, request.path, number)
            start = loop.time()
            try:
                answer = await self.pool.limits.wait(send(url, request), limit, deadline, "answer")
            except APIError as error:
                failure = error
            except ConfigurationError:
                raise
            except BaseException as error:  # given up by the caller, or a mistake in a transport: it may have been sent
                if watched:
                    self._report(request, error, number, loop.time() - start, None)
                raise
            else:
                if watched:
                    self._report(request, answer, number, loop.time() - start, None)
                return answer, number
            delay = self._delay(request, failure, number - first + 1, retry or self.options.retry, deadline)
            if watched:
                self._report(request, failure, number, loop.time() - start, delay)
            if delay is None:
                failure.call, failure.attempts = f"{request.method} {request.path}", number
                raise failure
            await asyncio.sleep(delay)
            number += 1

    def _prepare(self, request: Request) -> tuple[URL, Request]:
        """Return where to send a request, and what."""
        return self.endpoint.prepare(self.options.apply(request))

    def _prepare_once(self, request: Request) -> tuple[URL, Request]:
        """Do so at the first time, and keep it for the next: workers are asked for again and again."""
        key = request.method, request.target
        kept = self._prepared.get(key)
        if kept is None or kept[0] is not request.headers:
            if len(self._prepared) >= _MOST_PREPARED:
                self._prepared.clear()
            kept = self._prepared[key] = request.headers, *self._prepare(request)
        return kept[1:]

    async def _send(self, url: URL, request: Request) -> StreamedResponse:
        """Send a request once, and raise what an error status stands for; the caller closes the answer."""
        transport = self.pool.transport()
        stream = await transport.open(url, request, connect_timeout=self.options.timeouts.connect)
        if not 200 <= stream.status < 300:
            raise_for_status(await self._read_error(stream), "")
        return stream

    async def _send_and_read(self, url: URL, request: Request) -> Response:
        stream = await self._send(url, request)
        return await self._read(stream, stream.read_chunk)

    async def _read(self, stream: StreamedResponse, read_chunk: Callable[[], Awaitable[bytes]]) -> Response:
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := await read_chunk():
                size += len(chunk)
                if size > self.max_body_size:
                    raise APIResponseValidationError(
                        f"the body is larger than {self.max_body_size} bytes (max_body_size)",
                        response=Response(stream.status, stream.headers),
                    )
                chunks.append(chunk)
        finally:
            await stream.aclose()
        return new_response(stream.status, to_headers(stream.headers), b"".join(chunks))

    async def _read_error(self, stream: StreamedResponse) -> Response:
        """Read as much of the body as there is, within limits: whatever happens to it, the status says enough."""
        left = min(self.max_body_size, _LONGEST_ERROR_BODY)
        chunks: list[bytes] = []
        try:
            with suppress(APIConnectionError):
                while left > 0 and (chunk := await stream.read_chunk()):
                    chunks.append(chunk[:left])
                    left -= len(chunk)
        finally:
            await stream.aclose()
        return Response(stream.status, stream.headers, b"".join(chunks))

    def _delay(
        self, request: Request, failure: APIError, number: int, retry: RetryPolicy, deadline: float | None
    ) -> float | None:
        """Return how long to wait before the next attempt, or None if this was the last."""
        outcome = failure.response if isinstance(failure, APIStatusError) else failure
        if not isinstance(outcome, Response | APIConnectionError):
            return None
        delay = retry.delay(request, outcome, attempt=number)
        if delay is None or (deadline is not None and asyncio.get_running_loop().time() + delay >= deadline):
            return None
        return delay

    def _report(
        self,
        request: Request,
        outcome: Response | StreamedResponse | BaseException,
        number: int,
        elapsed: float,
        delay: float | None,
    ) -> None:
        error = outcome if isinstance(outcome, BaseException) else None
        answer: Any = getattr(outcome, "response", None) if error else outcome
        attempt = Attempt(
            method=request.method,
            path=request.path,
            number=number,
            status=answer.status if answer else None,
            error=error,
            request_id=Response(answer.status, answer.headers).request_id if answer else None,
            elapsed=elapsed,
            delay=delay,
        )
        report(attempt, self.observe)
