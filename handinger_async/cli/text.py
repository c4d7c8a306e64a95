"""Make text safe for terminals, and fit for an encoding."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["encodable", "json_text", "one_line", "printable"]

#: Characters that steer a terminal or reorder its text: control characters (C0 except tab and line feed, C1), line and
#: paragraph separators, bidirectional controls, tags; and lone surrogates, which no encoding has.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    r"""Return a text in which characters that steer a terminal are written as escapes, such as ``\x1b``."""
    return _STEERING.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """Return a text on one line, safe for terminals."""
    return printable(" ".join(text.split()))


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """Return a value as JSON in which characters that steer a terminal are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _STEERING.sub(lambda match: json.dumps(match[0])[1:-1], text.replace("\x7f", "\\u007f"))


def encodable(text: str, encoding: str | None) -> str:
    """Return a text in which the characters that an encoding lacks are written as escapes."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
