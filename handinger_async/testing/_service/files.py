"""Files of a worker in all their versions, and the HTTP responses that serve them."""

from __future__ import annotations

import bisect
import hashlib
import mimetypes
import re
from collections.abc import Collection
from operator import attrgetter

import attrs

from ...http import BINARY, Headers, Response
from .errors import ServiceError
from .recent import KEPT

__all__ = ["Files", "Version", "serve_file"]

#: Only the types that the standard library knows: the list of the operating system differs between machines.
_MEDIA_TYPES = mimetypes.MimeTypes(filenames=())
_MEDIA_TYPES.add_type("text/markdown", ".md")  # in the standard library since Python 3.14

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


@attrs.frozen
class Version:
    """The content of a file from one moment on.

    Args:
        at: The moment, in seconds of the service's clock.
        data: The content.
        media_type: The media type.
    """

    at: float
    data: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """A strong validator, equal for equal contents (RFC 9110, section 8.8.3)."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


_moment = attrgetter("at")


class Files:
    """The space of a worker: the files that it published, and those that were sent to it."""

    def __init__(self) -> None:
        self._versions: dict[str, list[Version]] = {}
        self._made_up: dict[str, list[Version]] = {}

    def publish(
        self, path: str, data: bytes, *, at: float, media_type: str | None = None, made_up: bool = False
    ) -> None:
        """Add a file, or a new version of it, at the moment ``at``.

        Args:
            path: The path.
            data: The content.
            at: The moment, in seconds of the service's clock.
            media_type: The media type; None to guess it from the path.
            made_up: True for a file of a run without a script.
        """
        version = Version(at, data, media_type or _MEDIA_TYPES.guess_type(path)[0] or BINARY)
        versions = (self._made_up if made_up else self._versions).setdefault(path, [])
        bisect.insort(versions, version, key=_moment)

    def forget(self, path: str, now: float) -> None:
        """Forget past versions of a file, except the last `KEPT` and the first, which stands for them.

        Args:
            path: The path.
            now: The current moment, in seconds of the service's clock.
        """
        for versions in (self._versions.get(path, []), self._made_up.get(path, [])):
            while len(versions) > KEPT and versions[2].at <= now:
                del versions[1]

    def version(self, path: str, at: float) -> Version | None:
        """Return the version of a file that is current at a moment; None if there is none.

        Versions that are made up never replace others.
        """
        for versions in (self._versions.get(path, ()), self._made_up.get(path, ())):
            if place := bisect.bisect_right(versions, at, key=_moment):
                return versions[place - 1]
        return None

    def current(self, at: float, only: Collection[str] | None = None) -> dict[str, Version]:
        """Return the files that exist at a moment, by path, in alphabetical order.

        Args:
            at: The moment, in seconds of the service's clock.
            only: The paths of the files to return; None for all.
        """
        paths = self._versions.keys() | self._made_up.keys() if only is None else set(only)
        found = {path: self.version(path, at) for path in sorted(paths)}
        return {path: version for path, version in found.items() if version is not None}


def serve_file(version: Version, headers: Headers) -> Response:
    """Return the response to a request for a file (RFC 9110, sections 13 and 14).

    Args:
        version: The current version of the file.
        headers: The header fields of the request.

    Returns:
        The complete file (200), the requested range (206) or no body (304).

    Raises:
        ServiceError: The range is not satisfiable (416).
    """
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
        raise ServiceError(416, "range_not_satisfiable", message, {"Content-Range": f"bytes */{size}"})
    part = version.data[begin:end]
    own |= {"Content-Range": f"bytes {begin}-{end - 1}/{size}", "Content-Length": str(len(part))}
    return Response(206, own, part)
