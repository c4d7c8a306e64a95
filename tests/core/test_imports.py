"""The modules that an import loads, and the names that the package exports."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, get_type_hints

import pytest

import handinger_async
from handinger_async import errors

#: Modules and folders that may import an event loop. All others are the core.
WITH_EVENT_LOOP = {
    "__main__",
    "_asyncio",
    "cli",
    "resources",
    "session",
    "streams",
    "testing",
    "transports",
}
PACKAGE = Path(handinger_async.__file__).parent
MODULES = ["handinger_async", *(module.name for module in walk_packages([str(PACKAGE)], "handinger_async."))]
CORE = sorted({name.split(".")[1] for name in MODULES[1:]} - WITH_EVENT_LOOP)
ROOT = Path(__file__).parents[2]


def run(program: str) -> str:
    """Run a program in a new interpreter; return its output."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules that a statement loads, without those of a bare interpreter."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    return {name.partition(".")[0] for name in run(program).split()}


def test_importing_the_package_imports_no_other_module() -> None:
    imported = imported_by("import handinger_async")
    assert not imported & {"asyncio", "aiohttp", "typing", "logging", "attrs", "attr", "cattrs", "json", "orjson"}
    assert imported == {"handinger_async"}


@pytest.mark.parametrize("module", CORE)
def test_core_module_imports_no_event_loop_and_no_network(module: str) -> None:
    imported = imported_by(f"import handinger_async.{module}")
    assert not imported & {"asyncio", "aiohttp", "socket", "ssl", "hypothesis"}


def test_public_names_do_not_import_aiohttp() -> None:
    names = "from handinger_async import *; import handinger_async.transports, handinger_async.transports.memory"
    assert "aiohttp" not in imported_by(names)


def test_session_loads_nothing_that_most_first_calls_do_not_need() -> None:
    program = (
        "import asyncio, attrs, cattrs, sys, yarl; before = set(sys.modules); import handinger_async;"
        "handinger_async.Session(api_key='k'); print(*set(sys.modules) - before)"
    )
    rare = {"schema", "_asyncio.batches", "_asyncio.part_files", "_asyncio.runs", "_digests"}
    unwanted = {"encodings.idna", "hashlib", "random", "secrets", *(f"handinger_async.{name}" for name in rare)}
    assert not set(run(program).split()) & unwanted


def test_import_configures_no_logging() -> None:
    program = (
        "import logging; from handinger_async import *;"
        "print(logging.root.handlers, [name for name, logger in logging.root.manager.loggerDict.items()"
        " if getattr(logger, 'handlers', None)])"
    )
    assert run(program).strip() == "[] []"


def test_public_name_is_imported_on_first_use() -> None:
    program = (
        "import sys, handinger_async as h; assert 'handinger_async._converter' not in sys.modules;"
        "h.to_dict; assert 'handinger_async._converter' in sys.modules; assert 'to_dict' in vars(h);"
        "assert 'asyncio' not in sys.modules"
    )
    run(program)


@pytest.mark.parametrize("name", handinger_async.__all__)
def test_public_name_exists(name: str) -> None:
    assert getattr(handinger_async, name) is not None
    assert name in dir(handinger_async)


@pytest.mark.parametrize(("name", "home"), handinger_async._HOMES.items())
def test_public_name_is_listed_with_the_module_that_defines_it(name: str, home: str) -> None:
    value = getattr(handinger_async, name)
    if isinstance(value, type) or callable(value):
        assert value.__module__ in (f"handinger_async.{home}", "types", "typing")
    else:
        assert name in vars(import_module(f"handinger_async.{home}"))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        handinger_async.Sesion  # noqa: B018
    with pytest.raises(ImportError):
        from handinger_async import Sesion  # noqa: F401


def test_type_checkers_see_the_objects_of_run_time() -> None:
    """Under TYPE_CHECKING each name is imported from the module that defines it at run time."""
    source = Path(handinger_async.__file__).read_text(encoding="utf-8")
    program = source.replace("TYPE_CHECKING: bool = False", "TYPE_CHECKING = True").partition("_HOMES")[0]
    names: dict[str, object] = {"__name__": "handinger_async", "__package__": "handinger_async"}
    exec(program, names)
    for name in handinger_async.__all__:
        assert names[name] is getattr(handinger_async, name)
    assert [name for name in names if name[0].isalpha() and name not in handinger_async.__all__] == ["TYPE_CHECKING"]


def test_package_exports_every_exception() -> None:
    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert tree == set(errors.__all__)
    assert tree <= set(handinger_async.__all__)
    assert all(issubclass(getattr(errors, name), errors.HandingerError) for name in tree)


def constants_first(name: str) -> tuple[bool, bool, str]:
    return not name.isupper(), not name[0].isupper(), name


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_all_is_sorted_and_every_name_exists(name: str) -> None:
    module = import_module(name)
    public = getattr(module, "__all__", [])
    assert public == sorted(set(public), key=constants_first)
    assert all(hasattr(module, public_name) for public_name in public)


def test_strategies_without_hypothesis_raise_an_error_with_the_fix() -> None:
    """Without Hypothesis, the error is a ConfigurationError with the command that installs it."""
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from handinger_async import ConfigurationError\n"
        "try: import handinger_async.testing.strategies\n"
        "except ConfigurationError as error: print(error, error.__cause__)"
    )
    assert run(program).strip() == (
        "handinger_async.testing.strategies needs Hypothesis: pip install 'handinger-async[testing]' None"
    )


#: Their annotations name types that are imported where they are used: modules that import each other, or are slow.
WITHOUT_HINTS = (
    *(handinger_async.APIStatusError, *handinger_async.APIStatusError.__subclasses__()),
    *(handinger_async.APIResponseValidationError, handinger_async.EventTooLargeError),
    handinger_async.Session.run_many,
)


def routines(value: Any) -> list[Any]:
    """Return a public function, or a public class with its public methods."""
    if not isinstance(value, type):
        return [value] if inspect.isfunction(value) else []
    methods = [vars(cls) for cls in value.__mro__ if cls.__module__.startswith("handinger_async")]
    own = {name: method for names in reversed(methods) for name, method in names.items() if not name.startswith("_")}
    return [value, *filter(inspect.isfunction, own.values())]


@pytest.mark.parametrize("name", [*handinger_async.__all__])
def test_annotations_of_public_names_can_be_evaluated(name: str) -> None:
    for routine in routines(getattr(handinger_async, name)):
        if routine in WITHOUT_HINTS:
            with pytest.raises(NameError):
                get_type_hints(routine.__init__ if isinstance(routine, type) else routine)
        else:
            get_type_hints(routine)
            inspect.signature(routine, eval_str=True)
