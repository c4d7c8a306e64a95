"""The events that `ResumableStream` delivers after a reconnection, and the memory that it takes."""

import pytest

from handinger_async import RetryPolicy, ServerSentEvent, _history, encode_event
from handinger_async._history import History
from handinger_async.resume import ResumableStream

from .resumable import CUT, SSE, event, live, plain, resumed


def delivered(*before: bytes, after: tuple[bytes, ...]) -> list[str]:
    """Return the data of the events delivered after an interruption."""
    stream = resumed(*before)
    return [event.data for chunk in after for event in stream.feed(chunk)]


def test_event_without_an_id_is_not_the_last_one_with_an_id() -> None:
    assert delivered(event("1", "ping"), after=(plain("ping"),)) == ["ping"]


def test_greeting_is_dropped_before_a_replay_and_delivered_before_news() -> None:
    before = (plain("hello"), event("1"), event("2"))
    assert delivered(*before, after=(plain("hello"), event("1"), event("2"), event("3"))) == ["x"]
    assert delivered(*before, after=(plain("hello"), event("2"), event("3"))) == ["x"]
    assert delivered(*before, after=(plain("hello"), event("3"))) == ["hello", "x"]


def test_greeting_whose_content_changes_does_not_hide_a_replay() -> None:
    before = (plain("hello at 1"), event("1"), event("2"))
    after = (plain("hello at 2"), event("1"), event("2"), event("3", "new"))
    assert delivered(*before, after=after) == ["hello at 2", "new"]


def test_greeting_is_compared_with_the_one_of_the_connection_before() -> None:
    stream = resumed(event("1"), retry=RetryPolicy(max_retries=9))
    assert len(stream.feed(plain("hello"))) == 1
    for _ in range(2):
        stream.interrupted(CUT)
        stream.connected(SSE)
        assert stream.feed(plain("hello") + event("1")) == []


def test_greeting_is_remembered_over_a_connection_without_an_event() -> None:
    stream = resumed(plain("hello"), event("1"))
    stream.interrupted(CUT)
    stream.connected(SSE)
    assert stream.feed(plain("hello") + event("1")) == []


def test_greeting_in_several_events_may_change_in_one_of_them() -> None:
    before = (plain("hello"), plain("at 1"), plain("welcome"), event("1"))
    after = (plain("hello"), plain("at 2"), plain("welcome"), event("1"), event("2", "new"))
    assert delivered(*before, after=after) == ["hello", "at 2", "new"]


def test_tail_ends_with_an_id_that_came_without_an_event() -> None:
    before = (event("1"), plain("a"), b"id: 2\n\n")
    assert delivered(*before, after=(plain("a"), event("3"))) == ["a", "x"]


ID_1 = b"id: 1\n\n"


@pytest.mark.parametrize("blocks", [b"", b"id: 1\n\n", b"id:\n\n"])
def test_id_without_an_event_decides_nothing_after_a_reconnection(blocks: bytes) -> None:
    stream = resumed(event("1"), event("2"), event("3"))
    assert stream.feed(blocks) == []
    assert stream.last_event_id == "3"
    stream.interrupted(CUT)
    assert stream.request().headers["Last-Event-ID"] == stream.last_event_id == "3"


def test_replays_with_ids_before_their_events_are_recognised_again_and_again() -> None:
    log = (ID_1, event("2", "e"), plain("u"))
    stream = live(*log[:2], retry=RetryPolicy(max_retries=9))
    seen = []
    for chunks in ((ID_1,), log, (*log, event("3", "f")), (*log, event("3", "f"), event("4", "g"))):
        stream.interrupted(CUT)
        stream.connected(SSE)
        seen += [event.data for chunk in chunks for event in stream.feed(chunk)]
    assert seen == ["u", "f", "g"]


def test_ids_that_start_again_with_other_content_are_new() -> None:
    before = [event(str(n), f"a{n}") for n in (1, 2, 3)]
    after = tuple(event(str(n), f"b{n}") for n in (1, 2, 3))
    assert delivered(*before, after=after) == ["b1", "b2", "b3"]


@pytest.mark.parametrize("begin", [0, 1, 2, 3])
def test_replay_may_begin_at_any_event_with_the_last_id(begin: int) -> None:
    log = [event("1", content) for content in "abcd"]
    assert delivered(*log[:3], after=tuple(log[begin:])) == ["d"]


def test_repeated_id_is_dropped_though_the_rest_of_the_replay_is_missing() -> None:
    stream = resumed(*(event("1", content) for content in "abc"))
    assert stream.feed(event("1", "b")) == []
    assert stream.end() == []


def test_ping_that_the_server_does_not_keep_hides_no_later_replay() -> None:
    stream = resumed(event("1", "a"), plain("ping"))
    assert [event.data for event in stream.feed(event("1", "a") + plain("b"))] == ["b"]
    stream.interrupted(CUT)
    stream.connected(SSE)
    assert stream.feed(event("1", "a") + plain("b")) == []
    assert stream.end() == []


def test_repetition_that_turns_out_to_be_none_is_delivered_in_order() -> None:
    before = [event("1", "ping"), event("2", "ping"), event("3", "a")]
    after = (event("1", "ping"), plain("b"), event("2", "ping"), event("3", "c"), event("4", "d"))
    assert delivered(*before, after=after) == ["ping", "b", "ping", "c", "d"]


def test_replay_of_some_of_the_events_is_recognised() -> None:
    before = [event(str(n)) for n in range(9)]
    assert delivered(*before, after=(event("2"), event("5"), event("8"), event("9", "new"))) == ["new"]


def test_event_of_another_type_is_another_event() -> None:
    other = b"event: done\n" + event("1")
    assert delivered(event("1"), after=(other,)) == ["x"]


def test_new_events_in_a_replay_are_delivered_at_its_end() -> None:
    before = (event("1"), plain("a"), event("2"))
    after = (event("1"), plain("a"), plain("news"), event("2"), event("3", "new"))
    assert delivered(*before, after=after) == ["news", "new"]


# Memory ###############################################################################################################


def history(stream: ResumableStream) -> History:
    assert stream._history is not None
    return stream._history


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the number of events remembered, which is small here."""
    monkeypatch.setattr(_history, "MEMORY", 100)
    return 100


def test_replay_of_a_long_stream_is_dropped_while_it_arrives() -> None:
    stream = live(b"".join(event(str(n)) for n in range(5000)))
    stream.interrupted(CUT)
    stream.connected(SSE)
    for n in range(4000):
        assert stream.feed(event(str(n))) == []
        assert len(history(stream)._held) <= 1024
    events = stream.feed(b"".join(event(str(n)) for n in range(4000, 5001)))
    assert [event.id for event in events] == ["5000"]


@pytest.mark.parametrize("name", ["id", "event", "data"])
def test_events_held_back_are_bounded_whichever_field_is_large(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_history, "_MAX_HELD_SIZE", 1000)
    events = [encode_event(ServerSentEvent(**{"data": "x", "id": str(n), name: f"{n}" + "x" * 300})) for n in range(10)]
    stream = resumed(*events)
    for chunk in events[:-1]:
        assert stream.feed(chunk) == []
        assert len(history(stream)._held) <= 3


def test_replay_of_large_events_is_dropped_while_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_history, "_MAX_HELD_SIZE", 1000)
    stream = resumed(*[event(str(n), "x" * 300) for n in range(10)])
    for n in range(9):
        assert stream.feed(event(str(n), "x" * 300)) == []
        assert len(history(stream)._held) <= 3


def test_memory_is_bounded_whatever_the_size_of_ids_and_events(memory: int) -> None:
    stream = live(*[event(f"{n}" + "i" * 10_000) for n in range(memory)])
    hashes, has_id = history(stream)._hashes, history(stream)._has_id
    assert (hashes.itemsize * len(hashes), len(has_id)) == (8 * memory, memory)
    for n in range(1000):
        stream.feed(event(str(n)))
        assert len(hashes) == len(has_id) <= 2 * memory
    assert not history(stream)._leading


def test_replay_of_forgotten_events_is_delivered_again(memory: int) -> None:
    stream = resumed(*[event(str(n)) for n in range(3 * memory)])
    assert len(stream.feed(event("0"))) == 1
    stream.interrupted(CUT)
    stream.connected(SSE)
    assert stream.feed(event(str(3 * memory - 10))) == []


def test_events_without_ids_are_not_remembered() -> None:
    stream = live(*[plain(f"{n}") for n in range(100)])
    assert (len(history(stream)._hashes), len(history(stream)._leading)) == (0, 16)


def test_events_without_ids_after_a_reconnection_are_bounded(memory: int) -> None:
    stream = resumed(event("1"), plain("tail"))
    for _ in range(10):
        stream.feed(plain("a") * memory)
        assert len(history(stream)._hashes) <= 2 * memory
    assert [event.data for event in stream.feed(plain("tail") + event("1") + event("2", "new"))] == ["tail", "x", "new"]
