"""Clauses on requests."""

from __future__ import annotations

import asyncio

from ...http import Request, Response
from ...transports.memory import HandlerResult
from .._harness import HANG_GUARD, Always, Harness, check
from ._clauses import clause, network_clause


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
    arrived = seen[0].read_body()
    check(arrived == body, f"a body of {len(body)} bytes arrived as {len(arrived)} other ones")
    check(seen[1].body == b"", "a request without a body got one")


@clause
async def headers_outside_ascii_are_sent_in_utf8(harness: Harness) -> None:
    """The values of request headers are encoded in UTF-8, those in the range of Latin-1 too."""
    headers = {"X-Latin-1": "caf\xe9", "X-Beyond": "\u20ac 5, \u6771\u4eac"}
    handler = Always(Response(200))
    async with harness.serving(handler) as setup:
        for name, value in headers.items():
            try:
                await setup.fetch(headers={name: value})
            except UnicodeError as error:
                raise AssertionError(f"{value!r} was refused ({error}): pass the HTTP client UTF-8 bytes") from error
    for request, (name, value) in zip(handler.seen, headers.items(), strict=True):
        arrived = request.headers.get(name)
        check(arrived == value, f"{value!r} arrived as {arrived!r}, decoded from UTF-8")


@clause
async def no_content_type_is_made_up(harness: Harness) -> None:
    """A request without a Content-Type gets none, whatever its method, with or without a body."""
    handler = Always(Response(200))
    async with harness.serving(handler) as setup:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            await setup.fetch(method=method)
        await setup.fetch(method="POST", body=b"body")
    for request in handler.seen:
        made_up = request.headers.get("content-type")
        body = "a body" if request.body else "no body"
        check(made_up is None, f"{request.method} with {body} was sent with Content-Type: {made_up}")


@clause
async def no_cookies_are_kept(harness: Harness) -> None:
    """A cookie that a response sets is not sent with the next request."""
    handler = Always(Response(200, {"Set-Cookie": "kept=yes; Path=/"}))
    async with harness.serving(handler) as setup:
        for host in (None, "localhost"):  # some cookie jars ignore IP addresses
            for _ in range(2):
                await setup.fetch(host=host)
    for request in handler.seen:
        check("cookie" not in request.headers, "the cookie was sent: give the HTTP client a cookie jar that keeps none")


@network_clause
async def host_names_the_port(harness: Harness) -> None:
    """Host is the host and the port of the URL, since the port is not the default one of the scheme."""
    handler = Always(Response(200))
    async with harness.serving(handler) as setup:
        await setup.fetch()
        authority = setup.server.url.removeprefix("http://")
    host = handler.seen[0].headers.get("host")
    check(host == authority, f"a request to {setup.server.url} was sent with Host: {host}")


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
        await all_here.wait()
        return Response(200)

    async with harness.serving(handler) as setup:
        fetches = [setup.start(setup.fetch()) for _ in range(count)]
        await asyncio.wait((setup.start(all_here.wait()),), timeout=HANG_GUARD)
        check(all_here.is_set(), f"only {arrived} of {count} requests arrived")
        results = await asyncio.gather(*fetches)
    check({response.status for response, _ in results} == {200}, "a response is not the handler's")
