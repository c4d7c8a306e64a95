"""Streams that are cut and replayed at any place: nothing is lost, and nothing with an id comes twice."""

from collections import Counter
from collections.abc import Iterator

import attrs
from hypothesis import given
from hypothesis import strategies as st

from handinger_async import APIConnectionError, RetryPolicy, ServerSentEvent
from handinger_async.resume import ResumableStream

from .resumable import CUT, GET, SSE

GREETING = b"data: hello\n\n"


@attrs.frozen
class Block:
    """A block of the server's log: an event with an id or without, or an id without an event."""

    id: str
    data: str

    @property
    def encoded(self) -> bytes:
        return (f"id: {self.id}\n" * bool(self.id) + f"data: {self.data}\n" * bool(self.data) + "\n").encode()


@st.composite
def logs(draw: st.DrawFn, *, restarts: bool, contents: str = "") -> list[Block]:
    """Return the log of a server. Its ids start again with each run, or never; content is unique or one of these.

    A run has two events or more if ids start again: a parser cannot tell an event with the id of the event before from
    one without an id, which may come twice.
    """
    log: list[Block] = []
    for _ in range(draw(st.integers(1, 3)) if restarts else 1):
        for number in range(1, draw(st.integers(2 if restarts else 1, 5)) + 1):
            log.append(Block(f"{number}", draw(st.sampled_from(contents)) if contents else f"e{len(log)}"))
            log += [Block("", draw(st.sampled_from("ab"))) for _ in range(draw(st.integers(0, 2)))]
            if not restarts and draw(st.booleans()):
                log.append(Block(f"{number}+", ""))
    return log


@attrs.define
class Server:
    """Sends its log, cut at any byte, in any chunks; begins again at any place that a client can ask for."""

    log: list[Block]
    draw: st.DrawFn
    greeting: bytes
    sent: int = 0

    def begin(self, last_event_id: str) -> int:
        """Return the index of the first block to send: after the last id, or at one with an id before it."""
        after = [place + 1 for place, block in enumerate(self.log[: self.sent]) if block.id == last_event_id]
        if not after:
            return 0
        with_id = [place for place, block in enumerate(self.log[: max(after)]) if block.id]
        return self.draw(st.sampled_from([*after, 0, *with_id]))

    def body(self, last_event_id: str, *, cut: bool) -> bytes:
        begin = self.begin(last_event_id)
        parts = [self.greeting, *(block.encoded for block in self.log[begin:])]
        body = b"".join(parts)
        if cut:
            body = body[: self.draw(st.integers(0, len(body)))]
        size = 0
        for sent, part in enumerate(parts):
            size += len(part)
            if size <= len(body):
                self.sent = max(self.sent, begin + sent)
        return body


def receive(stream: ResumableStream, body: bytes, *, chunk_size: int) -> Iterator[ServerSentEvent]:
    stream.connected(SSE)
    for start in range(0, len(body), chunk_size):
        yield from stream.feed(body[start : start + chunk_size])


def talk(data: st.DataObject, log: list[Block]) -> list[tuple[str, str]] | None:
    """Return id and data of the events received; None if the stream was never complete.

    Two clients get the same bodies, one of them byte by byte.
    """
    server = Server(log, data.draw, data.draw(st.sampled_from([b"", GREETING])))
    streams = [ResumableStream(GET, retry=RetryPolicy(max_retries=99)) for _ in range(2)]
    chunk_sizes = (1, data.draw(st.sampled_from([7, 10000])))
    received: list[list[ServerSentEvent]] = [[], []]
    for cut in [*data.draw(st.lists(st.just(True), max_size=4)), *[False] * 4]:
        body = server.body(streams[0].last_event_id, cut=cut)
        for stream, events, chunk_size in zip(streams, received, chunk_sizes, strict=True):
            events += receive(stream, body, chunk_size=chunk_size)
        assert received[0] == received[1]
        assert streams[0].last_event_id == streams[1].last_event_id
        if cut and not streams[0].last_event_id and streams[0].events_seen:
            return None  # the greeting was delivered, and no id: it cannot be resumed
        try:
            if not cut:
                for stream, events in zip(streams, received, strict=True):
                    events += stream.end()
                assert received[0] == received[1]
                return [(event.id, event.data) for event in received[0]]
            failure = CUT
        except APIConnectionError as error:
            failure = error
        for stream in streams:
            stream.interrupted(failure)
    return None


def check_without_id(log: list[Block], received: list[tuple[str, str]]) -> None:
    """Check that no event without an id of its own was lost."""
    sent = Counter(block.data for block in log if not block.id)
    got = Counter(data for _, data in received)
    assert sent <= got


@given(st.data())
def test_events_with_unique_ids_come_once_and_in_order_and_no_other_is_lost(data: st.DataObject) -> None:
    log = data.draw(logs(restarts=False, contents="xy"))
    received = talk(data, log)
    if received is not None:
        sent = [(block.id, block.data) for block in log if block.id and block.data]
        assert [event for event in received if event[1] in "xy"] == sent
        check_without_id(log, received)


@given(st.data())
def test_ids_that_start_again_lose_and_double_no_event_of_unique_content(data: st.DataObject) -> None:
    log = data.draw(logs(restarts=True))
    received = talk(data, log)
    if received is not None:
        sent = [block.data for block in log if block.id]
        assert [event[1] for event in received if event[1].startswith("e")] == sent
        check_without_id(log, received)


@given(st.data())
def test_ids_that_start_again_lose_no_content_if_it_repeats(data: st.DataObject) -> None:
    log = data.draw(logs(restarts=True, contents="xy"))
    received = talk(data, log)
    if received is not None:
        assert {(block.id, block.data) for block in log if block.id} <= set(received)
