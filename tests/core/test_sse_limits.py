"""Memory of the SSE parser: the pending bytes, and the limit on the size of an event."""

import tracemalloc

import pytest

from handinger_async.errors import ConfigurationError, EventTooLargeError
from handinger_async.sse import _TAIL_MAX, EventParser, ServerSentEvent

from .sse_cases import feed, splits


def feed_until_it_raises(parser: EventParser, chunks: list[bytes], events: list[tuple[str, str, str]]) -> None:
    for chunk in chunks:
        events += feed(parser, [chunk])
        assert parser.pending <= 5000


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
def test_pending_counts_the_bytes_of_the_unfinished_event(stream: bytes, pending: int, truncated: bool) -> None:
    for chunks in splits(stream):
        parser = EventParser()
        feed(parser, chunks)
        assert (parser.pending, parser.truncated) == (pending, truncated), chunks
        parser.close()
        assert (parser.pending, parser.truncated) == (0, False)


# The limit ############################################################################################################


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("first", [b"", b": comment\n", b"data: a\n\n", b": comment\n\n", b"\n\n"])
def test_limit_counts_the_lines_of_one_event(first: bytes, line_end: bytes) -> None:
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


@pytest.mark.parametrize("size", [10, 1024, 3000])
def test_event_of_exactly_the_limit_is_parsed_and_a_larger_one_refused(size: int) -> None:
    stream = b"data: " + b"x" * (size - len(b"data: \n")) + b"\n\n"
    assert len(feed(EventParser(max_event_size=size), [stream])) == 1
    for before in ([], [b"data: a\n\n"]):
        parser = EventParser(max_event_size=size)
        with pytest.raises(EventTooLargeError):
            feed(parser, [*before, b"x" + stream, b""])


@pytest.mark.parametrize("chunk", [1, 7, 64, 300])
@pytest.mark.parametrize("size", [447, 448, 449, 895, 1000])
def test_limit_is_exact_for_an_event_in_small_chunks(size: int, chunk: int) -> None:
    line = b"data: " + b"x" * (size - len(b"data: \n"))
    chunks = [line[at : at + chunk] for at in range(0, len(line), chunk)]
    for line_end in (b"\n", b"\r\n"):
        parser = EventParser(max_event_size=size)
        assert feed(parser, [b"data: a\n\n", *chunks]) == [("a", "message", "")]
        assert (parser.pending, parser.truncated) == (len(line), True)
        assert feed(parser, [line_end, line_end, *chunks, line_end]) == [(line[6:].decode(), "message", "")]
        assert parser.pending == size
        with pytest.raises(EventTooLargeError):
            parser.feed(b"y")
        parser = EventParser(max_event_size=size)
        assert feed(parser, [*chunks, b"y"]) == []
        with pytest.raises(EventTooLargeError):
            feed(parser, [line_end])
        assert parser.pending == 0


def test_limit_may_be_a_single_byte() -> None:
    assert feed(EventParser(max_event_size=1), [b"\n\n: c\n\n"]) == []


def test_events_before_an_oversized_one_are_returned_then_feed_raises() -> None:
    parser = EventParser(max_event_size=10)
    assert parser.feed(b"data: a\n\nid: 2\n\ndata: b\n\ndata: 12345\n\ndata: c\n\n") == [
        ServerSentEvent("a"),
        ServerSentEvent("b", id="2"),
    ]
    for _ in range(2):
        with pytest.raises(EventTooLargeError):
            parser.feed(b"data: d\n\n")
    assert parser.last_event_id == "2"
    parser.close()  # raises nothing: the error was raised already
    assert parser.feed(b"data: d\n\n") == [ServerSentEvent("d", id="2")]


@pytest.mark.parametrize("start", [b"", b"data: a", b"data: a\n", b"data: a\r", b"data: a\r\n"])
@pytest.mark.parametrize("rest", [b"x" * 30, b"x" * 30 + b"\n", b"x" * 30 + b"\n\n", b"x" * 30 + b"\r\n\r\n"])
def test_feed_raises_once_an_event_exceeds_the_limit(start: bytes, rest: bytes) -> None:
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
def test_nothing_is_parsed_after_an_oversized_event(limit: int, before: int, line_end: bytes) -> None:
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


def test_id_of_an_oversized_event_is_ignored_after_events_of_its_chunk() -> None:
    parser = EventParser(max_event_size=20)
    assert parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: 12345678901234567890\n\n") == [ServerSentEvent("a", id="1")]
    assert parser.last_event_id == "1"


def test_close_raises_a_pending_size_error() -> None:
    parser = EventParser(max_event_size=10)
    assert len(parser.feed(b"data: a\n\ndata: 12345")) == 1
    with pytest.raises(EventTooLargeError):
        parser.close()
    parser.close()


def test_fields_of_an_oversized_event_are_ignored() -> None:
    for chunks in splits(b"id: 1\nretry: 2\ndata: 1234567890\n\n"):
        parser = EventParser(max_event_size=20)
        with pytest.raises(EventTooLargeError):
            feed(parser, chunks)
        assert (parser.last_event_id, parser.retry, parser.pending, parser.truncated) == ("", None, 0, False)


@pytest.mark.parametrize("line", [b"data: x\n", b"foo\n", b"data: ", b"id: ", b"event: ", b"retry: 1", b"unknown"])
@pytest.mark.parametrize("size", [1, 7, 1000, 70_000])
def test_buffer_never_exceeds_the_limit(line: bytes, size: int) -> None:
    parser = EventParser(max_event_size=5000)
    stream = (line + b"y" * (0 if line.endswith(b"\n") else 6000)) * (1 + 6000 // len(line))
    events: list[tuple[str, str, str]] = []
    with pytest.raises(EventTooLargeError):
        feed_until_it_raises(parser, [stream[at : at + size] for at in range(0, len(stream), size)], events)
    assert events == []
    assert parser.pending == 0


def test_default_limit_allows_a_line_of_8_mib() -> None:
    text = b"x" * (8 * 1024 * 1024)
    parser = EventParser()
    assert feed(parser, [b"data: ", *[text[at : at + 65536] for at in range(0, len(text), 65536)]]) == []
    (event,) = parser.feed(b"\n\n")
    assert event.data == text.decode()


@pytest.mark.parametrize("size", [0, -1, 1.5, "1", None])
def test_limit_must_be_a_positive_integer(size: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^max_event_size must be a positive integer$"):
        EventParser(max_event_size=size)  # type: ignore[arg-type]


def test_limit_is_keyword_only() -> None:
    with pytest.raises(TypeError):
        EventParser(100)  # type: ignore[misc]


# Memory ###############################################################################################################


def test_lines_without_effect_count_also_in_a_large_chunk_that_begins_with_a_comment() -> None:
    parser = EventParser(max_event_size=2000)
    assert parser.feed(b"data: a\n\n") == [ServerSentEvent("a")]
    with pytest.raises(EventTooLargeError):
        parser.feed(b": c\n" + b"x: y\n" * 1000 + b"\n")


@pytest.mark.parametrize("chunk", [b"x" * 60_000, b"\n:" * 30_000, b": a comment\n:" * 5_000])
def test_endless_comments_take_no_memory(chunk: bytes) -> None:
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


def test_small_chunks_take_little_more_memory_than_their_bytes() -> None:
    parser = EventParser()
    chunks = [bytes([65 + at % 26, 97 + at % 25]) for at in range(650)]
    parser.feed(b"data: ")
    tracemalloc.start()
    try:
        for _ in range(100):
            for chunk in chunks:
                parser.feed(chunk)
        assert tracemalloc.get_traced_memory()[0] < 1.5 * parser.pending
    finally:
        tracemalloc.stop()


def test_lines_of_a_long_event_are_not_copied_with_each_chunk() -> None:
    parser = EventParser()
    for _ in range(2_000):
        parser.feed(b"data: x\n")
        assert len(parser._tail) <= _TAIL_MAX
    assert parser.feed(b"\n")[0].data == "\n".join(["x"] * 2_000)
