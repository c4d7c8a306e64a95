"""Hypothesis strategies for everything that crosses the wire.

What they give is what the service may send, now or after it has grown: unknown fields, enum values and schedule types
included, since a client must outlive them. They shrink to the plainest case.

::

    from hypothesis import given
    from handinger_async.testing import strategies

    @given(strategies.workers())
    def test_every_worker_can_be_shown(worker): ...

Importing this module needs Hypothesis, which the extra ``testing`` brings.
"""

import copy
import string
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import unquote

import attrs

from .. import models
from .. import operations as ops
from ..converter import TAGGED, to_dict, wire_name
from ..errors import ConfigurationError
from ..models import Worker, WorkerSchedule
from ..operations import Operation
from ..sse import ServerSentEvent

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import DrawFn, SearchStrategy
except ImportError:
    raise ConfigurationError(
        "handinger_async.testing.strategies needs Hypothesis: pip install 'handinger-async[testing]'"
    ) from None

if TYPE_CHECKING:
    from .faults import Fault

__all__ = [
    "event_streams",
    "events",
    "faults",
    "json_mutations",
    "json_values",
    "operations",
    "results",
    "schedules",
    "splits",
    "workers",
]

T = TypeVar("T")
R = TypeVar("R")
JSON: TypeAlias = Any

_BOM = b"\xef\xbb\xbf"

# Values of the wire ###################################################################################################

#: Integers that JSON's readers keep apart from floats.
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_COUNTS = st.integers(0, 2**53)
_AMOUNTS = st.floats(0, 1e9)
_INSTANTS = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2199, 12, 31),
    timezones=st.builds(timezone, st.just(timedelta()) | st.integers(-1439, 1439).map(lambda m: timedelta(minutes=m))),
)


_SCALARS = st.none() | st.booleans() | _INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES: SearchStrategy[JSON] = st.recursive(
    _SCALARS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


def json_values() -> SearchStrategy[JSON]:
    """Give anything that JSON can say: dicts, lists, text, numbers, booleans and None."""
    return _VALUES


def _optional(strategy: SearchStrategy[T]) -> SearchStrategy[T | None]:
    return st.none() | strategy


def _word(*known: str) -> SearchStrategy[str]:
    """One of the values known today, or one that a later service knows."""
    return st.sampled_from(known) | st.text()


def _field_names(cls: type[Any]) -> set[str]:
    """What the wire calls the fields of ``cls``."""
    return {wire_name(cls, field.name) for field in attrs.fields(cls)} | {"type"}


def _build(cls: type[T], **fields: SearchStrategy[Any]) -> SearchStrategy[T]:
    """Give values of ``cls``, some with fields that this version does not know."""
    known = _field_names(cls)
    unknown = st.dictionaries(st.text().filter(lambda name: name not in known), _VALUES, max_size=2)
    return st.builds(cls, **fields, extra=st.builds(dict[str, JSON]) | unknown)


# Results ##############################################################################################################

_FILES = _build(models.File, media_type=st.text(), url=st.text(), filename=_optional(st.text()))
_OUTPUTS = _build(
    models.Output,
    id=st.text(),
    content=st.lists(_build(models.OutputContent, text=st.text(), type=_word("output_text")), max_size=2),
    role=_word("assistant"),
    status=_word("completed"),
    type=_word("message"),
)
_SOURCES = _build(models.Source, id=st.text(), type=_word("url"), url=st.text(), title=_optional(st.text()))
_COSTS = _build(
    models.Costs,
    internal_cost_usd=_AMOUNTS,
    model_cost_usd=_AMOUNTS,
    sandbox_cost_usd=_AMOUNTS,
    tool_cost_usd=_AMOUNTS,
)
_USAGE = _build(
    models.Usage,
    cache_read_tokens=_COUNTS,
    cache_write_tokens=_COUNTS,
    cost_usd=_AMOUNTS,
    input_tokens=_COUNTS,
    output_tokens=_COUNTS,
    reasoning_tokens=_COUNTS,
    steps=_COUNTS,
    total_tokens=_COUNTS,
    credits=_optional(_COUNTS),
    duration_ms=_optional(_COUNTS),
)
_WORKERS = _build(
    Worker,
    id=st.text(),
    error=st.none() | _VALUES,
    files=st.lists(_FILES, max_size=2),
    incomplete_details=st.none() | _VALUES,
    messages=st.lists(_VALUES, max_size=2),
    metadata=st.dictionaries(st.text(), _VALUES, max_size=2),
    object=_word("worker"),
    output=st.lists(_OUTPUTS, max_size=2),
    output_text=st.text(),
    running=st.booleans(),
    sources=st.lists(_SOURCES, max_size=2),
    status=_word("pending", "running", "completed"),
    created_at=_optional(_COUNTS),
    costs=_optional(_COSTS),
    usage=_optional(_USAGE),
)


def workers() -> SearchStrategy[Worker]:
    """Give workers in any state."""
    return _WORKERS


_TAGS = {tag for members in TAGGED.values() for tag in members}
#: Values of an enum that nobody has heard of yet.
_NEW_WORDS = st.text(string.ascii_lowercase, min_size=1).filter(lambda word: word not in _TAGS)


def _renamed(schedule: WorkerSchedule, tag: str) -> models.UnknownWorkerSchedule:
    return models.UnknownWorkerSchedule(type=tag, raw=to_dict(schedule) | {"type": tag})


_COMMON: dict[str, SearchStrategy[Any]] = {
    "id": st.text(),
    "budget": _word("low", "standard", "high", "unlimited"),
    "input": st.text(),
    "next_run_at": _INSTANTS,
}
_SCHEDULED = _build(models.ScheduledWorkerSchedule, **_COMMON)
_SCHEDULES = st.one_of(
    _SCHEDULED,
    _build(models.DelayedWorkerSchedule, **_COMMON, delay_in_seconds=_COUNTS),
    _build(models.CronWorkerSchedule, **_COMMON, cron=st.text()),
    _build(models.IntervalWorkerSchedule, **_COMMON, interval_seconds=_COUNTS),
    st.builds(_renamed, _SCHEDULED, _NEW_WORDS),
)


def schedules() -> SearchStrategy[WorkerSchedule]:
    """Give schedules of every type, types of a later service included."""
    return _SCHEDULES


# Operations ###########################################################################################################

#: What means something in a URL, or looks as if it did; the slash comes last.
_STRUCTURE = "?#%&=+;:@ .~\\2eEfF/"


def _segments(structure: str, but: str) -> SearchStrategy[str]:
    letters = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=but)
    texts = st.text(letters, min_size=1) | st.text(structure, min_size=1)
    return texts.filter(lambda text: unquote(text) not in (".", ".."))


_IDS = _segments(_STRUCTURE, "")
_SEGMENTS = _segments(_STRUCTURE[:-1], "/")
_WHENS = st.one_of(
    st.builds(models.ScheduledWhen, date=st.text() | _INSTANTS | st.datetimes()),
    st.builds(models.DelayedWhen, delay_in_seconds=_INTEGERS),
    st.builds(models.CronWhen, cron=st.text()),
    st.builds(models.IntervalWhen, interval_seconds=_INTEGERS),
)
_WORKER = {"worker_id": _IDS}
_INSTRUCTION: dict[str, SearchStrategy[Any]] = {
    "input": st.text(),
    "budget": _optional(st.sampled_from(["low", "standard", "high", "unlimited"])),
}
_STREAM = {"stream": st.booleans()}
_OPERATIONS: SearchStrategy[Operation[Any]] = st.one_of(
    st.builds(ops.CreateWorker, **_INSTRUCTION, **_STREAM),
    st.builds(ops.RetrieveWorker, **_WORKER, **_STREAM),
    st.builds(ops.ContinueWorker, **_WORKER, **_INSTRUCTION, **_STREAM),
    st.builds(ops.StreamWorkerUpdates, **_WORKER),
    st.builds(ops.RetrieveWorkerEmail, **_WORKER),
    st.builds(ops.RetrieveWorkerFile, **_WORKER, file_path=st.lists(_SEGMENTS, min_size=1, max_size=4).map("/".join)),
    st.builds(ops.ListSchedules, **_WORKER),
    st.builds(ops.CreateSchedule, **_WORKER, **_INSTRUCTION, when=_WHENS),
    st.builds(ops.CancelSchedule, **_WORKER, schedule_id=_IDS),
)


def operations() -> SearchStrategy[Operation[Any]]:
    """Give every operation, with any arguments that it takes."""
    return _OPERATIONS


def results(operation: Operation[R]) -> SearchStrategy[R]:
    """Give what an operation may be answered.

    Args:
        operation: The operation.

    Returns:
        Results, of the type that `handinger_async.codec.decode_response` returns for it.
    """
    if operation.streams:
        return _EVENT_LISTS  # type: ignore[return-value]
    return _RESULTS[operation.route.returns]


# Streams ##############################################################################################################


def _line(*, without: str = "", min_size: int = 0) -> SearchStrategy[str]:
    """Text without what would end its line, and without the characters ``without``."""
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
    """Give events that a stream can carry as they are."""
    return _EVENTS


_RESULTS: dict[Any, SearchStrategy[Any]] = {
    Worker: _WORKERS,
    str: st.emails(),
    bytes: st.binary(),
    WorkerSchedule: _SCHEDULES,
    models.ScheduleListResponse: _build(
        models.ScheduleListResponse, schedules=st.lists(_SCHEDULES, max_size=3), worker_id=st.text()
    ),
    models.ScheduleCancelResponse: _build(models.ScheduleCancelResponse, cancelled=st.booleans()),
}

_TEXT = _line().map(str.encode)
_BROKEN = st.binary(max_size=8).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
_UNKNOWN = _line(without=":\ufeff", min_size=1).filter(lambda name: name not in ("data", "event", "id", "retry"))
_COLONS = st.sampled_from([b": ", b":", b""])
#: Lines of a stream: the name of a field, which is empty for a comment, what comes between, and the value.
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
    """Give the bytes of streams, in every spelling that the format allows, with the events that they mean.

    Comments, unknown and repeated fields, all line ends and mixtures of them, a byte order mark, bytes that are not
    UTF-8, and an event at the end that was not completed all occur. Any parser of the format can be put to the test::

        @given(event_streams(), st.data())
        def test_a_parser(stream, data):
            body, events = stream
            for chunk in data.draw(splits(body)): ...
    """
    written = bytearray(draw(st.sampled_from([b"", _BOM])))
    meant: list[ServerSentEvent] = []
    last_id = ""
    # One end for all lines, or another for each: the first makes streams that readers understand.
    ends = draw(_LINE_ENDS.map(st.just) | st.just(_LINE_ENDS))

    def end_line() -> None:
        end = draw(ends)
        # After a line ended by CR, a blank one ended by LF would read as the CRLF of the one before.
        written.extend(b"\r\n" if end == b"\n" and written.endswith(b"\r") else end)

    for block in draw(_BLOCKS):
        data: list[str] = []
        event = ""
        for name, colon, value in block:
            if (colon == b":" and value.startswith(b" ")) or (not colon and (value or not name)):
                colon = b": "  # without it the line would mean something else
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
    """Give the chunks that ``data`` may arrive in; none is empty.

    Args:
        data: The bytes.
    """
    cuts = st.sets(st.integers(1, len(data) - 1)) if len(data) > 1 else st.just(set[int]())
    return cuts.map(lambda places: _cut(data, sorted(places)))


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    chunks = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    return [chunk for chunk in chunks if chunk]


# Mutations ############################################################################################################

#: The keys whose values are words of a list that a later service may make longer.
_WORD_KEYS = frozenset({"type", "status", "role", "object", "budget"})
_MODELS = [cls for cls in vars(models).values() if attrs.has(cls)]
_KNOWN_NAMES = frozenset().union(*map(_field_names, _MODELS))


def json_mutations(value: JSON, *, breaking: bool = True) -> SearchStrategy[JSON]:
    """Give documents that are nearly ``value``, as another version of the service, or a faulty one, would send.

    Args:
        value: A document: the JSON of an answer; or a model, which stands for its document.
        breaking: Also drop fields and replace values, which a client has to notice; False for what it has to bear
            alone: unknown fields, new values of enums, new types of schedules.
    """
    document = to_dict(value) if attrs.has(type(value)) else value
    return _mutate(document, breaking)


@st.composite
def _mutate(draw: DrawFn, document: JSON, breaking: bool) -> JSON:
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        objects = _find_objects(document)
        if not objects:
            return draw(_VALUES) if breaking else document
        target = draw(st.sampled_from(objects))
        words = sorted(key for key, item in target.items() if key in _WORD_KEYS and isinstance(item, str))
        kinds = ["add", *(["rename"] if words else []), *(["drop", "replace"] if breaking and target else [])]
        kind = draw(st.sampled_from(kinds))
        if kind == "add":
            target[draw(st.text().filter(lambda name: name not in _KNOWN_NAMES))] = draw(_VALUES)
        elif kind == "rename":
            target[draw(st.sampled_from(words))] = draw(_NEW_WORDS)
        elif kind == "drop":
            del target[draw(st.sampled_from(sorted(target)))]
        else:
            target[draw(st.sampled_from(sorted(target)))] = draw(_VALUES)
    return document


def _find_objects(document: JSON) -> list[dict[str, JSON]]:
    """Return the objects in ``document``, the outermost first."""
    if isinstance(document, list):
        return [found for item in document for found in _find_objects(item)]
    if isinstance(document, dict):
        return [document, *(found for item in document.values() for found in _find_objects(item))]
    return []


# Faults ###############################################################################################################


@cache
def faults() -> SearchStrategy["Fault"]:
    """Give what may go wrong on the way, to be put in front of a handler: each a few times, none of it for ever."""
    from . import faults as kinds  # here, since they bring asyncio, which nothing else in this module needs

    common: dict[str, SearchStrategy[Any]] = {
        "on": st.none() | st.sampled_from(ops.OPERATIONS),
        "times": st.integers(1, 3),
        "skip": st.integers(0, 3),
    }
    offsets = st.integers(0, 2000)
    return st.one_of(
        st.builds(kinds.Refuse, **common),
        st.builds(kinds.Drop, **common),
        st.builds(
            kinds.Status,
            st.sampled_from([500, 502, 503, 504, 429, 409, 408]),
            retry_after=_optional(st.integers(0, 60)),
            **common,
        ),
        st.builds(kinds.Delay, st.integers(0, 120), at=_optional(offsets), **common),
        st.builds(kinds.Trickle, st.integers(1, 64), st.sampled_from([0.01, 0.1, 1.0]), **common),
        st.builds(kinds.Cut, offsets, **common),
        st.builds(kinds.Corrupt, offsets, **common),
        st.builds(kinds.CloseConnection, **common),
    )
