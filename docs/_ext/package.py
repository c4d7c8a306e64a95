"""Facts about the package, read from its sources and from pyproject.toml without importing it."""

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PYPROJECT = ROOT / "pyproject.toml"
PACKAGE = ROOT / "handinger_async"

#: The module that the core may not import: its contract names the folders that may.
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
        core: The modules of the layers below all folders that may import the event loop.
    """

    layers: tuple[Layer, ...]
    core: frozenset[str]


def read_contracts() -> Contracts:
    """Return the contracts about the top-level modules of the package.

    Raises:
        LookupError: There is no contract of layers for the package, or none about the event loop.
    """
    contracts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = [_layer(line) for line in _find(contracts, "layers", "containers", PACKAGE.name)["layers"]]
    event_loop = _find(contracts, "forbidden", "forbidden_modules", EVENT_LOOP)
    exempt = {line.removeprefix(f"{PACKAGE.name}.").split(".")[0] for line in event_loop["ignore_imports"]}
    lowest = max(number for number, layer in enumerate(layers) if exempt & set(layer.modules))
    return Contracts(tuple(layers), frozenset(name for layer in layers[lowest + 1 :] for name in layer.modules))


def _find(contracts: list[dict[str, Any]], kind: str, key: str, value: str) -> dict[str, Any]:
    for contract in contracts:
        if contract["type"] == kind and value in contract[key]:
            return contract
    raise LookupError(f"pyproject.toml has no import contract of type {kind!r} with {value!r} in {key}")


def _layer(line: str) -> Layer:
    names = line.replace("(", "").replace(")", "").replace(":", "|").split("|")
    return Layer(tuple(name.strip() for name in names), independent=":" not in line)


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
