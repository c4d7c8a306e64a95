"""Digests in response headers."""

import hashlib
from base64 import b64encode

import pytest

from handinger_async._digests import Digest, find_digest
from handinger_async.http import Headers

DATA = b"data"


def encoded(algorithm: str, data: bytes = DATA) -> str:
    return b64encode(hashlib.new(algorithm, data).digest()).decode()


MD5, SHA1, SHA256, SHA512 = (
    Digest(name, hashlib.new(name, DATA).digest()) for name in ("md5", "sha1", "sha256", "sha512")
)


@pytest.mark.parametrize(
    ("headers", "digest"),
    [
        ({}, None),
        ({"Repr-Digest": f"sha-256=:{encoded('sha256')}:"}, SHA256),
        ({"Content-Digest": f"sha-512=:{encoded('sha512')}:"}, SHA512),
        ({"Repr-Digest": f"sha-256=:{encoded('sha256')}:, sha-512=:{encoded('sha512')}:"}, SHA512),
        ({"Repr-Digest": f"sha-256=:{encoded('sha256')}:;x=1, unknown=:AAAA:"}, SHA256),
        ({"Digest": f"SHA-256={encoded('sha256')},unixsum=30637"}, SHA256),
        ({"Digest": f"sha={encoded('sha1')}"}, SHA1),
        ({"Digest": f"MD5={encoded('md5')}"}, MD5),
        ({"Content-MD5": encoded("md5")}, MD5),
        ({"Content-MD5": encoded("md5"), "Digest": f"sha-256={encoded('sha256')}"}, SHA256),
        ({"Repr-Digest": f"sha-256={encoded('sha256')}"}, None),
        ({"Digest": f"sha-256=:{encoded('sha256')}:"}, None),
        ({"Repr-Digest": "sha-256=:AAAA:"}, None),
        ({"Repr-Digest": "sha-256=:A:", "Content-MD5": encoded("md5")}, MD5),
        ({"Content-MD5": "no base64"}, None),
        ({"Content-MD5": "é"}, None),
        ({"Repr-Digest": "sha-256"}, None),
    ],
)
def test_strongest_digest_is_found_and_malformed_ones_are_ignored(headers: dict[str, str], digest: Digest) -> None:
    assert find_digest(Headers(headers)) == digest
