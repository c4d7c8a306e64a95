"""Downloads from URLs: where the key goes, and which redirects are followed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from handinger_async import APIConnectionError, APIStatusError, ConfigurationError, File, RetryPolicy, Session
from handinger_async.http import Request, Response
from handinger_async.testing import FakeHandinger
from handinger_async.testing.virtual_time import run
from handinger_async.transports import StreamedResponse
from handinger_async.transports.memory import MemoryTransport

from .files import DATA, download, file
from .service import truncated
from .wire import WireRequest, response, wire_server

BASE = "https://api.example"
KEY = "Bearer key_of_the_service"
#: Headers that a session sends to its service only.
OWN = {"X-Tenant": "tenant", "Cookie": "session=1", "X-Api-Key": "second key"}


class Web:
    """Servers of several origins in memory: a response for each URL, or a function that returns it."""

    def __init__(self, responses: dict[str, Any] | None = None) -> None:
        self.responses = responses or {}
        self.seen: list[tuple[str, Request]] = []

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        assert url.raw_path_qs.endswith(request.target)
        self.seen.append((str(url), request))
        found = self.responses.get(str(url), lambda: file(DATA))
        reply = found() if callable(found) else found
        if isinstance(reply, Exception):
            raise reply
        return await MemoryTransport(lambda _: reply).open(url, request, connect_timeout=None)

    async def aclose(self) -> None:
        pass

    @property
    def urls(self) -> list[str]:
        return [url for url, _ in self.seen]

    @property
    def keys(self) -> list[str | None]:
        """The Authorization of each request."""
        return [request.headers.get("authorization") for _, request in self.seen]

    def session(self, **options: Any) -> Session:
        key = KEY.removeprefix("Bearer ")
        return Session(**{"api_key": key, "base_url": BASE, "transport": self, "headers": OWN, **options})


def to(location: str, status: int = 302) -> Callable[[], Response]:
    return lambda: Response(status, {"Location": location})


def fetch(web: Web, url: Any, **options: Any) -> bytes:
    """Return the file at a URL."""

    async def main() -> bytes:
        async with web.session(**options) as session:
            return await session.download(url).read()

    return run(main())


def api_keys() -> list[Any]:
    async def ask() -> str:
        return KEY.removeprefix("Bearer ")

    return [KEY.removeprefix("Bearer "), ask]


# URLs #################################################################################################################


@pytest.mark.parametrize("api_key", api_keys(), ids=["string", "function"])
@pytest.mark.parametrize(
    ("url", "requested"),
    [
        ("/files/plan.md", "/files/plan.md"),
        ("files/plan.md?x=1", "/files/plan.md?x=1"),
        ("/files/my plan.md#page=1", "/files/my%20plan.md"),
        ("/files/%E2%82%AC/ä", "/files/%E2%82%AC/%C3%A4"),
        (f"{BASE}/files/plan.md", "/files/plan.md"),
        (f"{BASE}:443/files/plan.md", "/files/plan.md"),
        ("HTTPS://API.Example/files/plan.md", "/files/plan.md"),
        ("//api.example/files/plan.md", "/files/plan.md"),
        (BASE, "/"),
        (f"{BASE}?signature=a%2Fb+c/d", "/?signature=a%2Fb+c/d"),
        (URL(f"{BASE}/files/plan.md"), "/files/plan.md"),
    ],
)
def test_key_and_headers_go_to_the_origin_of_the_base_url(url: Any, requested: str, api_key: Any) -> None:
    web = Web()
    assert fetch(web, url, api_key=api_key) == DATA
    assert web.urls == [BASE + requested]
    assert web.keys == [KEY]
    assert web.seen[0][1].headers["x-tenant"] == "tenant"


@pytest.mark.parametrize("api_key", api_keys(), ids=["string", "function"])
@pytest.mark.parametrize(
    "url",
    [
        "https://files.example/plan.md",
        "http://api.example/plan.md",
        "https://api.example:8443/plan.md",
        "https://api.example.evil/plan.md",
        "https://evil-api.example/plan.md",
        "https://api.example./plan.md",
        "https://sub.api.example/plan.md?signature=a%2Fb%20c",
        "//files.example/plan.md",
    ],
)
def test_key_and_headers_go_to_no_other_origin(url: str, api_key: Any) -> None:
    web = Web()
    assert fetch(web, url, api_key=api_key) == DATA
    assert web.urls == [url if ":" in url else f"https:{url}"]
    ((_, request),) = web.seen
    assert sorted(map(str.lower, request.headers)) == ["accept", "user-agent"]


def test_query_of_the_options_goes_to_the_origin_of_the_base_url_only() -> None:
    web = Web()

    async def main() -> None:
        async with web.session() as session:
            view = session.with_options(query={"tenant": "secret"}, headers={"User-Agent": None})
            for url in ("/a", f"{BASE}/b?c=1", "https://files.example/d?e=1"):
                await view.download(url).read()

    run(main())
    assert web.urls == [f"{BASE}/a?tenant=secret", f"{BASE}/b?c=1&tenant=secret", "https://files.example/d?e=1"]
    assert all("user-agent" not in request.headers for _, request in web.seen)


def test_relative_url_is_below_the_path_of_the_base_url_and_an_absolute_one_is_not() -> None:
    web = Web()
    for url in ("/files/a", "files/b", f"{BASE}/files/c"):
        fetch(web, url, base_url=f"{BASE}/gateway/")
    assert web.urls == [f"{BASE}/gateway/files/a", f"{BASE}/gateway/files/b", f"{BASE}/files/c"]
    assert web.keys == [KEY] * 3


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://files.example/plan.md",
        "data:text/plain,x",
        "javascript:alert(1)",
        "C:\\plan.md",
        "https:plan.md",
        "https:///plan.md",
        "https://",
        "//",
        "///etc/passwd",
        "https://user:password@api.example/plan.md",
        "https://user@files.example/plan.md",
        "https://api.example\\@files.example/plan.md",
        "https://files.example:port/plan.md",
        "https://[::1/plan.md",
        "https://files.example/a\r\nX: y",
        "/files/a\r\nX: y",
        "/files/../../etc/passwd",
        "/files/%2e%2E/x",
        "\\\\server\\share",
        5,
        None,
        b"/files/plan.md",
    ],
)
def test_other_url_is_a_configuration_error_and_nothing_is_sent(url: Any) -> None:
    web = Web()
    with pytest.raises(ConfigurationError) as caught:
        assert not fetch(web, url)
    assert "password" not in str(caught.value).replace("user or a password", "")
    assert not web.seen


def test_published_file_is_downloaded_from_its_url(tmp_path: Path) -> None:
    web = Web()
    known = File(media_type="text/markdown", url="https://files.example/1?s=2", filename="plan.md")

    async def main() -> None:
        async with web.session() as session:
            assert await session.download(known).save(tmp_path) == tmp_path / "plan.md"

    run(main())
    assert web.urls == ["https://files.example/1?s=2"]
    assert web.keys == [None]


def test_files_of_a_finished_task_can_be_downloaded() -> None:
    async def main() -> None:
        async with FakeHandinger(api="today").session() as session:
            outcome = await session.run("Write a plan.")
            for published in outcome.files:
                assert len(await session.download(published).read()) == published.size
            assert outcome.files

    run(main())


# Redirects ############################################################################################################


def test_default_port_makes_no_other_origin() -> None:
    web = Web({f"{BASE}:443/a": to(f"{BASE}/b"), f"{BASE}/b": to(f"{BASE}:443/c")})
    assert fetch(web, "/a", base_url=f"{BASE}:443") == DATA
    assert fetch(web, f"{BASE}/b", base_url=f"{BASE}:443") == DATA
    assert web.keys == [KEY] * len(web.seen)


@pytest.mark.parametrize("api_key", api_keys(), ids=["string", "function"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_followed_without_the_key_to_another_origin(status: int, api_key: Any) -> None:
    web = Web({f"{BASE}/a": to("https://files.example/b?signature=x%2Fy", status)})
    assert fetch(web, "/a", api_key=api_key) == DATA
    assert web.urls == [f"{BASE}/a", "https://files.example/b?signature=x%2Fy"]
    assert web.keys == [KEY, None]
    assert sorted(map(str.lower, web.seen[1][1].headers)) == ["accept", "user-agent"]


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b", f"{BASE}/b"),
        ("b?x=1#fragment", f"{BASE}/dir/b?x=1"),
        ("../b", f"{BASE}/b"),
        ("?x", f"{BASE}/dir/a?x"),
        (f"{BASE}/b c", f"{BASE}/b%20c"),
        ("//api.example/ä", f"{BASE}/%C3%A4"),
        ("https://user:password@api.example/b", f"{BASE}/b"),
    ],
)
def test_redirect_within_the_origin_keeps_the_key(location: str, url: str) -> None:
    web = Web({f"{BASE}/dir/a": to(location)})
    assert fetch(web, "/dir/a") == DATA
    assert web.urls == [f"{BASE}/dir/a", url]
    assert web.keys == [KEY, KEY]


def test_key_does_not_come_back_after_another_origin() -> None:
    web = Web({f"{BASE}/a": to("https://files.example/b"), "https://files.example/b": to(f"{BASE}/c")})
    assert fetch(web, "/a") == DATA
    assert web.keys == [KEY, None, None]


def test_five_redirects_are_followed_and_a_sixth_is_an_error() -> None:
    for count in (5, 6):
        web = Web({f"{BASE}/{number}": to(f"/{number + 1}") for number in range(count)})
        if count == 5:
            assert fetch(web, "/0") == DATA
        else:
            with pytest.raises(APIStatusError, match=r"302 Found: .*not followed: there are more than 5 \(GET /0"):
                fetch(web, "/0")
        assert len(web.seen) == 6


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("file:///etc/passwd", "absolute http or https"),
        ("ftp://files.example/", "absolute http or https"),
        ("https://[", ""),
        ("https://files.example\\@evil/", "backslash"),
        ("https://files.example:x/", "is not a URL"),
    ],
)
def test_redirect_to_something_else_is_an_error(location: str, reason: str) -> None:
    web = Web({f"{BASE}/a": to(location)})
    with pytest.raises(APIStatusError, match=f"the redirect is not followed: .*{reason}") as caught:
        fetch(web, "/a")
    assert caught.value.status_code == 302
    assert len(web.seen) == 1


@pytest.mark.parametrize("reply", [Response(302), Response(304, {"Location": "/b"}), Response(300, {"Location": "/b"})])
def test_status_that_is_no_redirect_is_an_error(reply: Response) -> None:
    web = Web({f"{BASE}/a": reply})
    with pytest.raises(APIStatusError):
        fetch(web, "/a")
    assert len(web.seen) == 1


def test_each_attempt_begins_at_the_first_url_since_signed_ones_expire(tmp_path: Path) -> None:
    signed = [
        lambda: file(status=503),
        lambda: APIConnectionError("lost"),
        lambda: type(file())(200, {"ETag": '"e"', "Content-Length": str(len(DATA))}, truncated(DATA[:1000])),
        lambda: file(DATA[1000:], status=206, Content_Range=f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"),
    ]
    numbers = iter(range(4))
    web = Web({f"{BASE}/api/workers/w/files/dir/plan.md": lambda: to(f"https://files.example/{next(numbers)}")()})
    web.responses |= {f"https://files.example/{number}": signed[number] for number in range(4)}

    async def main() -> None:
        async with web.session(retry=RetryPolicy(max_retries=3)) as session:
            await download(session).save(tmp_path / "f")

    run(main())
    assert (tmp_path / "f").read_bytes() == DATA
    assert web.urls[1::2] == [f"https://files.example/{number}" for number in range(4)]
    assert web.keys == [KEY, None] * 4
    assert web.seen[-1][1].headers["range"] == "bytes=1000-"
    assert web.seen[-1][1].headers["if-range"] == '"e"'


async def test_redirect_over_sockets_between_two_servers() -> None:
    async def send(request: WireRequest, writer: Any) -> None:
        writer.write(response(DATA, content_type="application/octet-stream"))

    async with wire_server(send) as other:

        async def redirect(request: WireRequest, writer: Any) -> None:
            location = f"Location: http://user:password@127.0.0.1:{other.url.rpartition(':')[2]}/b%2Fc?d=%20\r\n"
            writer.write(response(b"moved", status="302 Found", headers=location))

        async with wire_server(redirect) as server, Session(api_key="key_1", base_url=server.url) as session:
            assert await session.download("/a").read() == DATA
        assert [request.target for request in other.requests] == ["/b%2Fc?d=%20"]
        assert other.requests[0].header("authorization") == []
        assert server.requests[0].header("authorization") == ["Bearer key_1"]
