"""A stream of server-sent events across interruptions. No event loop: usable under trio, threads or a bare socket.

`ResumableStream` says which request to send, takes the chunks of its response, and returns the events that are new.
After an interruption it says how long to wait before the next request, which asks for the events after the last id.

How replayed events are recognised
----------------------------------

After a reconnection, a server may continue after the last id, start again from the beginning, or start anywhere in
between. It may greet each connection with an event, and its ids may start again with each run. So an event is known by
its id *and* its content, and only events with an id of their own decide:

- ``OLD``: it is known, and came after the ``OLD`` event before it. The first one begins a replay.
- ``LAST``: the same, and it is the last one before the interruption. This was a replay.
- ``NEW``: it is not known, or came earlier. This was no replay.

An event without an id has the id of the event before it. Those after the last event with an id are the tail; those
before the first id of a connection are its greeting:

- ``REPEAT``: it is the next event of the tail, or of the previous greeting, or one that also came at this point of the
  replay. If it ends the tail, it is ``COMPLETE``.
- ``PLAIN``: any other.

The table below is the whole behaviour; the transitions outside the bars are methods::

                 CONNECTED    | OLD        LAST     NEW   REPEAT       COMPLETE     PLAIN       | END     INTERRUPTED
    OPENING      LIVE         |                                                                 |         INTERRUPTED
    LIVE                      | (all events are delivered, and it stays LIVE)                   | ENDED   INTERRUPTED
    INTERRUPTED  RECONNECTED  |                                                                 |         INTERRUPTED
    RECONNECTED               | REPLAYING  IN_TAIL  LIVE  RECONNECTED  RECONNECTED  RECONNECTED | ENDED   INTERRUPTED
    REPLAYING                 | REPLAYING  IN_TAIL  LIVE  REPLAYING                 REPLAYING   | (error) INTERRUPTED
    IN_TAIL                   |                     LIVE  IN_TAIL      LIVE         LIVE        | ENDED   INTERRUPTED

- ``OLD`` and ``REPEAT`` events are held back, and in a replay ``PLAIN`` ones too.
- At ``LAST`` and ``COMPLETE``, those of them that are known are dropped, and the others delivered.
- At ``NEW``, at any other ``PLAIN`` event and at ``END``, all are delivered, in order.
- At an interruption they are dropped. They did not change the id to resume after, so the server sends them again.

Where bytes cannot tell, an event is rather delivered twice than lost: if its content or order has changed, or if it was
forgotten. But events with the ids and the content of others, up to the last one before the interruption, are taken for
those. If ids start again, the content should differ.

Memory is bounded: hashes of 16384 to 32768 events, and at most 1024 events or 32 Mi characters held back. More are
taken for a replay.

A stream cannot be resumed if its request is not a GET, if ``resume`` is False, if the server has sent events but no id,
or one that no header can carry, or if the retry policy or the deadline permits no further attempt. One that was
interrupted before its first event is opened again, and is then ``LIVE``.
"""

from __future__ import annotations

from enum import Enum, auto

from ._history import NO_ID, History, Kind
from .errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    ConfigurationError,
    StreamInterruptedError,
    shorten,
)
from .http import EVENT_STREAM, JSON, Headers, Request, Response, is_sendable
from .retry import RetryPolicy, parse_retry_after
from .sse import MAX_EVENT_SIZE, EventParser, ServerSentEvent

__all__ = ["ResumableStream", "State", "can_be_sent"]


class State(Enum):
    """The state of a stream."""

    OPENING = auto()  #: no response yet
    LIVE = auto()  #: events are new
    INTERRUPTED = auto()  #: waiting for the response to the next request
    RECONNECTED = auto()  #: no event with an id since the reconnection
    REPLAYING = auto()  #: the server seems to send events from before the last id
    IN_TAIL = auto()  #: the server has sent the last id, and may send the events after it
    ENDED = auto()  #: complete, or given up


class _Input(Enum):
    CONNECTED = auto()
    END = auto()
    INTERRUPTED = auto()


_DECISIONS: dict[_Input | Kind, State] = {Kind.OLD: State.REPLAYING, Kind.LAST: State.IN_TAIL, Kind.NEW: State.LIVE}
_CLOSING: dict[_Input | Kind, State] = {_Input.END: State.ENDED, _Input.INTERRUPTED: State.INTERRUPTED}
_TRANSITIONS: dict[State, dict[_Input | Kind, State]] = {
    State.OPENING: {_Input.CONNECTED: State.LIVE, _Input.INTERRUPTED: State.INTERRUPTED},
    State.LIVE: {**_CLOSING},
    State.INTERRUPTED: {_Input.CONNECTED: State.RECONNECTED, _Input.INTERRUPTED: State.INTERRUPTED},
    State.RECONNECTED: {
        **_DECISIONS,
        **dict.fromkeys((Kind.REPEAT, Kind.COMPLETE, Kind.PLAIN), State.RECONNECTED),
        **_CLOSING,
    },
    State.REPLAYING: {
        **_DECISIONS,
        **dict.fromkeys((Kind.REPEAT, Kind.PLAIN), State.REPLAYING),
        **_CLOSING,
        _Input.END: State.REPLAYING,  # and truncated: see `ResumableStream.end`
    },
    State.IN_TAIL: {
        Kind.REPEAT: State.IN_TAIL,
        **dict.fromkeys((Kind.NEW, Kind.COMPLETE, Kind.PLAIN), State.LIVE),
        **_CLOSING,
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
                    print(*stream.feed(chunk))
                print(*stream.end())
            except (APIConnectionError, APIStatusError) as error:
                sleep(stream.interrupted(error))  # raises StreamInterruptedError if there is no id to resume after

    A method raises ConfigurationError in a state that does not permit it.

    Args:
        request: The request that opens the stream. Only a GET can be resumed. A ``Last-Event-ID`` is where to begin.
        retry: Decides about the attempts to reconnect. Their count restarts when the last event id advances.
        resume: False to raise at the first interruption.
        max_event_size: The maximum size of an event in bytes; see `EventParser`.

    Attributes:
        state: The state.
        last_event_id: The id to resume after, which may have come without an event; ``""`` if there is none.
        events_seen: The number of events returned so far.
    """

    __slots__ = (
        "__weakref__",
        "_failures",
        "_history",
        "_parser",
        "_request",
        "_resume",
        "_resumed_after",
        "_retry",
        "_returned_id",
        "events_seen",
        "last_event_id",
        "state",
    )

    def __init__(
        self,
        request: Request,
        *,
        retry: RetryPolicy | None = None,
        resume: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
    ) -> None:
        self.state: State = State.OPENING
        self.last_event_id: str = request.headers.get("last-event-id", "")
        self.events_seen: int = 0
        self._request = request
        self._retry = retry or RetryPolicy()
        self._resume = resume and request.method == "GET"
        self._parser = EventParser(max_event_size=max_event_size)
        #: None before the first event, and without reconnections.
        self._history: History | None = None
        #: The last ids at the last reconnection, and when events were returned last.
        self._resumed_after = self._returned_id = self.last_event_id
        self._failures = 0

    def request(self) -> Request:
        """Return the request to send next, with ``Last-Event-ID`` after an interruption.

        Raises:
            ConfigurationError: The stream is open, or has ended.
        """
        if self.state is State.OPENING:
            return self._request
        if self.state is not State.INTERRUPTED:
            raise ConfigurationError(f"a stream that is {self.state.name} has no next request")
        headers = {name: value for name, value in self._request.headers.items() if name.lower() != "last-event-id"}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        return Request(self._request.method, self._request.target, Headers(headers))

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
        self._resumed_after = self.last_event_id
        if self._history is not None:
            self._history.begin(self.last_event_id)
            self._parser.last_event_id = NO_ID
            self.state = next_state
        else:
            self._parser.last_event_id = self.last_event_id
            self.state = State.LIVE

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Parse the next chunk of the body.

        Args:
            chunk: Any number of bytes.

        Returns:
            The events that it completes, without those delivered before, and those held back until now.

        Raises:
            EventTooLargeError: An event is too large.
        """
        if self.state is State.LIVE:
            events = self._parser.feed(chunk)
            self.last_event_id = self._parser.last_event_id
            if events and self._resume:
                if self._history is None:
                    self._history = History(self._resumed_after)
                self._history.add(events)
        elif self.state in _REPLAY_STATES and self._history is not None:
            events = self._without_replayed(self._parser.feed(chunk), self._history)
            if self.state in (State.RECONNECTED, State.REPLAYING):
                self.last_event_id = self._resumed_after
            elif self._parser.last_event_id != NO_ID:
                self.last_event_id = self._parser.last_event_id
        else:
            raise ConfigurationError(f"a stream that is {self.state.name} receives no chunks")
        if events:
            self.events_seen += len(events)
            if self.last_event_id != self._returned_id:
                self._returned_id = self.last_event_id
                self._failures = 0
        return events

    def end(self) -> list[ServerSentEvent]:
        """Note the end of the body.

        Returns:
            The events that were held back, if they turn out to be new.

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
        events = self._history.release() if self._history is not None else []
        self.events_seen += len(events)
        return events

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
        reason = error.message or type(error).__name__
        if not can_be_sent(self.last_event_id):
            reason += ", and its last event id cannot be sent in a header"
        raise StreamInterruptedError(
            f"the stream was interrupted after {self.events_seen} events: {reason}",
            last_event_id=self.last_event_id,
            events_seen=self.events_seen,
        ) from error

    def _delay(self, error: APIError) -> float | None:
        """Return the seconds to wait before reconnecting; None to give up."""
        outcome = error.response if isinstance(error, APIStatusError) else error
        resumable = can_be_sent(self.last_event_id) if self.last_event_id else not self.events_seen
        if not self._resume or not resumable or not isinstance(outcome, Response | APIConnectionError):
            return None
        delay = self._retry.delay(self._request, outcome, attempt=self._failures + 1)
        if delay is None or self._parser.retry is None:
            return delay
        wanted = self._parser.retry / 1000
        if isinstance(outcome, Response):
            if parse_retry_after(outcome.headers) is not None:
                return delay
            wanted = max(wanted, delay)
        return wanted if wanted <= self._retry.max_retry_after else None

    def _without_replayed(self, events: list[ServerSentEvent], history: History) -> list[ServerSentEvent]:
        """Return the events to deliver now, of those held back and of the next ones."""
        delivered: list[ServerSentEvent] = []
        for place, event in enumerate(events):
            if self.state is State.LIVE:
                history.add(events[place:])
                return delivered + events[place:]
            kind, released = history.receive(event)
            self.state = self._next(kind)
            delivered += released
        return delivered

    def _next(self, event: _Input | Kind) -> State:
        """Return the state after a transition.

        Raises:
            ConfigurationError: There is no such transition from the current state.
        """
        try:
            return _TRANSITIONS[self.state][event]
        except KeyError:
            raise ConfigurationError(f"a stream that is {self.state.name} has no transition {event.name}") from None


def can_be_sent(last_event_id: str) -> bool:
    """Return True if a header can carry the id."""
    return not last_event_id or (not last_event_id.isspace() and is_sendable(last_event_id))


def check_event_stream(response: Response) -> None:
    """Refuse a successful response without a stream of events. A 204 is an ended stream (HTML, section 9.2.2).

    Raises:
        APIResponseValidationError: The content type is another.
    """
    if response.status != 204 and response.media_type != EVENT_STREAM:
        found = shorten(response.media_type or "no content type", 60)
        hint = ""
        if response.media_type == JSON:
            hint = ": services of the newer generation have no streams, use session.run(), or tasks.wait()"
        raise APIResponseValidationError(f"the response is {found}, not {EVENT_STREAM}{hint}", response=response)
