"""The parser of server-sent events: case by case, in chunks of every size."""

import pytest

from handinger_async.sse import EventParser, ServerSentEvent

from .sse_cases import CASES, Case, feed, splits
from .sse_reference import parse

by_name = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@by_name
def test_case_parses_the_same_in_any_chunks(case: Case) -> None:
    for chunks in splits(case.stream):
        parser = EventParser()
        assert feed(parser, chunks) == case.events, chunks
        assert (parser.last_event_id, parser.retry) == (case.last_event_id, case.retry), chunks


@by_name
def test_reference_parser_agrees_with_the_case(case: Case) -> None:
    outcome = parse(case.stream)
    assert (outcome.events, outcome.last_event_id, outcome.retry) == (case.events, case.last_event_id, case.retry)


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


PINGS = b": ping\n\n" * 300


@pytest.mark.parametrize("place", ["first", "in the middle", "last"])
@pytest.mark.parametrize(
    "lines",
    [
        b"data: a\n\n",
        b"data\n\n",
        b"event: a\n\n",
        b"id: 1\n\n",
        b"id\n\n",
        b"retry: 5\n\n",
        b": c\rdata: a\r\r",
        b"\rid: 1\r\r",
        b"other: a\n\n",
        b"data: a\n",
        b": c",
        b"\n",
        b"",
    ],
)
def test_large_chunk_of_comments_hides_no_field(lines: bytes, place: str) -> None:
    chunk = {"first": lines + PINGS, "in the middle": PINGS + lines + PINGS, "last": PINGS + lines}[place]
    stream = [b"id: 7\ndata: before\n\n", chunk, b"data: after\n\n"]
    parser, outcome = EventParser(), parse(b"".join(stream))
    assert feed(parser, stream) == outcome.events
    assert (parser.last_event_id, parser.retry) == (outcome.last_event_id, outcome.retry)


# Delivery of events ###################################################################################################


@pytest.mark.parametrize(
    "stream", [b"data: a\n\n", b"data: a\r\r", b"data: a\r\n\r", b"data: a\n\r", b"event: e\nid: 1\ndata: a\n\n"]
)
def test_event_is_delivered_with_its_last_byte(stream: bytes) -> None:
    for start in range(len(stream)):
        parser = EventParser()
        assert not [*parser.feed(stream[:start]), *parser.feed(stream[start:-1])]
        assert [event.data for event in parser.feed(stream[-1:])] == ["a"]


def test_line_feed_after_a_final_carriage_return_is_skipped() -> None:
    parser = EventParser()
    assert len(parser.feed(b"data: a\r\n\r")) == 1
    assert parser.feed(b"\ndata: b") == []
    assert [event.data for event in parser.feed(b"\n\n")] == ["b"]


def test_empty_chunks_within_a_stream_change_nothing() -> None:
    parser = EventParser()
    for chunk in (b"\xef", b"\xbb\xbf", b"data: a\r", b"\n\r", b"\n: c", b"c\n\n"):
        assert parser.feed(b"") == []
        parser.feed(chunk)
    assert parser.feed(b"data: b\n\n") == [ServerSentEvent("b")]


@pytest.mark.parametrize("start", [b"", b"data: a\n\n", b"data: a\n", b"data: " + b"a" * 2000, b"data: a\r", b": c"])
def test_empty_chunk_after_any_start_changes_nothing(start: bytes) -> None:
    stream = start + b"\n\ndata: b\n\n: c\n\n"
    parser = EventParser()
    assert feed(parser, [start, b"", b"", stream[len(start) :], b""]) == parse(stream).events


def test_empty_chunk_between_cr_and_lf_changes_nothing() -> None:
    assert feed(EventParser(), [b"data: a\r", b"", b"\ndata: b\r", b"", b"\n", b"\r"]) == [("a\nb", "message", "")]


def test_comments_after_a_long_line_are_dropped() -> None:
    parser = EventParser()
    assert feed(parser, [b"data: " + b"a" * 2000 + b"\n", b": c\n", b":", b" d\n", b": e\n"]) == []
    assert parser.pending == 2007
    assert feed(parser, [b":\ndata: b\n\n"]) == [("a" * 2000 + "\nb", "message", "")]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 5, 16, 64, 250, 447, 448, 700])
def test_events_of_all_lengths_parse_the_same_in_small_chunks(size: int, line_end: bytes) -> None:
    lengths = [1, 30, 200, 430, 450, 900, 1100, 2]
    blocks = [b"event: e\n: c\ndata: %s\nid: %d\n\n: c\n" % (b"\xc3\xa9" * (size // 2), size) for size in lengths]
    stream = b"".join(b"data: %s\n\n%s" % (b"\xff" * size, block) for size, block in zip(lengths, blocks, strict=True))
    stream = stream.replace(b"\n", line_end)
    parser = EventParser()
    events = feed(parser, [stream[at : at + size] for at in range(0, len(stream), size)])
    expected = parse(stream)
    assert events == expected.events
    assert (parser.last_event_id, parser.pending) == (expected.last_event_id, expected.pending)


def test_every_feed_returns_a_new_list() -> None:
    parser = EventParser()
    assert parser.feed(b"") is not parser.feed(b"")


# The bulk paths against the reference parser ##########################################################################

CHUNKS = [
    b"data: a\n\n",
    b"data: \n\n",
    b"data:a\n\n",
    b"data\n\n",
    b"data: \xff\xc3\xa9\n\n",
    b"data: data: a\n\n",
    b"xdata: a\n\n",
    b"DATA: a\n\n",
    b"event: e\ndata: a\n\n",
    b"event: \ndata: a\n\n",
    b"event: data: x\ndata: a\n\n",
    b"event: e\nevent: f\ndata: a\n\n",
    b"xvent: e\ndata: a\n\n",
    b"EVENT: e\ndata: a\n\n",
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
def test_chunks_of_whole_events_parse_like_the_joined_stream(first: bytes, line_end: bytes) -> None:
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


@pytest.mark.parametrize("end", [b"", b": comment", b"data: c"])
@pytest.mark.parametrize("data", ["b", "b" * 1000])
def test_event_with_other_line_ends_follows_many_with_crlf(end: bytes, data: str) -> None:
    parser = EventParser()
    parser.feed(b"data: 0\n\n")  # the start of a stream is parsed another way
    chunk = b"data: a\r\n\r\n" * 300 + f"data: {data}\n\n".encode() + end
    assert parser.feed(chunk) == [ServerSentEvent("a")] * 300 + [ServerSentEvent(data)]


def test_large_crlf_chunk_without_blank_line_continues_the_event() -> None:
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
    b"data: a\r\nDATA: b",
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
    b"event: f\r\ndata: a\r\nfoo: y\r\nevent: f\r\ndata: b",
    b"id: 1\r\ndata: a\r\nfoo: y\r\nid: 2\r\ndata: b",
]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "usual", [b"data: 0", b"event: f\r\ndata: 0", b"id: 5\r\ndata: 0", b"event: f\r\nid: 5\r\ndata: 0"]
)
def test_unusual_event_among_usual_ones_matches_the_reference(usual: bytes, line_end: bytes) -> None:
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


@pytest.mark.parametrize("fields", ["id: {n}\n", "event: e\nid: {n}\n", "id: {n}\nevent: e{n}\n", "event: e{n}\n"])
def test_many_events_of_one_form_keep_their_own_ids_and_types(fields: str) -> None:
    stream = "".join(fields.format(n=n) + f"data: {n}\n\n" for n in range(100)).encode()
    parser = EventParser()
    expected = parse(stream + b"data: next\n\n")
    assert feed(parser, [stream]) == expected.events[:-1]
    assert parser.last_event_id == expected.last_event_id
    assert feed(parser, [b"data: next\n\n"]) == expected.events[-1:]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("name", [b"DATA: ", b"Data: ", b"xdata: ", b"data : "])
def test_many_events_with_a_name_like_data_have_no_data(count: int, name: bytes, line_end: bytes) -> None:
    stream = (b"data: a\n\n" * count + (name + b"b\n\n") * 200).replace(b"\n", line_end)
    assert feed(EventParser(), [stream, b""]) == [("a", "message", "")] * count


@pytest.mark.parametrize("character", [b" ", b"\t", b"\x0b", b"X", b"\n"])
def test_blank_lines_before_many_events_change_nothing_in_the_first(character: bytes) -> None:
    stream = b"\n\n" + character + b"data: a\n\n" + b"data: b\n\n" * 100
    assert feed(EventParser(), [stream]) == parse(stream).events


# Closing ##############################################################################################################


def test_close_starts_a_new_stream_and_keeps_id_and_retry() -> None:
    parser = EventParser()
    feed(parser, [b"\xef\xbb\xbfid: 1\ndata: a\n\nid: 2\nretry: 7\ndata: lost\r"])
    parser.close()
    assert (parser.last_event_id, parser.retry, parser.pending) == ("1", 7, 0)
    assert feed(parser, [b"\xef\xbb", b"\xbf\ndata: b\n\n"]) == [("b", "message", "1")]


def test_close_inside_a_comment_ends_the_comment() -> None:
    parser = EventParser()
    parser.feed(b": c")
    parser.close()
    assert parser.feed(b"data: a\n\n") == [ServerSentEvent("a")]


def test_parser_may_be_closed_twice_and_unused() -> None:
    parser = EventParser()
    parser.close()
    parser.close()
    assert (parser.last_event_id, parser.retry) == ("", None)
