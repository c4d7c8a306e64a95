"""JSON Schema of classes."""

from collections.abc import Mapping
from typing import Any

__all__ = ["make_schema"]


def make_schema(output_schema: type[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema."""
    if isinstance(output_schema, Mapping):
        return dict(output_schema)
    raise NotImplementedError
