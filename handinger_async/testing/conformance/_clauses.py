"""The registry of clauses: each registers itself with one of the decorators below."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .._harness import Harness

__all__ = ["NETWORK_CLAUSES", "REGISTERED", "Clause", "clause", "network_clause"]

#: An async function that checks a claim, its docstring. It raises an AssertionError if the claim does not hold.
Clause: TypeAlias = Callable[[Harness], Awaitable[None]]

#: Every clause, in the order of registration.
REGISTERED: list[Clause] = []
#: The clauses that only apply to transports with a network.
NETWORK_CLAUSES: set[Clause] = set()


def clause(function: Clause) -> Clause:
    """Register a clause. Its docstring is its claim."""
    REGISTERED.append(function)
    return function


def network_clause(function: Clause) -> Clause:
    """Register a clause that only applies to transports with a network."""
    NETWORK_CLAUSES.add(function)
    return clause(function)
