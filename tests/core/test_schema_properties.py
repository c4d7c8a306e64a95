"""Schemas of classes are valid Draft 7, and accept exactly what can be decoded into the class."""

import copy
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy
from jsonschema import Draft7Validator, FormatChecker

from handinger_async._json import dumps, loads
from handinger_async.errors import APIResponseValidationError
from handinger_async.schema import decode, make_schema
from handinger_async.testing.strategies import json_values

from .structured_outputs import (
    Cat,
    Colour,
    Dog,
    Level,
    Line,
    Model,
    Node,
    Options,
    Page,
    Pets,
    Point,
    Pole,
    Price,
    Scalars,
    Tent,
    Times,
)

pytestmark = pytest.mark.long

FORMATS = FormatChecker(formats=[])
#: The spellings of msgspec and pydantic for values of these formats: others are not generated.
SPELLED = {"date-time": datetime, "date": date, "duration": timedelta, "time": time, "uuid": UUID}
for spelled, cls in SPELLED.items():
    FORMATS.checks(spelled, raises=msgspec.ValidationError)(
        lambda value, cls=cls: not isinstance(value, str) or bool(msgspec.convert(value, cls) or True)
    )

INTEGERS = st.integers(-(2**53), 2**53)
FLOATS = st.floats(-1e9, 1e9)
AWARE = st.datetimes(timezones=st.just(UTC))
DECIMALS = st.decimals(-10000, 10000, places=2)
PRICES = st.builds(Price, FLOATS, st.sampled_from(["EUR", "USD"]))
POLES = st.builds(Pole, length=FLOATS)
POINTS = st.builds(Point, INTEGERS, INTEGERS)
CATS = st.builds(Cat, INTEGERS)
LINES = st.builds(Line, POINTS, POINTS, st.text())
NODES: SearchStrategy[Node] = st.recursive(
    st.builds(Node, INTEGERS),
    lambda nodes: st.builds(Node, INTEGERS, st.lists(nodes), st.none() | nodes, st.dictionaries(st.text(), nodes)),
    max_leaves=4,
)
#: Instances of each class whose schema accepts exactly what is decoded.
EXACT: dict[Any, SearchStrategy[Any]] = {
    Price: PRICES,
    Tent: st.builds(Tent, st.text(), PRICES, st.none() | FLOATS, st.lists(st.sampled_from(Colour)), PRICES),
    Node: NODES,
    Options: st.fixed_dictionaries(
        {"mode": st.sampled_from(["fast", 2, None])},
        optional={
            "size": st.tuples(INTEGERS, st.text(), st.sampled_from(Level)),
            "empty": st.just(()),
            "ratios": st.lists(FLOATS).map(tuple),
        },
    ),
    Scalars: st.builds(
        Scalars,
        anything=json_values(),
        animal=st.none() | CATS | st.builds(Dog),
        line=LINES,
        lines=st.tuples(LINES, LINES),
        page=st.builds(
            Page,
            st.lists(POINTS),
            st.dictionaries(INTEGERS, POINTS),
            by_word=st.fixed_dictionaries({}, optional={"a": json_values()}),
        ),
        positive=st.integers(1, 9),
        third=st.integers(-2, 7).map(lambda halves: halves / 2),
        word=st.from_regex("[ab]{1,2}c?", fullmatch=True),
        few=st.lists(INTEGERS, min_size=1, max_size=2),
        named=st.dictionaries(st.text(max_size=2), INTEGERS, max_size=2),
        described=PRICES,
    ),
}
#: Those that are decoded from other spellings too: of dates and decimals, or of all that pydantic converts.
STRICTER: dict[Any, SearchStrategy[Any]] = {
    Times: st.builds(
        Times,
        instant=AWARE,
        aware=AWARE,
        length=st.timedeltas(timedelta(0), timedelta(999)),
        amount=DECIMALS,
        days=st.dictionaries(st.dates(), DECIMALS),
    ),
    Model: st.builds(
        Model,
        name=st.text(),
        size=st.tuples(INTEGERS, st.text()),
        when=AWARE,
        pole=POLES,
        next=st.none() | st.builds(Model, when=AWARE, pole=POLES, next=st.none()),
        **{"$ref": st.dictionaries(st.text(), FLOATS)},
    ),
    Pets: st.builds(
        Pets,
        pets=st.lists(st.builds(Pets.Cat, kind=st.just("cat")) | st.builds(Pets.Dog, kind=st.just("dog"))),
    ),
}
INSTANCES = EXACT | STRICTER


def to_document(instance: Any) -> Any:
    """Return the JSON of an instance."""
    if isinstance(instance, pydantic.BaseModel):
        return instance.model_dump(mode="json", by_alias=True)
    return loads(dumps(msgspec.to_builtins(instance, str_keys=True)))


def decodes(document: Any, cls: Any) -> bool:
    try:
        decode(document, cls)
    except APIResponseValidationError:
        return False
    return True


@cache
def validator(cls: Any) -> Any:
    schema = make_schema(cls)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema, format_checker=FORMATS)


@pytest.mark.parametrize("cls", INSTANCES, ids=lambda cls: cls.__name__)
@settings(max_examples=30)
@given(data=st.data())
def test_schema_accepts_what_can_be_decoded(cls: Any, data: DataObject) -> None:
    instance = data.draw(INSTANCES[cls])
    document = to_document(instance)
    validator(cls).validate(document)
    assert decode(document, cls) == instance
    changed = mutate(data, document)
    accepted = validator(cls).is_valid(changed)
    assert decodes(changed, cls) == accepted or (cls in STRICTER and not accepted)


def mutate(data: DataObject, document: Any) -> Any:
    """Return a document with one to three changes: a value replaced, removed or added, anywhere."""
    whole = [copy.deepcopy(document)]
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(places(whole))))
        old = holder[key]
        kind = data.draw(st.sampled_from(["replace", "convert", "remove", "add"]))
        if kind == "add" and isinstance(old, dict):
            old[data.draw(st.text())] = data.draw(json_values())
        elif kind == "add" and isinstance(old, list):
            old.append(data.draw(st.sampled_from(old) if old else json_values()))
        elif kind == "remove" and holder is not whole:
            del holder[key]
        elif kind == "convert" and type(old) in (int, float):
            holder[key] = data.draw(st.sampled_from([float(old), old + 0.5, str(old), old > 0, -old]))
        else:
            holder[key] = data.draw(json_values())
    return whole[0]


def places(holder: Any) -> Any:
    """Yield the lists and dicts in a value, each with the index or key of a value in it."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from places(holder[key])
