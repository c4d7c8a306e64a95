"""Generated structure hooks against the converter with detailed validation: the same results."""

import copy
import json
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handinger_async import _converter, models
from handinger_async._codegen import is_response_model
from handinger_async._converter import structure
from handinger_async._structure import make_structure_hook
from handinger_async.errors import APIResponseValidationError
from handinger_async.models import (
    Costs,
    CronWorkerSchedule,
    File,
    ScheduleListResponse,
    TaskTotals,
    Usage,
    Webhook,
    Worker,
    WorkerSchedule,
)
from handinger_async.models._model import response_model
from handinger_async.operations import ListSchedules
from handinger_async.testing.strategies import json_mutations, results, workers

RESPONSE_MODELS = [cls for cls in vars(models).values() if isinstance(cls, type) and is_response_model(cls)]
SCHEDULE = {
    "id": "s1",
    "budget": "low",
    "input": "Look again",
    "nextRunAt": "2026-07-27T18:11:19.117Z",
    "type": "cron",
    "cron": "0 9 * * 1",
}
USAGE = {
    "cacheReadTokens": 1,
    "cacheWriteTokens": 2,
    "costUsd": 0.5,
    "inputTokens": 3,
    "outputTokens": 4,
    "reasoningTokens": 5,
    "steps": 6,
    "totalTokens": 7,
}


TOTALS = {"credits": 1, "durationMs": 2, "turnCount": 3}
ALL_OPTIONAL = (Usage, Webhook)


def fast(document: Any, tp: Any) -> Any:
    return _converter._converter(detailed_validation=False).structure(document, tp)


def detailed(document: Any, tp: Any) -> Any:
    return _converter._converter(detailed_validation=True).structure(document, tp)


def check_alike(document: Any, tp: Any) -> None:
    """Check that both converters return equal values of equal types, or both refuse the document."""
    before = json.dumps(document)
    try:
        wanted = detailed(document, tp)
    except Exception:
        with pytest.raises(Exception):  # noqa: B017, PT011 - any exception will do
            fast(document, tp)
    else:
        made = fast(document, tp)
        assert made == wanted
        assert repr(made) == repr(wanted)  # 1 == 1.0 == True
        assert json.dumps(document) == before


@given(st.data())
def test_generated_hooks_match_the_detailed_converter(data: st.DataObject) -> None:
    tp, values = data.draw(st.sampled_from([(Worker, workers()), (ScheduleListResponse, results(ListSchedules("w1")))]))
    document = _converter.to_dict(data.draw(values))
    check_alike(document, tp)
    check_alike(data.draw(json_mutations(document)), tp)


#: Replacements for any value.
ODD = st.sampled_from(
    [None, True, 0, 1, 1.0, 1.5, -0.0, 2**63, "", "x", "2026-07-27T18:11:19Z", [], [None], {}, {"a": 1}]
)


@settings(max_examples=300)
@given(st.sampled_from([(SCHEDULE, WorkerSchedule), (USAGE, Usage)]), st.data())
@example((SCHEDULE, WorkerSchedule), None)
def test_mistyped_values_match_the_detailed_converter(given_: tuple[dict[str, Any], Any], data: Any) -> None:
    document, tp = given_
    if data is not None:
        document = document | {data.draw(st.sampled_from([*document, "new"])): data.draw(ODD)}
    check_alike(document, tp)


@pytest.mark.parametrize(
    "instant",
    [
        "2026-07-27T18:11:19Z",
        "2026-07-27t18:11:19z",
        "2026-07-27 18:11:19+02:00",
        "2026-07-27T18:11:19",  # no offset
        "2026-07-27",
        "2026-07-27ß18:11:19Z",
        "soon",
        "",
        5,
        None,
    ],
)
def test_timestamps_match_the_detailed_converter(instant: object) -> None:
    check_alike(SCHEDULE | {"nextRunAt": instant}, WorkerSchedule)


@pytest.mark.parametrize("document", [None, True, 1, 1.5, "text", [], {}, [["id", "x"]]], ids=repr)
@pytest.mark.parametrize("tp", [*RESPONSE_MODELS, WorkerSchedule])
def test_other_json_types_are_refused_by_both(tp: Any, document: Any) -> None:
    check_alike(document, tp)
    if document == {} and tp in ALL_OPTIONAL:
        assert fast(document, tp) == tp()
        return
    with pytest.raises(Exception):  # noqa: B017, PT011
        fast(document, tp)


@pytest.mark.parametrize("key", TOTALS)
def test_missing_field_is_refused(key: str) -> None:
    document = {name: value for name, value in TOTALS.items() if name != key}
    with pytest.raises(KeyError):
        fast(document, TaskTotals)


@pytest.mark.parametrize("new", [{}, {"credits": None}, {"credits": 3}, {"durationMs": None, "credits": 3}])
@pytest.mark.parametrize("extra", [{}, {"new": [1]}, {"new": 1, "newer": None, "cache_read_tokens": 3}])
def test_optional_and_unknown_fields_are_structured(new: dict[str, Any], extra: dict[str, Any]) -> None:
    usage = fast(USAGE | extra | new, Usage)
    assert usage.extra == extra
    assert usage.credits == new.get("credits")
    assert usage.duration_ms is None


def test_lazy_extra_is_created_once_per_value() -> None:
    one, other, made = fast(USAGE, Usage), fast(USAGE, Usage), attrs.evolve(fast(USAGE, Usage))
    for usage in (one, other, made):
        assert usage.extra == {}
        assert usage.extra is usage.extra
    one.extra["new"] = 1
    assert one.extra == copy.copy(one).extra == copy.deepcopy(one).extra == {"new": 1}
    assert pickle.loads(pickle.dumps(one)) == one != other == made
    assert _converter.to_dict(one) == _converter.to_dict(other) | {"new": 1}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.extra = {}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del other.extra


def test_lazy_extra_survives_copy_and_comparison() -> None:
    for change in (copy.copy, copy.deepcopy, attrs.evolve, lambda usage: pickle.loads(pickle.dumps(usage))):
        assert change(fast(USAGE, Usage)) == fast(USAGE, Usage)
    assert fast(USAGE, Usage) != fast(USAGE | {"new": 1}, Usage)
    assert repr(fast(USAGE, Usage)).endswith("extra={})")


WORKER: dict[str, Any] = {
    "id": "w1",
    "created_at": 1,
    "error": None,
    "files": [{"filename": "f", "mediaType": "text/plain", "url": "u"}, {"mediaType": "text/plain", "url": "u"}],
    "incomplete_details": None,
    "messages": [{}],
    "metadata": {},
    "object": "worker",
    "output": [
        {
            "id": "m1",
            "content": [{"text": "t", "type": "output_text"}],
            "role": "assistant",
            "status": "completed",
            "type": "message",
        }
    ],
    "output_text": "t",
    "running": True,
    "sources": [{"id": "s1", "title": None, "type": "url", "url": "u"}],
    "status": "running",
    "costs": {"internalCostUsd": 0.1, "modelCostUsd": 0.2, "sandboxCostUsd": 0.3, "toolCostUsd": 0.4},
    "usage": USAGE | {"credits": 1},
}
LIST = {
    "workerId": "w1",
    "schedules": [
        SCHEDULE,
        {key: value for key, value in SCHEDULE.items() if key != "cron"} | {"type": "scheduled"},
        {key: value for key, value in SCHEDULE.items() if key != "cron"} | {"type": "delayed", "delayInSeconds": 1},
        {key: value for key, value in SCHEDULE.items() if key != "cron"} | {"type": "interval", "intervalSeconds": 1},
    ],
}


@pytest.mark.parametrize(
    ("tp", "document"),
    [
        (Worker, {key: value for key, value in WORKER.items() if key not in ("costs", "usage")}),
        (Costs, WORKER["costs"]),
        (Usage, WORKER["usage"]),
        (ScheduleListResponse, LIST),
    ],
)
def test_well_formed_document_is_structured_without_calls(tp: type[Any], document: dict[str, Any]) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("called")

    hook = make_structure_hook(
        tp, _converter._converter(detailed_validation=False), _converter.wire_name, _converter.TAGGED
    )
    called = [name for name in hook.__globals__ if name.startswith(("hook_", "unknown"))]
    assert len(called) > 4
    hook.__globals__.update(dict.fromkeys(called, fail))
    assert hook(document, tp) == detailed(document, tp)
    with pytest.raises(AssertionError, match="called"):
        hook(document | {"new": 1}, tp)


@response_model
class Optional:
    """A model without required fields."""

    text: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@pytest.mark.parametrize("document", [[], "", 0, False, None, ["text"], "text"])
def test_model_of_optional_fields_refuses_other_json_types(document: Any) -> None:
    assert structure({}, Optional) == Optional()
    assert structure({"text": "x", "new": 1}, Optional) == Optional(text="x", extra={"new": 1})
    for tp, value, path in ((Optional, document, "$"), (list[Optional], [{}, document], "$[1]")):
        with pytest.raises(APIResponseValidationError, match="must be an object") as caught:
            structure(value, tp)
        assert caught.value.path == path


@pytest.mark.parametrize("cls", RESPONSE_MODELS)
def test_every_response_model_has_a_generated_hook(cls: type[Any]) -> None:
    assert _converter._converter(detailed_validation=False).get_structure_hook(cls).__code__.co_filename == "<string>"
    assert "__weakref__" not in cls.__slots__


def test_decoded_value_is_immutable_and_equals_a_constructed_one() -> None:
    """Its class is the public one, although it is built through a draft class."""
    made = fast(SCHEDULE, WorkerSchedule)
    assert type(made) is CronWorkerSchedule
    assert made == attrs.evolve(made)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.id = "other"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del made.id
    with pytest.raises(AttributeError):
        made.new = 1
    file = fast({"mediaType": "text/plain", "url": "u"}, File)
    assert file == File(media_type="text/plain", url="u")
    assert repr(file) == repr(File(media_type="text/plain", url="u"))
