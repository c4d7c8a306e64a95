"""The reference: every public name once, at its public path, with all its attributes."""

import re
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import attrs

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

import public  # noqa: E402

from handinger_async import errors, operations  # noqa: E402

sys.path.remove(str(DOCS / "_ext"))

PAGES = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.rst")}
CLASSES = {path: value for path, value in public.public_names().items() if isinstance(value, type)}


def described() -> list[str]:
    """Return the paths that the pages describe, modules not included."""
    found = []
    directives = re.compile(r"^\.\. ([\w-]+):: ?(.*)\n((?:   :.*\n)*)", re.MULTILINE)
    for directive, path, options in directives.findall("\n".join(PAGES.values())):
        if directive == "operations-table":
            found += [f"{cls.__module__}.{cls.__name__}" for cls in operations.OPERATIONS]
        elif directive == "automodule":
            members = [] if ":no-members:" in options else import_module(path).__all__
            found += [f"{path}.{name}" for name in members]
            found += [path] if path in public.public_names() else []
        elif directive.startswith("auto") or directive == "public-data":
            found.append(path)
    return found


def test_every_public_name_is_described_once_at_its_public_path() -> None:
    assert Counter(described()) == Counter(list(public.public_names()))


def test_public_paths_are_the_shortest() -> None:
    names = public.public_names()
    assert set(names) >= {"handinger_async.Worker", "handinger_async.testing.serve", "handinger_async.http.Request"}
    assert not [path for path in names if re.search(r"\._|\.cli\b|\.models\.workers", path)]


def test_every_attribute_is_described_in_a_sentence() -> None:
    for path, cls in CLASSES.items():
        attributes = {each.name: each for each in public.attributes(cls)}
        if attrs.has(cls):
            own = {field.name for field in attrs.fields(cls) if not field.inherited and not field.name.startswith("_")}
            assert own <= set(attributes), path
        for attribute in attributes.values():
            assert attribute.text.endswith((".", "…")), (path, attribute)
            assert "NOTHING" not in (attribute.default or ""), (path, attribute)


def test_signatures_have_plain_defaults() -> None:
    for path, cls in CLASSES.items():
        shown = public.class_signature(cls)
        assert not re.search(r"NOTHING|<", shown), path  # such as the repr of a function


def test_types_are_references_to_public_paths() -> None:
    worker = CLASSES["handinger_async.Worker"]
    shown = {each.name: public.linked(each.type, worker.__module__) for each in public.attributes(worker)}
    assert shown["usage"] == "~handinger_async.Usage | None"
    assert shown["status"] == "Literal['running', 'completed', 'pending'] | ~builtins.str"
    assert shown["files"] == "~builtins.list[~handinger_async.File]"


def test_tree_of_errors_is_the_order_of_their_page() -> None:
    def below(cls: type[BaseException]) -> list[str]:
        derived = [each for each in cls.__subclasses__() if each.__module__ == errors.__name__]
        return [cls.__name__, *(name for each in derived for name in below(each))]

    assert re.findall(r"autoexception:: handinger_async\.(\w+)", PAGES["errors.rst"]) == below(errors.HandingerError)
    assert sorted(below(errors.HandingerError)) == sorted(errors.__all__)
