"""The fixtures work with pytest-asyncio in both its modes, and with pytest-aiohttp."""

import pytest

pytest_plugins = ["pytester"]
#: Seconds after which a run that hangs fails: each test starts pytest, which is slow on a busy machine.
pytestmark = pytest.mark.timeout(600)

CONFTEST = 'pytest_plugins = ["handinger_async.testing.pytest_plugin"]\n'

TESTS = """
import asyncio

import pytest

from handinger_async import Session

{mark}


async def test_a_session_over_a_fake(handinger, fake_handinger):
    worker = await handinger.workers.create(input="x")
    assert list(fake_handinger.workers) == [worker.id]


async def test_the_fake_is_fresh(fake_handinger):
    assert fake_handinger.requests == []


async def test_a_server(handinger_server, fake_handinger):
    async with Session(api_key="k", base_url=handinger_server) as session:
        await session.workers.create(input="x")
    assert len(fake_handinger.requests) == 1


async def test_virtual_time(handinger, virtual_time):
    assert virtual_time is asyncio.get_running_loop()
    begin = virtual_time.time()
    await asyncio.sleep(36000)
    assert virtual_time.time() - begin == pytest.approx(36000)


async def test_real_time():
    assert type(asyncio.get_running_loop()).__name__ != "VirtualTimeLoop"


def test_plain(fake_handinger):
    assert fake_handinger.workers == {{}}
"""


LOOP_SCOPES = ["function", "class", "module", "session"]
UVLOOP = """
def pytest_asyncio_loop_factories():
    return {"uvloop": __import__("uvloop").new_event_loop}
"""
INI = "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\ntimeout = 300\n"


@pytest.mark.parametrize(
    "options",
    [["--asyncio-mode=strict", "-p", "no:aiohttp"], ["--asyncio-mode=auto"]],
    ids=["strict", "pytest-aiohttp"],
)
def test_the_fixtures_work_in_event_loops_of_every_scope(pytester, options):
    pytester.makeconftest(CONFTEST)
    pytester.makeini(INI)
    mark = "pytestmark = pytest.mark.asyncio(loop_scope='{}')"
    pytester.makepyfile(**{f"test_{scope}": TESTS.format(mark=mark.format(scope)) for scope in LOOP_SCOPES})
    warned = ["-W", "ignore::pytest.PytestWarning"]  # the mark is on a test without a coroutine too
    result = pytester.runpytest_subprocess(*options, *warned)
    result.assert_outcomes(passed=6 * len(LOOP_SCOPES))


def test_the_fixtures_work_in_auto_mode_with_a_default_scope(pytester):
    pytester.makeconftest(CONFTEST)
    pytester.makeini(f"{INI}asyncio_default_test_loop_scope = session\n")
    pytester.makepyfile(TESTS.format(mark=""))
    pytester.runpytest_subprocess("-p", "no:aiohttp", "--asyncio-mode=auto").assert_outcomes(passed=6)


def test_the_fixtures_work_in_another_event_loop(pytester):
    pytest.importorskip("uvloop")
    pytester.makeconftest(CONFTEST + UVLOOP)
    pytester.makeini(INI)
    pytester.makepyfile(TESTS.format(mark=""))
    result = pytester.runpytest_subprocess("--asyncio-mode=auto", "-k", "not virtual_time")
    result.assert_outcomes(passed=5, deselected=1)


def test_virtual_time_with_another_loop_fails_with_its_requirements(pytester):
    pytester.makeconftest(
        CONFTEST + "\nimport asyncio\ndef pytest_asyncio_loop_factories(): return {'mine': asyncio.new_event_loop}"
    )
    pytester.makepyfile("async def test_it(virtual_time): pass")
    result = pytester.runpytest_subprocess("--asyncio-mode=auto")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*virtual_time needs pytest-asyncio*"])


CLIENT = """
import pytest
import pytest_asyncio

from handinger_async import Session


@pytest.fixture
def url(handinger_server):
    return handinger_server


@pytest_asyncio.fixture{scope}
async def client({argument}):
    async with Session(api_key="k", base_url={argument}) as session:
        await session.workers.create(input="x")
        yield session


async def test_it(client):
    await client.workers.create(input="x")
"""


def test_a_fixture_in_another_loop_than_the_server_fails_at_once(pytester):
    pytester.makeconftest(CONFTEST)
    pytester.makeini(INI.replace("loop_scope = function", "loop_scope = session"))
    in_session_loop = "import pytest\npytestmark = pytest.mark.asyncio(loop_scope='session')\n"
    pytester.makepyfile(
        test_direct=CLIENT.format(scope="", argument="handinger_server"),
        test_indirect=CLIENT.format(scope="(loop_scope='session')", argument="url"),
        test_same_session=in_session_loop + CLIENT.format(scope="", argument="url"),
        test_same_function=CLIENT.format(scope="(loop_scope='function')", argument="url"),
    )
    result = pytester.runpytest_subprocess("-p", "no:aiohttp", "--asyncio-mode=auto")
    result.assert_outcomes(passed=2, errors=2)
    failure = "handinger_server runs in the event loop of the test (function)*'client'*(session)*"
    result.stdout.fnmatch_lines([failure] * 2)
