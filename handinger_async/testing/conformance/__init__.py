"""The conformance suite for transports: the protocol of `handinger_async.transports`, clause by clause.

For authors of transports over another HTTP client::

    from handinger_async.testing import check_transport

    async def test_my_transport():
        await check_transport(lambda handler: MyTransport())

or, with a line in the report for each clause::

    from handinger_async.testing.conformance import CLAUSES

    @pytest.mark.parametrize("clause", CLAUSES)
    async def test_my_transport(clause):
        await check_transport(lambda handler: MyTransport(), clauses=[clause])

What the HTTP client cannot do is a known limit of the transport. Name it, so that its users know::

    KNOWN_LIMITS = ["interim_responses_are_skipped"]

    async def test_my_transport():
        await check_transport(lambda handler: MyTransport(), skip=KNOWN_LIMITS)

No clause depends on the speed of the machine. A transport that misses an event fails after a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from yarl import URL

from ...http import Request, Response
from .._harness import HANG_GUARD, Harness, Make
from ..server import Server
from . import bodies, closing, compression, connecting, requests, responses, reuse, uploads
from ._clauses import NETWORK_CLAUSES, REGISTERED, Clause

__all__ = ["CLAUSES", "Clause", "Harness", "check_transport"]

#: Seconds that a clause may take. It is longer than the wait for a single event, whose message says more.
LIMIT = 5 * HANG_GUARD

#: Every clause, in the order in which they are checked.
CLAUSES: list[Clause] = [
    clause
    for subject in (requests, uploads, responses, bodies, compression, connecting, reuse, closing)
    for clause in REGISTERED
    if clause.__module__ == subject.__name__
]


async def check_transport(make: Make, *, clauses: Iterable[Clause] = CLAUSES, skip: Iterable[str] = ()) -> None:
    """Check that a transport keeps to the protocol.

    Args:
        make: Returns a new transport, given a handler. The handler is also served over HTTP on loopback, at the URL
            that is opened: a transport with a network ignores the argument.
        clauses: The clauses to check; all by default. Those that need a network are skipped for a transport without
            one.
        skip: The names of clauses that are not checked: the known limits of the transport.

    Raises:
        AssertionError: A clause does not hold; the message begins with its name.
        ValueError: There is no clause with a name in ``skip``.
    """
    skipped = frozenset(skip)
    if unknown := skipped - {clause.__name__ for clause in CLAUSES}:
        raise ValueError(f"no clause has the name {', '.join(sorted(unknown))}")
    network = await _has_network(make)
    for clause in clauses:
        if (network or clause not in NETWORK_CLAUSES) and clause.__name__ not in skipped:
            try:
                async with asyncio.timeout(LIMIT):
                    await clause(Harness(make))
            except Exception as error:
                reason = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
                claim = (clause.__doc__ or "").partition("\n")[0]
                raise AssertionError(f"{clause.__name__}: {claim} But: {reason}") from error


async def _has_network(make: Make) -> bool:
    """Return True if the response comes from the server at the URL, and not from the handler."""
    async with Server(lambda _: Response(200)) as server:
        transport = make(lambda _: Response(201))
        try:
            response = await transport.open(URL(server.url), Request("GET", "/"), connect_timeout=None)
            await response.aclose()
            return response.status == 200
        except Exception:
            return True
        finally:
            await transport.aclose()
