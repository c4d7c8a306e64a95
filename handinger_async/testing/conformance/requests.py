"""Clauses on requests."""

from __future__ import annotations

import asyncio

from ...http import Request, Response
from ...transports.memory import HandlerResult
from .._harness import Always, Harness, check, expect
from ._clauses import clause


@clause
async def target_arrives_as_given(harness: Harness) -> None:
    """The path and the query arrive as given, with their percent-encoding."""
    target = "/api/%7Eodd%2fid/a%2Fb;v=1,(2)!$&'*+=:@~/%E2%82%AC/.hidden?stream=true&q=a+b%20c%3D%26&empty=&%C3%A9"
    handler = Always(Response(200))
    async with harness.serving(handler) as setup:
        await setup.fetch(target)
    seen = handler.seen
    check(seen[0].target == target, f"{target} arrived as {seen[0].target}")


@clause
async def method_headers_and_body_arrive_as_given(harness: Harness) -> None:
    """The method, the headers and the body arrive as given, and only once."""
    handler = Always(Response(200))
    headers = {
        "Accept": "application/json",
        "Authorization": "Bearer key",
        "Content-Type": "application/json",
        "User-Agent": "conformance/1",
        "X-Odd": 'a, b;c="d"',
    }
    body = bytes(range(256)) * 8192
    async with harness.serving(handler) as setup:
        await setup.fetch("/", method="POST", headers=headers, body=body)
        for method in ("GET", "DELETE", "PATCH"):
            await setup.fetch("/", method=method)
    seen = handler.seen
    check([request.method for request in seen] == ["POST", "GET", "DELETE", "PATCH"], "a method is not the given one")
    for name, value in headers.items():
        check(seen[0].headers.get(name) == value, f"{name}: {value} arrived as {seen[0].headers.get(name)}")
    check(seen[0].body == body, f"a body of {len(body)} bytes arrived as {len(seen[0].body)} other ones")
    check(seen[1].body == b"", "a request without a body got one")
    check("content-type" not in seen[1].headers, "a request without a body got a Content-Type")


@clause
async def many_requests_at_a_time(harness: Harness) -> None:
    """Requests are sent while others wait for their responses."""
    count = 20
    arrived = 0
    all_here = asyncio.Event()

    async def handler(_: Request) -> HandlerResult:
        nonlocal arrived
        arrived += 1
        if arrived == count:
            all_here.set()
        await expect(all_here, f"only {arrived} of {count} requests arrived")
        return Response(200)

    async with harness.serving(handler) as setup:
        results = await asyncio.gather(*(setup.fetch() for _ in range(count)))
    check({response.status for response, _ in results} == {200}, f"of {count} requests, only {arrived} were sent")
