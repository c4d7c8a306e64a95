"""Decompression: the output is the original, in any chunks; a truncated body is an error."""

import gzip
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handinger_async import APIConnectionError
from handinger_async.transports._decompression import Decompressor


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


def members(data: bytes) -> bytes:
    return gzip.compress(data[:5]) + gzip.compress(data[5:]) + bytes(10)


FORMS = {
    "gzip": ("gzip", gzip.compress),
    "several members and padding": ("GZIP", members),
    "x-gzip": ("x-gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": (" Deflate", raw_deflate),
    "identity": ("identity", bytes),
}


def decompress(encoding: str, chunks: list[bytes]) -> bytes:
    decompressor = Decompressor(encoding)
    decompressed = []
    for chunk in chunks:
        decompressor.feed(chunk)
        while output := decompressor.next():
            assert len(output) <= 2**18
            decompressed.append(output)
    decompressor.finish()
    return b"".join(decompressed)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(form=st.sampled_from(sorted(FORMS)), data=st.binary(max_size=300), size=st.integers(1, 400))
def test_decompression_undoes_compression_at_any_chunking(form: str, data: bytes, size: int) -> None:
    encoding, compress = FORMS[form]
    packed = compress(data)
    assert decompress(encoding, [packed[at : at + size] for at in range(0, len(packed), size)]) == data


@pytest.mark.parametrize("form", ["gzip", "zlib", "raw deflate"])
def test_truncated_body_is_an_error(form: str) -> None:
    encoding, compress = FORMS[form]
    packed = compress(b"hello, hello, hello " * 9)
    for end in range(1, len(packed)):
        with pytest.raises(APIConnectionError):
            decompress(encoding, [packed[:end]])
    assert decompress(encoding, []) == b""  # a response without a body


def test_chunk_of_exactly_the_maximum_size_is_not_the_last() -> None:
    for size in (2**18 - 1, 2**18, 2**18 + 1, 2**19):
        packed = gzip.compress(bytes(size))
        assert len(decompress("gzip", [packed])) == size
        assert len(decompress("gzip", [packed[:-9], packed[-9:]])) == size


def test_encoding_that_was_not_accepted_is_refused() -> None:
    with pytest.raises(APIConnectionError, match=r"\bbr\b"):
        Decompressor("br")
    with pytest.raises(APIConnectionError):
        Decompressor("gzip, br")
