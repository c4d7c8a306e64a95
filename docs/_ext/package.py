"""Facts about the package, read from its sources and from pyproject.toml without importing it."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PYPROJECT = ROOT / "pyproject.toml"
PACKAGE = ROOT / "handinger_async"

#: What a module may not import to be free of the event loop.
EVENT_LOOP = "asyncio"


@dataclass(frozen=True)
class Layer:
    """A layer of the import contract: modules that may import each other, or independent ones."""

    modules: tuple[str, ...]
    independent: bool = True


@dataclass(frozen=True)
class Contracts:
    """The import contracts of pyproject.toml.

    Args:
        layers: From the highest to the lowest; a layer imports only lower ones.
        pure: The modules that import no event loop, directly or indirectly.
    """

    layers: tuple[Layer, ...]
    pure: frozenset[str] = field(default=frozenset())


def read_contracts() -> Contracts:
    """Return the contracts about the top-level modules of the package.

    Raises:
        LookupError: There is no contract of layers for the package.
    """
    settings = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]
    contracts = settings["contracts"]
    layered = [c for c in contracts if c["type"] == "layers" and PACKAGE.name in c.get("containers", [])]
    if not layered:
        raise LookupError(f"pyproject.toml has no import contract of layers for {PACKAGE.name}")
    layers = tuple(_layer(line) for line in layered[0]["layers"])
    names = [module for layer in layers for module in layer.modules]
    patterns = [
        pattern.removeprefix(f"{PACKAGE.name}.")
        for c in contracts
        if c["type"] == "forbidden" and EVENT_LOOP in c["forbidden_modules"] and not c.get("allow_indirect_imports")
        for pattern in c["source_modules"]
    ]
    pure = frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
    return Contracts(layers, pure)


def _layer(line: str) -> Layer:
    names = line.replace("(", "").replace(")", "").replace(":", "|").split("|")
    return Layer(tuple(name.strip() for name in names), independent=":" not in line)


def modules_in(name: str) -> Iterator[str]:
    """Yield the module ``name`` and, if it is a folder, all modules below it, by their paths from the package."""
    folder = PACKAGE / name.replace(".", "/")
    yield name
    if folder.is_dir():
        for file in sorted(folder.iterdir()):
            if file.is_dir() and (file / "__init__.py").exists():
                yield from modules_in(f"{name}.{file.name}")
            elif file.suffix == ".py" and file.stem != "__init__":
                yield f"{name}.{file.stem}"


def source_file(name: str) -> Path:
    """Return the file of a module.

    Raises:
        LookupError: There is none.
    """
    path = PACKAGE / name.replace(".", "/")
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.exists():
            return file
    raise LookupError(f"{PACKAGE.name} has no module {name}")


def summary(name: str) -> str:
    """Return the first line of a module's docstring.

    Raises:
        LookupError: There is no such module, or it has no docstring.
    """
    docstring = ast.get_docstring(ast.parse(source_file(name).read_text(encoding="utf-8")))
    if not docstring:
        raise LookupError(f"{PACKAGE.name}.{name} has no docstring")
    return docstring.partition("\n")[0]
