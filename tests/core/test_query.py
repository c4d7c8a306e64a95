"""Queries: each value as JSON has it, lists as repeated fields."""

import math
from datetime import UTC, date, datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest

from handinger_async._query import to_query
from handinger_async.errors import ConfigurationError


class Colour(Enum):
    RED = "red"
    SEVERAL = ("red", "blue")


class Mixed(str, Enum):  # noqa: UP042 - its str() is "Mixed.A"
    A = "a"


class Named(StrEnum):
    B = "b"


class Level(IntEnum):
    LOW = 1


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "query"),
    [
        (True, "a=true"),
        (False, "a=false"),
        (None, ""),
        (0, "a=0"),
        (-(2**70), "a=-1180591620717411303424"),
        (1.5, "a=1.5"),
        (1e16, "a=1e%2B16"),
        ("", "a="),
        ("x y&z", "a=x+y%26z"),
        (Colour.RED, "a=red"),
        (Mixed.A, "a=a"),
        (Named.B, "a=b"),
        (Level.LOW, "a=1"),
        (date(2030, 1, 2), "a=2030-01-02"),
        (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "a=2030-01-02T03%3A04%3A05%2B00%3A00"),
        (UUID(int=7), "a=00000000-0000-0000-0000-000000000007"),
        (["x", True, None, Colour.RED], "a=x&a=true&a=red"),
        (("x", "y"), "a=x&a=y"),
        ([], ""),
    ],
)
def test_value_of_a_query_has_its_json_form(value: Any, query: str) -> None:
    assert to_query({"a": value}) == query
    assert to_query({Mixed.A: value}) == query


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"b": 1},
        [{"b": 1}],
        [["x"]],
        {1},
        object(),
        b"x",
        math.nan,
        math.inf,
        pytest.param(10**5000, id="huge"),
        1j,
        len,
        Colour.SEVERAL,
        Unprintable(),
        range(3),
    ],
)
def test_value_without_a_form_in_a_query_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="query field 'a' must not be or contain"):
        to_query({"a": value})


@pytest.mark.parametrize("name", [None, 1, True, Colour.RED, Level.LOW, b"a", ("a",), Unprintable()])
def test_name_in_a_query_must_be_a_string(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"query field .* must have a string as its name"):
        to_query({name: "x"})
