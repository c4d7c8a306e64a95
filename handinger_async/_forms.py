"""The fields and files of a request as ``multipart/form-data``, and back (RFC 7578)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from ._json import dumps
from ._multipart import MULTIPART, MultipartBody, Part, unescape
from .errors import ConfigurationError, quoted, shorten
from .http import Request
from .uploads import Upload

__all__ = ["FILES_FIELD", "decode_form", "encode_form", "form_parts", "is_form", "replace_fields"]

#: The names of the file parts: of one file, and of each of several. No reference of the service declares them. They
#: are inferred from the official client, which sends these if it is given files.
ONE_FILE, MANY_FILES = "files", "files[]"
#: The field of an operation that holds its files.
FILES_FIELD = "files"

#: The parts of a form, and the bytes of a part's head. Ours have at most a few hundred of either.
_MAX_PARTS = 10_000
_MAX_HEAD = 2**14
#: A parameter of a header field, or a semicolon alone. A quoted value ends at a quote before a semicolon or the end.
_PARAMETER = r'(?a);[ \t]*(?:([\w!#$&+.^`|~*-]+)[ \t]*=[ \t]*(?:"(.*?)"(?=[ \t]*(?:;|$))|([^\s";]*)))?[ \t]*'
_ESCAPED = r"\\(.)"


# To the service #######################################################################################################


def _text_part(name: str, value: Any) -> Part:
    """Return a text field: a string as it is, other values as in JSON."""
    if not isinstance(value, str | bool | int | float):
        kind = "null" if value is None else type(value).__name__
        raise ConfigurationError(f"the field {shorten(name, 60)} cannot be sent beside files: a form has no {kind}")
    try:
        text = value.encode() if isinstance(value, str) else dumps(value)
    except UnicodeEncodeError:
        raise ConfigurationError(f"the field {shorten(name, 60)} contains a lone surrogate") from None
    return Part(name, text)


def encode_form(fields: Mapping[str, Any], files: Sequence[Upload], boundary: str | None = None) -> MultipartBody:
    """Return a form: its fields, then its files. No file is read.

    Args:
        fields: The text fields, as JSON has them.
        files: The files.
        boundary: The separator of the parts; None for a random one.
    """
    parts = [_text_part(name, value) for name, value in fields.items()]
    name = ONE_FILE if len(files) == 1 else MANY_FILES
    parts += [Part(name, file.content, file.filename, file.media_type) for file in files]
    return MultipartBody(parts) if boundary is None else MultipartBody(parts, boundary)


def replace_fields(form: MultipartBody, fields: Mapping[str, Any]) -> MultipartBody:
    """Return a form with text fields added before its files, or in the place of its own.

    Raises:
        ConfigurationError: A value is null, a list or an object, which a form does not have, or is for the files.
    """
    if not fields.keys().isdisjoint((ONE_FILE, MANY_FILES)):
        raise ConfigurationError("the files of a form cannot be replaced by fields of a body")
    texts = {part.name: part for part in form.parts if part.filename is None}
    texts |= {name: _text_part(name, value) for name, value in fields.items()}
    files = [part for part in form.parts if part.filename is not None]
    return MultipartBody([*texts.values(), *files], form.boundary)


# From the service's side ##############################################################################################


def is_form(request: Request) -> bool:
    """Return True if the body of a request is a form, by its Content-Type."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MULTIPART


def decode_form(request: Request) -> tuple[dict[str, str], list[Upload]]:
    """Return the text fields and the files of a request. The parts of a `MultipartBody` are taken as they are.

    Raises:
        ValueError: The body is not a form, or a file has another name than ours.
    """
    fields: dict[str, str] = {}
    files: list[Upload] = []
    for part in form_parts(request):
        if part.filename is None:
            fields[part.name] = _decode(b"".join(part.content.chunks()), f"the field {shorten(part.name, 60)}")
        elif part.name in (ONE_FILE, MANY_FILES):
            files.append(Upload(part.filename, part.content, part.media_type or "application/octet-stream"))
        else:
            raise ValueError(f"there is no field {shorten(part.name, 60)} for a file")
    return fields, files


def form_parts(request: Request) -> Iterable[Part]:
    """Return the parts of a form; those of a complete body are parsed.

    Raises:
        ValueError: The body is not a form.
    """
    return request.body.parts if isinstance(request.body, MultipartBody) else _parse(request)


def _parse(request: Request) -> Iterator[Part]:
    """Yield the parts of a complete body. What is before the first and after the last is skipped."""
    body: Any = request.body
    boundary = _parameters(request.headers["content-type"]).get("boundary", "")
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise ValueError("the Content-Type has no boundary")
    mark = b"--" + re.escape(boundary.encode()) + b"(?:(--)|[ \t]*\r\n)"
    delimiter = re.compile(b"\r\n" + mark)  # begins with a literal, which `re` finds fast
    opened = re.match(mark, body) or delimiter.search(body)
    for _ in range(_MAX_PARTS):
        if opened is None:
            raise ValueError("the form is truncated, or its boundary is another one")
        if opened[1]:
            return
        # The CRLF before a delimiter may be the one that ends the delimiter before it.
        closed = delimiter.search(body, opened.end() - 2)
        if closed is None:
            raise ValueError("the form is truncated: its last part has no end")
        part = _to_part(body[opened.end() : closed.start()])
        if part is not None:
            yield part
        opened = closed
    raise ValueError(f"the form has more than {_MAX_PARTS} parts")


def _to_part(content: bytes) -> Part | None:
    """Return a part; None for a file field of a browser in which nothing was chosen."""
    end = content.find(b"\r\n\r\n", 0, _MAX_HEAD)
    if end < 0:
        raise ValueError("a part of the form has no head, or a long one")
    head: dict[str, str] = {}
    for line in _decode(content[:end], "the head of a part").split("\r\n"):
        name, _, value = line.partition(":")
        head[name.strip().lower()] = value.strip()
    disposition = head.get("content-disposition", "")
    parameters = _parameters(disposition)
    if disposition.partition(";")[0].strip().lower() != "form-data" or not parameters.get("name"):
        raise ValueError("a part of the form has no name")
    if head.get("content-transfer-encoding", "binary").lower() not in ("binary", "7bit", "8bit"):
        raise ValueError("a part of the form has a Content-Transfer-Encoding, which HTTP has not")
    data = content[end + 4 :]
    filename = parameters.get("filename")
    if filename == "" and not data:
        return None
    return Part(parameters["name"], data, filename, head.get("content-type") or None)


def _parameters(field: str) -> dict[str, str]:
    """Return the parameters of a header field, by their names in lower case.

    Raises:
        ValueError: They are malformed. The search does not go on behind that: it would take quadratic time.
    """
    found: dict[str, str] = {}
    pattern = re.compile(_PARAMETER)
    at = field.find(";")
    while 0 <= at < len(field):
        parameter = pattern.match(field, at)
        if parameter is None:
            raise ValueError(f"malformed parameters of a header field: {quoted(field)}")
        at = parameter.end()
        name, within_quotes, plain = parameter.groups(default="")
        value = within_quotes or plain
        if '"' in value:  # browsers escape a quote as %22, others with a backslash
            value = re.sub(_ESCAPED, r"\1", value)
        found[name.lower()] = unescape(value)
    extended = found.get("filename*", "").partition("''")  # RFC 8187; RFC 7578 forbids it, but some clients send it
    if extended[0].lower() == "utf-8" and extended[2]:
        found["filename"] = unquote(extended[2])
    return found


def _decode(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is not UTF-8") from None
