"""Clauses on the status and the headers of responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ...errors import APIConnectionError
from ...http import Response
from ...transports.memory import StreamingResponse
from .._harness import HANG_GUARD, Always, Harness, check, read_all
from .._scripted import Connection
from ._clauses import clause, network_clause


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


@network_clause
async def repeated_headers_are_joined(harness: Harness) -> None:
    """Header fields of one name are all delivered, joined by ``", "``, whatever the case of the name."""
    fields = b"X-Many: one\r\nSet-Cookie: a=1\r\nx-many: two\r\nSet-Cookie: b=2\r\nX-MANY: three, four\r\n"

    async def script(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n")

    async with harness.scripting(script) as setup:
        response, _ = await setup.fetch()
    for name, value in (("x-many", "one, two, three, four"), ("set-cookie", "a=1, b=2")):
        found = response.headers.get(name)
        check(found == value, f"{name}: {value} was delivered as {found}: give Headers all pairs, not a dict")


@network_clause
async def headers_are_decoded_from_utf8(harness: Harness) -> None:
    """The values of response headers are decoded from UTF-8. Other bytes are delivered somehow, and are no error."""
    values = [b"caf\xc3\xa9", b"caf\xe9"]

    async def script(connection: Connection) -> None:
        for value in values:
            await connection.read_head()
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Name: " + value + b"\r\n\r\n")

    async with harness.scripting(script) as setup:
        for value in values:
            try:
                response, _ = await setup.fetch()
            except (APIConnectionError, ValueError) as error:
                raise AssertionError(f"a response with the header {value!r} raised {error!r}") from error
            found = response.headers.get("x-name", "")
            expected = value.decode("utf-8", "ignore")
            check(found.startswith(expected), f"the header {value!r} was delivered as {found!r}")


@network_clause
async def interim_responses_are_skipped(harness: Harness) -> None:
    """An interim response (1xx) is skipped with its headers: the response is the one that follows."""
    interim = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nX-Interim: yes\r\n\r\n"]
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal"

    async def script(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"".join([*interim, final]))
        await connection.read_head()
        for part in (*interim, final):
            await connection.send(part)

    async with harness.scripting(script) as setup:
        for _ in range(2):
            response, body = await setup.fetch()
            check(response.status == 200, f"the interim response {response.status} was delivered")
            check(body == b"final", f"the body of the final response was delivered as {body!r}")
            check("x-interim" not in response.headers, "a header of the interim response was delivered")


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
