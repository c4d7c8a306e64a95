"""Streams of server-sent events over a session's transport, resumed after interruptions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from operator import length_hint
from typing import Self

import attrs

from ..errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    EventTooLargeError,
)
from ..http import JSON, Headers, Request
from ..resume import ResumableStream, State, can_be_sent
from ..retry import RetryPolicy
from ..sse import ServerSentEvent
from .attempts import logger
from .bodies import BodyClosedError, BodyState, StreamedBody
from .calls import Settings

__all__ = ["EventBatches", "EventStream"]

_LAST_EVENT_ID = "last-event-id"
#: For reconnections: `ResumableStream` counts them and sets the delays between them.
_NO_RETRY = RetryPolicy(max_retries=0)
#: Exhausted iterators have no state: all streams share one.
_NO_EVENTS: Iterator[ServerSentEvent] = iter(())


class EventStream(StreamedBody):
    """Server-sent events of a response, as they arrive.

    ::

        async with session.workers.stream_updates(worker_id) as events:
            async for event in events:
                print(event)

    It ends in one of three ways: complete; closed, by `aclose` or by leaving its ``async with``; or with
    `StreamInterruptedError`. A truncated body, or one that ends within an event, is an interruption.

    If the request is a GET, an interrupted stream is resumed after the last event id; one without any event is opened
    again. Events that the server replays are dropped; see `handinger_async.resume`.

    One task reads it. A reader that is cancelled can come again, but a POST that was cancelled while it was opened is
    interrupted: it is not sent twice.
    """

    def __init__(self, settings: Settings, request: Request, *, resume: bool, last_event_id: str = "") -> None:
        options = settings.options
        given = options.headers.get(_LAST_EVENT_ID, "")
        if options.replaces(_LAST_EVENT_ID):
            # The headers of the options win over those of the request, whose id must be able to advance.
            others = {name: value for name, value in options.headers.items() if name.lower() != _LAST_EVENT_ID}
            omitted = options.omitted - {_LAST_EVENT_ID}
            settings = attrs.evolve(settings, options=attrs.evolve(options, headers=Headers(others), omitted=omitted))
        if not isinstance(last_event_id, str) or not can_be_sent(last_event_id or given):
            raise ConfigurationError("last_event_id must be a string that a header can carry")
        if last_event_id := last_event_id or given:
            request = attrs.evolve(request, headers=request.headers | {"Last-Event-ID": last_event_id})
        super().__init__(settings, request)
        self._events = ResumableStream(
            request, retry=options.retry, resume=resume, max_event_size=settings.max_event_size
        )
        self._ready = _NO_EVENTS
        #: The last event that `__anext__` returned, and True if events that were ready after it have been dropped.
        self._last: ServerSentEvent | None = None
        self._left_early = False
        #: The loop's time at which to reconnect; None until that is decided. It survives a cancelled read.
        self._reconnect_at: float | None = None

    @property
    def last_event_id(self) -> str:
        """The id after the last event returned, to resume after; ``""`` if there is none."""
        if self._last is not None and (self._left_early or length_hint(self._ready)):
            return self._last.id
        return self._events.last_event_id

    def __aiter__(self) -> Self:
        """Begin to iterate.

        Raises:
            ConfigurationError: The stream has ended, or was closed.
        """
        if self._state is BodyState.ENDED:
            raise ConfigurationError("this EventStream has ended or was closed: it can be read once")
        return self

    async def __anext__(self) -> ServerSentEvent:
        """Return the next event.

        Raises:
            StopAsyncIteration: The stream is complete, or closed.
            StreamInterruptedError: It was interrupted and could not be resumed.
        """
        for event in self._ready:
            self._last = event
            return event
        self._check_idle()
        self._busy = True
        timeout = self._call.settings.options.timeouts.idle
        try:
            while self._events.state is not State.ENDED:
                if self._state is BodyState.INTERRUPTED:
                    await self._resume()
                try:
                    # As `_read`, without its coroutine: it would take 220 bytes of each waiting stream.
                    if self._state is BodyState.NEW:
                        await self._open()
                    with self._limit(timeout):
                        chunk = await self._opened().read_chunk()
                    self._opened()
                    events = self._events.feed(chunk) if chunk else self._events.end()
                except (APIConnectionError, APIStatusError) as error:
                    if self._state is not BodyState.OPEN:  # it could not be opened
                        raise
                    self._interrupt(error)
                else:
                    if events:
                        self._ready = iter(events)
                        self._last = event = next(self._ready)
                        return event
        except BodyClosedError:
            pass
        except Exception as error:
            if isinstance(error, APIError):
                self._call.describe(error)
            await self._finish()
            raise
        finally:
            self._busy = False
        await self._finish()
        raise StopAsyncIteration

    def batches(self) -> EventBatches:
        """Iterate over lists of events, each the events completed by one chunk, which is faster."""
        return EventBatches(self)

    async def aclose(self) -> None:
        """Close the stream: its connection is released or closed, and a task that waits for an event sees the end.

        Idempotent, and callable from any task.
        """
        self._left_early = self._left_early or length_hint(self._ready) > 0
        self._ready = _NO_EVENTS
        await super().aclose()

    def _with_ready(self, first: ServerSentEvent) -> list[ServerSentEvent]:
        """Return the event that was returned last, and those that are ready after it."""
        self._last = None
        return [first, *self._ready]

    async def _open(self) -> None:
        await super()._open()
        try:
            self._events.connected(self.response)
        except APIResponseValidationError as error:
            if self.response.media_type == JSON:
                await self._keep_body(error)
            self._call.describe(error)
            await self._finish()
            raise

    async def _keep_body(self, error: APIResponseValidationError) -> None:
        """Read the JSON that came in place of events: it may be the result of a run. It has the time of an attempt."""
        chunks: list[bytes] = []
        left = self._call.settings.max_body_size
        try:
            async with asyncio.timeout(self._call.settings.options.timeouts.attempt):
                while left > 0 and (chunk := await self._read()):
                    chunks.append(chunk)
                    left -= len(chunk)
        except (APIError, BodyClosedError, TimeoutError):
            return
        error.response = attrs.evolve(self.response, body=b"".join(chunks))

    def _interrupt(self, cause: APIError) -> None:
        self._call.mask(cause)
        self._state, self._interruption, self._reconnect_at = BodyState.INTERRUPTED, cause, None

    async def _resume(self) -> None:
        """Reconnect after an interruption.

        Raises:
            StreamInterruptedError: The stream cannot be resumed, or not in time.
        """
        loop = asyncio.get_running_loop()
        while (cause := self._interruption) is not None and self._state is BodyState.INTERRUPTED:
            if self._reconnect_at is None:
                delay = self._events.interrupted(cause, time_left=self._call.time_left)
                self._reconnect_at = loop.time() + delay
                logger.info("%s: interrupted (%s), resuming in %.3f s", self, type(cause).__name__, delay)
                await self._release()
            try:
                await self._sleep(max(0.0, self._reconnect_at - loop.time()))
                await self._connect(self._events.request(), _NO_RETRY)
                self._events.connected(self.response)
            except EventTooLargeError:  # the last one before the interruption
                raise
            except (APIConnectionError, APIStatusError, APIResponseValidationError) as failure:
                self._interrupt(failure)


class EventBatches:
    """The events of a stream in lists, one for each chunk that completes any; closing the stream ends it."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        aiter(self._stream)  # refuses one that has ended
        return self

    async def __anext__(self) -> list[ServerSentEvent]:
        first = await anext(self._stream)
        return self._stream._with_ready(first)  # noqa: SLF001 - the other half of the stream

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
