"""The parser of server-sent events, its events, and the way back, case by case."""

import copy
import inspect
import pickle
import tracemalloc

import attrs
import pytest

from handinger_async.errors import ConfigurationError, EventTooLargeError
from handinger_async.sse import EventParser, ServerSentEvent, encode_event
from handinger_async.sse import __all__ as public

from .sse_cases import CASES, Case
from .sse_reference import parse


def splits(stream: bytes) -> list[list[bytes]]:
    """The stream whole, byte by byte, and in two pieces, in every way."""
    ways = [[stream], [stream[at : at + 1] for at in range(len(stream))]]
    return ways + [[stream[:at], stream[at:]] for at in range(len(stream) + 1)]


def feed(parser: EventParser, chunks: list[bytes]) -> list[tuple[str, str, str]]:
    return [(event.data, event.event, event.id) for chunk in chunks for event in parser.feed(chunk)]


def feed_until_it_raises(parser: EventParser, chunks: list[bytes], events: list[tuple[str, str, str]]) -> None:
    for chunk in chunks:
        events += feed(parser, [chunk])
        assert parser.pending <= 5000


by_name = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@by_name
def test_a_case_however_it_is_cut(case: Case) -> None:
    for chunks in splits(case.stream):
        parser = EventParser()
        assert feed(parser, chunks) == case.events, chunks
        assert (parser.last_event_id, parser.retry) == (case.last_event_id, case.retry), chunks


@by_name
def test_the_reference_agrees_with_a_case(case: Case) -> None:
    outcome = parse(case.stream)
    assert (outcome.events, outcome.last_event_id, outcome.retry) == (case.events, case.last_event_id, case.retry)


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_public_names_are_sorted() -> None:
    assert public == sorted(public)


# When an event comes out


@pytest.mark.parametrize(
    "stream", [b"data: a\n\n", b"data: a\r\r", b"data: a\r\n\r", b"data: a\n\r", b"event: e\nid: 1\ndata: a\n\n"]
)
def test_an_event_is_delivered_with_its_last_byte(stream: bytes) -> None:
    for start in range(len(stream)):
        parser = EventParser()
        assert not [*parser.feed(stream[:start]), *parser.feed(stream[start:-1])]
        assert [event.data for event in parser.feed(stream[-1:])] == ["a"]


def test_a_line_feed_after_a_delivered_event_is_swallowed() -> None:
    parser = EventParser()
    assert len(parser.feed(b"data: a\r\n\r")) == 1
    assert parser.feed(b"\ndata: b") == []
    assert [event.data for event in parser.feed(b"\n\n")] == ["b"]


def test_an_empty_chunk_changes_nothing() -> None:
    parser = EventParser()
    for chunk in (b"\xef", b"\xbb\xbf", b"data: a\r", b"\n\r", b"\n: c", b"c\n\n"):
        assert parser.feed(b"") == []
        parser.feed(chunk)
    assert parser.feed(b"data: b\n\n") == [ServerSentEvent("b")]


@pytest.mark.parametrize("start", [b"", b"data: a\n\n", b"data: a\n", b"data: " + b"a" * 2000, b"data: a\r", b": c"])
def test_an_empty_chunk_changes_nothing_anywhere(start: bytes) -> None:
    stream = start + b"\n\ndata: b\n\n: c\n\n"
    parser = EventParser()
    assert feed(parser, [start, b"", b"", stream[len(start) :], b""]) == parse(stream).events


def test_an_empty_chunk_between_cr_and_lf_changes_nothing() -> None:
    assert feed(EventParser(), [b"data: a\r", b"", b"\ndata: b\r", b"", b"\n", b"\r"]) == [("a\nb", "message", "")]


def test_comments_after_a_long_line_are_dropped() -> None:
    parser = EventParser()
    assert feed(parser, [b"data: " + b"a" * 2000 + b"\n", b": c\n", b":", b" d\n", b": e\n"]) == []
    assert parser.pending == 2007
    assert feed(parser, [b":\ndata: b\n\n"]) == [("a" * 2000 + "\nb", "message", "")]


def test_every_call_gives_a_list_of_its_own() -> None:
    parser = EventParser()
    assert parser.feed(b"") is not parser.feed(b"")


CHUNKS = [
    b"data: a\n\n",
    b"data: \n\n",
    b"data:a\n\n",
    b"data\n\n",
    b"data: \xff\xc3\xa9\n\n",
    b"data: data: a\n\n",
    b"xdata: a\n\n",
    b"event: e\ndata: a\n\n",
    b"event: \ndata: a\n\n",
    b"event: data: x\ndata: a\n\n",
    b"event: e\nevent: f\ndata: a\n\n",
    b"xvent: e\ndata: a\n\n",
    b"event:e\ndata:a\n\n",
    b"id: 7\ndata: a\n\n",
    b"id: 7\nevent: e\ndata: a\n\n",
    b"id\ndata: a\n\n",
    b"event: e\n: c\ndata: a\n\n",
    b"data: a\ndata: b\n\n",
    b"data: a\n\ndata: b\n\n",
    b": c\n\n",
    b": c\ndata: a\n\n",
    b"\n",
    b"\n\n",
    b"retry: 9\n\n",
    b"data: a\nevent: e\n\n",
    b"data: " + b"x" * 600 + b"\n\n",
    b"data: " + b"x" * 3000 + b"\n\n",
    b"data: a\n\n" * 80,
    b"event: e\ndata: a\n\n" * 40,
    b"data: a",
    b"data: a\n",
    b"data: a\n\nid: 9\n",
    b":",
    b"",
    b"event: e\n",
    b"a: b\rdata: c\n\n",
]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("first", CHUNKS)
def test_chunks_that_are_whole_events_say_what_the_stream_says(first: bytes, line_end: bytes) -> None:
    for second in CHUNKS:
        chunks = [chunk.replace(b"\n", line_end) for chunk in (b"data: 0\n\n", first, second, first)]
        parser = EventParser()
        events = feed(parser, chunks)
        expected = parse(b"".join(chunks))
        assert events == expected.events
        assert (parser.last_event_id, parser.retry, parser.pending) == (
            expected.last_event_id,
            expected.retry,
            expected.pending,
        )


def test_a_large_chunk_with_crlf_and_no_blank_line() -> None:
    chunks = [b"data: 0\r\nda", b"ta\r\ndata: " + b"x" * 3000 + b"\r\n", b"\r\n"]
    assert feed(EventParser(), chunks) == [("0\n\n" + "x" * 3000, "message", "")]


ODD = [
    b"data: a\r\nfoo: y\r\n\r\n: c",
    b": c\r\ndata: b",
    b"foo: y",
    b"data: \xff",
    b"data: a\rdata: b",
    b"data: a\ndata: b",
    b"data: a\r\ndata: b",
    b"data: a\r\n: c",
    b"data: a\n: c",
    b": c",
    b": c\r\n\r\n: c",
    b"data: a\r\ndata:b",
    b"data: a\r\ndatab",
    b"data: a\r\nevent: e",
    b"event: e\r\ndata: \xe2\x82",
    b"id: 1\x00\r\ndata: a",
    b"id: 1\r\ndata: a",
    b"id: \r\ndata: a",
    b"event: \r\ndata: a",
    b"event:  e\r\ndata:  a",
    b"event:e\r\ndata:a",
    b"retry: 7",
    b"",
    b"id: 1\r\nevent: e\r\ndata: a",
    b"event: e\r\nid: 1\r\ndata: a",
    b"event: e\r\nid: 1\r\nfoo: a",
    b"event: e\r\ndata: a\r\nid: 1",
]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "usual", [b"data: 0", b"event: f\r\ndata: 0", b"id: 5\r\ndata: 0", b"event: f\r\nid: 5\r\ndata: 0"]
)
def test_an_odd_event_among_many(usual: bytes, line_end: bytes) -> None:
    for odd in ODD:
        for before in (0, 1, 2, 100):
            for after in (0, 1, 100):
                blocks = [*[usual] * before, odd, *[usual] * after, b""]
                stream = b"\r\n\r\n".join(blocks).replace(b"\r\n", line_end)
                parser = EventParser()
                events = feed(parser, [b"data: first\n\n", stream])
                expected = parse(b"data: first\n\n" + stream)
                assert events == expected.events, (odd, before, after)
                assert (parser.last_event_id, parser.retry) == (expected.last_event_id, expected.retry)


# What is held


@pytest.mark.parametrize(
    ("stream", "pending", "truncated"),
    [
        (b"", 0, False),
        (b"data: a\n\n", 0, False),
        (b"data: a\r\n\r", 0, False),
        (b"data: a\n", 8, True),
        (b"data: a\r\n", 8, True),
        (b"data: a\r", 8, True),
        (b"data: a", 7, True),
        (b"data:", 5, True),
        (b"data", 4, True),
        (b"d", 1, True),
        (b"data\n", 5, True),
        (b"data: a\n\nid: 1\nda", 8, True),
        (b"data: a\nfoo", 11, True),
        (b"id: 1\nevent: e\n", 15, False),
        (b"id: 1", 5, False),
        (b"dat\n", 4, False),
        (b"datax", 5, False),
        (b"datax: data: 1\n", 15, False),
        (b": data: a\n", 0, False),
        (b": data: a", 0, False),
        (b"id: 1\n: data: a\n:", 6, False),
        (b"data: a\n:", 8, True),
        (b"data: a\n\n:", 0, False),
        (b"\xef\xbb", 2, False),
        (b"\xef\xbb\xbf", 0, False),
        (b"\xef\xbb\xbfd", 1, True),
    ],
)
def test_what_is_pending(stream: bytes, pending: int, truncated: bool) -> None:
    for chunks in splits(stream):
        parser = EventParser()
        feed(parser, chunks)
        assert (parser.pending, parser.truncated) == (pending, truncated), chunks
        parser.close()
        assert (parser.pending, parser.truncated) == (0, False)


def test_closing_begins_another_stream_and_keeps_what_the_server_said() -> None:
    parser = EventParser()
    feed(parser, [b"\xef\xbb\xbfid: 1\ndata: a\n\nid: 2\nretry: 7\ndata: lost\r"])
    parser.close()
    assert (parser.last_event_id, parser.retry, parser.pending) == ("1", 7, 0)
    assert feed(parser, [b"\xef\xbb", b"\xbf\ndata: b\n\n"]) == [("b", "message", "1")]


def test_closing_in_a_comment_ends_the_comment() -> None:
    parser = EventParser()
    parser.feed(b": c")
    parser.close()
    assert parser.feed(b"data: a\n\n") == [ServerSentEvent("a")]


def test_a_parser_may_be_closed_twice_and_unused() -> None:
    parser = EventParser()
    parser.close()
    parser.close()
    assert (parser.last_event_id, parser.retry) == ("", None)


# The limit


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("first", [b"", b": comment\n", b"data: a\n\n", b": comment\n\n", b"\n\n"])
def test_the_limit_counts_the_lines_of_one_event(first: bytes, line_end: bytes) -> None:
    before = [("a", "message", "")] if b"data" in first else []
    event = b"data: 1234\n: more comment\nid: 1\n\n"  # 11 bytes, and 6
    stream = (first + event + b"data: b\n\n").replace(b"\n", line_end)
    for chunks in splits(stream):
        parser = EventParser(max_event_size=17)
        assert feed(parser, chunks) == [*before, ("1234", "message", "1"), ("b", "message", "1")]
        parser = EventParser(max_event_size=16)
        events = []
        with pytest.raises(EventTooLargeError, match="16 bytes"):
            feed_until_it_raises(parser, [*chunks, b""], events)
        assert events == before


def test_events_before_the_large_one_come_first_and_the_next_call_raises() -> None:
    parser = EventParser(max_event_size=10)
    assert parser.feed(b"data: a\n\nid: 2\n\ndata: b\n\ndata: 12345\n\ndata: c\n\n") == [
        ServerSentEvent("a"),
        ServerSentEvent("b", id="2"),
    ]
    for _ in range(2):
        with pytest.raises(EventTooLargeError):
            parser.feed(b"data: d\n\n")
    assert parser.last_event_id == "2"
    parser.close()  # everybody has been told
    assert parser.feed(b"data: d\n\n") == [ServerSentEvent("d", id="2")]


@pytest.mark.parametrize("start", [b"", b"data: a", b"data: a\n", b"data: a\r", b"data: a\r\n"])
@pytest.mark.parametrize("rest", [b"x" * 30, b"x" * 30 + b"\n", b"x" * 30 + b"\n\n", b"x" * 30 + b"\r\n\r\n"])
def test_the_call_that_takes_an_event_past_the_limit_raises(start: bytes, rest: bytes) -> None:
    parser = EventParser(max_event_size=20)
    assert parser.feed(b"data: b\n\n") == [ServerSentEvent("b")]
    parser.feed(start)
    for chunk in (rest, b"y", b"", b"data: c\n\n", b"\r\n", rest):
        with pytest.raises(EventTooLargeError):
            parser.feed(chunk)
        assert parser.pending == 0


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("before", [0, 1, 2, 200])
@pytest.mark.parametrize("limit", [20, 2500])
def test_nothing_is_read_after_the_large_event(limit: int, before: int, line_end: bytes) -> None:
    stream = b"data: a\n\n" * before + b"data: " + b"x" * limit + b"\n\n" + b"data: b\n\n" * 200
    parser = EventParser(max_event_size=limit)
    if before:
        assert parser.feed(stream.replace(b"\n", line_end)) == [ServerSentEvent("a")] * before
    with pytest.raises(EventTooLargeError):
        parser.feed(stream.replace(b"\n", line_end))
    parser = EventParser(max_event_size=limit)
    with pytest.raises(EventTooLargeError):
        parser.feed(b"data: " + b"x" * limit + b"\n\nid: 1\ndata")
    assert (parser.pending, parser.truncated) == (0, False)


def test_an_error_that_nobody_has_seen_is_raised_by_close() -> None:
    parser = EventParser(max_event_size=10)
    assert len(parser.feed(b"data: a\n\ndata: 12345")) == 1
    with pytest.raises(EventTooLargeError):
        parser.close()
    parser.close()


def test_a_field_of_the_large_event_does_not_count() -> None:
    for chunks in splits(b"id: 1\nretry: 2\ndata: 1234567890\n\n"):
        parser = EventParser(max_event_size=20)
        with pytest.raises(EventTooLargeError):
            feed(parser, chunks)
        assert (parser.last_event_id, parser.retry, parser.pending, parser.truncated) == ("", None, 0, False)


@pytest.mark.parametrize("line", [b"data: x\n", b"foo\n", b"data: ", b"id: ", b"event: ", b"retry: 1", b"unknown"])
@pytest.mark.parametrize("size", [1, 7, 1000, 70_000])
def test_what_is_held_never_exceeds_the_limit(line: bytes, size: int) -> None:
    parser = EventParser(max_event_size=5000)
    stream = (line + b"y" * (0 if line.endswith(b"\n") else 6000)) * (1 + 6000 // len(line))
    events: list[tuple[str, str, str]] = []
    with pytest.raises(EventTooLargeError):
        feed_until_it_raises(parser, [stream[at : at + size] for at in range(0, len(stream), size)], events)
    assert events == []
    assert parser.pending == 0


@pytest.mark.parametrize("chunk", [b"x" * 60_000, b"\n:" * 30_000, b": a comment\n:" * 5_000])
def test_comments_may_be_endless_and_take_no_memory(chunk: bytes) -> None:
    parser = EventParser(max_event_size=100)
    parser.feed(b"data: a\n:")
    tracemalloc.start()
    try:
        for _ in range(20):
            assert parser.feed(chunk) == []
            assert parser.pending == 8
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()
    assert parser.feed(b"\ndata: b\n\n") == [ServerSentEvent("a\nb")]


def test_small_pieces_take_little_more_memory_than_they_hold() -> None:
    parser = EventParser()
    pieces = [bytes([65 + at % 26, 97 + at % 25]) for at in range(650)]
    parser.feed(b"data: ")
    tracemalloc.start()
    try:
        for _ in range(100):
            for piece in pieces:
                parser.feed(piece)
        assert tracemalloc.get_traced_memory()[0] < 1.5 * parser.pending
    finally:
        tracemalloc.stop()


def test_eight_mebibytes_in_one_line_are_within_the_default_limit() -> None:
    text = b"x" * (8 * 1024 * 1024)
    parser = EventParser()
    assert feed(parser, [b"data: ", *[text[at : at + 65536] for at in range(0, len(text), 65536)]]) == []
    (event,) = parser.feed(b"\n\n")
    assert event.data == text.decode()


@pytest.mark.parametrize("size", [0, -1, 1.5, "1", None])
def test_a_limit_that_is_no_positive_integer_is_refused(size: object) -> None:
    with pytest.raises(ConfigurationError):
        EventParser(max_event_size=size)  # type: ignore[arg-type]


def test_the_limit_is_given_by_name() -> None:
    with pytest.raises(TypeError):
        EventParser(100)  # type: ignore[misc]


# The event

EVENTS = [ServerSentEvent("a"), ServerSentEvent("a", "e"), ServerSentEvent("a", id="1"), ServerSentEvent("a", "e", "1")]
for_each_kind = pytest.mark.parametrize("event", EVENTS, ids=repr)


@for_each_kind
def test_an_event_cannot_be_changed(event: ServerSentEvent) -> None:
    before = (event.data, event.event, event.id)
    for name in ("data", "event", "id", "other"):
        with pytest.raises(AttributeError):
            setattr(event, name, "x")
    for name in ("data", "event", "id"):
        with pytest.raises(AttributeError):
            delattr(event, name)
    assert (event.data, event.event, event.id) == before
    assert not hasattr(event, "__dict__")


@for_each_kind
def test_a_parsed_event_is_like_a_made_one(event: ServerSentEvent) -> None:
    stream = encode_event(event)
    parser = EventParser()
    # as the first, in a chunk of its own, with CRLF, after a comment, among many
    chunks = [
        stream,
        stream,
        stream.replace(b"\n", b"\r\n"),
        b": c\n\n" + stream,
        stream * 200,
        b": c\n\n" + stream * 200,
    ]
    for parsed in [parser.feed(chunk)[0] for chunk in chunks]:
        assert parsed == event
        assert event == parsed
        assert repr(parsed) == repr(event)
        assert type(parsed).__name__ == "ServerSentEvent"
        test_an_event_cannot_be_changed(parsed)
        test_an_event_survives_pickle_and_copies(parsed)
        test_an_event_is_an_attrs_value(parsed)
        with pytest.raises(TypeError):
            hash(parsed)


def test_events_are_equal_by_value_and_not_hashable() -> None:
    for event in EVENTS:
        assert [other for other in EVENTS if other == event] == [event]
        assert event != (event.data, event.event, event.id)
        assert event != event.data
        with pytest.raises(TypeError):
            hash(event)
    assert ServerSentEvent("a", "message", "") == ServerSentEvent("a")
    assert EventParser().feed(b"event: message\ndata: a\n\n") == [ServerSentEvent("a")]
    assert EventParser().feed(b"event: e\ndata: b\n\nevent: message\ndata: a\n\n")[1] == ServerSentEvent("a")


@for_each_kind
def test_an_event_survives_pickle_and_copies(event: ServerSentEvent) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(event, protocol)) == event
    assert copy.copy(event) == event
    assert copy.deepcopy(event) == event


@for_each_kind
def test_an_event_is_an_attrs_value(event: ServerSentEvent) -> None:
    assert isinstance(event, ServerSentEvent)
    assert attrs.asdict(event) == {"data": event.data, "event": event.event, "id": event.id}
    assert attrs.evolve(event, event="f") == ServerSentEvent(event.data, "f", event.id)
    assert attrs.evolve(event, event="message", id="") == ServerSentEvent(event.data)
    match event:
        case ServerSentEvent(data, name, ident):
            assert (data, name, ident) == (event.data, event.event, event.id)


def test_an_event_is_made_by_position_or_by_name() -> None:
    assert ServerSentEvent("a", "e", "1") == ServerSentEvent(id="1", data="a", event="e")
    assert list(inspect.signature(ServerSentEvent).parameters) == ["data", "event", "id"]
    with pytest.raises(TypeError):
        ServerSentEvent()  # type: ignore[call-arg]


def test_the_text_of_an_event() -> None:
    event = ServerSentEvent("Grüße", "e", "1")
    assert str(event) == f"{event}" == "Grüße"
    assert repr(event) == "ServerSentEvent(data='Grüße', event='e', id='1')"
    assert repr(ServerSentEvent("a")) == "ServerSentEvent(data='a', event='message', id='')"


def test_the_json_of_an_event() -> None:
    assert ServerSentEvent('{"a": [1, "ü"]}').json() == {"a": [1, "ü"]}
    for data in ("", "[DONE]", "{"):
        with pytest.raises(ValueError, match=r"."):
            ServerSentEvent(data).json()


# The way back


def test_what_an_event_looks_like() -> None:
    assert encode_event(ServerSentEvent("a")) == b"data: a\n\n"
    assert encode_event(ServerSentEvent("ü\n", "e", "1")) == b"event: e\nid: 1\ndata: \xc3\xbc\ndata: \n\n"
    assert encode_event(ServerSentEvent("")) == b"data: \n\n"


def test_a_carriage_return_in_data_comes_back_as_a_line_feed() -> None:
    stream = encode_event(ServerSentEvent("a\rid: 1\r\nb\n\rc"))
    assert feed(EventParser(), [stream]) == [("a\nid: 1\nb\n\nc", "message", "")]


@pytest.mark.parametrize("char", ["\r", "\n"])
def test_a_type_with_a_line_end_is_refused(char: str) -> None:
    with pytest.raises(ConfigurationError):
        encode_event(ServerSentEvent("a", event=f"e{char}"))


@pytest.mark.parametrize("char", ["\r", "\n", "\0"])
def test_an_id_with_a_line_end_or_nul_is_refused(char: str) -> None:
    with pytest.raises(ConfigurationError):
        encode_event(ServerSentEvent("a", id=f"{char}1"))


def test_other_things_that_a_stream_cannot_carry_are_refused() -> None:
    for event in (ServerSentEvent("a", event=""), ServerSentEvent("\ud800"), ServerSentEvent("a", event="\udfff")):
        with pytest.raises(ConfigurationError):
            encode_event(event)
