"""Values that were made past their constructors are values like any others."""

import copy
import pickle
from typing import Any

import attrs
import pytest

from handinger_async._drafts import maker
from handinger_async.http import Headers, Request, Response, new_request, new_response

HEADERS = Headers({"Accept": "text/plain"})
PAIRS = [
    (Request("GET", "/x", HEADERS, b"body"), new_request("GET", "/x", HEADERS, b"body")),
    (Response(200, HEADERS, b"body"), new_response(200, HEADERS, b"body")),
]


@pytest.mark.parametrize(("constructed", "made"), PAIRS)
def test_they_are_not_to_be_told_apart(constructed: Any, made: Any) -> None:
    assert type(made) is type(constructed)
    assert made == constructed
    assert repr(made) == repr(constructed)
    for change in (copy.copy, copy.deepcopy, attrs.evolve, lambda value: pickle.loads(pickle.dumps(value))):
        assert change(made) == constructed


@pytest.mark.parametrize(("_", "made"), PAIRS)
def test_they_are_as_immutable(_: Any, made: Any) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.headers = Headers()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del made.headers
    with pytest.raises(AttributeError):
        made.new = 1


def test_a_field_too_few_or_too_many_is_an_error() -> None:
    with pytest.raises(TypeError):
        new_response(200, HEADERS)
    with pytest.raises(TypeError):
        new_response(200, HEADERS, b"", b"")


def test_a_class_with_weak_references_has_no_drafts() -> None:
    @attrs.frozen
    class Wide:
        field: int

    with pytest.raises(TypeError):
        maker(Wide)(1)
