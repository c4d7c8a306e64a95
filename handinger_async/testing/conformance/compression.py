"""Clauses on compressed bodies, which a transport delivers decompressed."""

from __future__ import annotations

import gzip

from ...errors import APIConnectionError
from ...http import Request, Response
from ...transports.memory import HandlerResult, StreamingResponse
from .._harness import Always, Harness, Setup, check, failure_of
from ._clauses import network_clause

#: ``b"plain"`` in codings that not every HTTP client decodes.
_CODINGS = {
    "br": b"\x0b\x02\x80plain\x03",
    "zstd": b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00plain",
    "x-unknown": b"\x00plain",
}


@network_clause
async def bodies_are_decompressed(harness: Harness) -> None:
    """A compressed body is delivered decompressed."""
    packed = gzip.compress(b"plain" * 1000)
    async with harness.serving(lambda _: Response(200, {"Content-Encoding": "gzip"}, packed)) as setup:
        body = await _body(setup)
    check(body == b"plain" * 1000, f"a body in gzip was delivered as {body[:40]!r}…")


@network_clause
async def all_gzip_members_are_decompressed(harness: Harness) -> None:
    """A gzip body can have several members, one after the other: all are delivered (RFC 1952, section 2.2)."""
    members = [gzip.compress(b"first"), gzip.compress(b"second")]
    packed = b"".join(members)
    bytewise = [packed[index : index + 1] for index in range(len(packed))]
    for chunks in ([packed], members, bytewise):

        def handler(_: Request, chunks: list[bytes] = chunks) -> HandlerResult:
            return StreamingResponse(200, {"Content-Encoding": "gzip"}, chunks)

        async with harness.serving(handler) as setup:
            body = await _body(setup)
        check(body == b"firstsecond", f"two members in {len(chunks)} chunks were delivered as {body!r}")


@network_clause
async def a_truncated_compressed_body_is_an_error(harness: Harness) -> None:
    """A gzip body without its end raises an APIConnectionError with ``request_sent`` True, even in a whole message."""
    packed = gzip.compress(b"plain" * 1000)
    for size in (len(packed) // 2, len(packed) - 8):  # in the middle, and before the checksum

        def handler(_: Request, size: int = size) -> HandlerResult:
            return Response(200, {"Content-Encoding": "gzip"}, packed[:size])

        async with harness.serving(handler) as setup:
            reading = _body(setup)
            failure = await failure_of(reading, f"reading the first {size} of the {len(packed)} bytes of a gzip body")
        check(failure.request_sent, "request_sent is False, though there was a response")


@network_clause
async def bodies_are_never_delivered_compressed(harness: Harness) -> None:
    """A body in a coding that the transport does not decode raises an APIConnectionError with ``request_sent`` True."""
    for coding, packed in _CODINGS.items():

        def handler(_: Request, coding: str = coding, packed: bytes = packed) -> HandlerResult:
            return Response(200, {"Content-Encoding": coding}, packed)

        async with harness.serving(handler) as setup:
            try:
                body = await _body(setup)
            except APIConnectionError as error:
                check(error.request_sent, "request_sent is False, though there was a response")
            else:
                check(body == b"plain", f"a body with Content-Encoding: {coding} was delivered as {body!r}")


@network_clause
async def no_body_is_no_truncated_body(harness: Harness) -> None:
    """A response without a body (204, 304, to HEAD) ends at once, whatever its Content-Encoding."""
    for status, method in ((204, "GET"), (304, "GET"), (200, "HEAD")):
        async with harness.serving(Always(Response(status, {"Content-Encoding": "gzip"}))) as setup:
            _, body = await setup.fetch(method=method, headers={"Accept-Encoding": "gzip"})
        check(body == b"", f"{status} to {method} came with a body: {body!r}")


async def _body(setup: Setup) -> bytes:
    """Send a request, and return the body of its response."""
    _, body = await setup.fetch(headers={"Accept-Encoding": "gzip"})
    return body
