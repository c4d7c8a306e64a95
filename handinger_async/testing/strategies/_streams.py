"""Strategies for server-sent events, their bytes, and the chunks in which these arrive."""

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ...sse import ServerSentEvent

__all__ = ["event_lists", "event_streams", "events", "splits"]

_BOM = b"\xef\xbb\xbf"


def _line(*, without: str = "", min_size: int = 0) -> SearchStrategy[str]:
    """Text without line ends, and without the characters ``without``."""
    letters = st.characters(exclude_categories=["Cs"], exclude_characters=f"\r\n{without}")
    return st.text(letters, min_size=min_size)


_EVENTS = st.builds(
    ServerSentEvent,
    data=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")),
    event=st.just("message") | _line(min_size=1),
    id=_line(without="\0"),
)
_EVENT_LISTS = st.lists(_EVENTS, max_size=4)


def events() -> SearchStrategy[ServerSentEvent]:
    """Generate events that survive encoding unchanged."""
    return _EVENTS


def event_lists() -> SearchStrategy[list[ServerSentEvent]]:
    """Generate the events of a stream."""
    return _EVENT_LISTS


_TEXT = _line().map(str.encode)
_BROKEN = st.binary(max_size=8).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
_UNKNOWN = _line(without=":\ufeff", min_size=1).filter(lambda name: name not in ("data", "event", "id", "retry"))
_COLONS = st.sampled_from([b": ", b":", b""])
#: Lines of a stream: the name of a field (empty for a comment), the separator, and the value.
_LINES = st.one_of(
    st.tuples(st.just("data"), _COLONS, _TEXT | _BROKEN),
    st.tuples(st.sampled_from(["event", "id", ""]), _COLONS, _TEXT),
    st.tuples(st.just("retry"), _COLONS, st.integers(0, 10**6).map(lambda number: b"%d" % number) | _TEXT),
    st.tuples(_UNKNOWN, _COLONS, _TEXT),
)
_BLOCKS = st.lists(st.lists(_LINES, min_size=1, max_size=4), max_size=4)
_LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
_TAILS = st.sampled_from([b"", b"data: never completed", b"data: never completed\n"])


@st.composite
def event_streams(draw: DrawFn) -> tuple[bytes, list[ServerSentEvent]]:
    """Generate the bytes of streams, in every spelling that the format allows, each with its events.

    The streams have comments, unknown and repeated fields, all line ends and mixtures of them, byte order marks, bytes
    that are not UTF-8, and an incomplete event at the end. They can test any parser of the format::

        @given(event_streams(), st.data())
        def test_a_parser(stream, data):
            body, events = stream
            for chunk in data.draw(splits(body)): ...
    """
    written = bytearray(draw(st.sampled_from([b"", _BOM])))
    meant: list[ServerSentEvent] = []
    last_id = ""
    # The same end for all lines, or a different one for each: the former is easier to read in a failure.
    ends = draw(_LINE_ENDS.map(st.just) | st.just(_LINE_ENDS))

    def end_line() -> None:
        end = draw(ends)
        # After a CR, a blank line that ends in LF reads as one CRLF: write CRLF instead.
        written.extend(b"\r\n" if end == b"\n" and written.endswith(b"\r") else end)

    for block in draw(_BLOCKS):
        data: list[str] = []
        event = ""
        for name, colon, value in block:
            if (colon == b":" and value.startswith(b" ")) or (not colon and (value or not name)):
                colon = b": "  # without the space the line has another meaning
            written.extend(name.encode() + colon + value)
            end_line()
            text = value.decode(errors="replace")
            if name == "data":
                data.append(text)
            elif name == "event":
                event = text
            elif name == "id" and "\0" not in text:
                last_id = text
        end_line()
        if data:
            meant.append(ServerSentEvent("\n".join(data), event or "message", last_id))
    return bytes(written) + draw(_TAILS), meant


def splits(data: bytes) -> SearchStrategy[list[bytes]]:
    """Generate chunks in which ``data`` may arrive; none is empty.

    Args:
        data: The bytes.
    """
    cuts = st.sets(st.integers(1, len(data) - 1)) if len(data) > 1 else st.just(set[int]())
    return cuts.map(lambda places: _cut(data, sorted(places)))


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    chunks = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    return [chunk for chunk in chunks if chunk]
