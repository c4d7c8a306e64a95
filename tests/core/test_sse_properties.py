"""The SSE parser against the reference parser, on random streams."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handinger_async.errors import EventTooLargeError
from handinger_async.sse import EventParser, ServerSentEvent, encode_event

from .sse_reference import Outcome, parse

pytestmark = pytest.mark.long

#: Tokens of streams, common and unusual ones.
TOKENS = [
    b"data", b"event", b"id", b"retry", b"foo", b"data: ", b"event: ", b"id: ", b"retry: ", b"data:", b"\ndata: ",
    b":", b": ", b" ", b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"\0", b"12", b"x", b"yz",
    b"\xef\xbb\xbf", b"\xef", b"\xff", b"\xe2\x82", b"\xac", "é".encode(), "🙂".encode(), "\u2028\x85".encode(),
]  # fmt: skip

#: Whole blocks, common and unusual ones.
BLOCKS = [
    "data: a\n\n", "data: b c\n\n", "data: \n\n", "data:d\n\n", "data\n\n", "data: e\ndata: f\n\n",
    "data: \ndata: \n\n", ": c\n\n", ":\n\n", ": c\n", ": c\n: d\n\n",
    ": c\ndata: x\n\n", "\n", "retry: 5\n\n", "foo: y\n\n", "id: 9\n\n",
    "event: e\ndata: x\n\n", "event: \ndata: x\n\n", "event: message\ndata: x\n\n", "event: é\ndata: ü\n\n",
    "event: e\n\n", "id: 1\ndata: x\n\n", "id: \ndata: x\n\n", "id\ndata: x\n\n", "id: 1\x002\ndata: x\n\n",
    "event: f\nid: 2\ndata: x\n\n", "id: 3\nevent: f\ndata: x\n\n", "event: f\nid: \x00\ndata: x\n\n",
    "id: 4\nevent: \ndata: x\n\n",
    "data: x\nevent: late\n\n", "data: x\nid: 5\n\n", "event: a\nevent: b\ndata: c\n\n", "data: x\n: c\ndata: y\n\n",
    "event: e\ndata: x\ndata: y\n\n", "id: 1\ndata: x\ndata: y\n\n", "event: a\nid: 6\nevent: b\ndata: x\n\n",
    "xdata: y\n\n", "event: e\nxdata: y\n\n",
]  # fmt: skip


@st.composite
def block_streams(draw: st.DrawFn) -> bytes:
    """Draw streams of a few kinds of blocks, one of them frequent, mostly with one kind of line end."""
    kinds = draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4))
    usual = draw(st.sampled_from(BLOCKS))
    count = draw(st.integers(0, 12))
    blocks = draw(st.lists(st.sampled_from([*kinds, *[usual] * count]), max_size=25))
    blocks *= draw(st.sampled_from([1, 1, 1, 20]))  # the bulk paths need many events
    line_end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    text = "".join(blocks).replace("\n", line_end)
    at = draw(st.integers(0, len(text)))
    return (text[:at] + draw(st.sampled_from(["", "", "", "\r", "\n", ":", "x", "data: z"])) + text[at:]).encode()


streams = st.one_of(
    block_streams(),
    st.lists(st.sampled_from(TOKENS), max_size=30).map(b"".join),
    st.binary(max_size=60),
)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Draw a stream, whole and in chunks."""
    stream = draw(streams)
    cuts = draw(st.one_of(st.just([]), st.lists(st.integers(0, len(stream)), max_size=6)))
    step = draw(st.sampled_from([0, 0, 1, 2, 7]))
    places = sorted({0, len(stream), *(range(0, len(stream), step) if step else cuts)})
    return stream, [stream[start:end] for start, end in pairwise(places)]


def outcome_of(parser: EventParser, chunks: list[bytes]) -> Outcome:
    """Feed a parser; return the outcome in the type of the reference parser."""
    outcome = Outcome()
    try:
        for chunk in (*chunks, b""):
            outcome.events += [(event.data, event.event, event.id) for event in parser.feed(chunk)]
    except EventTooLargeError:
        outcome.too_large = True
    outcome.last_event_id = parser.last_event_id
    outcome.retry = parser.retry
    outcome.pending = parser.pending
    outcome.truncated = parser.truncated
    return outcome


@settings(max_examples=1500)
@given(cut_streams())
def test_any_bytes_in_any_chunks_match_the_reference(case: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = case
    assert outcome_of(EventParser(), chunks) == parse(stream)


@settings(max_examples=600)
@given(cut_streams(), st.integers(1, 40))
def test_limit_applies_the_same_to_any_chunks(case: tuple[bytes, list[bytes]], limit: int) -> None:
    stream, chunks = case
    assert outcome_of(EventParser(max_event_size=limit), chunks) == parse(stream, limit)


@settings(max_examples=300)
@given(streams, streams)
def test_closed_parser_parses_the_next_stream_like_a_new_one(first: bytes, second: bytes) -> None:
    parser = EventParser()
    parser.feed(first)
    parser.close()
    known = parse(first)
    assert outcome_of(parser, [second]) == parse(second, last_event_id=known.last_event_id, retry=known.retry)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
lines = text.filter(lambda value: not set(value) & set("\r\n\0"))
events = st.builds(
    ServerSentEvent,
    text.map(lambda value: value.replace("\r", "")),
    st.one_of(st.just("message"), lines.filter(bool)),
    st.one_of(st.just(""), lines),
)


@settings(max_examples=400)
@given(events)
def test_feed_undoes_encode_event(event: ServerSentEvent) -> None:
    assert EventParser().feed(encode_event(event)) == [event]


@settings(max_examples=300)
@given(st.lists(events, max_size=8), st.integers(1, 50))
def test_encoded_events_come_back_from_any_chunks(sent: list[ServerSentEvent], size: int) -> None:
    stream = b"".join(map(encode_event, sent))
    parser = EventParser()
    received = [event for at in range(0, len(stream), size) for event in parser.feed(stream[at : at + size])]
    expected = []
    last_id = ""
    for event in sent:
        last_id = event.id or last_id  # an event without an id inherits the last one
        expected.append(ServerSentEvent(event.data, event.event, last_id))
    assert received == expected
    assert parser.pending == 0


@settings(max_examples=300)
@given(st.builds(ServerSentEvent, st.text(max_size=20), st.text(max_size=5), st.text(max_size=5)))
def test_encode_event_writes_exactly_one_event(event: ServerSentEvent) -> None:
    try:
        stream = encode_event(event)
    except ValueError:
        return
    (received,) = EventParser().feed(stream)
    data = event.data.replace("\r\n", "\n").replace("\r", "\n")
    assert received == ServerSentEvent(data, event.event, event.id)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_many_blocks_of_one_kind_match_the_reference(block: str, line_end: str) -> None:
    kind = (block * 150).replace("\n", line_end).encode()
    plain = ("data: plain\n\n" * 100).replace("\n", line_end).encode()
    # long enough for every bulk path
    for stream in (
        kind,
        plain + kind + plain,
        kind + plain,
        (plain[: len(plain) // 20] + kind[: len(kind) // 150]) * 30,
    ):
        expected = parse(stream)
        for size in (len(stream), 1500, 64):
            chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
            assert outcome_of(EventParser(), chunks) == expected
