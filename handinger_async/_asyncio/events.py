"""Streams of server-sent events over a session's transport, resumed after interruptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from ..errors import APIConnectionError, APIError, APIResponseValidationError, APIStatusError, EventTooLargeError
from ..http import Request
from ..resume import ResumableStream
from ..retry import RetryPolicy
from ..sse import ServerSentEvent
from .attempts import logger
from .bodies import BodyClosedError, StreamedBody
from .calls import Settings

__all__ = ["EventBatches", "EventStream"]

#: For reconnections: `ResumableStream` counts them and sets the delays between them.
_NO_RETRY = RetryPolicy(max_retries=0)


class EventStream(StreamedBody):
    """Server-sent events of a response, as they arrive.

    ::

        async with session.workers.stream_updates(worker_id) as events:
            async for event in events:
                print(event)

    It ends in one of three ways: complete; closed, by `aclose` or by leaving its ``async with``; or with
    `StreamInterruptedError`. A truncated body, or one that ends within an event, is an interruption.

    If the request is a GET, an interrupted stream is resumed after the last event id. Events that the server replays
    are dropped; see `handinger_async.resume`.
    """

    def __init__(self, settings: Settings, request: Request, *, resume: bool) -> None:
        super().__init__(settings, request)
        self._events = ResumableStream(request, retry=settings.options.retry, resume=resume)
        self._ready: Iterator[ServerSentEvent] = iter(())
        #: Pending interruption and the delay after it. They survive a cancelled `__anext__`: the next call resumes.
        self._interruption: APIError | None = None
        self._delay: float | None = None

    @property
    def last_event_id(self) -> str:
        """The id to resume after; ``""`` if the server has sent none."""
        return self._events.last_event_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerSentEvent:
        while True:
            for event in self._ready:
                return event
            self._ready = iter(await self._next_batch())

    def batches(self) -> EventBatches:
        """Iterate over lists of events, each the events completed by one chunk, which is faster."""
        return EventBatches(self)

    async def aclose(self) -> None:
        """Close the stream: its connection is released or closed, and a task that waits for an event sees the end.

        Idempotent, and callable from any task.
        """
        self._ready = iter(())
        await super().aclose()

    async def _next_batch(self) -> list[ServerSentEvent]:
        """Return the events that are ready, at least one.

        Raises:
            StopAsyncIteration: The stream is complete, or closed.
            StreamInterruptedError: It was interrupted and could not be resumed.
        """
        if ready := list(self._ready):
            return ready
        self._check_idle()
        self._busy = True
        try:
            while (events := await self._receive_or_resume()) is not None:
                if events:
                    return events
        except BodyClosedError:
            pass
        except APIError as error:
            self._call.describe(error)
            await self.aclose()
            raise
        except Exception:
            await self.aclose()
            raise
        finally:
            self._busy = False
        await self.aclose()
        raise StopAsyncIteration

    async def _receive_or_resume(self) -> list[ServerSentEvent] | None:
        """Return the new events of the next chunk, perhaps none; None at the end of a complete stream."""
        if self._closed:
            raise BodyClosedError
        await self._resume()
        try:
            chunk = await self._read()
            if chunk:
                return self._events.feed(chunk)
            self._events.end()
        except (APIConnectionError, APIStatusError) as error:
            if self._response is None:
                raise
            self._interruption = error
            return []
        return None

    async def _open(self) -> None:
        await super()._open()
        try:
            self._events.connected(self.response)
        except APIResponseValidationError as error:
            self._call.describe(error)
            await self.aclose()
            raise

    async def _resume(self) -> None:
        """Reconnect after an interruption, if there was one.

        Raises:
            StreamInterruptedError: The stream cannot be resumed, or not in time.
        """
        while (cause := self._interruption) is not None:
            if self._delay is None:
                self._delay = self._events.interrupted(cause, time_left=self._call.time_left)
                logger.info("%s: interrupted (%s), resuming in %.3f s", self, type(cause).__name__, self._delay)
                await self._release()
            try:
                await self._sleep(self._delay)
                await self._connect(self._events.request(), _NO_RETRY)
                self._events.connected(self.response)
            except EventTooLargeError:  # the last one before the interruption
                raise
            except (APIConnectionError, APIStatusError, APIResponseValidationError) as failure:
                self._interruption = failure
            else:
                self._interruption = None
            self._delay = None


class EventBatches:
    """The events of a stream in lists, one for each chunk that completes any; closing the stream ends it."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[ServerSentEvent]:
        return await self._stream._next_batch()  # noqa: SLF001 - the other half of the stream

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
