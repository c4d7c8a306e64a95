"""The strategies cover every field, draw well-formed values, and shrink to the plainest case."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from handinger_async import models
from handinger_async.codec import decode_response, to_dict
from handinger_async.errors import APIResponseValidationError
from handinger_async.http import Response
from handinger_async.models import UNSET, ScheduledWorkerSchedule, Worker
from handinger_async.operations import (
    OPERATIONS,
    CreateSchedule,
    CreateWorker,
    ListSchedules,
    Operation,
    RetrieveWorker,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from handinger_async.sse import EventParser, ServerSentEvent, encode_event
from handinger_async.testing import faults, strategies
from handinger_async.testing.strategies._models import model
from handinger_async.testing.strategies._operations import operation

pytestmark = pytest.mark.long

T = TypeVar("T")

CLASSES = [cls for cls in [*vars(models).values(), *OPERATIONS, ServerSentEvent] if attrs.has(cls)]
LOOK = settings(derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
FIND = settings(max_examples=5000, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def examples(strategy: SearchStrategy[T], count: int) -> list[T]:
    """Return values of a strategy, the same ones in every run."""
    values: list[T] = []

    @settings(LOOK, max_examples=count)
    @given(strategy)
    def keep(value: T) -> None:
        values.append(value)

    keep()
    return values


def strategy_of(cls: type[Any]) -> SearchStrategy[Any]:
    """Return the strategy of a model, an operation, or an event."""
    if cls is ServerSentEvent:
        return strategies.events()
    if cls is models.UnknownWorkerSchedule:
        return strategies.schedules().filter(lambda schedule: isinstance(schedule, cls))
    if cls in get_args(models.When):
        return operation(CreateSchedule).map(lambda drawn: drawn.when).filter(lambda when: isinstance(when, cls))
    return operation(cls) if issubclass(cls, Operation) else model(cls)


def literals(annotation: Any) -> set[str]:
    """Return the literals in an annotation such as ``Literal["a", "b"] | str``."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation)) - {UNSET}
    return {literal for inner in get_args(annotation) for literal in literals(inner)}


def drawn(strategy: SearchStrategy[T], condition: Callable[[T], Any]) -> T:
    """Return a value that the strategy draws within 5,000 examples."""
    return find(strategy, lambda value: bool(condition(value)), settings=settings(FIND, phases=[Phase.generate]))


@pytest.mark.parametrize("cls", CLASSES)
def test_fields_take_several_values_and_each_known_literal(cls: type[Any]) -> None:
    fields = attrs.fields(cls)
    # A literal may come once in 24 examples: 350 miss it once in a million runs.
    drawn = examples(strategy_of(cls), 350 if any(literals(field.type) for field in fields) else 50)
    for field in fields:
        values = [getattr(each, field.name) for each in drawn]
        assert len({repr(value) for value in values}) > 1, field.name
        if field.default is None:
            assert None in values, field.name
            assert any(value is not None for value in values), field.name
        if known := literals(field.type):
            texts = {value for value in values if isinstance(value, str)}
            assert known <= texts, field.name
            assert bool(texts - known) is not issubclass(cls, Operation), field.name  # unknown ones in results only


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (RetrieveWorker("w"), Worker),
        (RetrieveWorker("w", stream=True), list),
        (CreateWorker("x", stream=True), list),
        (StreamWorkerUpdates("w"), list),
        (RetrieveWorkerFile("f", "w"), bytes),
        (ListSchedules("w"), models.ScheduleListResponse),
    ],
)
def test_results_have_the_type_of_the_operation(operation: Operation[Any], kind: type[Any]) -> None:
    assert all(isinstance(result, kind) for result in examples(strategies.results(operation), 5))


# Streams ##############################################################################################################


@given(strategies.events())
def test_drawn_events_survive_encoding(event: ServerSentEvent) -> None:
    assert EventParser().feed(encode_event(event)) == [event]


@given(strategies.event_streams(), st.data())
def test_stream_bytes_parse_to_the_drawn_events(
    stream: tuple[bytes, list[ServerSentEvent]], data: st.DataObject
) -> None:
    body, events = stream
    parser = EventParser()
    chunks = data.draw(strategies.splits(body))
    assert [event for chunk in chunks for event in parser.feed(chunk)] == events


@pytest.mark.parametrize(
    "wanted",
    [
        lambda body, events: body.startswith(b"\xef\xbb\xbf") and events,
        lambda body, events: b"\r\n" in body and b"\r" in body.replace(b"\r\n", b"") and events,
        lambda body, events: any("\ufffd" in event.data for event in events),
        lambda body, events: any("\n" in event.data for event in events),
        lambda body, events: any(event.event != "message" for event in events),
        lambda body, events: len({event.id for event in events}) > 1,
        lambda body, events: len(events) > 1 and events[0].id == events[1].id != "",
        lambda body, events: b"\n:" in body or body.startswith(b":"),
        lambda body, events: b"retry:" in body,
        lambda body, events: body.endswith(b"never completed"),
        lambda body, events: body and not events,
    ],
    ids=[
        "bom",
        "mixed-ends",
        "invalid-utf-8",
        "lines",
        "event-types",
        "ids",
        "inherited-id",
        "comment",
        "retry",
        "truncated",
        "no-events",
    ],
)
def test_streams_cover_every_format_variant(wanted: Callable[[bytes, list[ServerSentEvent]], Any]) -> None:
    assert wanted(*drawn(strategies.event_streams(), lambda stream: wanted(*stream)))


@given(st.binary(), st.data())
def test_joined_splits_equal_the_body(body: bytes, data: st.DataObject) -> None:
    chunks = data.draw(strategies.splits(body))
    assert b"".join(chunks) == body
    assert all(chunks)


def test_splits_range_from_one_chunk_to_single_bytes() -> None:
    for chunks in ([b"abc"], [b"a", b"bc"], [b"ab", b"c"], [b"a", b"b", b"c"]):
        assert find(strategies.splits(b"abc"), lambda given, wanted=chunks: given == wanted, settings=FIND) == chunks  # type: ignore[misc]


# Mutations ############################################################################################################

SCHEDULE = ScheduledWorkerSchedule(id="s", budget="low", input="x", next_run_at=datetime(2030, 1, 1, tzinfo=UTC))
LISTED = models.ScheduleListResponse(schedules=[SCHEDULE], worker_id="w")
DOCUMENT = to_dict(LISTED)


def decode(document: Any) -> Any:
    return decode_response(ListSchedules("w"), Response(200, {}, json.dumps(document).encode()))


@given(strategies.json_mutations(LISTED, breaking=False))
def test_non_breaking_mutations_decode(document: Any) -> None:
    assert to_dict(decode(document)) == document


@given(strategies.json_mutations(DOCUMENT))
def test_mutation_does_not_change_its_input(document: Any) -> None:
    assert to_dict(LISTED) == DOCUMENT
    assert document is not DOCUMENT


def test_non_breaking_mutations_cover_fields_enums_and_types() -> None:
    results = [decode(document) for document in examples(strategies.json_mutations(DOCUMENT, breaking=False), 100)]
    schedules = [result.schedules[0] for result in results]
    known = [schedule for schedule in schedules if isinstance(schedule, ScheduledWorkerSchedule)]
    assert any(result.extra for result in results)
    assert any(schedule.extra for schedule in known)
    assert any(schedule.budget not in ("low", "standard", "high", "unlimited") for schedule in known)
    assert len(known) < len(schedules)


def test_mutations_drop_and_replace_fields() -> None:
    documents = examples(strategies.json_mutations(DOCUMENT), 100)
    assert any("workerId" not in document for document in documents)
    assert any(not isinstance(document.get("workerId", ""), str) for document in documents)
    refused = 0
    for document in documents:
        try:
            decode(document)
        except APIResponseValidationError:
            refused += 1
    assert 0 < refused < len(documents)


@given(strategies.json_values(), st.booleans(), st.data())
def test_any_document_can_be_mutated(document: Any, breaking: bool, data: st.DataObject) -> None:
    json.dumps(data.draw(strategies.json_mutations(document, breaking=breaking)))


# Faults ###############################################################################################################

# Not "Fault.__subclasses__()", which has each class twice until the garbage collector has run: attrs makes a class with
# slots anew. Then the workers of pytest-xdist have different tests, and refuse to run them.
KINDS = [getattr(faults, name) for name in faults.__all__ if name not in ("Fault", "FaultyHandler")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_faults_are_of_every_kind_and_finite(kind: type[faults.Fault]) -> None:
    assert drawn(strategies.faults(), lambda fault: isinstance(fault, kind)).times is not None


@pytest.mark.parametrize("on", [None, *OPERATIONS])
def test_faults_are_for_every_operation_and_for_all(on: type[Operation[Any]] | None) -> None:
    assert drawn(strategies.faults(), lambda fault: fault.on is on).on is on


def test_plainest_fault_is_a_refused_connection() -> None:
    assert smallest(strategies.faults(), lambda _: True) == faults.Refuse()


# Shrinking ############################################################################################################


def smallest(strategy: SearchStrategy[T], condition: Callable[[T], Any]) -> T:
    return find(strategy, lambda value: bool(condition(value)), settings=FIND)


PLAIN = Worker(
    id="",
    error=None,
    files=[],
    incomplete_details=None,
    messages=[],
    metadata={},
    object="worker",
    output=[],
    output_text="",
    running=False,
    sources=[],
    status="pending",
)


def test_first_example_is_the_plainest() -> None:
    assert examples(strategies.workers(), 1) == [PLAIN]
    plain = ScheduledWorkerSchedule(id="", budget="low", input="", next_run_at=datetime(2000, 1, 1, tzinfo=UTC))
    assert examples(strategies.schedules(), 1) == [plain]


def test_schedules_shrink_to_empty_fields() -> None:
    cron = smallest(strategies.schedules(), lambda schedule: schedule.type == "cron")
    moment = datetime(2000, 1, 1, tzinfo=UTC)
    assert cron == models.CronWorkerSchedule(id="", budget="low", cron="", input="", next_run_at=moment)


def test_operations_shrink_to_short_arguments() -> None:
    path = smallest(strategies.operations(), lambda operation: isinstance(operation, RetrieveWorkerFile))
    assert path == RetrieveWorkerFile("0", "0")


def test_streams_shrink_to_one_event() -> None:
    body, events = smallest(strategies.event_streams(), lambda stream: stream[1])
    assert len(events) == 1
    assert len(body) <= len(b"data: 0\n\n")
    assert smallest(strategies.splits(b"abcdef"), lambda _: True) == [b"abcdef"]
