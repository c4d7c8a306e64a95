"""Output schemas of the in-memory service: their form is checked, and made-up objects fit them."""

import pytest

from handinger_async.testing._service.schemas import check_schema, example

TENT = {"type": "object", "properties": {"name": {"type": "string"}, "parent": {"$ref": "#/definitions/Tent"}}}

#: Schemas, each with the object that is made up for it.
FITTING = [
    ({}, {}),
    ({"type": "object"}, {}),
    ({"properties": {"a": {"type": "string"}}}, {"a": "made up"}),
    ({"required": ["a"]}, {"a": "made up"}),
    ({"const": {"a": 1}}, {"a": 1}),
    ({"examples": [{"a": 2}, {}]}, {"a": 2}),
    ({"type": ["null", "object"], "properties": {"a": {"type": "boolean"}}}, {"a": True}),
    ({"anyOf": [{"type": "null"}, {"properties": {"a": {"type": "null"}}}]}, {"a": None}),
    ({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {"type": "integer"}}}]}, {"a": "made up", "b": 1}),
    ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"const": {"x": 0}}}}, {"x": 0}),
]

#: Schemas of a value, each with the value that is made up for it.
VALUES = [
    ({"type": "string", "minLength": 10}, "made up..."),
    ({"type": "string", "maxLength": 4}, "made"),
    ({"type": "string", "format": "date"}, "2026-01-01"),
    ({"type": "integer"}, 1),
    ({"type": "integer", "minimum": 3}, 3),
    ({"type": "integer", "minimum": 2.5}, 3),
    ({"type": "integer", "exclusiveMinimum": 3}, 4),
    ({"type": "integer", "maximum": -3}, -3),
    ({"type": "integer", "exclusiveMaximum": 3}, 2),
    ({"type": "integer", "minimum": 5, "multipleOf": 4}, 8),
    ({"type": "number"}, 0.5),
    ({"type": "number", "minimum": 0.2}, 0.5),
    ({"type": "array"}, ["made up"]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
    ({"type": "array", "maxItems": 0}, []),
    ({"type": "array", "items": [{"type": "integer"}, {"const": "x"}]}, [1, "x"]),
    ({"enum": ["b", "a"]}, "b"),
    ({"oneOf": [{"type": "boolean"}, {"type": "string"}]}, True),
    (True, "made up"),
]


@pytest.mark.parametrize(("schema", "expected"), FITTING)
def test_an_object_fits_its_schema(schema, expected):
    check_schema(schema)
    assert example(schema) == expected


@pytest.mark.parametrize(("schema", "expected"), VALUES)
def test_a_value_fits_its_schema(schema, expected):
    wrapped = {"type": "object", "properties": {"value": schema}}
    check_schema(wrapped)
    assert example(wrapped) == {"value": expected}
    assert type(example(wrapped)["value"]) is type(expected)


@pytest.mark.parametrize("schema", [{"type": "array"}, {"enum": [1]}, {"const": "x"}])
def test_a_schema_of_something_else_has_no_object(schema):
    assert example(schema) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"definitions": {"Tent": TENT}, "$ref": "#/definitions/Tent"},
        {"definitions": {"Tent": TENT | {"required": ["parent"]}}, "$ref": "#/definitions/Tent"},
        {"$ref": "#"},
        {"definitions": {"A": {"$ref": "#/definitions/A"}}, "$ref": "#/definitions/A"},
        {"properties": {"a": {"$ref": "#/definitions/nobody"}}},
    ],
)
def test_a_recursive_schema_comes_to_an_end(schema):
    check_schema(schema)
    example(schema)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ([], "outputSchema must be"),
        (True, "outputSchema must be"),
        ({"type": "text"}, r"outputSchema\.type: 'text'"),
        ({"type": ["object", 3]}, r"outputSchema\.type: 3"),
        ({"type": {}}, r"outputSchema\.type: {}"),
        ({"properties": []}, r"outputSchema\.properties"),
        ({"properties": {"a": {"type": "x"}}}, r"outputSchema\.properties\.a\.type"),
        ({"properties": {"a": 1}}, r"outputSchema\.properties\.a must be"),
        ({"items": [{"type": "x"}]}, r"outputSchema\.items\[0\]\.type"),
        ({"items": 1}, r"outputSchema\.items"),
        ({"anyOf": []}, r"outputSchema\.anyOf"),
        ({"anyOf": {}}, r"outputSchema\.anyOf"),
        ({"required": "a"}, r"outputSchema\.required"),
        ({"required": [1]}, r"outputSchema\.required"),
        ({"enum": []}, r"outputSchema\.enum"),
        ({"minLength": -1}, r"outputSchema\.minLength"),
        ({"minItems": True}, r"outputSchema\.minItems"),
        ({"minimum": "1"}, r"outputSchema\.minimum"),
        ({"pattern": "("}, r"outputSchema\.pattern"),
        ({"$ref": 1}, r"outputSchema\.\$ref"),
        ({"additionalProperties": "no"}, r"outputSchema\.additionalProperties"),
    ],
)
def test_a_malformed_schema_is_refused_with_its_place(schema, place):
    with pytest.raises(ValueError, match=place):
        check_schema(schema)


def test_unknown_keywords_are_accepted():
    check_schema({"x-order": 1, "$schema": "http://json-schema.org/draft-07/schema#", "default": 3, "items": True})
