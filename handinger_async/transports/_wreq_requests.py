"""Convert requests for wreq."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ..http import Headers, MultipartBody, Request
from ._decompression import ACCEPT_ENCODING
from .uploads import BodyReader

__all__ = ["Upload", "to_body"]

_DEFAULT_HEADERS = Headers({"Accept-Encoding": ACCEPT_ENCODING})
#: Methods whose requests have a Content-Length even without a body (RFC 9110, section 8.6).
_WITH_CONTENT = frozenset({"PATCH", "POST", "PUT"})


class Upload:
    """A `MultipartBody` that is read while wreq sends it.

    Args:
        body: The body.

    Attributes:
        failure: The error of a source, which wreq would wrap; None if there was none.
    """

    def __init__(self, body: MultipartBody) -> None:
        self.length = body.length
        self.failure: Exception | None = None
        self._reader = BodyReader(body)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Read each chunk when wreq wants it."""
        left = self.length
        try:
            while left != 0 and (chunk := await self._reader.read()):
                if left is not None:
                    left -= len(chunk)
                yield chunk
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._reader.close()

    def close(self) -> None:
        """Close the file that is open. If the body is not sent completely, the connection is closed."""
        self._reader.close()


def to_body(request: Request) -> tuple[bytes | AsyncGenerator[bytes] | None, dict[str, str], Upload | None]:
    """Return the body and the header fields of a request for wreq, and the upload if it is one."""
    fields = (_DEFAULT_HEADERS | request.headers).as_dict()
    body = request.body
    if isinstance(body, MultipartBody):
        upload = Upload(body)
        if upload.length is not None:
            fields["Content-Length"] = str(upload.length)
        return upload.chunks(), fields, upload
    if not body and request.method in _WITH_CONTENT:
        fields["Content-Length"] = "0"
    return body or None, fields, None
