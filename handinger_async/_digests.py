"""Digests of files in response headers."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

import attrs

from .http import Headers

__all__ = ["Digest", "find_digest"]

#: Algorithms by their names in headers, the strongest first.
_ALGORITHMS = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5"}
#: A member of Repr-Digest and Content-Digest, a byte sequence between colons (RFC 9530), or of the older Digest.
_MEMBER = r"(?:^|,)\s*([A-Za-z0-9-]+)\s*=\s*(:?)([A-Za-z0-9+/]+={0,2})(:?)\s*(?=,|;|$)"


@attrs.frozen
class Digest:
    """A digest of a file.

    Args:
        algorithm: The name of the algorithm in `hashlib`.
        value: The digest.
    """

    algorithm: str
    value: bytes


def find_digest(headers: Headers) -> Digest | None:
    """Return the strongest digest of a complete, unencoded file that a response is the source of.

    Those that are malformed or of unknown algorithms are ignored.

    Args:
        headers: The header fields of the response: Repr-Digest and Content-Digest (RFC 9530), Digest (RFC 3230) and
            Content-MD5 (RFC 1864) are read.
    """
    found: dict[str, str] = {}
    for field in ("repr-digest", "content-digest", "digest"):
        for name, begin, value, end in re.findall(_MEMBER, headers.get(field, "")):
            if begin == end == ("" if field == "digest" else ":"):
                found.setdefault(name.lower(), value)
    if "content-md5" in headers:
        found.setdefault("md5", headers["content-md5"].strip())
    for name, algorithm in _ALGORITHMS.items():
        if name in found:
            import hashlib  # loads OpenSSL, and is rarely needed

            try:
                value = b64decode(found[name], validate=True)
            except (binascii.Error, ValueError):
                continue
            if len(value) == hashlib.new(algorithm, usedforsecurity=False).digest_size:
                return Digest(algorithm, value)
    return None
