"""JSON bytes to values and back, with orjson if it is installed, and with equal results without it.

The two parsers differ in rare cases, which are decided here: the constants ``NaN`` and ``Infinity`` and numbers beyond
a double are refused; integers beyond 64 bits become floats; lone surrogates (half an emoji, truncated by a server that
counts UTF-16 units) are kept; a leading byte order mark is skipped. They spell small floats differently: ``1e-7`` and
``1e-07``.
"""

from __future__ import annotations

import json
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from typing import Any, NoReturn

try:
    import orjson
except ImportError:  # the extra "speedups" is not installed
    orjson = None  # type: ignore[assignment]

__all__ = ["dumps", "loads"]


def loads(data: bytes) -> Any:
    """Parse one JSON document.

    Args:
        data: The document in UTF-8.

    Returns:
        The value: dict, list, str, int, float, bool or None.

    Raises:
        ValueError: ``data`` is not JSON (RFC 8259), not UTF-8, or nested too deeply to read.
    """
    if orjson is not None:
        try:
            return orjson.loads(data)
        except ValueError:
            pass  # json decides: it accepts lone surrogates, and its error messages do not depend on orjson
    try:
        return _DECODER.decode(str(data, "utf-8").removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(value: Any, *, finite: bool = False) -> bytes:
    """Encode ``value`` as compact JSON in UTF-8, without escapes for non-ASCII characters.

    Args:
        value: JSON types; also dates (encoded in ISO 8601), enum members (their value) and UUIDs.
        finite: ``value`` is known to be without NaN and infinities.

    Returns:
        The document.

    Raises:
        TypeError: ``value`` contains another type.
        ValueError: ``value`` contains NaN, an infinity, or itself.
    """
    if orjson is not None:
        try:
            data = orjson.dumps(value, _default, _PASSTHROUGH)
        except TypeError:
            pass  # json accepts integers beyond 64 bits, lone surrogates, and keys that are not strings
        else:
            if finite or b"null" not in data or _is_finite(value):  # orjson encodes NaN as null without an error
                return data
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:  # a lone surrogate needs an escape
        return _ASCII_ENCODER.encode(value).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _is_finite(value: Any) -> bool:
    """Return True if ``value`` consists of JSON types, without NaN and infinities.

    Searching the values takes a quarter of the time of encoding them again, with an encoder that refuses NaN.
    """
    values = [value]
    for item in values:  # it grows meanwhile
        cls = type(item)
        if cls is str:
            continue
        if cls is dict:
            values += item.values()
        elif cls is list:
            values += item
        elif cls is float:
            if item - item != 0:
                return False
        elif cls not in _OTHERS:
            return False
    return True


def _default(value: object) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _parse_int(digits: str) -> int | float:
    if len(digits) > 18 and (len(digits) > 20 or not -(2**63) <= int(digits) < 2**64):
        return _parse_float(digits)
    return int(digits)


def _parse_float(digits: str) -> float:
    value = float(digits)
    if value - value != 0:
        raise ValueError("a number is too large for a double")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_OTHERS = frozenset({int, bool, type(None)})
_PASSTHROUGH = 0 if orjson is None else orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_DECODER = json.JSONDecoder(parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default)
_ASCII_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=_default)
