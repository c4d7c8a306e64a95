"""The directive ``.. operations-table::``: every operation of ``handinger_async.operations.OPERATIONS``.

It emits a table of all operations and a section for each: the method of the session that sends it, its result, the
place of each field in the request, its errors, and the exact bytes of an example, request and response, made by
`handinger_async.codec`. For errors, the in-memory service is asked for something that does not exist.
"""

import inspect
import types
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from docutils import nodes
from public import public_names
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from handinger_async import (
    APIStatusError,
    ServerSentEvent,
    Session,
    UnknownWorkerSchedule,
    Webhook,
    operations,
    resources,
)
from handinger_async.codec import decode_response, encode_request, encode_response
from handinger_async.http import Endpoint, Headers, Response
from handinger_async.operations import OPERATIONS, Operation
from handinger_async.streams import EventStream, FileDownload
from handinger_async.testing import FakeHandinger
from handinger_async.transports.memory import MemoryTransport

#: Examples of strings, by the name of the field. A field that is not named here gets its own name.
STRINGS = {
    "created_at": "2026-01-01T00:00:00.000Z",
    "file_path": "scratchpad/plan.md",
    "filename": "scratchpad/plan.md",
    "input": "Compare three tents.",
    "instructions": "Check each claim.",
    "media_type": "text/markdown",
    "organization_id": "org_2waQgZyTel6gSw",
    "output_text": "The second is the lightest.",
    "prompt": "A worker that checks claims.",
    "role": "assistant",
    "schedule_id": "sch_01HZY2ZJQ8G7K42W2D7WF6V4GM",
    "started_at": "2026-01-01T00:00:00.000Z",
    "status": "completed",
    "summary": "Checks claims.",
    "task_id": "tsk_2Z-YWz3hFq6VlW",
    "text": "The second is the lightest.",
    "title": "Facts",
    "token": "whk_01QWXMCZM22Q10CGEFJNDBZ8RD",
    "url": "https://example.com/hook",
    "user_id": "usr_nQ6-z5Tu5reGbn",
    "worker_id": "wrk_gCG_MWu16Kr9Dr",
}
NUMBERS = {"delay_in_seconds": 3600, "duration_ms": 1139, "interval_seconds": 3600, "credits": 9}
BOOLS = {"running": False}
TIME = datetime(2026, 1, 1, tzinfo=UTC)
#: Examples of fields that differ from class to class.
OF_CLASSES = {
    ("File", "url"): "https://handinger.com/files/wrk_gCG_MWu16Kr9Dr/scratchpad/plan.md",
    ("IntervalWorkerSchedule", "id"): STRINGS["schedule_id"],
    ("Output", "id"): "msg_1",
    ("Source", "id"): "src_1",
    ("Source", "url"): "https://example.com/tents",
    ("Task", "id"): STRINGS["task_id"],
    ("Task", "url"): "https://handinger.com/worker/wrk_gCG_MWu16Kr9Dr/task/tsk_2Z-YWz3hFq6VlW",
    ("Turn", "id"): "trn_1",
    ("Turn", "role"): "user",
    ("WebhookExecution", "id"): "del_1",
    ("Worker", "id"): STRINGS["worker_id"],
    ("WorkerTemplate", "id"): STRINGS["worker_id"],
    ("WorkerTemplate", "url"): "https://handinger.com/worker/wrk_gCG_MWu16Kr9Dr",
}


# Facts about an operation #############################################################################################


def place(cls: type[Operation[Any]], name: str) -> str:
    """Return the part of the request that contains a field."""
    if name == "files":
        return "a form, which then has the other fields too"
    several_segments = cls.route.path_parameters.get(name)
    if several_segments is None:
        return "the JSON body" if cls.route.has_body else "the query"
    return "the path, as several segments" if several_segments else "the path"


def result(cls: type[Operation[Any]]) -> str:
    """Return the type of the result of an operation's method, as a reference."""
    (base,) = (base for base in cls.__orig_bases__ if get_origin(base) is Operation)
    (returned,) = get_args(base)
    if get_origin(returned) is list:
        return _link(EventStream)
    if returned is bytes:
        return _link(FileDownload)
    return _link(returned) if returned is not str else "``str``"


def _link(value: object) -> str:
    path = _path(value)
    return f"`{path.rpartition('.')[2]} <{path}>`"


def _path(value: object) -> str:
    return next(path for path, public_value in public_names().items() if public_value is value)


def session_methods() -> dict[str, tuple[str, str]]:
    """Return, by the name of an operation, the call on a session and the path of the method that sends it."""
    session = Session(api_key="example", transport=MemoryTransport(lambda request: None))
    names = {cls.__name__ for cls in OPERATIONS}
    found = {}
    for path, resource in _resources(session, "session"):
        for name, method in inspect.getmembers(type(resource), inspect.isfunction):
            for used in names & set(inspect.unwrap(method).__code__.co_names):
                found[used] = f"{path}.{name}", f"{_path(type(resource))}.{name}"
    return found


def _resources(holder: object, path: str) -> Iterator[tuple[str, object]]:
    for name, value in inspect.getmembers(holder):
        if not name.startswith("_") and type(value).__module__.startswith(resources.__name__):
            yield f"{path}.{name}", value
            yield from _resources(value, f"{path}.{name}")


def errors(cls: type[Operation[Any]]) -> Iterator[str]:
    """Yield the errors of an operation beside those of every call: for its files, and for unknown ids."""
    if "files" in attrs.fields_dict(cls):
        yield "``OSError``: a file does not exist, or cannot be opened."
    operation = example(cls)
    _, request = Endpoint("https://example.com", "key").prepare(encode_request(operation))
    response = FakeHandinger()(request)
    try:
        if not isinstance(response, Response):
            return
        decode_response(operation, response)
    except APIStatusError as error:
        nouns = [name.removesuffix("_id").removesuffix("_path") for name in _ids(cls)]
        yield f"{_link(type(error))} ({error.status_code}): there is no such {' or '.join(nouns)}."


def _ids(cls: type[Operation[Any]]) -> list[str]:
    own = list(cls.route.path_parameters)
    return own or [name for name in attrs.fields_dict(cls) if name == "worker_id"]


# An example ###########################################################################################################


def example(cls: type[Any], *, optional: bool = True) -> Any:
    """Return an instance of an attrs class.

    Args:
        cls: The class.
        optional: Give a value to every field; flags and files keep their defaults. Otherwise, to required ones only.
    """
    given = []
    for field in attrs.fields(cls):
        left_to_default = field.type is bool or field.name == "files"
        if field.init and (field.default is attrs.NOTHING or (optional and not left_to_default)):
            given.append(field)
    return cls(**{field.name: _value(cls, field.name, field.type) for field in given})


def _value(cls: type[Any], name: str, annotation: Any) -> Any:
    choices = list(_choices(annotation))
    for choice in choices:
        if get_origin(choice) is Literal and isinstance(get_args(choice)[0], str):
            return get_args(choice)["completed" in get_args(choice) and get_args(choice).index("completed")]
        if get_origin(choice) is list:
            return [_value(cls, name, *get_args(choice))] if attrs.has(*get_args(choice)) or name == "schedules" else []
    # Of several classes the last: the first kinds of a schedule's start are dates, which look old soon.
    for choice in reversed(choices):
        if attrs.has(choice) and choice is not UnknownWorkerSchedule:
            return example(choice, optional=choice.__name__.endswith("When") or choice is Webhook)
    if name == "output_schema":
        return {"type": "object", "properties": {"verdict": {"type": "string"}}}
    if (cls.__name__, name) in OF_CLASSES:
        return OF_CLASSES[cls.__name__, name]
    plain = {
        str: STRINGS.get(name, name),
        bool: BOOLS.get(name, True),
        int: NUMBERS.get(name, 1),
        datetime: TIME,
    }
    for kind, value in plain.items():
        if kind in choices:
            return value
    if dict[str, Any] in choices:
        return {}
    if annotation is Any:
        return None
    raise ExtensionError(f"no example for {cls.__name__}.{name}: {annotation}; add one in {__file__}")


def _choices(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, those of nested ones too."""
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _choices(member)
    else:
        yield annotation


def example_result(operation: Operation[Any]) -> Any:
    """Return a result of an operation."""
    returns = operation.route.returns
    if isinstance(operation, operations.DeleteWebhook):
        return Webhook()
    if returns is ServerSentEvent:
        return [ServerSentEvent('{"status":"running"}', id="1"), ServerSentEvent('{"status":"completed"}', id="2")]
    return {str: "facts@workers.handinger.com", bytes: b"# Plan\n"}.get(returns) or _value(Operation, "", returns)


def request_lines(operation: Operation[Any]) -> list[str]:
    """Return a request as lines: without host and credentials, which the endpoint adds."""
    request = encode_request(operation)
    return _lines(f"{request.method} {request.target} HTTP/1.1", request.headers, request.read_body())


def response_lines(operation: Operation[Any]) -> list[str]:
    """Return the response to an operation as lines."""
    response = encode_response(operation, example_result(operation))
    return _lines(f"HTTP/1.1 {response.status} {response.reason}", response.headers, response.body)


def _lines(first: str, headers: Headers, body: bytes) -> list[str]:
    head = [first, *(f"{name}: {text}" for name, text in headers.items())]
    return [*head, "", *body.decode().splitlines()] if body else head


# The page #############################################################################################################


def _overview() -> Iterator[str]:
    yield from (
        ".. list-table::",
        "   :header-rows: 1",
        "   :class: operations",
        "",
        "   * - Operation",
        "     - Request and result",
    )
    for cls in OPERATIONS:
        yield f"   * - `{cls.__name__} <{cls.__module__}.{cls.__name__}>`"
        yield f"     - ``{cls.route.method} {cls.route.path}`` → {result(cls)}"
    yield ""


def _section(
    cls: type[Operation[Any]],
    methods: dict[str, tuple[str, str]],
    seen: dict[tuple[str, ...], type[Operation[Any]]],
) -> Iterator[str]:
    """Yield the section of an operation; ``seen`` has the examples of responses of those before."""
    name, fields = cls.__name__, attrs.fields_dict(cls)
    call, target = methods[name]
    yield from (name, "-" * len(name), "", f"``{cls.route.method} {cls.route.path}``", "")
    yield f"- Method: :meth:`{call}() <{target}>`"
    notes = {
        _link(EventStream): "; ``decode_response`` returns a list of events",
        _link(FileDownload): "; ``decode_response`` returns bytes",
    }
    streamed = f"; with ``stream=True`` {_link(EventStream)}" if "stream" in fields else ""
    yield f"- Result: {result(cls)}{notes.get(result(cls), '')}{streamed}"
    yield from (f"- Error: {error}" for error in errors(cls))
    yield from ("", f".. autoclass:: {cls.__module__}.{name}", "")
    operation = example(cls)
    yield from _block(request_lines(operation))
    response = response_lines(operation)
    like = seen.setdefault(tuple(response), cls)
    yield from _block(response) if like is cls else (f"The response is like that of {_link(like)}.", "")


def _block(lines: list[str]) -> Iterator[str]:
    yield from (".. code-block:: http", "   :class: bytes", "", *(f"   {line}" for line in lines), "")


def add_places(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Begin the description of each field of an operation with its place in the request."""
    if not (isinstance(value, type) and issubclass(value, Operation) and attrs.has(value)):
        return
    for number, line in enumerate(lines):
        if line.startswith(".. py:attribute:: "):
            end = lines.index("", number)
            lines[end + 1] = f"   In {place(value, line.split()[-1])}. {lines[end + 1].strip()}"


class OperationsTable(SphinxDirective):
    """Describe every operation."""

    def run(self) -> list[nodes.Node]:
        """Return the overview and a section for each operation."""
        for module in (operations, resources):
            self.env.note_dependency(str(inspect.getsourcefile(module)))
        methods = session_methods()
        seen: dict[tuple[str, ...], type[Operation[Any]]] = {}
        lines = [*_overview(), *(line for cls in OPERATIONS for line in _section(cls, methods, seen))]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.connect("autodoc-process-docstring", add_places, priority=600)  # after the extension "reference"
    app.add_directive("operations-table", OperationsTable)
    return {"parallel_read_safe": True}
