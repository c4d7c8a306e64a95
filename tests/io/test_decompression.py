"""Decompression: the output is the original, in any chunks; a truncated body is an error, and so is what follows."""

import asyncio
import gzip
import itertools
import random
import sys
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import aiohttp.client_proto
import aiohttp.http_parser
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handinger_async import APIConnectionError, APIStatusError, NotFoundError, RetryPolicy, Session
from handinger_async.http import Headers
from handinger_async.transports import StreamedResponse
from handinger_async.transports._decompression import Decompressor, decode_body

from .wire import WireRequest, wire_server, write_and_close

STRICT_IN_DEV_MODE = pytest.mark.skipif(sys.flags.dev_mode, reason="aiohttp's parser is strict in development mode")


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


def members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + bytes(3) + gzip.compress(data[half:]) + bytes(10)


def small_window(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=9)
    return squeeze.compress(data) + squeeze.flush()


FORMS = {
    "gzip": ("gzip", gzip.compress),
    "several members and padding": ("gzip", members),
    "x-gzip": ("x-gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "zlib and padding": ("deflate", lambda data: zlib.compress(data) + bytes(10)),
    "zlib with a small window": ("deflate", small_window),
    "raw deflate": ("deflate", raw_deflate),
}


def decompress(encoding: str, chunks: Iterable[bytes]) -> bytes:
    decompressor = Decompressor(encoding)
    decompressed = []
    for chunk in chunks:
        assert not decompressor.more
        decompressor.feed(chunk)
        while decompressor.more:
            decompressed.append(decompressor.next())
            assert len(decompressed[-1]) <= 2**16
            assert len(decompressed) < 10**5  # or it makes no progress
    decompressor.finish()
    return b"".join(decompressed)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    form=st.sampled_from(sorted(FORMS)),
    data=st.binary(max_size=300),
    repeat=st.sampled_from([1, 2000]),
    size=st.integers(1, 400),
)
def test_decompression_undoes_compression_at_any_chunking(form: str, data: bytes, repeat: int, size: int) -> None:
    encoding, compress = FORMS[form]
    data *= repeat
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
    for size in (2**16 - 1, 2**16, 2**16 + 1, 2**17, 2**18):
        for encoding, compress in FORMS.values():
            packed = compress(bytes(size))
            assert len(decompress(encoding, [packed])) == size
            assert len(decompress(encoding, [packed[:-9], packed[-9:]])) == size


@pytest.mark.parametrize("form", FORMS)
def test_data_after_the_compressed_body_is_refused_at_once(form: str) -> None:
    encoding, compress = FORMS[form]
    packed = compress(b"hello")
    if encoding == "deflate":
        with pytest.raises(APIConnectionError):
            decompress(encoding, [packed, packed])
    for chunks in ([packed + b"garbage"], [packed, b"garbage"], [packed, b"\0", b"\0g", b"arbage"]):
        with pytest.raises(APIConnectionError):
            decompress(encoding, itertools.chain(chunks, itertools.repeat(b"garbage")))


class Zlib:
    """Counts the calls of zlib, and their input."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.input = 0
        self._decompressobj = zlib.decompressobj
        monkeypatch.setattr(zlib, "decompressobj", self)

    def __call__(self, bits: int) -> Any:
        counter, stream = self, self._decompressobj(bits)

        class Counted:
            def decompress(self, data: bytes, max_length: int) -> bytes:
                counter.calls += 1
                counter.input += len(data)
                return stream.decompress(data, max_length)

            def __getattr__(self, name: str) -> Any:
                return getattr(stream, name)

        return Counted()


@pytest.mark.parametrize("data", [bytes(2**22), random.Random(0).randbytes(2**20)], ids=["zeros", "noise"])
def test_work_of_decompression_is_linear_in_the_size_of_a_chunk(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(data)
    counted = Zlib(monkeypatch)
    assert decompress("gzip", [packed]) == data
    assert counted.input <= len(packed) + len(data) + 2**16


# Responses ############################################################################################################


class Compressed:
    """A compressed response that arrives at once; `read_chunk` never waits."""

    status = 200

    def __init__(self, encoding: str, chunks: Iterable[bytes]) -> None:
        self.headers = Headers({"Content-Encoding": encoding})
        self.reads = 0
        self.closed = False
        self._chunks = iter(chunks)

    async def read_chunk(self) -> bytes:
        self.reads += 1
        return next(self._chunks, b"")

    async def aclose(self) -> None:
        self.closed = True


class Iterations:
    """Counts the iterations of the event loop."""

    def __init__(self) -> None:
        self.number = 0
        self._count()

    def _count(self) -> None:
        self.number += 1
        self._handle = asyncio.get_running_loop().call_soon(self._count)

    def stop(self) -> None:
        self._handle.cancel()


async def read(response: StreamedResponse) -> list[bytes]:
    chunks = []
    while chunk := await response.read_chunk():
        chunks.append(chunk)
    assert await response.read_chunk() == b""
    return chunks


async def test_other_tasks_run_after_each_chunk_of_a_highly_compressed_file() -> None:
    response = decode_body(Compressed("gzip", [gzip.compress(bytes(2**22))]))
    iterations, sizes = Iterations(), Counter[int]()
    while chunk := await response.read_chunk():
        sizes[iterations.number] += len(chunk)
    iterations.stop()
    assert sizes.total() == 2**22
    assert max(sizes.values()) == 2**16


async def test_other_tasks_run_among_many_members_without_content(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"") * 1000 + gzip.compress(b"end")
    counted, iterations = Zlib(monkeypatch), Iterations()
    assert await read(decode_body(Compressed("gzip", [packed]))) == [b"end"]
    iterations.stop()
    assert counted.calls == 1001
    assert iterations.number >= 1001 / 16


async def test_small_compressed_body_is_read_without_a_pause() -> None:
    iterations = Iterations()
    for form in ("gzip", "zlib", "raw deflate"):
        encoding, compress = FORMS[form]
        assert await read(decode_body(Compressed(encoding, [compress(b"hello")]))) == [b"hello"]
    iterations.stop()
    assert iterations.number == 1


async def test_endless_data_after_a_compressed_body_is_not_collected() -> None:
    for encoding, compress in FORMS.values():
        compressed = Compressed(encoding, itertools.chain([compress(b"hello")], itertools.repeat(b"g" * 2**16)))
        response = decode_body(compressed)
        for _ in range(2):
            with pytest.raises(APIConnectionError):
                await read(response)
        assert compressed.reads == 2


async def test_reader_of_a_compressed_body_is_told_that_it_is_closed() -> None:
    compressed = Compressed("gzip", [gzip.compress(bytes(2**20))])
    response = decode_body(compressed)
    await response.read_chunk()
    reading = asyncio.ensure_future(response.read_chunk())
    await asyncio.sleep(0)
    await response.aclose()
    with pytest.raises(APIConnectionError, match="closed"):
        await reading
    with pytest.raises(APIConnectionError, match="closed"):
        await response.read_chunk()
    assert compressed.closed


async def test_cancelled_read_of_a_compressed_body_loses_nothing() -> None:
    data = random.Random(0).randbytes(2**12) * 2**8
    response = decode_body(Compressed("gzip", [gzip.compress(data)]))
    received = [await response.read_chunk()]
    reading = asyncio.ensure_future(response.read_chunk())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert b"".join(received + await read(response)) == data


# On the wire ##########################################################################################################

ZIPPED = gzip.compress(b"hello")

#: Header fields and a body, which is b"hello".
DECODED = [
    (["Content-Encoding: gzip"], ZIPPED),
    (["Content-Encoding:  X-GZip "], ZIPPED),
    (["Content-Encoding: deflate"], zlib.compress(b"hello")),
    (["Content-Encoding: utf-8, gzip,"], ZIPPED),
    (["Content-Encoding: gzip", "Content-Encoding: identity"], ZIPPED),
    (["Content-Encoding: "], b"hello"),
    (["Content-Encoding: identity"], b"hello"),
    (["Content-Encoding: UTF-8"], b"hello"),
    (["Content-Encoding: utf8"], b"hello"),
    (["Content-Encoding: none, "], b"hello"),
    (["Transfer-Encoding: Chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    (["Transfer-Encoding: chunked", "Content-Encoding: gzip"], b"%x\r\n%s\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED)),
    (["Transfer-Encoding: Identity"], b"hello"),
    (["Transfer-Encoding: "], b"hello"),
]

#: Header fields and a body that cannot be decoded.
REFUSED = [
    (["Content-Encoding: br"], b"hello"),
    (["Content-Encoding: zstd"], b"hello"),
    (["Content-Encoding: compress"], b"hello"),
    (["Content-Encoding: aws-chunked"], b"hello"),
    (["Content-Encoding: gzip;q=1"], ZIPPED),
    (["Content-Encoding: br, gzip"], ZIPPED),
    (["Content-Encoding: gzip, gzip"], gzip.compress(ZIPPED)),
    (["Content-Encoding: gzip", "Content-Encoding: gzip"], gzip.compress(ZIPPED)),
    (["Transfer-Encoding: gzip"], ZIPPED),
    (["Transfer-Encoding: gzip, chunked"], b"%x\r\n%s\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED)),
    (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    (["Transfer-Encoding: identity", "Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    (["Transfer-Encoding: chunked, identity"], b"5\r\nhello\r\n0\r\n\r\n"),
    (["Transfer-Encoding: chunked;q=1"], b"5\r\nhello\r\n0\r\n\r\n"),
    (["Transfer-Encoding: x-chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
]

#: Header fields that say different things about the length of a body.
AMBIGUOUS = [
    (["Content-Length: 5", "Content-Length: 6"], b"hello "),
    (["Content-Length: 6", "Content-Length: 5"], b"hello "),
    (["Content-Length: 5, 6"], b"hello "),
    (["Transfer-Encoding: chunked", "Content-Length: 5"], b"5\r\nhello\r\n0\r\n\r\n"),
]


@pytest.fixture(params=["default parser", "pure Python parser"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a parser of aiohttp; it has one for installations without its C extension."""
    if request.param == "pure Python parser":
        pure = aiohttp.http_parser.HttpResponseParserPy
        monkeypatch.setattr(aiohttp.client_proto, "HttpResponseParser", pure)


async def fetch(responses: list[tuple[list[str], bytes]], status: str) -> list[Any]:
    """Return the body of each response, or the type of the error."""
    waiting = list(responses)

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        fields, body = waiting.pop(0)
        write_and_close(writer, "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body)

    outcomes: list[Any] = []
    once = RetryPolicy(max_retries=0)
    async with wire_server(reply) as server, Session(api_key="key", base_url=server.url, retry=once) as session:
        for _ in responses:
            try:
                outcomes.append((await session.request("GET", "/x")).body)
            except (APIConnectionError, APIStatusError) as error:
                outcomes.append(type(error))
    return outcomes


@STRICT_IN_DEV_MODE
@pytest.mark.usefixtures("parser")
async def test_codings_of_a_body_are_undone() -> None:
    assert await fetch(DECODED, "200 OK") == [b"hello"] * len(DECODED)


@pytest.mark.usefixtures("parser")
async def test_body_with_an_unsupported_coding_is_refused_and_not_delivered_raw() -> None:
    assert await fetch(REFUSED, "200 OK") == [APIConnectionError] * len(REFUSED)


@pytest.mark.usefixtures("parser")
async def test_body_of_ambiguous_length_is_refused() -> None:
    assert await fetch(AMBIGUOUS, "200 OK") == [APIConnectionError] * len(AMBIGUOUS)


@STRICT_IN_DEV_MODE
@pytest.mark.usefixtures("parser")
async def test_error_status_counts_whatever_the_coding_of_its_body() -> None:
    responses = DECODED + REFUSED + [(["Content-Encoding: gzip"], b"hello"), (["Content-Encoding: deflate"], b"hello")]
    assert set(await fetch(responses, "404 Not Found")) == {NotFoundError}
