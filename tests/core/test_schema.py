"""Schemas of classes and of JSON, and the errors of what does not fit them."""

import dataclasses
import re
import subprocess
import sys
from collections import UserDict
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Annotated, Any, Generic, Literal, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from jsonschema import Draft7Validator

from handinger_async import APIResponseValidationError, ConfigurationError
from handinger_async._draft2020 import convert
from handinger_async.schema import decode, make_schema

from .structured_outputs import (
    Cat,
    Colour,
    Dog,
    Level,
    Line,
    Model,
    Node,
    Options,
    Page,
    Pets,
    Point,
    Price,
    Tent,
)

T = TypeVar("T")


def schema_of(tp: Any) -> Any:
    """Return the schema of a field, and of the classes in it."""
    schema = make_schema(dataclasses.make_dataclass("Holder", [("field", tp)]))
    Draft7Validator.check_schema(schema)
    return schema["properties"]["field"], schema.get("definitions", {})


def test_root_is_inlined_and_other_classes_are_definitions() -> None:
    price = {
        "title": "Price",
        "description": "The price of a tent.",
        "type": "object",
        "properties": {
            "amount": {"type": "number"},
            "currency": {"type": "string", "enum": ["EUR", "USD"], "default": "EUR"},
        },
        "required": ["amount"],
    }
    assert make_schema(Price) == price
    assert make_schema(Tent) == {
        "title": "Tent",
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "price": {"$ref": "#/definitions/Price"},
            "weight_kg": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            "colours": {"type": "array", "items": {"$ref": "#/definitions/Colour"}, "default": []},
            "best": {"$ref": "#/definitions/Price"},
        },
        "required": ["name", "price"],
        "definitions": {"Price": price, "Colour": {"title": "Colour", "type": "string", "enum": ["red", "green"]}},
    }


def test_recursive_class_refers_to_the_root() -> None:
    schema = make_schema(Node)
    assert "definitions" not in schema
    assert schema["properties"]["children"] == {"type": "array", "items": {"$ref": "#"}, "default": []}
    inner, definitions = schema_of(Node)
    assert inner == {"$ref": "#/definitions/Node"}
    assert definitions["Node"]["properties"]["links"]["additionalProperties"] == inner


@pytest.mark.parametrize(
    ("tp", "schema"),
    [
        (
            tuple[int, str],
            {
                "type": "array",
                "items": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "additionalItems": False,
            },
        ),
        (tuple[()], {"type": "array", "maxItems": 0}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (list, {"type": "array"}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (dict, {"type": "object"}),
        (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
        (dict[int, Any], {"type": "object", "propertyNames": {"pattern": "^(0|-?[1-9][0-9]*)$"}}),
        (dict[Level, Any], {"type": "object", "propertyNames": {"enum": ["1", "2"]}}),
        (dict[Literal["a"], Any], {"type": "object", "propertyNames": {"enum": ["a"]}}),
        (dict[date, Any], {"type": "object", "propertyNames": {"format": "date"}}),
        (Literal["a", 1], {"enum": [1, "a"]}),
        (Any, {}),
        (datetime, {"type": "string", "format": "date-time"}),
        (Annotated[datetime, msgspec.Meta(tz=False)], {"type": "string"}),
        (time, {"type": "string", "format": "time"}),
        (Annotated[datetime, msgspec.Meta(tz=True)], {"type": "string", "format": "date-time"}),
        (
            Annotated[int, msgspec.Meta(gt=0, le=9, description="a digit")],
            {"type": "integer", "exclusiveMinimum": 0, "maximum": 9, "description": "a digit"},
        ),
        (Annotated[Price, msgspec.Meta(title="cost")], {"allOf": [{"$ref": "#/definitions/Price"}], "title": "cost"}),
        (Cat | Dog | None, {"anyOf": [{"$ref": "#/definitions/Cat"}, {"$ref": "#/definitions/Dog"}, {"type": "null"}]}),
    ],
)
def test_type_has_the_schema(tp: Any, schema: Any) -> None:
    assert schema_of(tp)[0] == schema


def test_structs_have_their_own_names_tags_and_rules() -> None:
    _, definitions = schema_of(tuple[Cat, Dog, Line])
    assert definitions["Cat"] == {
        "title": "Cat",
        "type": "object",
        "properties": {"type": {"enum": ["Cat"]}, "lifeCount": {"type": "integer"}},
        "required": ["type", "lifeCount"],
        "additionalProperties": False,
    }
    assert definitions["Dog"]["properties"]["type"] == {"enum": ["hound"]}
    assert definitions["Dog"]["description"] == "A dog."
    assert definitions["Line"]["items"][0] == {"$ref": "#/definitions/Point"}
    assert definitions["Line"]["minItems"] == 1
    assert definitions["Point"]["additionalItems"] is False


def test_classes_of_one_name_have_definitions_of_their_own() -> None:
    def make(field: str) -> Any:
        return dataclasses.make_dataclass("Price", [(field, int)])

    def make_page() -> Any:
        @dataclasses.dataclass
        class Page(Generic[T]):
            other: list[T]

        return Page

    classes = [Price, make("a"), make("b"), Page[Price], make_page()[Price], make_page()[Price]]
    _, definitions = schema_of(tuple[*classes])  # type: ignore[valid-type]
    found = [next(iter(definition["properties"])) for definition in definitions.values()]
    assert found == ["amount", "a", "b", "items", "other", "other"]
    assert {"Price", "Page_Price_"} < definitions.keys()


def test_default_without_json_is_left_out() -> None:
    @attrs.define
    class Odd:
        number: float = float("nan")
        anything: Any = attrs.field(factory=object)
        text: Any = attrs.field(default=object)
        colour: Colour = Colour.RED

    fields = make_schema(Odd)["properties"]
    assert [field.get("default") for field in fields.values()] == [None, None, None, "red"]


def test_schemas_of_pydantic_are_draft_7() -> None:
    schema = make_schema(Model)
    Draft7Validator.check_schema(schema)
    fields = schema["properties"]
    assert fields["size"]["items"] == [{"type": "integer"}, {"type": "string"}]
    assert fields["pole"] == {"allOf": [{"$ref": "#/definitions/Pole"}], "description": "in the middle"}
    assert fields["$ref"] == {"additionalProperties": {"type": "number"}, "title": "$Ref", "type": "object"}
    assert schema["definitions"].keys() >= {"Colour", "Level", "Pole"}
    pets = make_schema(Pets)
    assert "discriminator" not in pets["properties"]["pets"]["items"]
    assert "$defs" not in repr((schema, pets))


def test_root_that_is_a_reference_is_inlined() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "$defs": {"$ref": "#/$defs/B"}}}
    schema = convert(
        {"$ref": "#/$defs/A", "title": "C", "$defs": {"A": {"$ref": "#/$defs/Node"}, "Node": node, "B": {}}}
    )
    assert schema == {
        "title": "C",
        "type": "object",
        "properties": {"next": {"$ref": "#"}, "$defs": {"$ref": "#/definitions/B"}},
        "definitions": {"A": {"$ref": "#"}, "B": {}},
    }
    assert convert({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}) == {"type": "object"}


def test_keywords_of_later_drafts_are_converted() -> None:
    class Extra(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(
            json_schema_extra={
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "prefixItems": [True],
                "items": {"prefixItems": []},
                "dependentRequired": {"a": ["b"]},
                "dependentSchemas": {"b": {"prefixItems": [{}]}},
                "not": {"items": False},
                "examples": [{"prefixItems": []}],
            }
        )

    assert make_schema(Extra) == {
        "title": "Extra",
        "type": "object",
        "properties": {},
        "items": [True],
        "additionalItems": {"items": []},
        "dependencies": {"a": ["b"], "b": {"items": [{}]}},
        "not": {"items": False},
        "examples": [{"prefixItems": []}],
    }


def test_json_schema_is_copied_as_plain_dicts() -> None:
    given = UserDict({"type": "object", "properties": MappingProxyType({"a": {"enum": (1, 2.5, True, None)}})})
    schema = make_schema(given)
    assert schema == {"type": "object", "properties": {"a": {"enum": [1, 2.5, True, None]}}}
    assert type(schema) is type(schema["properties"]) is dict
    schema["properties"]["a"]["enum"].clear()
    assert make_schema(given)["properties"]["a"]["enum"] == [1, 2.5, True, None]


CYCLE: dict[str, Any] = {}
CYCLE["not"] = CYCLE


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (
            {"properties": {"a": {"default": date(2026, 1, 1)}}},
            r"\$.properties.a.default is of type date, which is not JSON",
        ),
        ({"anyOf": [{}, {"maximum": float("inf")}]}, r"\$.anyOf\[1\].maximum is inf, which is not JSON"),
        ({"enum": [{1: 2}]}, r"\$.enum\[0\] has a key that is not a string"),
        (CYCLE, "it is nested too deeply"),
    ],
)
def test_other_values_than_json_are_refused(schema: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^output_schema is not a JSON Schema: {reason}$"):
        make_schema(schema)


def test_list_nested_too_deeply_to_show_is_refused() -> None:
    schema: Any = []
    for _ in range(100_000):
        schema = [schema]
    with pytest.raises(ConfigurationError, match=r"^output_schema cannot be this list: "):
        make_schema(schema)


class Tents(pydantic.RootModel[list[int]]):
    pass


@dataclasses.dataclass
class Unreadable:
    z: "list[complex]"


@dataclasses.dataclass
class Unresolved:
    z: "Missing"  # type: ignore[name-defined]  # noqa: F821


class Unshown(pydantic.BaseModel):
    z: type


@pytest.mark.parametrize(
    ("tp", "reason"),
    [
        (int, "int: structured output is an object"),
        (list[Tent], r"list\[.*Tent\]: structured output is an object"),
        (Price | None, ".*: structured output is an object"),
        (Point, "Point: structured output is an object"),
        (Line, "Line: structured output is an object"),
        (Colour, "Colour: structured output is an object"),
        (Tents, "Tents: structured output is an object"),
        (Price(1), r"Price\(.*\): .* not supported"),
        ("Price", "'Price': .* not supported"),
        (Unreadable, "Unreadable: there is no schema for <class 'complex'>"),
        (Unresolved, "Unresolved: name 'Missing' is not defined"),
        (Unshown, "Unshown: .*"),
        (dict[float, int], r"dict\[float, int\]: there is no schema for a dict with keys of FloatType"),
    ],
)
def test_class_without_a_schema_of_an_object_is_refused(tp: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s)^output_schema cannot be {reason}$"):
        make_schema(tp)


# Decoding #############################################################################################################


@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_without_a_class_the_document_is_returned(schema: Any) -> None:
    document = {"verdict": [1.0]}
    assert decode(document, schema) is document


def test_whole_floats_are_integers() -> None:
    assert decode({"value": 2.0, "children": [{"value": 1e3}]}, Node) == Node(2, [Node(1000)])
    assert decode({"mode": 2.0, "ratios": [1.0, 2]}, Options) == {"mode": 2, "ratios": (1.0, 2.0)}


def test_strict_model_takes_dates_as_json_has_them() -> None:
    assert decode({"pets": [{"kind": "cat", "born": "2020-02-29"}]}, Pets).pets[0] == Pets.Cat(
        kind="cat", born=date(2020, 2, 29)
    )


@dataclasses.dataclass
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("must be even")


DEEP: Any = {"value": 0}
for _ in range(100_000):
    DEEP = {"value": 0, "parent": DEEP}


@pytest.mark.parametrize(
    ("document", "cls", "path", "reason"),
    [
        (None, Price, "", "cannot be read: expected `object`, got `null`"),
        ({}, Price, ".amount", "is missing"),
        ({"amount": "1"}, Price, ".amount", "cannot be read: expected `float`, got `str`"),
        ({"value": 0, "children": [{"value": 1}, {}]}, Node, ".children[1].value", "is missing"),
        ({"value": 0.5}, Node, ".value", "cannot be read: expected `int`, got `float`"),
        ({"number": 3}, Even, "", "cannot be read: must be even"),
        ({"x": 1}, dict[str, Point], "[...]", "cannot be read: expected `array`, got `int`"),
        ({"x": 1}, dict[int, int], "", "cannot be read: expected `int`, got `str`"),
        (DEEP, Node, "", "cannot be read: nested too deeply"),
        ({"pets": [{"kind": "cat"}]}, Pets, ".pets[0].born", "is missing"),
        ({"pets": [{"kind": "cow"}]}, Pets, ".pets[0]", "cannot be read: .*'cow'.*"),
        ({"pets": [], "z": 1}, Pets, ".z", "cannot be read: extra inputs are not permitted"),
        (None, Pets, "", "cannot be read: .*"),
        (DEEP, Model, "", "cannot be read: nested too deeply"),
    ],
    ids=lambda value: "" if value is DEEP else None,
)
def test_mismatch_is_an_error_with_its_path(document: Any, cls: Any, path: str, reason: str) -> None:
    path = f"$.structured_output{path}"
    with pytest.raises(APIResponseValidationError, match=f"^{re.escape(path)} {reason}$") as caught:
        decode(document, cls, path="$.structured_output")
    assert caught.value.path == path


def test_unsupported_class_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ConfigurationError, match="output_schema cannot be "):
        decode({}, Price(1))  # type: ignore[call-overload]


def test_classes_without_msgspec_raise_an_error_with_the_fix() -> None:
    program = (
        "import sys; sys.modules['msgspec'] = None\n"
        "import dataclasses, pydantic\n"
        "from handinger_async import ConfigurationError\n"
        "from handinger_async.schema import decode, make_schema\n"
        "Class = dataclasses.make_dataclass('Class', ['x'])\n"
        "Model = pydantic.create_model('Model', x=(int, ...))\n"
        "assert make_schema({}) == {} and decode({'x': 1}, Model).x == 1 and make_schema(Model)\n"
        "for use in (lambda: make_schema(Class), lambda: decode({}, Class)):\n"
        "    try: use()\n"
        "    except ConfigurationError as error: print(error, error.__cause__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    message = "classes as output_schema need msgspec: pip install 'handinger-async[schema]' None\n"
    assert done.stdout == 2 * message, done.stderr
