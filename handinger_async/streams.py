"""Server-sent events, as they come, across interruptions.

`FileDownload`, the other answer that comes in pieces, can be imported from here too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Self

from .attempts import logger
from .bodies import FileDownload, StreamClosed, StreamedBody
from .calls import Caller
from .codec import check_event_stream
from .errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    StreamInterruptedError,
)
from .http import Request, Response
from .retry import RetryPolicy
from .sse import EventParser, ServerSentEvent

__all__ = ["EventBatches", "EventStream", "FileDownload"]

#: A reconnection is an attempt of its own: the stream counts them, and the pauses between them are its own.
_ONCE = RetryPolicy(max_retries=0)


class EventStream(StreamedBody):
    """Server-sent events, as they come.

    ::

        async with session.workers.stream_updates(worker_id) as events:
            async for event in events:
                print(event)

    It ends in one of three ways: the server has said everything; it was closed by `aclose` or by leaving its ``async
    with``; or `StreamInterruptedError`. A body that is cut short, or that ends within an event, is never an end.

    An interrupted stream is resumed after the last event that had an id, if it is the answer to a GET. What a server
    repeats then, from wherever it begins, is left out: an event is recognised by its id, those that follow it without
    an id of their own by what they say.
    """

    def __init__(self, caller: Caller, request: Request, *, resume: bool) -> None:
        super().__init__(caller, request)
        self._parser = EventParser()
        self._ready: Iterator[ServerSentEvent] = iter(())
        self._history = _History() if resume and request.method == "GET" else None
        #: What interrupted the stream, until it is resumed: a reader that is cancelled meanwhile may come again.
        self._interruption: APIConnectionError | APIStatusError | None = None
        self._failures = 0
        self._seen = 0

    @property
    def last_event_id(self) -> str:
        """The id to resume after, ``""`` if the server has given none."""
        return self._parser.last_event_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerSentEvent:
        while True:
            for event in self._ready:
                return event
            self._ready = iter(await self._batch())

    def batches(self) -> EventBatches:
        """Iterate over lists of events: all those that one piece of the body completed, which is faster."""
        return EventBatches(self)

    async def aclose(self) -> None:
        """Close the stream: its connection is given back, or closed, and whoever waits for an event sees the end.

        It may be called again, and from any task.
        """
        self._ready = iter(())
        await super().aclose()

    async def _batch(self) -> list[ServerSentEvent]:
        """Return the events that are ready, at least one.

        Raises:
            StopAsyncIteration: The stream has ended, or was closed.
            StreamInterruptedError: It was interrupted, and could not be resumed.
        """
        if ready := list(self._ready):
            return ready
        try:
            while (events := await self._receive_or_resume()) is not None:
                if events:
                    self._seen += len(events)
                    return events
        except StreamClosed:
            pass
        except APIError as error:
            self._describe(error)
            await self.aclose()
            raise
        except Exception:
            await self.aclose()
            raise
        await self.aclose()
        raise StopAsyncIteration

    async def _receive_or_resume(self) -> list[ServerSentEvent] | None:
        """Return what the next piece of the body completes, if there is one, or None at a proper end."""
        if self._interruption is not None:
            await self._resume(self._interruption)
        try:
            return await self._receive()
        except (APIConnectionError, APIStatusError) as error:
            if self._response is None:
                raise
            self._interruption = error
            return []

    async def _receive(self) -> list[ServerSentEvent] | None:
        """Return what the next piece of the body completes, or None at a proper end."""
        chunk = await self._read()
        if not chunk:
            if self._parser.truncated:
                raise APIConnectionError("The stream ended within an event.")
            if self._history is not None and self._history.awaits_more:
                raise APIConnectionError("The stream began anew, and ended before it came to where it was interrupted.")
            self._parser.close()
            return None
        events = self._parser.feed(chunk)
        if self._history is not None and events:
            return self._advance(self._history, events)
        return events

    def _advance(self, history: _History, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """Return those of ``events`` that are new; the budget of reconnections is renewed when the id advances."""
        before = history.last_id
        events = history.sift(events)
        if history.last_id != before:
            self._failures = 0
        return events

    async def _open(self) -> None:
        await super()._open()
        try:
            check_event_stream(self.response)
        except APIResponseValidationError as error:
            self._describe(error)
            await self.aclose()
            raise

    async def _resume(self, error: APIConnectionError | APIStatusError) -> None:
        """Connect again after the last event, or give up.

        Args:
            error: What interrupted the stream.

        Raises:
            StreamInterruptedError: It cannot be resumed, or not in time.
        """
        cause: APIError = error
        while (delay := self._pause(cause)) is not None:
            self._failures += 1
            logger.info("%s, interrupted (%s): goes on after %.3f s", self, type(cause).__name__, delay)
            await self._release()
            headers = self._request.headers | {"Last-Event-ID": self.last_event_id}
            request = Request(self._request.method, self._request.target, headers)
            try:
                await self._wait(asyncio.sleep(delay))
                await self._connect(request, _ONCE)
                check_event_stream(self.response)
            except (APIConnectionError, APIStatusError, APIResponseValidationError) as failure:
                cause = failure
                continue
            self._parser.close()
            self._interruption = None
            if self._history is not None:
                self._history.reconnected()
            return
        raise StreamInterruptedError(
            f"The stream was interrupted after {self._seen} events: {cause.message or type(cause).__name__}",
            last_event_id=self.last_event_id,
            events_seen=self._seen,
        ) from cause

    def _pause(self, cause: APIError) -> float | None:
        """Return how many seconds to wait before connecting again; None not to."""
        if self._history is None or not self.last_event_id:
            return None
        policy = self._caller.options.retry
        outcome = cause.response if isinstance(cause, APIStatusError) else cause
        if not isinstance(outcome, Response | APIConnectionError):
            return None
        delay = policy.delay(self._request, outcome, attempt=self._failures + 1)
        if delay is not None and self._parser.retry is not None and not isinstance(outcome, Response):
            delay = self._parser.retry / 1000
            if delay > policy.max_retry_after:
                return None
        if delay is None or self._deadline is None:
            return delay
        return delay if asyncio.get_running_loop().time() + delay < self._deadline else None


class EventBatches:
    """The events of a stream in lists, as they come; closing the stream ends it."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[ServerSentEvent]:
        return await self._stream._batch()  # noqa: SLF001 - the other half of the stream

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


class _History:
    """Recognises what a server sends again after a reconnection, in bounded memory.

    A server may go on after the last id, begin anew, or begin anywhere in between. It is known by the first event that
    it sends: one whose id was seen before begins a repetition, which reaches to the last event with an id. Events
    behind that one which had no id of their own carry its id too; they are compared by what they say, one for one.
    """

    #: How many ids, and how many events behind the last id, are remembered.
    SPAN = 1024

    def __init__(self) -> None:
        self._first_id = ""
        self._recent: deque[str] = deque(maxlen=self.SPAN)
        #: The event that brought the last id, and those behind it that carry the same.
        self._tail: list[int] = []
        self.last_id = ""
        self._expected: list[int] = []
        self._state = "live"

    @property
    def awaits_more(self) -> bool:
        """Whether a repetition has not yet reached the point where the stream was interrupted."""
        return self._state == "repeats"

    def reconnected(self) -> None:
        """Expect a repetition."""
        self._state = "unknown"

    def sift(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """Return those of ``events`` that are new, and remember them."""
        if self._state != "live":
            events = [event for event in events if not self._repeated(event)]
        if events:
            self._remember(events)
        return events

    def _repeated(self, event: ServerSentEvent) -> bool:
        if self._state == "live":
            return False
        behind = event.id == self.last_id
        if self._state == "unknown":
            seen = event.id != "" and (event.id == self._first_id or event.id in self._recent)
            if seen and (not behind or _fingerprint(event) == self._tail[0]):
                self._state = "repeats"
            else:
                self._state, self._expected = "behind", self._tail[:0:-1]
        if self._state == "repeats":
            if behind:
                self._state, self._expected = "behind", self._tail[:0:-1]
            return True
        if behind and self._expected and self._expected[-1] == _fingerprint(event):
            self._expected.pop()
            return True
        self._state = "live"
        return False

    def _remember(self, events: list[ServerSentEvent]) -> None:
        ids = [event.id for event in events]
        self._first_id = self._first_id or ids[0]
        self._recent.extend(ids)
        last_id = ids[-1]
        run = len(ids)
        while run and ids[run - 1] == last_id:
            run -= 1
        if run or last_id != self.last_id:
            self._tail, self.last_id = [], last_id
        room = self.SPAN - len(self._tail)
        self._tail += [_fingerprint(event) for event in events[run : run + room]]


def _fingerprint(event: ServerSentEvent) -> int:
    return hash((event.event, event.data))
