"""The testing kit and the command line import heavy modules only when they use them."""

import importlib
import subprocess
import sys

import pytest

from handinger_async import testing


def loaded(statement):
    """Return the heavy modules that a fresh interpreter has loaded after a statement."""
    heavy = "('aiohttp', 'hypothesis', 'pytest')"
    program = f"import sys\n{statement}\nprint(*(name for name in {heavy} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("statement", "modules"),
    [
        ("import handinger_async.testing", []),
        ("from handinger_async.testing import FakeHandinger; FakeHandinger()", []),
        ("from handinger_async.testing.faults import FaultyHandler", []),
        ("from handinger_async.testing.recording import ReplayTransport", []),
        ("from handinger_async.testing.virtual_time import run", []),
        ("from handinger_async.testing.fault_specs import parse_faults", []),
        ("from handinger_async.cli import main", []),
        ("from handinger_async.cli.serve import serve_command", []),
        ("from handinger_async.testing import serve", ["aiohttp"]),
        ("from handinger_async.testing import check_transport", ["aiohttp"]),
    ],
)
def test_unused_modules_are_not_imported(statement, modules):
    assert loaded(statement) == modules


@pytest.mark.parametrize("module", sorted({home.rpartition(".")[2] for home in testing._HOMES.values()}))
def test_all_classes_and_functions_of_the_kit_are_found_in_one_place(module):
    home = importlib.import_module(f"handinger_async.testing.{module}")
    if module != "conformance":
        public = {name for name in home.__all__ if callable(getattr(home, name))}
        assert public - {"Matcher"} <= set(testing.__all__)
    for name in set(home.__all__) & set(testing.__all__):
        assert getattr(testing, name) is getattr(home, name)


def test_public_names_are_sorted_and_importable():
    assert testing.__all__ == sorted(testing.__all__)
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
        assert name in dir(testing)
    with pytest.raises(AttributeError, match="nothing"):
        _ = testing.nothing
