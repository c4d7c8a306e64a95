"""Requests in recordings: as JSON, and compared."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

from .._forms import form_parts, is_form
from .._json import dumps, loads
from .._multipart import MULTIPART, Part
from .._sources import FileSource, Memory, PathSource
from ..errors import shorten
from ..http import Headers, Request
from ._scrubber import MASK, Scrubber

__all__ = ["bytes_from_json", "bytes_to_json", "describe_request", "differences"]

#: The header fields that are compared; the others describe the client.
_COMPARED_HEADERS = ("accept", "content-type", "last-event-id", "range", "if-none-match")
#: The levels of nesting of a body that is written as JSON: the encoder of an indented file is recursive.
_DEEPEST = 100


def describe_request(request: Request, scrubber: Scrubber) -> dict[str, Any]:
    """Return a request as JSON. The files of a form are read, for their hashes: they are not recorded.

    Raises:
        OSError: A file cannot be read.
    """
    described: dict[str, Any] = {
        "method": request.method,
        "target": scrubber.target(request.target),
        "headers": scrubber.headers(request.headers),
    }
    if is_form(request):
        try:
            return described | _describe_form(request, scrubber, described["headers"])
        except ValueError:
            pass  # it is recorded as it is
    body = b"".join(scrubber.chunks([request.read_body()]))
    return described | {"body": bytes_to_json(body)}


def _describe_form(request: Request, scrubber: Scrubber, headers: dict[str, str]) -> dict[str, Any]:
    """Return the headers and the body of a form without its boundary, which differs each time."""
    form: dict[str, Any] = {}
    for number, part in enumerate(form_parts(request), 1):
        if part.filename is None:
            text = b"".join(part.content.chunks()).decode()
            form[part.name] = scrubber.field(part.name, text)
        else:
            form[f"part {number}"] = _describe_file(part, part.filename, scrubber)
    shown = {name: MULTIPART if name.lower() == "content-type" else value for name, value in headers.items()}
    return {"headers": shown, "body": {"form": form}}


def _describe_file(part: Part, filename: str, scrubber: Scrubber) -> dict[str, Any]:
    described = {"name": part.name, "filename": scrubber.text(filename), "type": part.media_type}
    if part.length is None or not isinstance(part.content, Memory | PathSource | FileSource):
        return described | {"size": MASK, "sha256": MASK}  # reading would use it up
    hashed = sha256()
    for chunk in part.chunks():
        hashed.update(chunk)
    return described | {"size": part.length, "sha256": hashed.hexdigest()}


def differences(recorded: dict[str, Any], sent: dict[str, Any]) -> list[str]:
    """Return the differences between two requests, a line each."""
    pairs = {part: (recorded[part], sent[part]) for part in ("method", "target")}
    then, now = Headers(recorded["headers"]), Headers(sent["headers"])
    pairs |= {f"header {name}": (then.get(name), now.get(name)) for name in _COMPARED_HEADERS}
    pairs |= _json_differences("body", recorded["body"], sent["body"])
    return [
        f"  {part}: recorded {shorten(repr(before), 200)}, sent {shorten(repr(after), 200)}"
        for part, (before, after) in pairs.items()
        if before not in (after, MASK)  # a masked value is not known
    ]


def _json_differences(path: str, before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """Return the differences between two JSON values, by path."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in before | after:
            found |= _json_differences(f"{path}.{key}", before.get(key), after.get(key))
        return found
    return {} if before == after else {path: (before, after)}


def bytes_to_json(data: bytes) -> Any:
    """Encode bytes in the most readable form: ``{"json": …}``, else a string, else ``{"base64": …}``."""
    try:
        value = loads(data)
        if isinstance(value, dict | list) and _is_shallow(value, _DEEPEST) and dumps(value) == data:
            return {"json": value}
    except (ValueError, TypeError):
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _is_shallow(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in inner)


def bytes_from_json(value: Any) -> bytes:
    """Undo `bytes_to_json`."""
    if isinstance(value, str):
        return value.encode()
    return dumps(value["json"]) if "json" in value else base64.b64decode(value["base64"])
