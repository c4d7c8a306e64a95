"""The directive ``.. operations-table::``: every operation of ``handinger_async.operations.OPERATIONS``.

It emits a table of all operations and a section for each: the method of the session that sends it, the place of each
field in the request, and the exact bytes of an example, made by `handinger_async.codec.encode_request`.
"""

import inspect
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata, stringify_annotation

from handinger_async import Session, models, operations, resources
from handinger_async.codec import encode_request
from handinger_async.operations import OPERATIONS, Operation
from handinger_async.transports.memory import MemoryTransport

#: Examples of strings, by the name of the field. A field that is not named here gets its own name.
STRINGS = {
    "file_path": "scratchpad/plan.md",
    "input": "Compare three tents.",
    "instructions": "Check each claim.",
    "prompt": "A worker that checks claims.",
    "schedule_id": "sch_01HZY2ZJQ8G7K42W2D7WF6V4GM",
    "summary": "Checks claims.",
    "task_id": "tsk_2Z-YWz3hFq6VlW",
    "title": "Facts",
    "url": "https://example.com/hook",
    "worker_id": "t_org_123_w_01HZY2ZJQ8G7K42W2D7WF6V4GM",
}
NUMBER = 3600


# Facts about an operation #############################################################################################


def place(cls: type[Operation[Any]], name: str) -> str:
    """Return the part of the request that contains a field."""
    if name == "files":
        return "form, which then has the other fields too"
    several_segments = cls.route.path_parameters.get(name)
    if several_segments is None:
        return "JSON body" if cls.route.has_body else "query"
    return "path, several segments" if several_segments else "path"


def result(cls: type[Operation[Any]]) -> str:
    """Return the name of the type of an operation's result."""
    (base,) = (base for base in cls.__orig_bases__ if get_origin(base) is Operation)
    (returned,) = get_args(base)
    aliases = (name for name in models.__all__ if getattr(models, name) == returned)
    return next(aliases, None) or stringify_annotation(returned, "smart").replace("~handinger_async.sse.", "")


def session_methods() -> dict[str, tuple[str, str]]:
    """Return, by the name of an operation, the call on a session and the full name of the method that sends it."""
    session = Session(api_key="example", transport=MemoryTransport(lambda request: None))
    names = {cls.__name__ for cls in OPERATIONS}
    found = {}
    for path, resource in _resources(session, "session"):
        for name, method in inspect.getmembers(type(resource), inspect.isfunction):
            for used in names & set(inspect.unwrap(method).__code__.co_names):
                found[used] = f"{path}.{name}", f"{type(resource).__module__}.{method.__qualname__}"
    return found


def _resources(holder: object, path: str) -> Iterator[tuple[str, object]]:
    for name, value in inspect.getmembers(holder):
        if not name.startswith("_") and type(value).__module__.startswith(resources.__name__):
            yield f"{path}.{name}", value
            yield from _resources(value, f"{path}.{name}")


# An example ###########################################################################################################


def example(cls: type[Any]) -> Any:
    """Return an instance of an attrs class with a value in every field; flags and files keep their defaults."""
    fields = [f for f in attrs.fields(cls) if f.init and f.type is not bool and f.name != "files"]
    return cls(**{f.name: _value(cls, f.name, f.type) for f in fields})


def _value(cls: type[Any], name: str, annotation: Any) -> Any:
    choices = list(_choices(annotation))
    for choice in choices:
        if get_origin(choice) is Literal and isinstance(get_args(choice)[0], str):
            return get_args(choice)[0]
    # Of several classes the last: the first kinds of a schedule's start are dates, which look old soon.
    for choice in reversed(choices):
        if attrs.has(choice):
            return example(choice)
    if dict[str, Any] in choices:
        return {"type": "object", "properties": {"verdict": {"type": "string"}}}
    if str in choices:
        return STRINGS.get(name, name)
    if int in choices:
        return NUMBER
    raise ExtensionError(f"no example for {cls.__name__}.{name}: {annotation}; add one in {__file__}")


def _choices(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, those of nested ones too."""
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _choices(member)
    else:
        yield annotation


def request_lines(operation: Operation[Any]) -> list[str]:
    """Return a request as lines: without host and credentials, which the endpoint adds."""
    request = encode_request(operation)
    head = [
        f"{request.method} {request.target} HTTP/1.1",
        *(f"{name}: {text}" for name, text in request.headers.items()),
    ]
    return [*head, "", request.read_body().decode()] if request.body else head


# The page #############################################################################################################


def _overview() -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "", "   * - Operation", "     - Request")
    for cls in OPERATIONS:
        yield f"   * - `{cls.__name__} <{cls.__module__}.{cls.__name__}>`"
        yield f"     - ``{cls.route.method} {cls.route.path}``"
    yield ""


def _section(cls: type[Operation[Any]], methods: dict[str, tuple[str, str]]) -> Iterator[str]:
    name, fields = cls.__name__, attrs.fields_dict(cls)
    yield from (name, "-" * len(name), "", f"``{cls.route.method} {cls.route.path}``", "")
    if name in methods:
        call, target = methods[name]
        yield f"- Method: :meth:`{call}() <{target}>`"
    yield f"- Result: ``{result(cls)}``{'; with ``stream=True`` a stream of events' if 'stream' in fields else ''}"
    yield from ("", ".. list-table::", "   :header-rows: 1", "", "   * - Field", "     - Place", "     - Required")
    for field in fields.values():
        yield f"   * - ``{field.name}``"
        yield f"     - {place(cls, field.name)}"
        yield f"     - {'yes' if field.default is attrs.NOTHING else 'no'}"
    yield from ("", ".. code-block:: http", "")
    yield from (f"   {line}" for line in request_lines(example(cls)))
    yield from ("", f".. autoclass:: {cls.__module__}.{name}", "   :exclude-members: route", "")


class OperationsTable(SphinxDirective):
    """Describe every operation."""

    def run(self) -> list[nodes.Node]:
        """Return the overview and a section for each operation."""
        for module in (operations, resources):
            self.env.note_dependency(str(inspect.getsourcefile(module)))
        methods = session_methods()
        lines = [*_overview(), *(line for cls in OPERATIONS for line in _section(cls, methods))]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_directive("operations-table", OperationsTable)
    return {"parallel_read_safe": True}
