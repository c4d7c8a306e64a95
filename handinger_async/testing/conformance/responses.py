"""Clauses on the status and the headers of responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ...http import Response
from ...transports.memory import StreamingResponse
from .._harness import HANG_GUARD, Always, Harness, check, read_all
from ._clauses import clause


@clause
async def response_arrives_as_given(harness: Harness) -> None:
    """The status, the headers and the body are delivered as sent."""
    body = bytes(range(256)) * 2048
    headers = {"Content-Type": "text/odd; a=b", "X-Request-Id": "req_1", "Retry-After": "7", "ETag": '"x"'}
    async with harness.serving(lambda _: Response(203, headers, body)) as setup:
        response, received = await setup.fetch()
    check(response.status == 203, f"a status of 203 was delivered as {response.status}")
    for name, value in headers.items():
        found = response.headers.get(name.lower())
        check(found == value, f"the header {name}: {value} was delivered as {found}")
    check(received == body, f"a body of {len(body)} bytes was delivered as {len(received)} other ones")


@clause
async def statuses_are_no_errors(harness: Harness) -> None:
    """A response with an error status is delivered like any other, with its body."""
    for status in (400, 401, 404, 408, 409, 429, 500, 503, 599):
        async with harness.serving(Always(Response(status, {}, b"why"))) as setup:
            response, body = await setup.fetch()
        check((response.status, body) == (status, b"why"), f"{status} was delivered as {response.status}, {body!r}")


@clause
async def redirects_are_not_followed(harness: Harness) -> None:
    """A redirect is delivered, and no request is sent to its Location."""
    for status in (301, 302, 303, 307, 308):
        handler = Always(Response(status, {"Location": "/elsewhere"}))
        async with harness.serving(handler) as setup:
            response, _ = await setup.fetch()
        check(response.status == status, f"{status} was delivered as {response.status}")
        check(response.headers.get("location") == "/elsewhere", "the Location was not delivered")
        check(len(handler.seen) == 1, f"{len(handler.seen)} requests were sent")


@clause
async def head_comes_before_the_body(harness: Harness) -> None:
    """The status and the headers are delivered before the first byte of the body arrives."""
    gate = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        await gate.wait()
        yield b"late"

    async with harness.serving(lambda _: StreamingResponse(200, {"X-Early": "yes"}, chunks())) as setup:
        opening = setup.start(setup.open())
        await asyncio.wait((opening,), timeout=HANG_GUARD)
        early = opening.done()
        gate.set()
        response = await opening
        body = await read_all(response)
        await response.aclose()
    check(early, "open waited for the body")
    check((response.headers.get("x-early"), body) == ("yes", b"late"), "the head or the body was lost")
