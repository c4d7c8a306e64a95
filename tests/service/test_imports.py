"""The testing kit and the command line import heavy modules only when they use them."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from handinger_async import testing

#: The public modules of the kit. Strategies and fixtures are imported from their own ones.
HOMES = [
    import_module(f"handinger_async.testing.{module.name}")
    for module in iter_modules(testing.__path__)
    if not module.name.startswith("_") and module.name not in ("strategies", "pytest_plugin")
]


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
        ("from handinger_async.testing import SYNTAX, Matcher", []),
        ("from handinger_async.cli import main", []),
        ("from handinger_async.cli.serve import serve_command", []),
        ("from handinger_async.testing import serve", ["aiohttp"]),
        ("from handinger_async.testing import check_transport", ["aiohttp"]),
    ],
)
def test_unused_modules_are_not_imported(statement, modules):
    assert loaded(statement) == modules


def test_every_public_name_of_the_kit_is_found_in_one_place():
    assert sorted(name for home in HOMES for name in home.__all__) == sorted(testing.__all__)
    for home in HOMES:
        for name in home.__all__:
            assert getattr(testing, name) is getattr(home, name)


def test_type_checkers_see_the_names_of_run_time():
    source = Path(testing.__file__).read_text(encoding="utf-8")
    program = source.replace("TYPE_CHECKING: bool = False", "TYPE_CHECKING = True").partition("#: The public names")[0]
    names = {"__name__": testing.__name__, "__package__": testing.__name__}
    exec(program, names)
    assert {name for name in names if name[0].isalpha()} == {*testing.__all__, "TYPE_CHECKING", "annotations"}


def test_public_names_are_listed_and_others_are_an_error():
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="nothing"):
        _ = testing.nothing
