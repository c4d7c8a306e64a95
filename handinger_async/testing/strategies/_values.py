"""Strategies for JSON values, and for the scalars of models and operations."""

from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["AMOUNTS", "COUNTS", "INSTANTS", "INTEGERS", "JSON", "VALUES", "json_values"]

JSON: TypeAlias = Any

#: Integers of 64 bits: JSON readers turn larger ones into floats.
INTEGERS = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**53)
AMOUNTS = st.floats(0, 1e9)
INSTANTS = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2199, 12, 31),
    timezones=st.builds(timezone, st.just(timedelta()) | st.integers(-1439, 1439).map(lambda m: timedelta(minutes=m))),
)

_SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES: SearchStrategy[JSON] = st.recursive(
    _SCALARS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


def json_values() -> SearchStrategy[JSON]:
    """Generate any JSON value: dicts, lists, text, numbers, booleans and None."""
    return VALUES
