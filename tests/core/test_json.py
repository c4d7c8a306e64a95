"""JSON with orjson and with the standard library: the same results for any document."""

import dataclasses
import enum
import json
import math
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handinger_async import _json
from handinger_async._json import dumps, loads
from handinger_async.testing.strategies import json_values

orjson = pytest.importorskip("orjson")


def both(function: Any, argument: Any) -> Any:
    """Call a function with orjson and without it; return the common outcome: a value, or the class of an error."""
    outcomes = []
    for module in (orjson, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_json, "orjson", module)
            try:
                outcomes.append(("returned", function(argument)))
            except (ValueError, TypeError) as error:
                outcomes.append(("raised", TypeError if isinstance(error, TypeError) else ValueError))
    fast, slow = outcomes
    assert repr(fast) == repr(slow)  # distinguishes 1, 1.0 and True, and 0.0 and -0.0
    return fast[1]


SURROGATES = st.text(st.characters(categories=["Cs", "Lu"]), min_size=1)
NUMBERS = st.integers() | st.floats() | st.integers(-(2**65), 2**65)
VALUES = st.recursive(
    json_values() | SURROGATES | NUMBERS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | SURROGATES, inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=5,
)

# Parsing ##############################################################################################################


@given(VALUES)
def test_document_parses_the_same(value: Any) -> None:
    try:
        document = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        document = json.dumps(value).encode()
    both(loads, document)
    both(loads, json.dumps(value, indent=1).encode())


TOKENS = rb"""{ } [ ] , : " "a" "\u d83d \ - + . 0 1 e E 9999999999999999999 null true false NaN Infinity // '"""
OTHERS = [b" ", b"\n", b"\x0b", b"\0", b"\x7f", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\xa0"]
FRAGMENTS = st.sampled_from([*TOKENS.split(), *OTHERS])


@given(st.binary() | st.lists(FRAGMENTS, max_size=8).map(b"".join))
def test_arbitrary_bytes_parse_the_same(document: bytes) -> None:
    both(loads, document)


@given(st.from_regex(rb"-?[0-9]{0,25}(\.[0-9]{0,20})?([eE][+-]?[0-9]{0,4})?", fullmatch=True))
@example(b"-0")
@example(b"-0.0")
@example(b"18446744073709551615")
@example(b"18446744073709551616")
@example(b"-9223372036854775808")
@example(b"-9223372036854775809")
@example(b"1e308")
@example(b"1e309")
@example(b"-1e309")
@example(b"1e-400")
@example(b"1" * 309)
@example(b"1" * 310)
@example(b"1" * 5000)
@example(b"0.1" + b"0" * 5000 + b"1")
def test_numbers_parse_the_same(document: bytes) -> None:
    number = both(loads, document)
    assert number is ValueError or math.isfinite(number)


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (b'"\\ud83d"', "\ud83d"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\ude00\\ud83d"', "\ude00\ud83d"),
        (b'{"\\ud800": ["\\udfff"]}', {"\ud800": ["\udfff"]}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"18446744073709551616", 2.0**64),
        (b" \t\r\n1 \t\r\n", 1),
        (b"[" * 200 + b"]" * 200, None),
        (b"", ValueError),
        (b"\xef\xbb\xbf", ValueError),
        (b"\xef\xbb\xbf\xef\xbb\xbf1", ValueError),
        (b"NaN", ValueError),
        (b"-Infinity", ValueError),
        (b"[1e400]", ValueError),
        (b"01", ValueError),
        (b"1 1", ValueError),
        (b'"\xff"', ValueError),
        (b'"\n"', ValueError),
        (b"\xff\xfe1\x00", ValueError),
        (b"[" * 100_000, ValueError),
        (b'{"a":' * 100_000, ValueError),
    ],
)
def test_edge_cases_parse_the_same(document: bytes, value: Any) -> None:
    read = both(loads, document)
    assert value is None or read == value


@pytest.mark.parametrize("document", [b"{", b"\xff", b"", b'{"a": 1e999}'])
def test_parse_error_has_the_same_message(document: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = set()
    for module in (orjson, None):
        monkeypatch.setattr(_json, "orjson", module)
        with pytest.raises(ValueError, match=r".") as caught:
            loads(document)
        texts.add(str(caught.value))
    assert len(texts) == 1


# Serializing ##########################################################################################################


def dump_and_load(value: Any) -> Any:
    return json.loads(dumps(value))


@given(VALUES)
@example({"a": [math.nan]})
@example([None, math.inf])
@example({1: 2, None: 3, False: 4, 1.5: 5})
@example([2**64, -(2**63) - 1])
def test_value_serializes_the_same(value: Any) -> None:
    both(dump_and_load, value)


@given(json_values())
def test_loads_undoes_dumps(value: Any) -> None:
    assert loads(dumps(value)) == value


class Text(str):
    __slots__ = ()


class Size(enum.Enum):
    SMALL = "small"


class Word(enum.StrEnum):
    ONE = "one"


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, None, True]}, '{"a":[1,null,true]}'),
        ("é天😀", '"é天😀"'),
        ("\ud83d é", '"\\ud83d \\u00e9"'),
        ("\x00\x1f\x7f\u2028", '"\\u0000\\u001f\x7f\u2028"'),
        ((1, (2,)), "[1,[2]]"),
        (Text("a"), '"a"'),
        ({Text("a"): 1}, '{"a":1}'),
        ([Size.SMALL, Word.ONE, Number.ONE], '["small","one",1]'),
        (datetime(2030, 1, 2, 3, 4, 5), '"2030-01-02T03:04:05"'),
        (datetime(2030, 1, 2, 3, 4, 5, 6, UTC), '"2030-01-02T03:04:05.000006+00:00"'),
        (datetime(2030, 1, 2, tzinfo=timezone(timedelta(seconds=30))), '"2030-01-02T00:00:00+00:00:30"'),
        (date(2030, 1, 2), '"2030-01-02"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (2**64, "18446744073709551616"),
        ({1: 2}, '{"1":2}'),
    ],
)
def test_value_serializes_to_exact_bytes(value: Any, written: str) -> None:
    assert both(dumps, value) == written.encode()


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", 1j, [object()], {"a": range(3)}, {(1,): 2}, json, time(1), Point(1)]
)
def test_unsupported_type_is_a_type_error(value: Any) -> None:
    assert both(dumps, value) is TypeError


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make", [endless, deep, lambda: math.nan, lambda: [-math.inf], lambda: {"a": math.inf, "b": None}]
)
def test_unserializable_value_is_a_value_error(make: Any) -> None:
    value = make()
    for module in (orjson, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_json, "orjson", module)
            with pytest.raises(ValueError, match=r"[Cc]ircular|deeply|JSON compliant"):
                dumps(value)


def test_300_levels_of_nesting_serialize_the_same() -> None:
    value: Any = None
    for _ in range(300):
        value = [value]
    assert both(dumps, value) == b"[" * 300 + b"null" + b"]" * 300
