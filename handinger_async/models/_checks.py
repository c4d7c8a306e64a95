"""attrs validators for arguments. Each raises `ConfigurationError` before anything is sent."""

from typing import Any, NoReturn, TypeAlias

import attrs

from .._checks import encode_json, has_surrogate
from ..errors import ConfigurationError
from ._unset import UNSET

__all__ = [
    "Field",
    "check_count",
    "check_flag",
    "check_form",
    "check_int",
    "check_optional_id",
    "check_optional_object",
    "check_optional_text",
    "check_text",
]


Field: TypeAlias = "attrs.Attribute[Any]"


def _refuse(field: Field, wanted: str, value: object) -> NoReturn:
    hint = ": pass its .id" if field.name.endswith("_id") and isinstance(getattr(value, "id", None), str) else ""
    raise ConfigurationError(f"{field.name} must be {wanted}, not {type(value).__name__}{hint}")


def check_text(owner: object, field: Field, value: object) -> None:
    """Accept a string."""
    if not isinstance(value, str):
        _refuse(field, "a string", value)


def check_optional_text(owner: object, field: Field, value: object) -> None:
    """Accept a string or None."""
    if value is not None and not isinstance(value, str):
        _refuse(field, "a string or None", value)


def check_int(owner: object, field: Field, value: object) -> None:
    """Accept a whole number of 64 bits, which every JSON parser keeps exact; bools are refused."""
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(field, "a whole number", value)
    if not -(2**63) <= value < 2**63:
        raise ConfigurationError(f"{field.name} must be a whole number of at most 64 bits")


def check_count(owner: object, field: Field, value: object) -> None:
    """Accept a whole number above zero."""
    check_int(owner, field, value)
    if value < 1:  # type: ignore[operator]
        raise ConfigurationError(f"{field.name} must be at least 1, not {value}")


def check_optional_id(owner: object, field: Field, value: object) -> None:
    """Accept a string that is not empty, or None."""
    check_optional_text(owner, field, value)
    if value == "":
        raise ConfigurationError(f"{field.name} is empty")


def check_optional_object(owner: object, field: Field, value: object) -> None:
    """Accept a JSON object as a dict, None or UNSET."""
    if value is None or value is UNSET:
        return
    if not isinstance(value, dict):
        _refuse(field, "a dict or None", value)
    encode_json(value, field.name)


def check_flag(owner: object, field: Field, value: object) -> None:
    """Accept True or False."""
    if not isinstance(value, bool):
        _refuse(field, "True or False", value)


def check_form(owner: Any, field: Field, files: object) -> None:
    """Accept no files, or texts beside them that a form can carry: UTF-8, where JSON has an escape for surrogates."""
    for other in attrs.fields(type(owner)) if files else ():
        text = getattr(owner, other.name)
        if isinstance(text, str) and has_surrogate(text):
            raise ConfigurationError(
                f"{other.name} contains a lone surrogate, which cannot be sent beside {field.name}"
            )
