"""Routes: the method decides where fields go, and `UNSET` tells "left out" from null."""

from typing import Any

import attrs
import pytest

from handinger_async import Worker, codec
from handinger_async.codec import decode_request, encode_request
from handinger_async.errors import ConfigurationError
from handinger_async.http import Request
from handinger_async.models import UNSET, Unset
from handinger_async.models._model import frozen_model
from handinger_async.operations import OPERATIONS, Operation, Route


@frozen_model
class Rename(Operation[Worker]):
    """A declaration as a later version of the API might need it."""

    route = Route("PATCH", "/api/things/{thing_id}", Worker)

    thing_id: str
    title: str | Unset | None = UNSET
    summary: str | None = None
    public: bool = False


@frozen_model
class Search(Operation[Worker]):
    """An operation with a query."""

    route = Route("GET", "/api/search/{folder...}", Worker)

    folder: str
    text: str | None = None
    exact: bool = False
    page: int | None = None


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "OPERATIONS", (*codec.OPERATIONS, Rename, Search))


@pytest.mark.parametrize(
    ("operation", "method", "target", "body"),
    [
        (Rename("t1"), "PATCH", "/api/things/t1", b"{}"),
        (Rename("t1", title="T"), "PATCH", "/api/things/t1", b'{"title":"T"}'),
        (Rename("t1", title=None), "PATCH", "/api/things/t1", b'{"title":null}'),
        (Rename("t1", summary=None), "PATCH", "/api/things/t1", b"{}"),
        (Rename("t1", public=True), "PATCH", "/api/things/t1", b'{"public":true}'),
        (Search("a/b"), "GET", "/api/search/a/b", b""),
        (Search("a", text="x y", exact=True), "GET", "/api/search/a?text=x+y&exact=true", b""),
    ],
)
def test_fields_go_where_the_method_says_and_come_back(operation: Any, method: str, target: str, body: bytes) -> None:
    request = encode_request(operation)
    assert (request.method, request.target, request.body) == (method, target, body)
    assert ("content-type" in request.headers) == (method == "PATCH")
    assert decode_request(request) == operation


def test_query_values_are_read_by_the_types_of_their_fields() -> None:
    for operation in (Search("a", text=""), Search("a", text="true"), Search("a", text="7", exact=True, page=-7)):
        assert decode_request(encode_request(operation)) == operation
    assert decode_request(Request("GET", "/api/search/a?exact=false")) == Search("a")


@pytest.mark.parametrize("cls", OPERATIONS)
def test_path_parameters_are_fields_of_their_operation(cls: Any) -> None:
    assert set(cls.route.path_parameters) <= {field.name for field in attrs.fields(cls)}
    assert isinstance(hash(cls.route), int)


def test_query_value_of_a_wrong_type_is_refused() -> None:
    for query in ("page=x", "page=1.5", "exact=1"):
        with pytest.raises(ValueError, match=r"\$\.(page|exact)"):
            decode_request(Request("GET", f"/api/search/a?{query}"))


def test_null_counts_as_left_out_where_the_default_is_none() -> None:
    request = Request("PATCH", "/api/things/t1", {}, b'{"title":null,"summary":null}')
    assert decode_request(request) == Rename("t1", title=None)


def test_unset_field_refuses_a_value_of_another_type() -> None:
    with pytest.raises(ValueError, match=r"\$\.title"):
        decode_request(Request("PATCH", "/api/things/t1", {}, b'{"title":{}}'))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "get", ""])
def test_method_without_a_rule_for_fields_is_refused(method: str) -> None:
    with pytest.raises(ConfigurationError, match="must be one of GET, DELETE, POST, PUT, PATCH"):
        Route(method, "/api/workers", Worker)


@pytest.mark.parametrize(
    ("method", "has_body"), [("GET", False), ("DELETE", False), ("POST", True), ("PUT", True), ("PATCH", True)]
)
def test_only_methods_that_carry_content_have_a_json_body(method: str, has_body: bool) -> None:
    route = Route(method, "/api/{a}/{b...}", Worker)
    assert (route.has_body, route.path_parameters) == (has_body, {"a": False, "b": True})


def test_unset_has_a_readable_repr() -> None:
    assert repr(Rename("t1")) == "Rename(thing_id='t1', title=UNSET, summary=None, public=False)"
    assert attrs.evolve(Rename("t1"), title=None) != Rename("t1")  # type: ignore[misc]
