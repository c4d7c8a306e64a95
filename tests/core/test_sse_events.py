"""Server-sent events as values, and their encoding."""

import copy
import inspect
import pickle

import attrs
import pytest

from handinger_async.errors import ConfigurationError
from handinger_async.sse import EventParser, ServerSentEvent, encode_event

from .sse_cases import feed

EVENTS = [ServerSentEvent("a"), ServerSentEvent("a", "e"), ServerSentEvent("a", id="1"), ServerSentEvent("a", "e", "1")]

for_each_kind = pytest.mark.parametrize("event", EVENTS, ids=repr)


@for_each_kind
def test_event_is_immutable(event: ServerSentEvent) -> None:
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
def test_parsed_event_equals_a_constructed_one(event: ServerSentEvent) -> None:
    stream = encode_event(event)
    parser = EventParser()
    # first, alone in a chunk, with CRLF, after a comment, among many
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
        test_event_is_immutable(parsed)
        test_event_survives_pickle_and_copy(parsed)
        test_event_supports_attrs_and_pattern_matching(parsed)
        with pytest.raises(TypeError):
            hash(parsed)


def test_events_compare_by_value_and_are_unhashable() -> None:
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
def test_event_survives_pickle_and_copy(event: ServerSentEvent) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(event, protocol)) == event
    assert copy.copy(event) == event
    assert copy.deepcopy(event) == event


@for_each_kind
def test_event_supports_attrs_and_pattern_matching(event: ServerSentEvent) -> None:
    assert isinstance(event, ServerSentEvent)
    assert attrs.asdict(event) == {"data": event.data, "event": event.event, "id": event.id}
    assert attrs.evolve(event, event="f") == ServerSentEvent(event.data, "f", event.id)
    assert attrs.evolve(event, event="message", id="") == ServerSentEvent(event.data)
    match event:
        case ServerSentEvent(data, name, ident):
            assert (data, name, ident) == (event.data, event.event, event.id)


def test_event_is_constructed_by_position_or_keyword() -> None:
    assert ServerSentEvent("a", "e", "1") == ServerSentEvent(id="1", data="a", event="e")
    assert list(inspect.signature(ServerSentEvent).parameters) == ["data", "event", "id"]
    with pytest.raises(TypeError):
        ServerSentEvent()  # type: ignore[call-arg]


@for_each_kind
def test_class_of_an_event_constructs_events_with_the_same_defaults(event: ServerSentEvent) -> None:
    (parsed,) = EventParser().feed(encode_event(event))
    for each in (event, parsed):
        assert type(each)("b") == ServerSentEvent("b")
        assert type(each)("b", id="2") == ServerSentEvent("b", "message", "2")


def test_str_of_an_event_is_its_data() -> None:
    event = ServerSentEvent("Grüße", "e", "1")
    assert str(event) == f"{event}" == "Grüße"
    assert repr(event) == "ServerSentEvent(data='Grüße', event='e', id='1')"
    assert repr(ServerSentEvent("a")) == "ServerSentEvent(data='a', event='message', id='')"


def test_json_of_an_event_parses_its_data() -> None:
    assert ServerSentEvent('{"a": [1, "ü"]}').json() == {"a": [1, "ü"]}
    for data in ("", "[DONE]", "{"):
        with pytest.raises(ValueError, match=r"."):
            ServerSentEvent(data).json()


# Encoding #############################################################################################################


def test_encode_event_writes_event_id_and_data_lines() -> None:
    assert encode_event(ServerSentEvent("a")) == b"data: a\n\n"
    assert encode_event(ServerSentEvent("ü\n", "e", "1")) == b"event: e\nid: 1\ndata: \xc3\xbc\ndata: \n\n"
    assert encode_event(ServerSentEvent("")) == b"data: \n\n"


def test_carriage_return_in_data_comes_back_as_line_feed() -> None:
    stream = encode_event(ServerSentEvent("a\rid: 1\r\nb\n\rc"))
    assert feed(EventParser(), [stream]) == [("a\nid: 1\nb\n\nc", "message", "")]


REFUSED = r"^the event's type is empty or has a line break, or its id has a line break or NUL$"


@pytest.mark.parametrize("char", ["\r", "\n"])
def test_event_type_with_a_line_end_is_refused(char: str) -> None:
    with pytest.raises(ConfigurationError, match=REFUSED):
        encode_event(ServerSentEvent("a", event=f"e{char}"))


@pytest.mark.parametrize("char", ["\r", "\n", "\0"])
def test_id_with_a_line_end_or_nul_is_refused(char: str) -> None:
    with pytest.raises(ConfigurationError, match=REFUSED):
        encode_event(ServerSentEvent("a", id=f"{char}1"))


def test_empty_event_type_and_lone_surrogates_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=REFUSED):
        encode_event(ServerSentEvent("a", event=""))
    for event in (ServerSentEvent("\ud800"), ServerSentEvent("a", event="\udfff")):
        with pytest.raises(ConfigurationError, match=r"^the event contains a lone surrogate$"):
            encode_event(event)


def test_any_other_character_may_be_in_a_type_or_an_id() -> None:
    text = "".join(map(chr, range(1, 128))).translate(dict.fromkeys(b"\r\n"))
    event = ServerSentEvent("a", text, text)
    assert EventParser().feed(encode_event(event)) == [event]
