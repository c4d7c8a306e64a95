"""Streams and their events. Each is fed whole, byte by byte, and in two chunks split at every position."""

from __future__ import annotations

from typing import NamedTuple

from handinger_async.sse import EventParser


class Case(NamedTuple):
    """A stream, its events as (data, event, id), and the last event id and retry time after it."""

    name: str
    stream: bytes
    events: list[tuple[str, str, str]]
    last_event_id: str = ""
    retry: int | None = None


def splits(stream: bytes) -> list[list[bytes]]:
    """Return the stream whole, byte by byte, and in two chunks split at every position."""
    ways = [[stream], [stream[at : at + 1] for at in range(len(stream))]]
    return ways + [[stream[:at], stream[at:]] for at in range(len(stream) + 1)]


def feed(parser: EventParser, chunks: list[bytes]) -> list[tuple[str, str, str]]:
    """Feed chunks to a parser; return the events as (data, event, id)."""
    return [(event.data, event.event, event.id) for chunk in chunks for event in parser.feed(chunk)]


def plain(*data: str) -> list[tuple[str, str, str]]:
    """Return events that have only data."""
    return [(text, "message", "") for text in data]


CASES = [
    # Line ends
    Case("LF", b"data: a\n\ndata: b\n\n", plain("a", "b")),
    Case("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n", plain("a", "b")),
    Case("CR", b"data: a\r\rdata: b\r\r", plain("a", "b")),
    Case(
        "CRLF of several lines",
        b"data: a\r\ndata: b\r\n\r\nevent: e\r\ndata: c\r\n\r\n",
        [*plain("a\nb"), ("c", "e", "")],
    ),
    Case("many CRLF events", b"data: a\r\n\r\n" * 4, plain(*"aaaa")),
    Case(
        "many CRLF events, one with a lone CR",
        b"data: a\r\n\r\ndata: b\rdata: c\r\n\r\ndata: d\r\n\r\n",
        plain("a", "b\nc", "d"),
    ),
    Case(
        "many CRLF events, one with a lone LF",
        b"data: a\r\n\r\ndata: b\ndata: c\r\n\r\ndata: d\r\n\r\n",
        plain("a", "b\nc", "d"),
    ),
    Case("LF then CRLF", b"data: a\n\r\n", plain("a")),
    Case("CRLF then LF", b"data: a\r\n\n", plain("a")),
    Case("CR then LF is one end", b"data: a\r\ndata: b\r\n\n", plain("a\nb")),
    Case("LF then CR is two", b"data: a\n\rdata: b\n\r", plain("a", "b")),
    Case("CR then CRLF", b"data: a\r\r\n", plain("a")),
    Case("mixture", b"data: 1\r\n\rdata: 2\r\r\ndata: 3\n\ndata: 4\r\n\ndata: 5\n\r\n", plain(*"12345")),
    Case("blank lines everywhere", b"\n\r\n\rdata: a\n\n\n\n\r\rdata: b\n\n\n", plain("a", "b")),
    Case(
        "other Unicode line ends are text",
        "data: \u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\n\n".encode(),
        plain("\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"),
    ),
    Case("vertical tab does not end a name", b"data\x0b: a\n\n", []),
    # The byte order mark
    Case("BOM", b"\xef\xbb\xbfdata: a\n\n", plain("a")),
    Case("BOM before CR", b"\xef\xbb\xbf\rdata: a\r\r", plain("a")),
    Case("two BOMs", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", plain("b")),
    Case("BOM later on", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", plain("a")),
    Case("half a BOM", b"\xef\xbbdata: a\n\ndata: b\n\n", plain("b")),
    Case("BOM in data", b"data: \xef\xbb\xbfa\n\n", plain("\ufeffa")),
    Case("BOM after a blank line", b"\n\xef\xbb\xbfdata: a\n\n", []),
    # Fields
    Case("no space after the colon", b"data:a\n\ndata:b\n\n", plain("a", "b")),
    Case("only one space is dropped", b"data:  a\n\n", plain(" a")),
    Case("a tab is kept", b"data:\ta\n\n", plain("\ta")),
    Case("a trailing space is kept", b"data: a \n\n", plain("a ")),
    Case("colons in the value", b"data: a: b:c\n\n", plain("a: b:c")),
    Case("a leading colon in the value", b"data::a\n\n", plain(":a")),
    Case("a field without a colon", b"data\n\n", plain("")),
    Case("the example of the specification", b"data\n\ndata\ndata\n\ndata:", plain("", "\n")),
    Case("empty data", b"data:\n\ndata: \n\n", plain("", "")),
    Case("lines of data", b"data: a\ndata:b\ndata\ndata: \ndata:  c\n\n", plain("a\nb\n\n\n c")),
    Case("many events of several lines", b"data: a\ndata: b\n\n" * 3, plain("a\nb", "a\nb", "a\nb")),
    Case("empty first lines", b"data: \ndata: x\n\ndata: \ndata: y\n\n", plain("\nx", "\ny")),
    Case("empty last lines", b"data: x\ndata: \n\ndata: y\ndata: \n\n", plain("x\n", "y\n")),
    Case("an empty event, then one that begins empty", b"data: \n\ndata: \ndata: x\n\n", plain("", "\nx")),
    Case("names are case-sensitive", b"Data: a\nDATA: b\n\nEvent: e\ndata: c\n\n", plain("c")),
    Case("a space before the name", b" data: a\n\n", []),
    Case("a space before the colon", b"data : a\n\n", []),
    Case("a longer name", b"dataset: a\n\ndat: b\n\n", []),
    Case("an empty name is a comment", b": data: a\n\n", []),
    Case("unknown fields", b"foo: a\ndata: b\nbar\n\n", plain("b")),
    Case("fields in any order", b"data: a\nid: 1\nevent: e\n\n", [("a", "e", "1")], "1"),
    Case("data around other fields", b"data: a\nevent: e\ndata: b\n\n", [("a\nb", "e", "")]),
    # Comments
    Case("comments only", b": a\n\n:\n\n: b\n\n", []),
    Case("comments that look like data", b":data: a\n\n:\ndata: b\n\n", plain("b")),
    Case("a comment within an event", b"data: a\n: c\ndata: b\n\n", plain("a\nb")),
    Case("a comment before and after data", b": c\ndata: a\n: d\n\n", plain("a")),
    Case(
        "comments between events",
        b"data: a\n\n: c\n\ndata: b\n\n:\n\ndata: c\n\n" + b"data: d\n\n" * 9,
        plain("a", "b", "c", *"d" * 9),
    ),
    Case("comments without blank lines", b": a\n: b\n: c\ndata: d\n\n", plain("d")),
    Case("a comment after a comment", b"data: a\n\n: c\n: d\n\ndata: b\n\n", plain("a", "b")),
    Case("comments do not end an event", b"data: a\n:\n:\n", []),
    # The type
    Case("event", b"event: e\ndata: a\n\ndata: b\n\n", [("a", "e", ""), *plain("b")]),
    Case("many events of a type", b"event: e\ndata: a\n\nevent: f\ndata: b\n\n", [("a", "e", ""), ("b", "f", "")]),
    Case(
        "events of a type among plain ones",
        b"data: a\n\ndata: b\n\nevent: e\ndata: c\n\ndata: d\n\n",
        [*plain("a", "b"), ("c", "e", ""), *plain("d")],
    ),
    Case(
        "an empty type is message", b"event:\ndata: a\n\nevent: \ndata: b\n\nevent\ndata: c\n\n", plain("a", "b", "c")
    ),
    Case("an empty type among plain events", b"data: a\n\nevent: \ndata: b\n\ndata: c\n\n", plain("a", "b", "c")),
    Case(
        "the last type counts",
        b"event: e\nevent: f\ndata: a\n\nevent: e\nevent:\ndata: b\n\n",
        [("a", "f", ""), *plain("b")],
    ),
    Case("a type without data", b"event: e\n\ndata: a\n\n", plain("a")),
    Case("message by name", b"event: message\ndata: a\n\n", plain("a")),
    # The id
    Case("id", b"id: 1\ndata: a\n\n", [("a", "message", "1")], "1"),
    Case(
        "the id persists",
        b"id: 1\ndata: a\n\ndata: b\n\ndata: c\n\n",
        [("a", "message", "1"), ("b", "message", "1"), ("c", "message", "1")],
        "1",
    ),
    Case("an empty id resets it", b"id: 1\ndata: a\n\nid\ndata: b\n\n", [("a", "message", "1"), *plain("b")], ""),
    Case(
        "an empty id with a space resets it",
        b"id: 1\ndata: a\n\nid: \ndata: b\n\n",
        [("a", "message", "1"), *plain("b")],
        "",
    ),
    Case(
        "an id with NUL is ignored",
        b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n",
        [("a", "message", "1"), ("b", "message", "1")],
        "1",
    ),
    Case("NUL elsewhere is text", b"event: \0\ndata: \0\n\n", [("\0", "\0", "")]),
    Case("an id without data", b"id: 1\n\ndata: a\n\n", [("a", "message", "1")], "1"),
    Case("an id without data, last", b"data: a\n\nid: 7\n\n", plain("a"), "7"),
    Case("the id of an unfinished event", b"id: 1\ndata: a\n\nid: 2\ndata: b\n", [("a", "message", "1")], "1"),
    Case("the last id counts", b"id: 1\nid: 2\ndata: a\n\n", [("a", "message", "2")], "2"),
    Case("an id in spaces", b"id:  1 \ndata: a\n\n", [("a", "message", " 1 ")], " 1 "),
    Case("an id that is not ASCII", "id: ü\ndata: a\n\n".encode(), [("a", "message", "ü")], "ü"),
    Case(
        "event, id, data",
        b"event: e\nid: 1\ndata: a\n\nevent: f\nid: 2\ndata: b\n\n",
        [("a", "e", "1"), ("b", "f", "2")],
        "2",
    ),
    Case(
        "id, event, data",
        b"id: 1\nevent: e\ndata: a\n\nid: 2\nevent: f\ndata: b\n\n",
        [("a", "e", "1"), ("b", "f", "2")],
        "2",
    ),
    Case("id, data", b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n", [("a", "message", "1"), ("b", "message", "2")], "2"),
    Case(
        "a shape that changes its order",
        b"event: e\nid: 1\ndata: a\n\nid: 2\nevent: f\ndata: b\n\n",
        [("a", "e", "1"), ("b", "f", "2")],
        "2",
    ),
    Case(
        "a shape with a comment in it",
        b"event: e\nid: 1\ndata: a\n\n: c\n\nevent: f\nid: 2\ndata: b\n\n",
        [("a", "e", "1"), ("b", "f", "2")],
        "2",
    ),
    Case(
        "a shape and an id without data",
        b"id: 1\ndata: a\n\nid: 2\n\nid: 3\ndata: b\n\n",
        [("a", "message", "1"), ("b", "message", "3")],
        "3",
    ),
    Case(
        "a type after an id", b"id: 1\ndata: a\n\nevent: e\ndata: b\n\n", [("a", "message", "1"), ("b", "e", "1")], "1"
    ),
    # Retry
    Case("retry", b"retry: 1500\n\n", [], "", 1500),
    Case("retry counts at the end of its line", b"retry: 1500\n", [], "", 1500),
    Case("retry in an unfinished line", b"retry: 1500", [], "", None),
    Case("the last retry counts", b"retry: 1\nretry: 2\n\nretry: 3\n", [], "", 3),
    Case("retry zero", b"retry: 0\n\n", [], "", 0),
    Case("retry with zeros before it", b"retry:00000000000000000007\n\n", [], "", 7),
    Case("retry without a number", b"retry: 5\nretry:\nretry\nretry: \n\n", [], "", 5),
    Case(
        "retry with more than digits",
        b"retry: 5\nretry: 1.5\nretry: -1\nretry: +1\nretry: 1_0\nretry:  1\n\n",
        [],
        "",
        5,
    ),
    Case("retry in other digits", "retry: 5\nretry: ٣\nretry: ²\n\n".encode(), [], "", 5),
    Case("retry beyond any clock", b"retry: " + b"9" * 40 + b"\n\n", [], "", 10**15),
    Case("the longest retry", b"retry: 999999999999999\n\n", [], "", 10**15 - 1),
    Case("one longer than the longest retry", b"retry: 9999999999999999\n\n", [], "", 10**15),
    Case("a type before the id and after it", b"event: a\nid: 1\nevent: b\ndata: x\n\n", [("x", "b", "1")], "1"),
    Case("retry with data", b"retry: 5\ndata: a\n\ndata: b\n\n", plain("a", "b"), "", 5),
    # Encoding
    Case("not ASCII", "data: Grüße, 日本語, 🙂\n\n".encode(), plain("Grüße, 日本語, 🙂")),
    Case("an invalid byte", b"data: a\xffb\n\n", plain("a\ufffdb")),
    Case("a sequence split by a line end", b"data: \xe2\x82\ndata: \xf0\x9f\x99\r\n\n", plain("\ufffd\n\ufffd")),
    Case("a sequence continued after a line end", b"data: \xe2\ndata: \x82\xac\n\n", plain("\ufffd\n\ufffd\ufffd")),
    Case("overlong and surrogate forms", b"data: \xc0\x8a\xed\xa0\x80\n\n", plain("\ufffd" * 5)),
    Case("an invalid byte in a name", b"dat\xff: a\n\n", []),
    # The end
    Case("nothing", b"", []),
    Case("an unfinished line", b"data: a\n\ndata: b", plain("a")),
    Case("an unfinished event", b"data: a\n\ndata: b\n", plain("a")),
    Case("an unfinished comment", b"data: a\n\n: b", plain("a")),
]
