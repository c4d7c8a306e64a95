"""Strategies for documents that differ a little from a given one."""

import copy
from typing import Literal, get_args, get_origin

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ..._converter import to_dict, wire_name
from ._models import MODELS, NEW_WORDS, field_names, union_members
from ._values import JSON, VALUES

__all__ = ["json_mutations"]

_KNOWN_NAMES = frozenset().union(*map(field_names, MODELS))
#: The keys of enums, whose values a later service may extend: ``type``, and each field with a ``Literal`` in its type.
_WORD_KEYS = {"type"} | {
    wire_name(cls, field.name)
    for cls in MODELS
    for field in attrs.fields(cls)
    if any(get_origin(member) is Literal and get_args(member) for member in union_members(field.type))
}


def json_mutations(value: JSON, *, breaking: bool = True) -> SearchStrategy[JSON]:
    """Generate documents similar to ``value``, as a later version of the service, or a faulty one, would send them.

    Args:
        value: A document: the JSON of a response; or a model, which stands for its JSON.
        breaking: Also drop fields and replace values, which a client must detect. With False, only make changes that a
            client must tolerate: unknown fields, new enum values, new types of schedules.
    """
    document = to_dict(value) if attrs.has(type(value)) else value
    return _mutate(document, breaking)


@st.composite
def _mutate(draw: DrawFn, document: JSON, breaking: bool) -> JSON:
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        objects = _find_objects(document)
        if not objects:
            return draw(VALUES) if breaking else document
        target = draw(st.sampled_from(objects))
        words = sorted(key for key, item in target.items() if key in _WORD_KEYS and isinstance(item, str))
        kinds = ["add", *(["rename"] if words else []), *(["drop", "replace"] if breaking and target else [])]
        kind = draw(st.sampled_from(kinds))
        if kind == "add":
            target[draw(st.text().filter(lambda name: name not in _KNOWN_NAMES))] = draw(VALUES)
        elif kind == "rename":
            target[draw(st.sampled_from(words))] = draw(NEW_WORDS)
        elif kind == "drop":
            del target[draw(st.sampled_from(sorted(target)))]
        else:
            target[draw(st.sampled_from(sorted(target)))] = draw(VALUES)
    return document


def _find_objects(document: JSON) -> list[dict[str, JSON]]:
    """Return the objects in ``document``, the outermost first."""
    if isinstance(document, list):
        return [found for item in document for found in _find_objects(item)]
    if isinstance(document, dict):
        return [document, *(found for item in document.values() for found in _find_objects(item))]
    return []
