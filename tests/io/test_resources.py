"""Methods of resources agree with their operations; arguments are checked; requests are cached."""

import asyncio
import inspect
import sys
from typing import Any
from unittest import mock

import attrs
import pytest

from handinger_async import ConfigurationError, EventStream, FileDownload, Session, models, operations, resources
from handinger_async._asyncio import calls
from handinger_async.http import Headers, Request, Response
from handinger_async.transports.memory import MemoryTransport

from .service import ok

#: Methods made of several operations.
COMPOSED = {"Tasks.run", "Tasks.wait", "Webhooks.executions", "Workers.download_files", "Workers.run", "Workers.wait"}

#: The other public methods of the resources, each with the operation whose class its code names.
METHODS: list[tuple[Any, type[operations.Operation[Any]]]] = [
    (method, next(cls for cls in operations.OPERATIONS if cls.__name__ in inspect.unwrap(method).__code__.co_names))
    for resource in map(vars(resources).__getitem__, resources.__all__)
    for name, method in inspect.getmembers(resource, inspect.isfunction)
    if not name.startswith("_") and method.__qualname__ not in COMPOSED
]


def test_every_operation_has_one_method() -> None:
    named = [operation for _, operation in METHODS]
    assert sorted(map(str, named)) == sorted(map(str, operations.OPERATIONS))


@pytest.mark.parametrize(("method", "operation"), METHODS, ids=lambda value: getattr(value, "__qualname__", None))
def test_parameters_of_a_method_are_the_fields_of_its_operation(method: Any, operation: Any) -> None:
    parameters = inspect.signature(method, eval_str=True).parameters
    others = ("self", "resume", "last_event_id")
    given = {name: parameter for name, parameter in parameters.items() if name not in others}
    fields = attrs.fields_dict(operation)
    assert list(given) == list(fields)
    for name, parameter in given.items():
        default = inspect.Parameter.empty if fields[name].default is attrs.NOTHING else fields[name].default
        assert parameter.default == default, name


@pytest.mark.parametrize(("method", "operation"), METHODS, ids=lambda value: getattr(value, "__qualname__", None))
def test_every_argument_is_documented(method: Any, operation: Any) -> None:
    for name in inspect.signature(method).parameters:
        if name != "self":
            assert f"\n    {name}: " in (inspect.getdoc(method) or ""), name


def not_found(request: Request) -> Response:
    return Response(404)


async def test_json_methods_return_coroutines_and_streams_return_objects() -> None:
    async with Session(api_key="key", transport=MemoryTransport(not_found)) as session:
        coroutine = session.workers.create(input="x")
        assert inspect.iscoroutine(coroutine)
        task = asyncio.create_task(coroutine)
        await asyncio.wait((task,))
        assert task.exception()
        assert isinstance(session.workers.create(input="x", stream=True), EventStream)
        assert isinstance(session.workers.stream_updates("w"), EventStream)
        assert isinstance(session.workers.retrieve_file("f", worker_id="w"), FileDownload)


async def test_warning_about_a_forgotten_await_names_the_method() -> None:
    async with Session(api_key="key", transport=MemoryTransport(not_found)) as session:
        with pytest.warns(RuntimeWarning, match=r"'Workers\.retrieve' was never awaited"):
            session.workers.retrieve("w")
        with pytest.warns(RuntimeWarning, match=r"'Schedules\.create' was never awaited"):
            session.workers.schedules.create("w", input="x", when=models.DelayedWhen(1))


def test_autospec_finds_the_methods_of_resources() -> None:
    session = mock.create_autospec(Session, instance=True)
    for find in (lambda: session.workers.retrieve, lambda: mock.create_autospec(Session)().workers.schedules.list):
        method = find()
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            method("w", nonsense=1)
    with pytest.raises(AttributeError):
        session.workers.nonsense  # noqa: B018
    assert Session.workers is resources.Workers
    assert resources.Workers.schedules is resources.Schedules


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is new in Python 3.12")
async def test_methods_that_give_coroutines_are_marked_as_coroutine_functions() -> None:
    async with Session(api_key="key", transport=MemoryTransport(not_found)) as session:
        workers, schedules = session.workers, session.workers.schedules
        for method in (workers.create, workers.retrieve, workers.continue_, workers.retrieve_email):
            assert inspect.iscoroutinefunction(method)
        for method in (schedules.list, schedules.create, schedules.cancel):
            assert inspect.iscoroutinefunction(method)
        for method in (workers.stream_updates, workers.retrieve_file):
            assert not inspect.iscoroutinefunction(method)
    spec = mock.create_autospec(Session, instance=True)
    spec.workers.retrieve.return_value = "worker"
    assert await spec.workers.retrieve("w") == "worker"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.workers.retrieve(""), "worker_id is empty"),
        (lambda s: s.workers.retrieve(5), "worker_id must be a string, not int"),
        (lambda s: s.workers.create(input=None), "input must be a string, not NoneType"),
        (lambda s: s.workers.create(input="x", budget=1), "budget must be a string or None, not int"),
        (lambda s: s.workers.create(input="x", stream=1), "stream must be True or False, not int"),
        (lambda s: s.workers.retrieve_file("a/../b", worker_id="w"), "file_path must not be '..'"),
        (lambda s: s.workers.stream_updates("a\n"), "control character"),
        (lambda s: s.workers.schedules.create("w", input="x", when={"type": "daily"}), "'interval', not 'daily'"),
        (lambda s: s.workers.schedules.create("w", input="x", when=60), "when must be a When or a dict, not int"),
        (lambda s: s.workers.schedules.cancel(".", worker_id="w"), "schedule_id must not be '.'"),
        (lambda s: s.stream(operations.ListSchedules("w")), "ListSchedules cannot respond with a stream"),
        (lambda s: s.download(operations.ListSchedules("w")), "the response to ListSchedules is not a file"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(call: Any, words: str) -> None:
    def refuse(request: Request) -> Response:
        raise AssertionError("sent")

    async with Session(api_key="key", transport=MemoryTransport(refuse)) as session:
        with pytest.raises(ConfigurationError) as caught:
            call(session)
        assert words in str(caught.value)
        with pytest.raises(ConfigurationError, match=r"use stream\(\)"):
            await session.send(operations.CreateWorker(input="x", stream=True))


@pytest.mark.parametrize("name", ["headers", "query", "body"])
def test_options_that_are_not_mappings_are_refused(name: str) -> None:
    session = Session(api_key="key", transport=MemoryTransport(not_found))
    for bad in ("a=1", [("a", "1")], 5):
        with pytest.raises(ConfigurationError, match=f"{name} must be a mapping"):
            session.with_options(**{name: bad})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="headers must be a mapping"):
        Session(api_key="key", headers="a: b")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "https://example.com/api", "no other host"),
        ("GET", "//example.com/api", "no other host"),
        ("GET", "http:/example.com", "no other host"),
        ("GET", "\\\\example.com", "backslash"),
        ("GET", "/a/../b", "segment"),
        ("GET", "/a/%2E%2e/b", "segment"),
        ("GET", "/a\r\nHost: x", "control character"),
        ("GET", "/a#b", "'#'"),
        ("GET", "", "non-empty"),
        ("G ET", "/a", "not an HTTP method"),
        ("", "/a", "not an HTTP method"),
    ],
)
async def test_invalid_custom_requests_are_refused(method: str, path: str, words: str) -> None:
    def refuse(request: Request) -> Response:
        raise AssertionError("sent")

    async with Session(api_key="key", transport=MemoryTransport(refuse)) as session:
        with pytest.raises(ConfigurationError) as caught:
            await session.request(method, path)
        assert words in str(caught.value)
        for query in ({"a": "\ud800"}, {"\ud800": 1}, "a=1"):
            with pytest.raises(ConfigurationError, match="query"):
                await session.request("GET", "/a", query=query)  # type: ignore[arg-type]
        for bad in (object(), float("nan"), {1j: 2}):
            with pytest.raises(ConfigurationError, match="json cannot be encoded"):
                await session.request("POST", "/a", json=bad)


async def test_cached_requests_are_sent_like_new_ones() -> None:
    seen: list[Request] = []

    def respond(request: Request) -> Response:
        seen.append(request)
        return Response(200, {"Content-Type": "application/json"}, b'"w@example.com"')

    session = Session(api_key="key", transport=MemoryTransport(respond), headers={"X-Own": "1"})
    views = [session, session.with_options(headers={"X-View": "1"}), session.with_options(query={"a": 1})]
    for _ in range(3):
        for view in views:
            await view.workers.retrieve_email("w")
            await view.request("GET", "/api/workers/w/email", headers={"X-Call": "1"})
            await view.request("DELETE", "/api/workers/w/email")
            await view.request("POST", "/api/workers/w/email", json=len(seen))
    first, second, third = (seen[start : start + 12] for start in (0, 12, 24))
    assert len({repr(request) for request in first}) == 12
    assert [repr(request) for request in second] == [repr(request) for request in third] == list(map(repr, first))
    assert [request.body for request in seen if request.body] == [str(n).encode() for n in range(3, 36, 4)]
    assert first[0].headers["x-own"] == first[4].headers["x-view"] == first[1].headers["x-call"] == "1"
    assert first[8].target.endswith("?a=1")


def test_request_cache_distinguishes_method_and_headers() -> None:
    settings, headers = Session(api_key="key")._settings, Headers({"Accept": "text/plain"})
    for method in ("GET", "DELETE", "GET"):
        url, prepared = settings.prepare(Request(method, "/x", headers))
        assert (prepared.method, str(url)[-2:], prepared.headers["accept"]) == (method, "/x", "text/plain")
    _, other = settings.prepare(Request("GET", "/x", {"Accept": "image/png"}))
    assert other.headers["accept"] == "image/png"


async def test_request_cache_is_bounded() -> None:
    response = Response(200, {"Content-Type": "application/json"}, b'"w@example.com"')
    session = Session(api_key="key", transport=MemoryTransport(lambda _: response))
    for number in range(2 * calls._MAX_PREPARED):
        await session.workers.retrieve_email(f"w{number}")
    assert 0 < len(session._settings._prepared) <= calls._MAX_PREPARED


async def test_equal_requests_without_a_body_are_prepared_once() -> None:
    session = Session(api_key="key", transport=MemoryTransport(lambda _: ok))
    await session.workers.create(input="x")
    assert not session._settings._prepared
    prepared = [session._settings.prepare(Request("GET", "/x", {"Accept": "text/plain"})) for _ in range(2)]
    assert prepared[0][1] is prepared[1][1]


async def test_mapping_from_a_custom_transport_is_converted_to_headers() -> None:
    class CustomResponse:
        status = 200
        headers: Any = {"content-TYPE": "Application/JSON; charset=utf-8"}  # noqa: RUF012 - it is not modified

        def __init__(self) -> None:
            self.chunks = [b"", b"{}"]

        async def read_chunk(self) -> bytes:
            return self.chunks.pop()

        async def aclose(self) -> None:
            pass

    class CustomTransport:
        async def open(self, url: object, request: Request, *, connect_timeout: object) -> CustomResponse:
            return CustomResponse()

        async def aclose(self) -> None:
            pass

    response = await Session(api_key="key", transport=CustomTransport()).request("GET", "/x")
    assert isinstance(response.headers, Headers)
    assert response.media_type == "application/json"
