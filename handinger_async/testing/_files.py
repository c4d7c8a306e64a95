"""Files as HTTP serves them: whole, in parts, or not again."""

from __future__ import annotations

import re

from ..http import Headers, Response
from ._refusal import Refusal
from ._state import Version

__all__ = ["serve_file"]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


def serve_file(version: Version, headers: Headers) -> Response:
    """Return a file, or the part of it that is asked for (RFC 9110, sections 13 and 14)."""
    own = {"Content-Type": version.media_type, "ETag": version.etag, "Accept-Ranges": "bytes"}
    if version.etag in (tag.strip() for tag in headers.get("if-none-match", "").split(",")):
        return Response(304, own)
    size = len(version.data)
    wanted = _RANGE.fullmatch(headers.get("range", ""))
    if wanted is None or wanted.group() == "bytes=-" or headers.get("if-range", version.etag) != version.etag:
        return Response(200, own | {"Content-Length": str(size)}, version.data)
    first, last = wanted.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if begin >= size or end <= begin:
        message = f"The file has {size} bytes."
        raise Refusal(416, "range_not_satisfiable", message, {"Content-Range": f"bytes */{size}"})
    part = version.data[begin:end]
    own |= {"Content-Range": f"bytes {begin}-{end - 1}/{size}", "Content-Length": str(len(part))}
    return Response(206, own, part)
