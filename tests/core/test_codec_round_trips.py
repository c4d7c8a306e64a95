"""Round trips of the codec: two of its functions undo the other two."""

import copy
import json
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from yarl import URL

from handinger_async import errors
from handinger_async.codec import decode_request, decode_response, encode_request, encode_response, to_dict, to_json
from handinger_async.http import Endpoint
from handinger_async.models import ScheduledWhen
from handinger_async.operations import (
    CancelSchedule,
    CreateSchedule,
    ListSchedules,
    Operation,
    RetrieveWorker,
)
from handinger_async.testing.strategies import (
    json_mutations,
    operations,
    results,
    schedules,
    workers,
)

from .documents import OPTIONAL_KEYS, make_response

pytestmark = pytest.mark.long

# Requests #############################################################################################################

#: Of the requests with files.
BOUNDARY = "5f1c"


def holds_datetime(operation: Operation[Any]) -> bool:
    when = getattr(operation, "when", None)
    return isinstance(when, ScheduledWhen) and isinstance(when.date, datetime)


@given(operations())
def test_decode_request_undoes_encode_request(operation: Operation[Any]) -> None:
    request = encode_request(operation, boundary=BOUNDARY)
    received = attrs.evolve(request, body=request.read_body())
    decoded = decode_request(received)
    again = encode_request(decoded, boundary=BOUNDARY)
    assert attrs.evolve(again, body=again.read_body()) == received
    if not holds_datetime(operation):
        assert decoded == operation


@given(st.datetimes() | st.datetimes(timezones=st.timezones()))
def test_datetime_comes_back_as_its_iso_text(date: datetime) -> None:
    decoded = decode_request(encode_request(CreateSchedule("w", "x", ScheduledWhen(date))))
    assert decoded == CreateSchedule("w", "x", ScheduledWhen(date.isoformat()))


@given(operations())
def test_target_keeps_the_segments_of_its_route_for_any_ids(operation: Operation[Any]) -> None:
    request = encode_request(operation)
    path, mark, query = request.target.partition("?")
    assert "?" not in query
    assert "#" not in request.target
    assert bool(mark) == bool(query)
    assert request.target.isascii()
    assert request.target.isprintable()
    wanted = []
    for part in operation.route.path.split("/"):
        if not part.startswith("{"):
            wanted.append([part])
        elif part.endswith("...}"):
            wanted.append(getattr(operation, part[1:-4]).split("/"))
        else:
            wanted.append([getattr(operation, part[1:-1])])
    assert [unquote(segment) for segment in path.split("/")] == [segment for group in wanted for segment in group]


@given(operations(), st.sampled_from(["https://example.com", "http://localhost:8790/a/b/", "https://h/%2Fp"]))
def test_prepared_url_is_base_url_plus_target(operation: Operation[Any], base_url: str) -> None:
    request = encode_request(operation)
    url, sent = Endpoint(base_url, "key").prepare(request)
    base = URL(base_url)
    assert url.origin() == base.origin()
    assert url.raw_path == base.raw_path.rstrip("/") + request.path
    assert str(url) == base_url.rstrip("/") + request.target
    assert URL(str(url), encoded=True).raw_path_qs == url.raw_path_qs
    assert (sent.method, sent.target, sent.body) == (request.method, request.target, request.body)


@given(operations(), st.data())
def test_path_parameter_is_refused_or_arrives_unchanged(operation: Operation[Any], data: st.DataObject) -> None:
    """An id never addresses another worker or another operation."""
    text = data.draw(
        st.text(min_size=1) | st.sampled_from(["..", "a/../b", "%2e%2e", "a?stream=true", "a#b", "a%2Fb", "", "a/"])
    )
    names = list(operation.route.path_parameters)
    assume(names)
    try:
        changed = attrs.evolve(operation, **{data.draw(st.sampled_from(names)): text})  # type: ignore[misc]
    except errors.ConfigurationError:
        return
    decoded = decode_request(encode_request(changed))
    assert type(decoded) is type(operation)
    assert all(getattr(decoded, name) == getattr(changed, name) for name in names)


# Results ##############################################################################################################


@given(st.data())
def test_decode_response_undoes_encode_response(data: st.DataObject) -> None:
    operation = data.draw(operations())
    result = data.draw(results(operation))
    assert decode_response(operation, encode_response(operation, result)) == result


def means_the_same(wire: Any, ours: Any) -> bool:
    """Compare documents; spellings of numbers and timestamps, and null for absent, count as equal."""
    if isinstance(wire, dict) and isinstance(ours, dict):
        gone = wire.keys() - ours.keys()
        return (
            ours.keys() <= wire.keys()
            and all(key in OPTIONAL_KEYS and wire[key] is None for key in gone)
            and all(means_the_same(wire[key], item) for key, item in ours.items())
        )
    if isinstance(wire, list) and isinstance(ours, list):
        return len(wire) == len(ours) and all(map(means_the_same, wire, ours))
    if type(wire) in (int, float) and type(ours) in (int, float):
        return float(wire) == float(ours)
    if isinstance(wire, str) and isinstance(ours, str) and wire != ours:
        return datetime.fromisoformat(wire) == datetime.fromisoformat(ours)
    return type(wire) is type(ours) and wire == ours


def respell(wire: Any, choose: Any) -> Any:
    """Change the spelling as another server might: 1.0 for 1, Z for +00:00, null for an absent field."""
    if isinstance(wire, list):
        return [respell(item, choose) for item in wire]
    if isinstance(wire, dict):
        document = {key: respell(item, choose) for key, item in wire.items()}
        missing: set[str] = set()
        if "internalCostUsd" not in wire and {"mediaType", "url"} <= wire.keys():
            missing = {"filename"}
        elif "totalTokens" in wire:
            missing = {"credits", "durationMs"}
        elif "output_text" in wire:
            missing = {"created_at", "costs", "usage"}
        return document | {key: None for key in sorted(missing - wire.keys()) if choose()}
    if type(wire) is int and abs(wire) <= 2**53 and choose():
        return float(wire)
    if isinstance(wire, str) and wire.endswith("+00:00") and choose():
        return wire.removesuffix("+00:00") + "Z"
    return wire


MODELS = st.sampled_from(
    [RetrieveWorker("w"), ListSchedules("w"), CreateSchedule("w", "x", ScheduledWhen("now")), CancelSchedule("s", "w")]
)


@given(MODELS, st.data())
def test_to_dict_of_a_decoded_result_equals_the_document(operation: Operation[Any], data: st.DataObject) -> None:
    document = to_dict(data.draw(results(operation)))
    if data.draw(st.booleans(), label="a later service"):
        document = data.draw(json_mutations(document, breaking=False))
    random = data.draw(st.randoms(use_true_random=False))
    wire = json.loads(json.dumps(respell(document, lambda: random.random() < 0.5)))
    result = decode_response(operation, make_response(json.dumps(wire)))
    assert means_the_same(wire, to_dict(result))
    assert means_the_same(wire, json.loads(to_json(result)))
    assert decode_response(operation, make_response(to_json(result))) == result


@given(workers() | schedules())
def test_to_dict_returns_independent_containers(value: Any) -> None:
    before = copy.deepcopy(value)
    document = to_dict(value)
    holders = [document]
    for holder in holders:
        holders += [
            item for item in (holder.values() if isinstance(holder, dict) else holder) if isinstance(item, dict | list)
        ]
    for holder in holders:
        holder.clear()
    assert value == before
