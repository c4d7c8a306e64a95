"""A stream of server-sent events across interruptions. No event loop: usable under trio, threads or a bare socket.

`ResumableStream` says which request to send, takes the chunks of its response, and returns the events that are new.
After an interruption it says how long to wait before the next request, which asks for the events after the last id.

How replayed events are recognised
----------------------------------

After a reconnection, a server may continue after the last id, start again from the beginning, or start anywhere in
between. So each event is classified against the events delivered before:

- ``OLD``: its id was seen, before the last one.
- ``TAIL``: it carries the last id, and its content is that of the next event in the tail. The tail consists of the
  event that brought the last id and the events after it, which had no id of their own and so carry the same one. They
  can only be compared by content, one by one. A server that continues after the last id may begin with the second.
- ``CHANGED``: it carries the last id with other content.
- ``NEW``: its id was not seen, or was forgotten.

The first event decides: an ``OLD`` one begins a replay, which lasts until the last id. In a replay, an unknown id is
one that was forgotten, and the last id ends it whatever the content. The table below is the whole behaviour. **An event
is delivered if it leads to LIVE**; the others are dropped. The transitions outside the bars are methods::

                 CONNECTED    | OLD        TAIL     CHANGED  NEW        | END          INTERRUPTED
    OPENING      LIVE         |                                         |              INTERRUPTED
    LIVE                      | LIVE       LIVE     LIVE     LIVE       | ENDED        INTERRUPTED
    INTERRUPTED  RECONNECTED  |                                         |              INTERRUPTED
    RECONNECTED               | REPLAYING  IN_TAIL  LIVE     LIVE       | ENDED        INTERRUPTED
    REPLAYING                 | REPLAYING  IN_TAIL  IN_TAIL  REPLAYING  | (truncated)  INTERRUPTED
    IN_TAIL                   | LIVE       IN_TAIL  LIVE     LIVE       | ENDED        INTERRUPTED

The id to resume after is that of the last event delivered, or a later one that came without an event; a replay does not
change it. Memory is bounded: 1024 ids are remembered, and 1024 events of the tail as hashes.

A stream goes from ``INTERRUPTED`` to ``ENDED`` if it cannot be resumed: its request is not a GET, ``resume`` is False,
the server has sent no id, or the retry policy or the deadline permits no further attempt.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from itertools import groupby

from .errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    StreamInterruptedError,
    shorten,
)
from .http import EVENT_STREAM, Request, Response
from .retry import RetryPolicy
from .sse import EventParser, ServerSentEvent

__all__ = ["ResumableStream", "State"]

#: The number of ids, and of events in the tail, that are remembered.
_MEMORY = 1024


class State(Enum):
    """The state of a stream."""

    OPENING = auto()  #: no response yet
    LIVE = auto()  #: events are new
    INTERRUPTED = auto()  #: waiting for the response to the next request
    RECONNECTED = auto()  #: no event since the reconnection
    REPLAYING = auto()  #: the server sends events from before the last id
    IN_TAIL = auto()  #: the server may send the events that carry the last id
    ENDED = auto()  #: complete, or given up


class _Input(Enum):
    CONNECTED = auto()
    OLD = auto()
    TAIL = auto()
    CHANGED = auto()
    NEW = auto()
    END = auto()
    INTERRUPTED = auto()


_TRANSITIONS: dict[State, dict[_Input, State]] = {
    State.OPENING: {
        _Input.CONNECTED: State.LIVE,
        _Input.INTERRUPTED: State.INTERRUPTED,
    },
    State.LIVE: {
        **dict.fromkeys((_Input.OLD, _Input.TAIL, _Input.CHANGED, _Input.NEW), State.LIVE),
        _Input.END: State.ENDED,
        _Input.INTERRUPTED: State.INTERRUPTED,
    },
    State.INTERRUPTED: {
        _Input.CONNECTED: State.RECONNECTED,
        _Input.INTERRUPTED: State.INTERRUPTED,
    },
    State.RECONNECTED: {
        _Input.OLD: State.REPLAYING,
        _Input.TAIL: State.IN_TAIL,
        _Input.CHANGED: State.LIVE,
        _Input.NEW: State.LIVE,
        _Input.END: State.ENDED,
        _Input.INTERRUPTED: State.INTERRUPTED,
    },
    State.REPLAYING: {
        **dict.fromkeys((_Input.OLD, _Input.NEW), State.REPLAYING),
        **dict.fromkeys((_Input.TAIL, _Input.CHANGED), State.IN_TAIL),
        _Input.END: State.REPLAYING,  # and truncated: see `ResumableStream.end`
        _Input.INTERRUPTED: State.INTERRUPTED,
    },
    State.IN_TAIL: {
        _Input.TAIL: State.IN_TAIL,
        **dict.fromkeys((_Input.OLD, _Input.CHANGED, _Input.NEW), State.LIVE),
        _Input.END: State.ENDED,
        _Input.INTERRUPTED: State.INTERRUPTED,
    },
}


_REPLAY_STATES = frozenset({State.RECONNECTED, State.REPLAYING, State.IN_TAIL})


class ResumableStream:
    """The events of a stream, across interruptions.

    ::

        stream = ResumableStream(encode_request(StreamWorkerUpdates(worker_id)))
        while stream.state is not State.ENDED:
            try:
                response = open_somehow(stream.request())
                head = Response(response.status, response.headers)
                raise_for_status(head)
                stream.connected(head)
                for chunk in response:
                    for event in stream.feed(chunk):
                        print(event)
                stream.end()
            except (APIConnectionError, APIStatusError) as error:
                sleep(stream.interrupted(error))  # raises StreamInterruptedError if there is no id to resume after

    A method raises ConfigurationError in a state that does not permit it.

    Args:
        request: The request that opens the stream. Only a GET can be resumed.
        retry: Decides about the attempts to reconnect. Their count restarts when the last event id advances.
        resume: False to raise at the first interruption.
    """

    def __init__(self, request: Request, *, retry: RetryPolicy | None = None, resume: bool = True) -> None:
        self.state = State.OPENING
        #: The number of events returned so far.
        self.events_seen = 0
        self._request = request
        self._retry = retry or RetryPolicy()
        self._parser = EventParser()
        self._last_event_id = ""
        self._history = _History() if resume and request.method == "GET" else None
        self._failures = 0

    @property
    def last_event_id(self) -> str:
        """The id to resume after; ``""`` if the server has sent none."""
        return self._last_event_id

    def request(self) -> Request:
        """Return the request to send next, with ``Last-Event-ID`` after an interruption.

        Raises:
            ConfigurationError: The stream is open, or has ended.
        """
        if self.state is State.OPENING:
            return self._request
        if self.state is not State.INTERRUPTED:
            raise ConfigurationError(f"a stream that is {self.state.name} has no next request")
        headers = self._request.headers | {"Last-Event-ID": self.last_event_id}
        return Request(self._request.method, self._request.target, headers)

    def connected(self, response: Response) -> None:
        """Begin to read a response.

        Args:
            response: Status, which is 2xx, and headers; the body is passed to `feed`.

        Raises:
            APIResponseValidationError: It is not a stream of events.
            EventTooLargeError: The last event before the interruption was too large.
        """
        next_state = self._next(_Input.CONNECTED)
        check_event_stream(response)
        self._parser.close()
        if self._parser.last_event_id != self.last_event_id:  # the interruption came in the middle of a replay
            self._parser.feed(f"id: {self.last_event_id}\n\n".encode())
            self._parser.close()
        self.state = next_state
        if self._history is not None:
            self._history.position = 0

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Parse the next chunk of the body.

        Args:
            chunk: Any number of bytes.

        Returns:
            The events that it completes, without those delivered before.

        Raises:
            EventTooLargeError: An event is too large.
        """
        if self.state is not State.LIVE and self.state not in _REPLAY_STATES:
            raise ConfigurationError(f"a stream that is {self.state.name} receives no chunks")
        events = self._parser.feed(chunk)
        if events and self._history is not None:
            if self.state is not State.LIVE:
                events = [event for event in events if self._is_new(event, self._history)]
            if events and self._history.add(events):
                self._failures = 0
        if self.state is not State.REPLAYING:
            self._last_event_id = self._parser.last_event_id
        self.events_seen += len(events)
        return events

    def end(self) -> None:
        """Note the end of the body.

        Raises:
            APIConnectionError: The stream is truncated: it ended inside an event, or in the middle of a replay.
            EventTooLargeError: The last event was too large.
        """
        next_state = self._next(_Input.END)
        if self._parser.truncated:
            raise APIConnectionError("the stream ended within an event")
        if next_state is State.REPLAYING:
            raise APIConnectionError("the stream started again, and ended before the point of its interruption")
        self._parser.close()
        self.state = next_state

    def interrupted(self, error: APIError, *, time_left: float | None = None) -> float:
        """Decide whether to reconnect after an interruption or a failed attempt to reconnect.

        Args:
            error: The reason.
            time_left: Seconds until the deadline; None for no deadline.

        Returns:
            Seconds to wait before the next request.

        Raises:
            StreamInterruptedError: The stream cannot be resumed, or not in time.
        """
        self.state = self._next(_Input.INTERRUPTED)
        delay = self._delay(error)
        if delay is not None and (time_left is None or delay < time_left):
            self._failures += 1
            return delay
        self.state = State.ENDED
        raise StreamInterruptedError(
            f"the stream was interrupted after {self.events_seen} events: {error.message or type(error).__name__}",
            last_event_id=self.last_event_id,
            events_seen=self.events_seen,
        ) from error

    def _delay(self, error: APIError) -> float | None:
        """Return the seconds to wait before reconnecting; None to give up."""
        outcome = error.response if isinstance(error, APIStatusError) else error
        if self._history is None or not self.last_event_id or not isinstance(outcome, Response | APIConnectionError):
            return None
        delay = self._retry.delay(self._request, outcome, attempt=self._failures + 1)
        if delay is None or self._parser.retry is None or isinstance(outcome, Response):
            return delay
        wanted = self._parser.retry / 1000  # the server's choice, unless an error status comes with its own
        return wanted if wanted <= self._retry.max_retry_after else None

    def _is_new(self, event: ServerSentEvent, history: _History) -> bool:
        if self.state is not State.LIVE:
            self.state = self._next(history.classify(event, self.state))
        return self.state is State.LIVE

    def _next(self, event: _Input) -> State:
        """Return the state after a transition.

        Raises:
            ConfigurationError: There is no such transition from the current state.
        """
        try:
            return _TRANSITIONS[self.state][event]
        except KeyError:
            raise ConfigurationError(f"a stream that is {self.state.name} has no transition {event.name}") from None


class _History:
    """The ids seen so far and the tail, in bounded memory."""

    def __init__(self) -> None:
        self._first_id = ""
        self._recent_ids: deque[str] = deque(maxlen=_MEMORY)
        self._last_id = ""
        #: Hashes of the event that brought the last id and of the events after it, which carry the same id.
        self._tail: list[int] = []
        #: The index in the tail of the next event that may be replayed.
        self.position = 0

    def classify(self, event: ServerSentEvent, state: State) -> _Input:
        """Compare an event with the history; see the module's docstring."""
        if event.id != self._last_id:
            seen = event.id != "" and (event.id == self._first_id or event.id in self._recent_ids)
            return _Input.OLD if seen else _Input.NEW
        content = _hash(event)
        # After a reconnection the server may leave out the event that brought the last id, which the client has.
        candidates = (0, 1) if state is State.RECONNECTED else (self.position,)
        for position in candidates:
            if position < len(self._tail) and self._tail[position] == content:
                self.position = position + 1
                return _Input.TAIL
        self.position = 1
        return _Input.CHANGED

    def add(self, events: list[ServerSentEvent]) -> bool:
        """Remember delivered events; return True if the last id advanced."""
        ids = [event.id for event in events]
        self._first_id = self._first_id or ids[0]
        self._recent_ids.extend(new for new, _ in groupby(ids) if new != self._last_id)
        last_id = ids[-1]
        start = len(ids)
        while start and ids[start - 1] == last_id:
            start -= 1
        advanced = last_id != self._last_id
        if start or advanced:
            self._tail, self._last_id = [], last_id
        room = _MEMORY - len(self._tail)
        self._tail += [_hash(event) for event in events[start : start + room]]
        return advanced


def _hash(event: ServerSentEvent) -> int:
    return hash((event.event, event.data))


def check_event_stream(response: Response) -> None:
    """Refuse a successful response without a stream of events. A 204 is an ended stream (HTML, section 9.2.2).

    Raises:
        APIResponseValidationError: The content type is another.
    """
    if response.status != 204 and response.media_type != EVENT_STREAM:
        found = shorten(response.media_type or "no content type", 60)
        raise APIResponseValidationError(f"the response is {found}, not {EVENT_STREAM}", response=response)
