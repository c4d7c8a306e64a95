"""Generated unstructure hooks against the converter without them: the same results, and the same errors."""

import json
import math
from collections import OrderedDict, deque
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handinger_async import _converter, _json, models
from handinger_async._codegen import is_response_model
from handinger_async._converter import to_dict, to_json
from handinger_async.models import (
    UNSET,
    CronWhen,
    CronWorkerSchedule,
    File,
    ScheduleListResponse,
    UnknownWorkerSchedule,
    Usage,
    Worker,
)
from handinger_async.operations import CreateWorker, ListSchedules, RetrieveTask
from handinger_async.testing.strategies import json_values, results, workers

TYPES = _converter.TAGGED[models.WorkerSchedule]
RESPONSE_MODELS = [cls for cls in vars(models).values() if isinstance(cls, type) and is_response_model(cls)]
FILE = File(media_type="text/plain", url="u")
WORKER = Worker(
    id="w1",
    error=None,
    files=[FILE],
    incomplete_details=None,
    messages=[],
    metadata={},
    object="worker",
    output=[],
    output_text="",
    running=True,
    sources=[],
    status="running",
)
SCHEDULE = CronWorkerSchedule(id="s1", budget="low", cron="0 9 * * 1", input="x", next_run_at=datetime.now(UTC))


def outcome(function: Any, value: object) -> tuple[str, str]:
    """Return the result of a call as text, which distinguishes 1, 1.0 and True, or the class of its error."""
    try:
        return "returned", repr(function(value))
    except Exception as error:
        return "raised", type(error).__name__


def check_alike(value: object) -> None:
    convert = _converter._converter(detailed_validation=True).unstructure
    assert outcome(_converter._converter(detailed_validation=False).unstructure, value) == outcome(convert, value)
    assert outcome(to_json, value) == outcome(lambda value: _json.dumps(convert(value)).decode(), value)


class Text(str):
    __slots__ = ()


class Word(StrEnum):
    ONE = "one"


class Dict(dict[Any, Any]):
    pass


class List(list[Any]):
    pass


class OwnFile(File):
    pass


class OwnWhen(CronWhen):
    pass


@attrs.frozen
class Own:
    some_name: object = 1
    extra: object = None


ATOMS = st.sampled_from(
    [
        *[
            None,
            True,
            0,
            2**70,
            -0.0,
            math.nan,
            "",
            "\ud800",
            Text("x"),
            Word.ONE,
            UNSET,
            date(2030, 1, 2),
            b"x",
            object,
        ],
        *[datetime(2030, 1, 2, tzinfo=UTC), FILE, SCHEDULE, CronWhen("x"), OwnFile(media_type="m", url="u"), Own(2)],
        *[UnknownWorkerSchedule(type="x", raw={"y": FILE}), CreateWorker("x"), Usage(extra={"new": [FILE]})],
    ]
)
KEYS = st.sampled_from(["a", "id", "type", Text("b"), Word.ONE, 1, None, datetime(2030, 1, 2)])
#: What a program may store in a field, whatever its type.
ODD = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3).flatmap(lambda items: st.sampled_from([items, tuple(items), List(items)]))
        | st.dictionaries(KEYS, inner, max_size=3).flatmap(lambda made: st.sampled_from([made, Dict(made)]))
    ),
    max_leaves=5,
)


@given(workers() | results(ListSchedules("w1")) | results(RetrieveTask("t1")))
def test_generated_hooks_match_the_converter(value: object) -> None:
    check_alike(value)


@settings(max_examples=300)
@given(st.data(), ODD)
def test_odd_values_in_any_field_match_the_converter(data: st.DataObject, odd: object) -> None:
    schedules = ScheduleListResponse(schedules=[SCHEDULE], worker_id="w1")
    value = data.draw(st.sampled_from([WORKER, FILE, SCHEDULE, Usage(), schedules]))
    name = data.draw(st.sampled_from([field.name for field in attrs.fields(type(value))]))
    check_alike(attrs.evolve(value, **{name: odd}))


@pytest.mark.parametrize("items", [(FILE,), deque([FILE]), [OwnFile(media_type="m", url="u")], range(2), [{}], None, 5])
def test_other_containers_and_items_match_the_converter(items: Any) -> None:
    for name in ("files", "messages", "metadata", "usage", "structured_output"):
        check_alike(attrs.evolve(WORKER, **{name: items}))
    check_alike(ScheduleListResponse(schedules=items, worker_id="w1"))


@settings(max_examples=30)
@given(workers() | results(RetrieveTask("t1")) | results(ListSchedules("w1")))
def test_exact_hooks_convert_whatever_was_decoded(value: Any) -> None:
    document = to_dict(value)
    decoded = _converter.structure(document, type(value))
    hook = _converter._exact_hook(type(value))
    assert hook is not None
    assert repr(hook(decoded)) == repr(document)


def test_iterator_in_a_field_is_read_once() -> None:
    worker = attrs.evolve(WORKER, messages=iter([FILE]))
    assert json.loads(to_json(worker))["messages"] == [to_dict(FILE)]


@pytest.mark.parametrize("convert", [to_dict, to_json])
def test_string_in_place_of_a_datetime_is_a_type_error(convert: Any) -> None:
    with pytest.raises(TypeError):
        convert(attrs.evolve(SCHEDULE, next_run_at="2030-01-02"))


def test_extra_is_not_created_by_to_dict() -> None:
    usage = _converter.structure({}, Usage)
    assert to_dict(usage) == {}
    assert to_json(usage) == "{}"
    assert usage._extra is None
    assert usage.extra == {}


def test_result_shares_no_container_with_the_model() -> None:
    inner: dict[str, Any] = {"list": [{}]}
    document = to_dict(attrs.evolve(WORKER, metadata=inner, error=inner, messages=[inner], extra={"new": inner}))
    for made in (document["metadata"], document["error"], document["messages"][0], document["new"]):
        assert made == inner
        assert made is not inner
        assert made["list"] is not inner["list"]
        assert made["list"][0] is not inner["list"][0]


@pytest.mark.parametrize("cls", RESPONSE_MODELS)
def test_every_response_model_has_a_generated_unstructure_hook(cls: type[Any]) -> None:
    assert _converter._converter(detailed_validation=False).get_unstructure_hook(cls).__code__.co_filename == "<string>"


def test_subclass_has_the_names_and_the_type_of_its_model() -> None:
    class OwnWorker(Worker):
        pass

    fields = {field.name: getattr(WORKER, field.name) for field in attrs.fields(Worker)}
    assert to_dict(OwnWorker(**fields)) == to_dict(WORKER)
    assert to_dict(OwnWhen("x")) == to_dict(CronWhen("x"))


# NaN ##################################################################################################################


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["error", "metadata", "messages", "extra", "usage", "id", "created_at", "files"])
@pytest.mark.parametrize("fast", [True, False])
def test_to_json_refuses_nan_and_infinities_beside_null(
    number: float, place: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(_json, "orjson", None)
    odd: dict[str, Any] = {
        "error": number,
        "metadata": {"a": [None, {"b": number}]},
        "messages": [(1, number)],
        "extra": {"new": number},
        "usage": Usage(cost_usd=number),
        "id": number,
        "created_at": number,
        "files": [attrs.evolve(FILE, size=number)],
    }
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        to_json(attrs.evolve(WORKER, **{place: odd[place]}))


def test_exact_values_are_encoded_once_and_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("orjson")
    monkeypatch.setattr(_json, "_ENCODER", None)
    odd = attrs.evolve(WORKER, messages=[None, 1.5, FILE])
    assert json.loads(to_json(odd))["messages"] == [None, 1.5, to_dict(FILE)]
    monkeypatch.setattr(_json, "_is_finite", None)
    exact = attrs.evolve(WORKER, messages=[None, 1.5, "null"], usage=Usage(cost_usd=0.5))
    assert json.loads(to_json(exact)) == to_dict(exact)


@given(json_values())
def test_finite_json_is_recognised(value: Any) -> None:
    assert _json._is_finite(value)
    assert not _json._is_finite({"a": [value, math.nan]})
    assert not _json._is_finite([value, OrderedDict()])
