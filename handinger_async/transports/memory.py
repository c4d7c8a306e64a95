"""In-memory transport: passes requests to a handler function, without a network."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

import attrs
from yarl import URL

from ..errors import APIConnectionError, ConfigurationError, quoted
from ..http import Headers, MultipartBody, Request, Response
from . import StreamedResponse
from .uploads import read_body

__all__ = ["Chunks", "Handler", "HandlerResult", "MemoryTransport", "StreamingResponse"]

Chunks: TypeAlias = Iterable[bytes] | AsyncIterable[bytes]


@attrs.frozen
class StreamingResponse:
    """A handler's response with a body in chunks.

    Args:
        status: The status code.
        headers: The header fields.
        chunks: The chunks of the body, delivered unchanged. An exception raised by the iterator truncates the body.
    """

    status: int
    headers: Headers = attrs.field(converter=Headers)
    chunks: Chunks


HandlerResult: TypeAlias = Response | StreamingResponse | Chunks
Handler: TypeAlias = Callable[[Request], HandlerResult | Awaitable[HandlerResult]]


async def call_handler(handler: Handler, request: Request) -> StreamingResponse:
    """Call a handler and convert its result to a `StreamingResponse`; the chunks of a complete body are a list."""
    result = handler(request)
    if inspect.isawaitable(result):
        result = await result
    return _to_response(result, request)


def _to_response(result: HandlerResult, request: Request) -> StreamingResponse:
    if isinstance(result, Response):
        return StreamingResponse(result.status, result.headers, [result.body])
    if isinstance(result, StreamingResponse):
        return result
    content_type = request.headers.get("accept", "application/octet-stream")
    return StreamingResponse(200, Headers({"Content-Type": content_type}), result)


class MemoryTransport:
    """Passes every request to a handler function.

    A handler runs as in a server: in one task and one context for each response, with its chunks. The chunks are
    produced when they are read. When the response is closed, that task is cancelled.

    Args:
        handler: Takes a `Request` with its target as on the wire and all its headers; its body is always bytes, those
            of a `MultipartBody` are read in threads. Returns a `Response`, a
            `StreamingResponse`, an iterable or async iterable of chunks (with status 200 and the content type that the
            request accepts), or an awaitable of one of these. An APIConnectionError raised by the handler counts as a
            network error; any other exception counts as a bug in the handler and propagates unchanged.
    """

    def __init__(self, handler: Handler) -> None:
        if not callable(handler):
            raise ConfigurationError(f"handler must be callable, not {quoted(handler)}")
        self._handler = handler
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _InProgress] = WeakKeyDictionary()
        self._closed = False

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Call the handler; see `Transport.open`."""
        if isinstance(request.body, MultipartBody) and not self._closed:
            request = attrs.evolve(request, body=await read_body(request.body))
        if self._closed:
            raise APIConnectionError("the transport is closed", request_sent=False)
        loop = asyncio.get_running_loop()
        in_progress = self._loops.get(loop) or self._loops.setdefault(loop, _InProgress())
        context = copy_context()
        result = context.run(self._handler, request)
        producer = None
        if inspect.isawaitable(result):
            producer = _Producer(result, request, context)
            response = await in_progress.wait_for(producer)
        else:
            response = _to_response(result, request)
            if isinstance(response.chunks, AsyncIterable):
                producer = _Producer(response, request, context)
        opened = _MemoryResponse(response, context, producer, in_progress.responses)
        in_progress.responses.add(opened)
        if in_progress.closed:  # by the handler, or it did not let itself be cancelled
            await opened.aclose()
            raise APIConnectionError("the transport was closed")
        return opened

    async def aclose(self) -> None:
        """Cancel the handlers and close the open responses of this event loop, and refuse further requests."""
        self._closed = True
        in_progress = self._loops.get(asyncio.get_running_loop())
        if in_progress is not None:
            await in_progress.aclose()


class _InProgress:
    """The handlers and responses of one event loop."""

    def __init__(self) -> None:
        self.responses: WeakSet[_MemoryResponse] = WeakSet()
        self.closed = False
        self._opening: set[_Producer] = set()

    async def wait_for(self, producer: _Producer) -> StreamingResponse:
        """Return the response of a handler that takes its time."""
        self._opening.add(producer)
        try:
            response: StreamingResponse = await producer.produce()
        except BaseException as error:
            await producer.aclose()
            if not self.closed or not isinstance(error, APIConnectionError):
                raise
        else:
            return response
        finally:
            self._opening.discard(producer)
        raise APIConnectionError("the transport was closed")

    async def aclose(self) -> None:
        self.closed = True
        for producer in list(self._opening):
            await producer.aclose()
        for response in list(self.responses):
            await response.aclose()


class _MemoryResponse:
    # Its producer does not refer to it: an abandoned response is collected, and ends its producer then.

    def __init__(
        self,
        response: StreamingResponse,
        context: Context,
        producer: _Producer | None,
        open_responses: WeakSet[_MemoryResponse],
    ) -> None:
        self.status = response.status
        self.headers = response.headers
        self._chunks = response.chunks if isinstance(response.chunks, AsyncIterable) else iter(response.chunks)
        self._context = context
        self._producer = producer
        self._open_responses = open_responses
        self._closed = False

    async def read_chunk(self) -> bytes:
        while not self._closed:
            chunk: bytes | None = None
            if isinstance(self._chunks, Iterator):
                chunk = self._context.run(next, self._chunks, None)
            elif self._producer is not None:
                chunk = await self._producer.produce()
            if chunk is None:
                return b""
            if chunk:  # an empty chunk would signal the end of the body
                return chunk
        raise APIConnectionError("the response is closed")

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._open_responses.discard(self)
            if isinstance(self._chunks, Iterator) and (close := getattr(self._chunks, "close", None)) is not None:
                self._context.run(close)
        if self._producer is not None:
            await self._producer.aclose()

    def __del__(self) -> None:
        if self._producer is not None:
            self._producer.abandon()


class _Producer:
    """The task of one response: it waits for the handler's result, then produces each chunk when it is requested.

    All steps of an async generator run in this one task, so that cancel scopes, task groups and context variables work
    around a ``yield``.

    Args:
        result: The result of the handler, or the response, if that is known already.
        request: The request.
        context: The context of the task.
    """

    def __init__(
        self, result: Awaitable[HandlerResult] | StreamingResponse, request: Request, context: Context
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Future[Any] | None = None  # the item requested
        self._spare: list[Any] = []  # items that nobody has requested
        self._wanted: asyncio.Future[None] | None = None  # resolved when a chunk is requested
        self._closing = False
        self._failure: BaseException | None = None
        if isinstance(result, StreamingResponse):
            self._wanted = self._loop.create_future()
        #: None once it is done: a task keeps its exception, which keeps the frames of this producer.
        self._task: asyncio.Task[None] | None = self._loop.create_task(self._run(result, request), context=context)
        self._task.add_done_callback(partial(self._end, result))

    async def produce(self) -> Any:
        """Return the next item: the response of the handler, if it was awaitable, then each chunk, then None.

        A caller that is cancelled does not lose the item: the next call returns it.

        Raises:
            APIConnectionError: The producer is closed, or has failed before.
        """
        if self._made is None and self._spare:
            return self._spare.pop(0)
        if self._made is None and self._task is not None:
            self._made = self._loop.create_future()
            if self._wanted is not None and not self._wanted.done():
                self._wanted.set_result(None)
        if (made := self._made) is not None:
            await asyncio.wait((made,))
            self._made = None
            if not made.cancelled() and not self._closing:
                return made.result()
        if self._closing:
            raise APIConnectionError("the response is closed")
        failure, self._failure = self._failure, None
        if failure is None:
            return None
        self._closing = True
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame

    async def _run(self, result: Awaitable[HandlerResult] | StreamingResponse, request: Request) -> None:
        if isinstance(result, StreamingResponse):
            response = result
        else:
            response = _to_response(await result, request)
            self._put(response)
        if isinstance(response.chunks, AsyncIterable):
            await self._iterate(aiter(response.chunks))

    async def _iterate(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            while not self._closing:
                try:
                    await self._wait()
                except asyncio.CancelledError as error:
                    # The end of a cancel scope around the `yield`, of this task or of the response: it belongs there.
                    if not isinstance(chunks, AsyncGenerator):
                        raise
                    chunk = await chunks.athrow(error)
                    if self._task is not None and self._task.cancelling():
                        break
                else:
                    chunk = await anext(chunks)
                self._put(chunk)
        except StopAsyncIteration:
            pass
        finally:
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()

    async def _wait(self) -> None:
        """Wait until a chunk is requested."""
        if self._made is not None and not self._made.done():
            return
        if self._wanted is None or self._wanted.done():
            self._wanted = self._loop.create_future()
        await self._wanted

    def _put(self, item: Any) -> None:
        if self._made is None or self._made.done():
            self._spare.append(item)
        else:
            self._made.set_result(item)

    def _end(self, result: object, task: asyncio.Task[None]) -> None:
        self._task = None
        if inspect.iscoroutine(result):
            result.close()  # in case that the task was cancelled before it ran
        if self._made is not None:
            self._made.cancel()
        if task.cancelled():
            self._failure = APIConnectionError("the handler was cancelled")
        elif self._closing:
            failure = task.exception()  # from here on, asyncio does not log it
            if failure is not None and not isinstance(failure, APIConnectionError):
                message = "a handler failed while its response was closed"
                self._loop.call_exception_handler({"message": message, "exception": failure, "task": task})
        else:
            self._failure = task.exception()

    async def aclose(self) -> None:
        """Cancel the task and wait for its end, also when cancelled meanwhile."""
        self._stop()
        cancelled: asyncio.CancelledError | None = None
        while (task := self._task) is not None and not task.done() and asyncio.current_task() is not task:
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error  # re-raised once the cleanup is complete
        if cancelled is not None:
            raise cancelled

    def abandon(self) -> None:
        """Cancel the task, from any thread."""
        if self._task is not None:
            with suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._closing or self._task is None or self._task.done():
            return
        self._closing = True
        if self._wanted is not None and not self._wanted.done():
            self._wanted.cancel()  # unlike `Task.cancel`, also when the task has not begun
        else:
            self._task.cancel()
