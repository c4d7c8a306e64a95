"""Options of a session, a view or a call: sent as meant, or refused before anything is sent."""

import asyncio
import math
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from handinger_async import ConfigurationError, RetryPolicy, Session, Timeouts, operations
from handinger_async.http import Endpoint, Request, Response
from handinger_async.testing import FakeHandinger
from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import MemoryTransport

from .. import run_readme
from .service import Service, ok
from .wire import WireRequest, response, wire_server

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "options.rst"


class Colour(Enum):
    RED = "red"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = object.__hash__


def deep() -> Any:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


async def sent(session: Session, service: Service, *args: Any, **options: Any) -> Request:
    """Return the request that `Session.request` sends."""
    await session.request(*args, **options)
    return service.requests[-1]


# Query and body #######################################################################################################


async def test_query_of_a_call_and_of_a_view_have_the_same_form() -> None:
    query = {"tag": ["a", "b"], "on": True, "since": datetime(2030, 1, 2, tzinfo=UTC), "colour": Colour.RED, "no": None}
    service = Service(ok)
    async with service.session() as session:
        await session.request("GET", "/x", query=query)
        await session.with_options(query=query).request("GET", "/x")
        await session.with_options(query=query).workers.retrieve("w")
    first, second, third = (request.target.partition("?")[2] for request in service.requests)
    assert first == "tag=a&tag=b&on=true&since=2030-01-02T00%3A00%3A00%2B00%3A00&colour=red"
    assert first == second == third


async def test_fields_of_the_path_survive_unless_they_are_replaced() -> None:
    service = Service(ok)
    async with service.session() as session:
        view = session.with_options(query={"b": 2, "c": None})
        assert (await sent(view, service, "GET", "/x?a=1&a=2&d=%2B")).target == "/x?a=1&a=2&d=%2B&b=2"
        assert (await sent(view, service, "GET", "/x?b=0&a=1&b=1&c=1")).target == "/x?a=1&b=2"
        assert (await sent(session, service, "GET", "/x?a=1", query={"a": 2})).target == "/x?a=1&a=2"
        assert (await sent(session, service, "GET", "/x", query={"a": None})).target == "/x"
        assert (await sent(session, service, "GET", "/x?", query={"a": 2})).target == "/x?a=2"
        assert (await sent(session, service, "GET", "/x?a=1&", query={"a": 2})).target == "/x?a=1&a=2"
        assert (await sent(view.with_options(query={"b": None}), service, "GET", "/x?c=1")).target == "/x"


@pytest.mark.parametrize("value", [{"b": 1}, object(), math.nan, pytest.param(10**5000, id="huge"), Unprintable()])
async def test_query_that_cannot_be_sent_is_refused_at_once(value: Any) -> None:
    service = Service(ok)
    async with service.session() as session:
        with pytest.raises(ConfigurationError, match="query field 'a'"):
            session.with_options(query={"a": value})
        with pytest.raises(ConfigurationError, match="query field 'a'"):
            await session.request("GET", "/x", query={"a": value})
    assert not service.requests


@pytest.mark.parametrize("name", [1, None, Colour.RED])
def test_names_of_fields_must_be_strings(name: Any) -> None:
    """Another name would not replace the field of the same form."""
    for argument in ("query", "body"):
        with pytest.raises(ConfigurationError, match=rf"{argument} field .* must have a string as its name"):
            Service(ok).session().with_options(**{argument: {name: "x"}})


class Name(str, Enum):  # noqa: UP042 - its str() is "Name.A"
    A = "a"


async def test_enum_members_that_are_strings_replace_fields() -> None:
    service = Service(ok)
    async with service.session() as session:
        view = session.with_options(query={"a": 1}, body={"a": 1}).with_options(query={Name.A: 2}, body={Name.A: 2})
        request = await sent(view, service, "POST", "/x?a=0", json={"a": 0})
    assert (request.target, request.body) == ("/x?a=2", b'{"a":2}')


async def test_later_changes_of_given_values_change_no_request() -> None:
    ids = ["a"]
    inner = {"n": [1]}
    service = Service(ok)
    async with service.session() as session:
        view = session.with_options(query={"ids": ids}, body={"f": inner})
        ids.append("b")
        inner["n"].append(2)
        request = await sent(view, service, "POST", "/x", json={})
    assert (request.target, request.body) == ("/x?ids=a", b'{"f":{"n":[1]}}')


async def test_body_fields_need_a_json_object() -> None:
    service = Service(ok)
    async with service.session() as session:
        view = session.with_options(body={"a": 1})
        assert (await sent(view, service, "POST", "/x", json={"a": 0, "b": 2})).body == b'{"a":1,"b":2}'
        for options in ({}, {"json": [1]}, {"json": "text"}):
            with pytest.raises(ConfigurationError, match="body fields cannot be added to POST /x"):
                await view.request("POST", "/x", **options)
        with pytest.raises(ConfigurationError, match="body fields cannot be added to GET /api/workers/w"):
            await view.workers.retrieve("w")
        for value in (object(), math.nan, deep()):
            with pytest.raises(ConfigurationError, match="body cannot be encoded as JSON"):
                session.with_options(body={"a": value})
            with pytest.raises(ConfigurationError, match="json cannot be encoded as JSON"):
                await session.request("POST", "/x", json={"a": value})
    assert len(service.requests) == 1


# Headers ##############################################################################################################


async def test_none_leaves_out_a_header() -> None:
    names = ["User-Agent", "Authorization", "Accept", "Content-Type", "X-Own"]
    service = Service(ok)
    async with service.session(headers={"X-Own": "1"}) as session:
        for name in names:
            none = {name.lower(): None}
            view = session.with_options(headers=none)
            for request in (
                await sent(session, service, "POST", "/x", json={}, headers=none),
                await sent(view, service, "POST", "/x", json={}),
                await sent(view.with_options(headers={"X-Other": "1"}), service, "POST", "/x", json={}),
            ):
                assert set(names) - set(request.headers) == {name}
            again = view.with_options(headers={name: "again"})
            assert (await sent(again, service, "POST", "/x")).headers[name] == "again"
            assert (await sent(view, service, "POST", "/x", headers={name: "call"})).headers[name] == "call"
        await view.workers.retrieve("w")
    async with service.session(headers={"User-Agent": None}) as session:
        assert "user-agent" not in (await sent(session, service, "GET", "/x")).headers


async def test_headers_of_a_call_win_over_those_of_the_session() -> None:
    service = Service(ok)
    async with service.session(headers={"X-Own": "session", "Accept": "text/plain"}) as session:
        request = await sent(session, service, "GET", "/x", headers={"x-own": "call"})
    assert request.headers["x-own"] == "call"
    assert request.headers["accept"] == "text/plain"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("X-A: 1", {"x-a": "1"}),
        ("X-A:1\nX-B:  b: c \n", {"x-a": "1", "x-b": "b: c"}),
        (" X-A : 1\r\n\r\nX-B: 2\r\n", {"x-a": "1", "x-b": "2"}),
        ("X-A: 1\nx-a: 2", {"x-a": "2"}),
        ("no colon\nX-A:", {"x-a": ""}),
        ("User-Agent: mine\nAuthorization: Basic abc", {"user-agent": "mine", "authorization": "Basic abc"}),
    ],
)
async def test_custom_headers_are_read_from_the_environment(
    text: str, fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(ok)
    async with service.session() as session:
        plain = await sent(session, service, "GET", "/x")
    monkeypatch.setenv("HANDINGER_CUSTOM_HEADERS", text)
    async with service.session() as session:
        request = await sent(session, service, "GET", "/x")
    assert request.headers == plain.headers | fields


async def test_headers_of_a_session_win_over_custom_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDINGER_CUSTOM_HEADERS", "X-A: 1\nX-B: 2\nX-C: 3\nAuthorization: Basic abc")
    service = Service(ok)
    async with service.session(headers={"x-a": "own", "X-B": None}, api_key=lambda: "unused") as session:
        view = session.with_options(headers={"X-C": "view"})
        headers = (await sent(view, service, "GET", "/x")).headers
    names = ["X-A", "X-B", "X-C", "Authorization"]
    assert [headers.get(name) for name in names] == ["own", None, "view", "Basic abc"]


@pytest.mark.parametrize(
    "line", [": value", "X A: value", "X-Ä: value", "X: a\x01b", "X: a\ud800", "Content-Length: 5", "Idempotency-Key:"]
)
def test_custom_header_that_cannot_be_sent_is_named_by_its_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"HANDINGER_CUSTOM_HEADERS": f"X-A: 1\n{line}"})
    with pytest.raises(ConfigurationError) as caught:
        Session(api_key="key", transport=MemoryTransport(FakeHandinger()))
    text = "line 2 of the environment variable HANDINGER_CUSTOM_HEADERS is not a header that can be sent: 'Name: value'"
    assert str(caught.value) == text


async def test_left_out_headers_are_not_made_up_on_the_wire() -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))

    names = ("User-Agent", "Accept", "Content-Type")
    async with wire_server(reply) as server:
        async with Session(api_key="key", base_url=server.url, headers=dict.fromkeys(names)) as session:
            await session.request("POST", "/x", json={})
        async with Session(api_key="key", base_url=server.url) as session:
            await session.request("POST", "/x")
            await session.request("GET", "/x", headers={"Accept": None})
    without, no_body, no_accept = server.requests
    for name in names:
        assert not without.header(name)
    assert not no_body.header("content-type")
    assert not no_accept.header("accept")
    assert no_accept.header("user-agent")


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ("abc", "headers must be a mapping, not str"),
        ([("a", "b")], "headers must be a mapping, not list"),
        ({"Transfer-Encoding": "chunked"}, "header Transfer-Encoding cannot be set"),
        ({"content-LENGTH": "5"}, "header content-LENGTH cannot be set"),
        ({"Idempotency-Key": ""}, "the idempotency key is empty"),
        ({"idempotency-key": " \t"}, "the idempotency key is empty"),
        ({"X-A": "a\x01b"}, "header X-A contains a control character"),
        ({"X-A": "\x7f"}, "header X-A contains a control character"),
        ({"X-A": "\ud800"}, "or a lone surrogate"),
        ({"X-A": 5}, "header X-A must be a string, not int"),
        ({"X A": "5"}, "'X A' is not a header name"),
        ({"X A": None}, "'X A' is not a header name"),
        ({5: None}, "5 is not a header name"),
        ({Unprintable(): "a"}, "this Unprintable is not a header name"),
    ],
)
async def test_header_that_cannot_be_sent_is_refused_at_once(headers: Any, words: str) -> None:
    service = Service(ok)
    async with service.session() as session:
        for make in (lambda: service.session(headers=headers), lambda: session.with_options(headers=headers)):
            with pytest.raises(ConfigurationError) as caught:
                make()
            assert words in str(caught.value)
        with pytest.raises(ConfigurationError) as caught:
            await session.request("POST", "/x", headers=headers)
        assert words in str(caught.value)
    assert not service.requests


@pytest.mark.parametrize("key", ["", " ", "\t", "a\x01", "a\nb", "\ud800", 5])
def test_idempotency_key_that_cannot_be_sent_is_refused(key: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"(?i)idempotency.key"):
        Service(ok).session().with_options(idempotency_key=key)


# Timeouts #############################################################################################################


@pytest.mark.parametrize("name", ["connect", "attempt", "idle", "deadline"])
def test_huge_timeout_works_or_is_refused(name: str) -> None:
    for value in (10**400, 10**5000):
        with pytest.raises(ConfigurationError, match=f"{name} must be a number of seconds"):
            Timeouts(**{name: value})

    async def use(seconds: float) -> None:
        async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(response(b"{}"))

        limit = Timeouts(**{name: seconds})
        async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, timeouts=limit) as session:
            await session.request("GET", "/x")

    for seconds in (1e300, 1.7e308, 10**300):
        asyncio.run(use(seconds))


@pytest.mark.parametrize("name", ["initial_delay", "max_delay", "max_retry_after"])
def test_huge_delay_is_refused(name: str) -> None:
    for value in (10**400, 10**5000):
        with pytest.raises(ConfigurationError, match=f"{name} must be a non-negative number"):
            RetryPolicy(**{name: value})


@pytest.mark.parametrize("value", [Decimal("sNaN"), Decimal("Infinity"), Unprintable()])
def test_timeout_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="attempt must be a number"):
        Timeouts(attempt=value)
    with pytest.raises(ConfigurationError, match="max_delay must be a non-negative number"):
        RetryPolicy(max_delay=value)


# Messages #############################################################################################################


@pytest.mark.parametrize("source", ["argument", "environment"])
def test_message_names_the_source_of_a_bad_key_or_url(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def session(**given: str) -> Session:
        if source == "argument":
            return Session(**{"api_key": "key", **given})  # type: ignore[arg-type]
        for name, value in {"api_key": "key", **given}.items():
            monkeypatch.setenv(f"HANDINGER_{name.upper()}", value)
        return Session()

    for name, value in {"api_key": "a b", "base_url": "http://a..b"}.items():
        with pytest.raises(ConfigurationError) as caught:
            session(**{name: value})
        named = f"the environment variable HANDINGER_{name.upper()}, used as {name}, "
        assert str(caught.value).startswith(named if source == "environment" else f"{name} ")
    with pytest.raises(ConfigurationError, match=r"api_key.* is empty"):
        session(api_key="")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"transport": FakeHandinger()}, "wrap a handler, MemoryTransport(…)"),
        ({"transport": lambda request: Response(200)}, "wrap a handler, MemoryTransport(…)"),
        ({"transport": AiohttpTransport}, "transport must be a Transport, not <class"),
        ({"transport": 5}, "transport must be a Transport, not 5"),
        ({"observe": 5}, "observe must be callable, not 5"),
        ({"max_body_size": True}, "max_body_size must be a number of bytes above zero, not True"),
        ({"max_body_size": -(10**5000)}, "not this int"),
        ({"timeouts": 5}, "timeouts must be a Timeouts, not 5"),
        ({"retry": Unprintable()}, "retry must be a RetryPolicy, not this Unprintable"),
        ({"base_url": "http://a..b"}, "base_url has a host name with an empty or a too long label"),
        ({"base_url": f"http://{'a' * 64}.b"}, "base_url has a host name with an empty or a too long label"),
    ],
)
def test_wrong_argument_of_a_session_is_refused_with_a_hint(options: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Session(**{"api_key": "key", **options})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MemoryTransport(5), "handler must be callable, not 5"),  # type: ignore[arg-type]
        (lambda: AiohttpTransport(5), "session must be an aiohttp.ClientSession, not 5"),  # type: ignore[arg-type]
        (lambda: AiohttpTransport(ssl=5), "ssl must be an SSLContext, True or False, not 5"),  # type: ignore[arg-type]
        (lambda: AiohttpTransport(limit=-(10**5000)), "limit must be a non-negative integer, not this int"),
    ],
)
def test_wrong_argument_of_a_transport_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert words in str(caught.value)


async def test_model_in_place_of_an_id_is_refused_with_a_hint() -> None:
    async with Service(ok).session() as session:
        worker = await session.workers.retrieve("w")
        with pytest.raises(ConfigurationError, match=r"worker_id must be a string, not Worker: pass its \.id"):
            session.workers.retrieve(worker)  # type: ignore[call-overload]
        with pytest.raises(ConfigurationError, match=r"input must be a string, not Worker$"):
            session.workers.create(input=worker)  # type: ignore[call-overload]
        for operation in (None, "retrieve", operations.RetrieveWorker):
            for send in (session.send, session.exchange):
                with pytest.raises(ConfigurationError, match="operation must be an instance"):
                    await send(operation)  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="operation must be an instance"):
                session.stream(operation)  # type: ignore[arg-type]
        for source in (None, operations.RetrieveWorker):
            with pytest.raises(ConfigurationError, match="operation must be an instance"):
                session.download(source)  # type: ignore[arg-type]


# Methods ##############################################################################################################


@pytest.mark.parametrize("method", ["CONNECT", "connect", "TRACE"])
async def test_methods_that_are_not_for_resources_are_refused(method: str) -> None:
    service = Service(ok)
    async with service.session() as session:
        with pytest.raises(ConfigurationError, match=f"{method.upper()} requests cannot be sent"):
            await session.request(method, "/x")
    with pytest.raises(ConfigurationError, match=method):
        Endpoint("https://example.com", "key").prepare(Request(method, "/x"))
    assert not service.requests


# The guide ############################################################################################################


async def test_guide_works_as_written() -> None:
    names = await run_readme.run(GUIDE.read_text(encoding="utf-8"), GUIDE.name)
    request = names["session"].with_options(query=names["query"])._settings.options.apply(Request("GET", "/x"))
    assert request.target == "/x?tag=a&tag=b&since=2030-01-02T00%3A00%3A00%2B00%3A00&draft=true"
    assert request.target.partition("?")[2] in GUIDE.read_text(encoding="utf-8")
