"""The state of a file that is saved: how much has arrived, how to request the rest, whether it is complete."""

from __future__ import annotations

import re

from .._digests import Digest, find_digest
from ..errors import APIConnectionError
from ..http import Request, Response
from ..transports._decompression import content_encodings

__all__ = ["Transfer", "file_size"]

#: A strong validator (RFC 9110, section 8.8.3): one that changes with every byte.
_STRONG_ETAG = r'"[\x21\x23-\x7e]+"'
#: Of one part (RFC 9110, section 14.4). More digits than these are no size of a file.
_CONTENT_RANGE = r"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:([0-9]{1,18})|\*)"
_LENGTH = r"[0-9]{1,18}"


def file_size(response: Response) -> int | None:
    """Return the size of the complete file that a response belongs to; None if it does not say."""
    if response.status == 206:
        part = re.fullmatch(_CONTENT_RANGE, response.headers.get("content-range", ""))
        return int(part[3]) if part and part[3] else None
    length = response.headers.get("content-length", "")
    return int(length) if re.fullmatch(_LENGTH, length) and not content_encodings(response.headers) else None


class Transfer:
    """A file that arrives in the bodies of one or more responses.

    Args:
        request: The request for the file.
        resume: Request only the rest after an interruption, where the server can tell whether the file is the same.
        expected: The least size of the file, for responses that do not tell it; None if it is not known.

    Attributes:
        received: The number of bytes that have arrived.
        total: The size of the file; None if it is not known.
        digest: The digest of the file; None if none was sent.
    """

    def __init__(self, request: Request, *, resume: bool, expected: int | None = None) -> None:
        self._request = request
        self._expected = expected
        self._resume = resume and request.method == "GET"
        self._etag = ""
        self._asked = False
        self._was_encoded = False
        self.received = 0
        self.total: int | None = None
        self.digest: Digest | None = None

    def next_request(self) -> Request:
        """Return the request for the file, or for the rest of it."""
        headers = {}
        left = self.total is None or self.received < self.total
        self._asked = bool(self._etag) and self.received > 0 and left
        if self._asked:
            headers = {"Range": f"bytes={self.received}-", "If-Range": self._etag}
        if self._asked or (self._was_encoded and self._resume):
            headers["Accept-Encoding"] = "identity"  # a part of an encoded file continues nothing; nor has it a size
        request = self._request
        return Request(request.method, request.target, request.headers | headers, request.body) if headers else request

    def begin(self, response: Response) -> bool:
        """Take a response.

        Returns:
            True if its body is the file from its beginning, False if it is the rest.

        Raises:
            APIConnectionError: The body is neither: request the file anew.
        """
        if self._asked and response.status == 206:
            if self._continues(response):
                return False
            self.forget()
            raise APIConnectionError("the file changed while it was downloaded, or the server sent another part of it")
        headers = response.headers
        self.forget()
        self._was_encoded = bool(content_encodings(headers))
        self.total = file_size(response) if response.status != 206 else None  # 206: the caller asked for a part
        if not self._was_encoded and response.status != 206:
            etag = headers.get("etag", "")
            self._etag = etag if self._resume and re.fullmatch(_STRONG_ETAG, etag) else ""
            self.digest = find_digest(headers)
        return True

    def forget(self) -> None:
        """Begin again with the first byte."""
        self.received, self.total, self.digest, self._etag = 0, None, None, ""

    def finish(self, digest: bytes | None) -> None:
        """Check the complete file.

        Args:
            digest: The digest of the bytes that have arrived; None if none was sent.

        Raises:
            APIConnectionError: Bytes are missing, or the file is damaged.
        """
        if self.total is not None and self.received != self.total:
            raise APIConnectionError(f"the file ended after {self.received} bytes instead of {self.total}")
        if self.total is None and self._expected is not None and self.received < self._expected:
            raise APIConnectionError(f"the file ended after {self.received} bytes instead of {self._expected}")
        if self.digest is not None and digest != self.digest.value:
            algorithm = self.digest.algorithm
            self.forget()
            raise APIConnectionError(
                f"the file is damaged: its {algorithm} digest differs from the one in the response"
            )

    def _continues(self, response: Response) -> bool:
        """Return True if the body of a 206 is the rest of the same file."""
        headers = response.headers
        part = re.fullmatch(_CONTENT_RANGE, headers.get("content-range", ""))
        if part is None or content_encodings(headers):
            return False
        first, last, total = int(part[1]), int(part[2]), file_size(response)
        if first != self.received or last < first or headers.get("etag", self._etag) != self._etag:
            return False
        if total is None:  # a server may send less than the rest: then only the size tells the end
            return self.total is not None and last < self.total
        if self.total is None:
            self.total = total
        return last < total == self.total
