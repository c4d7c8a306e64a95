"""The public names of the package, and the attributes of its classes. Without Sphinx, so that tests can use it."""

import ast
import builtins
import functools
import inspect
import pkgutil
import re
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, ClassVar, TypeVar, get_origin, get_type_hints

import attrs
from package import PACKAGE

import handinger_async

#: The command line is no Python API. The modules of the other two are public as their package, which has their names.
_INNER = ("handinger_async.cli", "handinger_async.models.", "handinger_async.resources.")
#: Attributes of classes that are the same for all instances, and described once.
_CONSTANTS = {"type": "The kind, as in the JSON of the service."}
#: Defaults of fields that a function makes, by that function.
_MADE = {dict: "{}", list: "[]"}
#: Types of attributes that are not annotated, and cannot be seen from the value that they begin with.
_UNANNOTATED = {"faults": "list[Fault]", "last_event_id": "str"}
#: A section of a docstring, with its indented lines.
_SECTION = re.compile(r"^(Args|Attributes):\n((?:(?: {4}.*)?(?:\n|\Z))+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+): (.*(?:\n(?: {8}.*)?)*)", re.MULTILINE)


@dataclass(frozen=True)
class Attribute:
    """An attribute of a class.

    Args:
        name: Its name.
        text: Its description.
        type: Its type as in the source; ``""`` if it is not annotated.
        default: Its default in plain form; None if there is none, or if it cannot be said in a word.
    """

    name: str
    text: str
    type: str = ""
    default: str | None = None


# Names ################################################################################################################


def public_modules() -> list[str]:
    """Return the modules whose ``__all__`` is public."""
    found = [
        PACKAGE.name,
        *(module.name for module in pkgutil.walk_packages(handinger_async.__path__, f"{PACKAGE.name}.")),
    ]
    return [
        name
        for name in found
        if not re.search(r"\._", name) and not name.startswith(_INNER) and hasattr(import_module(name), "__all__")
    ]


@functools.cache
def public_names() -> dict[str, Any]:
    """Return every public object by its public path: the shortest one, if several modules have it."""
    found: dict[tuple[str, int], str] = {}
    for module in public_modules():
        for name in import_module(module).__all__:
            key = name, id(getattr(import_module(module), name))
            found[key] = min(found.get(key, f"{module}.{name}"), f"{module}.{name}", key=lambda path: path.count("."))
    return {path: getattr(import_module(path.rpartition(".")[0]), name) for (name, _), path in found.items()}


@functools.cache
def home(path: str) -> tuple[str, str]:
    """Return the module that defines a public name, and its name there."""
    module, _, name = path.rpartition(".")
    value = public_names()[path]
    if isinstance(value, types.ModuleType):
        return value.__name__, ""
    if isinstance(value, type) or inspect.isroutine(value):
        return value.__module__, value.__qualname__
    for candidate, loaded in sorted(sys.modules.items()):
        if candidate.startswith(PACKAGE.name) and vars(loaded).get(name) is value and name in _assigned(candidate):
            return candidate, name
    return module, name


@functools.cache
def _assigned(module: str) -> dict[str, tuple[str, ast.expr | None]]:
    """Return the names that a module assigns, each with the comment before it, ``#: ...``, and its value."""
    source = inspect.getsource(import_module(module))
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name):
            start = node.lineno - 1
            while start and lines[start - 1].startswith("#:"):
                start -= 1
            comment = " ".join(line.removeprefix("#:").strip() for line in lines[start : node.lineno - 1])
            found[target.id] = comment, node.value
    return found


def definition(path: str) -> tuple[str, str]:
    """Return the comment of a public constant or type alias, and its value as in the source."""
    module, name = home(path)
    return definition_in(module, name)


def definition_in(module: str, name: str) -> tuple[str, str]:
    """Return the comment of a constant or type alias of a module, and its value as in the source."""
    comment, value = _assigned(module)[name]
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and "|" in value.value and " " in value.value:
        return comment, value.value  # an alias as a string
    return comment, ast.unparse(value) if value else ""


# Types and signatures #################################################################################################


def linked(annotation: str, module: str) -> str:
    """Return an annotation with references to public names, and with the meaning of private aliases.

    Args:
        annotation: The annotation as in the source.
        module: The module that contains it.

    Returns:
        The annotation; ``""`` if it needs a private class.
    """
    try:
        return ast.unparse(_Linker(module).visit(ast.parse(annotation, mode="eval")))
    except _PrivateError:
        return ""


class _PrivateError(Exception):
    """A type is a private class."""


class _Linker(ast.NodeTransformer):
    """Replaces names by ``~path``, which Sphinx shows as the last word of the path."""

    def __init__(self, module: str) -> None:
        self._module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = vars(import_module(self._module)).get(node.id)
        if value is None:  # imported for type checkers only
            value = next((each for path, each in public_names().items() if path.endswith(f".{node.id}")), None)
        if value is Any or (value is None and node.id in typing.__all__):
            return ast.Name("~typing.Any" if value is Any else f"~typing.{node.id}")
        if value is None:
            return ast.Name(f"~builtins.{node.id}") if hasattr(builtins, node.id) else node
        if id(value) in _paths():
            return ast.Name(f"~{_paths()[id(value)]}")
        if isinstance(value, type):
            if value.__module__.startswith(PACKAGE.name):
                raise _PrivateError
            return ast.Name(f"~{value.__module__}.{value.__qualname__}")
        for module, loaded in [] if isinstance(value, TypeVar) else list(sys.modules.items()):
            if module.startswith(PACKAGE.name) and vars(loaded).get(node.id) is value and node.id in _assigned(module):
                alias = ast.parse(definition_in(module, node.id)[1], mode="eval").body
                return _Linker(module).visit(alias)  # type: ignore[no-any-return]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = vars(import_module(self._module)).get(ast.unparse(node.value))
        if getattr(value, "__name__", "").startswith(PACKAGE.name):
            return ast.Name(f"~{value.__name__}.{node.attr}")
        return ast.Name(f"~{ast.unparse(node)}")

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == "Literal":
            return node
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return self.visit(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else node


@functools.cache
def _paths() -> dict[int, str]:
    return {id(value): path for path, value in public_names().items() if not isinstance(value, str)}


def signature(function: Any, *, bound: bool) -> tuple[str, str]:
    """Return the arguments and the result of a function as in its source, with references to public names.

    Args:
        function: The function.
        bound: Leave out the first argument.
    """
    function = inspect.unwrap(function)
    (node,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))).body
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        raise LookupError(f"{function.__qualname__} is not defined by def")
    given, module = node.args, function.__module__
    for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if each is not None and each.annotation is not None:
            text = linked(ast.unparse(each.annotation), module)
            each.annotation = ast.parse(text, mode="eval").body if text else None
    given.defaults = [_plain(default, function) for default in given.defaults]
    given.kw_defaults = [default and _plain(default, function) for default in given.kw_defaults]
    if bound:
        del (given.posonlyargs or given.args)[0]
    return f"({ast.unparse(given)})", linked(ast.unparse(node.returns), module) if node.returns else ""


def _plain(default: ast.expr, function: Any) -> ast.expr:
    """Return a default with the value of a named number or text, and without private names."""
    value = function.__globals__.get(default.id) if isinstance(default, ast.Name) else None
    if isinstance(value, int | float | str | datetime):
        return ast.Name(f"{value:_}" if isinstance(value, int) else repr(value))
    return ast.Name(re.sub(r"\b_(?=[a-z])", "", ast.unparse(default)))


def class_signature(cls: type) -> str:
    """Return the arguments of a class: with a type where there is no attribute that has it.

    Returns:
        The arguments; ``""`` for classes that the library alone makes, and for those with the arguments of their base.
    """
    if getattr(cls, "_is_protocol", False) or (attrs.has(cls) and "extra" in attrs.fields_dict(cls)):
        return ""
    if is_value(cls):
        return _value_signature(cls) if attrs.has(cls) or "__init__" in vars(cls) else ""
    if "__init__" not in vars(cls):
        return ""
    init: Any = cls.__init__
    arguments, _ = signature(init, bound=True)
    if any(not linked(text, cls.__module__) for text in map(_spell, inspect.get_annotations(init).values())):
        return ""
    return arguments


def _spell(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "object")


def _value_signature(cls: type) -> str:
    fields = attrs.fields_dict(cls) if attrs.has(cls) else {}
    parameters = []
    for parameter in inspect.signature(cls).parameters.values():
        text, field = parameter.name, fields.get(parameter.name)
        default = plain(field.default, "...") if field else plain(parameter.default)
        given = _converted(field.converter) if field else ""
        if given:
            text += f": {given}"
        if (field or parameter).default not in (attrs.NOTHING, parameter.empty):
            text += f"={default}"
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parameters:
            parameters.append("*")
        parameters.append(text)
    return f"({', '.join(parameters)})"


def _converted(converter: Any) -> str:
    """Return the type that a converter takes, if it is another one than it returns; else ``""``."""
    if not inspect.isfunction(converter):
        return ""
    source = signature(converter, bound=False)[0].partition(": ")[2].removesuffix(")")
    return "" if source == "~typing.Any" else source


# Attributes ###########################################################################################################


def entries(cls: type, *kinds: str) -> dict[str, str]:
    """Return the arguments and attributes in the docstring of a class, or those of a kind, with their descriptions."""
    docstring = inspect.cleandoc(cls.__doc__ or "")
    return {
        name: " ".join(text.split())
        for kind, section in _SECTION.findall(docstring)
        if not kinds or kind in kinds
        for name, text in _ENTRY.findall(section)
    }


def without_entries(cls: type, docstring: str) -> str:
    """Return a docstring without the sections that `attributes` describes."""
    if is_value(cls):
        return _SECTION.sub("", docstring)
    return _SECTION.sub(lambda found: "" if found[1] == "Attributes" else found[0], docstring)


def is_value(cls: type) -> bool:
    """Return True for classes whose arguments are their attributes: attrs classes and exceptions."""
    return attrs.has(cls) or issubclass(cls, BaseException)


def attributes(cls: type) -> list[Attribute]:
    """Return the attributes of a class that are no properties, without those of its bases.

    Raises:
        LookupError: A field of an attrs class is not described.
    """
    found = [*_constants(cls), *_resources(cls)]
    if attrs.has(cls):
        return [*found, *_fields(cls)]
    names = list(entries(cls))
    if issubclass(cls, BaseException):
        inherited = {name for base in cls.__mro__[1:] for name in entries(base)}
        names = [name for name in names if name not in inherited]
    else:
        names = list(entries(cls, "Attributes"))
    return found + [Attribute(name, entries(cls)[name], _annotations(cls).get(name, "")) for name in names]


def _constants(cls: type) -> Iterator[Attribute]:
    for name, annotation in get_type_hints(cls).items() if attrs.has(cls) else ():
        if name in _CONSTANTS and name in _annotations(cls) and get_origin(annotation) is ClassVar:
            yield Attribute(name, _CONSTANTS[name], _annotations(cls)[name][9:-1], repr(vars(cls)[name]))


def _resources(cls: type) -> Iterator[Attribute]:
    for name, value in vars(cls).items():
        if isinstance(value, functools.cached_property) and not name.startswith("_"):
            yield Attribute(name, inspect.getdoc(value.func) or "", value.func.__annotations__["return"])


def _fields(cls: type) -> Iterator[Attribute]:
    described = entries(cls)
    for field in attrs.fields(cls):
        if field.inherited or field.name.startswith("_"):
            continue
        if field.name not in described:
            raise LookupError(f"the docstring of {cls.__qualname__} has no line for {field.name}")
        yield Attribute(field.name, described[field.name], _annotations(cls).get(field.name, ""), plain(field.default))


def plain(default: Any, made: str | None = None) -> str | None:
    """Return a default in plain form.

    Args:
        default: The default.
        made: The text for one that a function makes for each instance.

    Returns:
        The text; None if there is no default.
    """
    if default is attrs.NOTHING:
        return None
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        factory: Any = default.factory
        return _MADE.get(factory) or (f"{factory.__name__}()" if isinstance(factory, type) else made)
    return repr(default)


@functools.cache
def _annotations(cls: type) -> dict[str, str]:
    """Return the annotations in the source of a class, those of ``self.name`` in its methods too."""
    body = _classes(cls.__module__).get(cls.__name__)
    if body is None:
        return {}
    found = dict(_UNANNOTATED)
    for node in ast.walk(body):
        target = getattr(node, "target", None)
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            found |= {each.arg: ast.unparse(each.annotation) for each in _arguments(node) if each.annotation}
        elif isinstance(node, ast.AnnAssign) and isinstance(target, ast.Attribute):
            found[target.attr] = ast.unparse(node.annotation)
        elif isinstance(node, ast.AnnAssign) and isinstance(target, ast.Name) and node in body.body:
            found[target.id] = ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            found |= _inferred(node)
    return found


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(import_module(module)))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _arguments(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _inferred(node: ast.Assign) -> dict[str, str]:
    """Return the types of ``self.name = "text"`` and ``self.name, other.name = Enum.MEMBER, 1``."""
    found = {}
    (target,) = node.targets
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        pairs = list(zip(target.elts, node.value.elts, strict=True))
    else:
        pairs = [(target, node.value)]
    for attribute, value in pairs:
        if not isinstance(attribute, ast.Attribute):
            continue
        if isinstance(value, ast.Constant) and value.value is not None:
            found[attribute.attr] = type(value.value).__name__
        elif isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id.istitle():
            found[attribute.attr] = value.value.id
    return found
