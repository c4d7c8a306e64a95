"""Strategies for faults."""

from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ... import operations as ops

if TYPE_CHECKING:
    from ..faults import Fault

__all__ = ["faults"]


@cache
def faults() -> SearchStrategy["Fault"]:
    """Generate faults to put in front of a handler, each with a limited number of times."""
    from .. import faults as kinds  # here, since they import asyncio, which the other strategies do not need

    common: dict[str, SearchStrategy[Any]] = {
        "on": st.none() | st.sampled_from(ops.OPERATIONS),
        "times": st.integers(1, 3),
        "skip": st.integers(0, 3),
    }
    offsets = st.integers(0, 2000)
    return st.one_of(
        st.builds(kinds.Refuse, **common),
        st.builds(kinds.Drop, after=st.none() | st.integers(0, 60), **common),
        st.builds(kinds.Postpone, st.integers(0, 60), **common),
        st.builds(
            kinds.Status,
            st.sampled_from([500, 502, 503, 504, 429, 409, 408]),
            retry_after=st.none() | st.integers(0, 60),
            **common,
        ),
        st.builds(kinds.Delay, st.integers(0, 120), at=st.none() | offsets, **common),
        st.builds(kinds.Trickle, st.integers(1, 64), st.sampled_from([0.01, 0.1, 1.0]), **common),
        st.builds(kinds.Cut, offsets, **common),
        st.builds(kinds.Corrupt, offsets, **common),
        st.builds(kinds.CloseConnection, **common),
    )
