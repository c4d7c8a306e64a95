"""The transports pass the conformance suite, and for each clause there is a broken transport that fails it alone.

Transports with a network pass in real time. Only clauses that fail run in virtual time over sockets: there the clock
may run ahead of a busy machine, which can only make them fail, as they must.
"""

import asyncio

import pytest

from handinger_async.errors import APITimeoutError
from handinger_async.testing import check_transport
from handinger_async.testing.conformance import CLAUSES
from handinger_async.testing.conformance._clauses import NETWORK_CLAUSES
from handinger_async.testing.recording import RecordingTransport
from handinger_async.testing.virtual_time import run
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import MemoryTransport
from tests.io.conftest import new_transport, transports

from .broken_h11 import BROKEN_H11
from .broken_h11.closing import ConnectsAgain
from .broken_h11.responses import TakesInterimResponses
from .h11_transport import H11Transport
from .wrapped_transports import InMemory, OverNetwork, WithGivenSession

IN_MEMORY = {"memory": MemoryTransport, "wrapped memory": InMemory}
OVER_NETWORK = {
    "aiohttp": lambda handler: AiohttpTransport(),
    "wreq": lambda handler: new_transport("wreq"),
    "aiohttp with a given session": lambda handler: WithGivenSession(),
    "wrapped aiohttp": OverNetwork,
    "h11": H11Transport,
}
#: The known limits of aiohttp with a session that the user gives: its connections and cookies are its own.
LIMITS = {
    "aiohttp with a given session": [
        "a_cancelled_upload_leaves_no_socket",
        "a_connection_with_idle_data_is_not_reused",
        "a_connection_with_surplus_data_is_not_reused",
        "no_cookies_are_kept",
    ]
}


@pytest.mark.parametrize("clause", [clause for clause in CLAUSES if clause not in NETWORK_CLAUSES])
@pytest.mark.parametrize("make", IN_MEMORY.values(), ids=IN_MEMORY)
def test_transports_in_memory_pass_in_virtual_time(make, clause):
    run(check_transport(make, clauses=[clause]))


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("name", [*transports(), *(name for name in OVER_NETWORK if name not in ("aiohttp", "wreq"))])
def test_transports_over_a_network_pass_in_real_time(name, clause):
    asyncio.run(check_transport(OVER_NETWORK[name], clauses=[clause], skip=LIMITS.get(name, [])))


@pytest.mark.parametrize(
    ("name", "clause"),
    [(name, clause) for name in LIMITS for clause in CLAUSES if clause.__name__ in LIMITS[name]],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_known_limits_are_still_there(name, clause):
    with pytest.raises(AssertionError, match=f"^{clause.__name__}: "):
        run(check_transport(OVER_NETWORK[name], clauses=[clause]))


def test_a_recording_transport_passes(tmp_path):
    run(check_transport(lambda handler: RecordingTransport(MemoryTransport(handler), tmp_path / "recording.json")))


each_broken_transport = pytest.mark.parametrize(
    ("clause", "make"),
    [(clause, make) for clause in CLAUSES for make in BROKEN_H11.get(clause.__name__, [])],
    ids=lambda value: value.__name__,
)


@each_broken_transport
def test_a_broken_transport_fails_its_clause_by_name(clause, make):
    with pytest.raises(AssertionError, match=f"^{clause.__name__}: ") as failure:
        run(check_transport(make, clauses=[clause]))
    assert clause.__doc__.splitlines()[0] in str(failure.value)


@pytest.mark.long
@each_broken_transport
def test_a_broken_transport_passes_all_other_clauses(clause, make):
    asyncio.run(check_transport(make, skip=[clause.__name__]))


class SlowToConnect(InMemory):
    """A transport on a machine that needs some seconds to connect."""

    seconds = 2

    async def open(self, url, request, *, connect_timeout):
        if connect_timeout is not None and connect_timeout < self.seconds:
            raise APITimeoutError(request_sent=False)
        return await super().open(url, request, connect_timeout=connect_timeout)


def test_a_slow_machine_does_not_fail_the_clause_on_connect_timeout():
    (clause,) = [clause for clause in CLAUSES if clause.__name__ == "connect_timeout_is_for_connecting_alone"]
    run(check_transport(SlowToConnect, clauses=[clause]))


def test_every_clause_has_a_broken_transport():
    assert set(BROKEN_H11) == {clause.__name__ for clause in CLAUSES}


def test_all_clauses_are_checked_by_default():
    with pytest.raises(AssertionError, match=f"^{CLAUSES[-1].__name__}: "):
        asyncio.run(check_transport(ConnectsAgain))


def test_skipped_clauses_are_not_checked():
    clauses = [clause for clause in CLAUSES if clause.__name__ == "interim_responses_are_skipped"]
    asyncio.run(check_transport(TakesInterimResponses, clauses=clauses, skip=["interim_responses_are_skipped"]))


def test_skipping_an_unknown_clause_is_refused():
    with pytest.raises(ValueError, match=r"no clause has the name interim_responses$"):
        run(check_transport(MemoryTransport, skip=["interim_responses", "no_cookies_are_kept"]))
