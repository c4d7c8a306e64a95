"""Read values of arguments: text and JSON from files, durations."""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from .output import UsageError

__all__ = ["directory", "duration", "instant", "pair", "positive", "read_json", "read_schema", "read_text"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> int:
    """Return the seconds of a duration such as ``90s``, ``10m`` or ``1h30m``."""
    parts = re.findall(r"(\d+)([smhdw])", text)
    if not parts or "".join(map("".join, parts)) != text or len(text) > 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 10m, 1h30m or 2d")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if not seconds:
        raise argparse.ArgumentTypeError("the time must be above zero")
    return seconds


def read_text(argument: str | None, name: str = "instruction") -> str:
    """Return the text that an argument stands for.

    Args:
        argument: The text; ``@FILE`` for that of a file, ``-`` for standard input, None for standard input if it is not
            a terminal.
        name: The name of the argument, for errors.

    Raises:
        UsageError: There is no text, or it is not UTF-8.
    """
    if argument is None and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError(f"the {name} is missing")
    if argument is None or argument == "-":
        text = _decode(_read_stdin(), "standard input")
    elif argument.startswith("@"):
        text = _decode(_read_file(argument[1:]), argument[1:])
    else:
        text = argument
    if not text.strip():
        raise UsageError(f"the {name} is empty")
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of an argument that are not UTF-8
        raise UsageError(f"the {name} is not UTF-8") from None
    return text.rstrip("\n")


def read_json(path: str) -> Any:
    """Return the content of a JSON file; ``-`` is standard input.

    Raises:
        UsageError: It cannot be read, or is not JSON.
    """
    try:
        return json.loads(_decode(_read_stdin() if path == "-" else _read_file(path), path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from None


def read_schema(path: str | None) -> dict[str, Any] | None:
    """Return the JSON Schema in a file; None if no file is given.

    Raises:
        UsageError: It cannot be read, or is no JSON object.
    """
    if path is None:
        return None
    schema = read_json(path)
    if not isinstance(schema, dict):
        raise UsageError(f"{path} is not a JSON Schema: it must be an object")
    return schema


def directory(path: str) -> str:
    """Make a directory if it is missing, and return its path.

    Raises:
        UsageError: It cannot be made, or files in it cannot.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    return path


def _read_stdin() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except (OSError, ValueError, AttributeError):
        raise UsageError("standard input cannot be read") from None


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from None


def instant(text: str) -> datetime:
    """Return a time; one without a zone is in local time."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as '2026-03-01 09:00'") from None


def positive(text: str) -> int:
    """Return a number above zero."""
    if not text.isdecimal() or len(text) > 9 or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """Return the name and the value of ``NAME=VALUE``."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
