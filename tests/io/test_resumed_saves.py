"""Files whose download is interrupted: resumed, or started over when they changed."""

import asyncio
import hashlib
import random
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from handinger_async import APIConnectionError, APIStatusError, APITimeoutError, RetryPolicy, Session, Timeouts
from handinger_async.http import Request
from handinger_async.testing.virtual_time import run

from .files import DATA, download, file, names
from .service import Service, truncated
from .wire import ObservedTransport, WireRequest, reset, wire_server

SOON = RetryPolicy(max_retries=1, initial_delay=0)
ETAG = '"v1"'


def served(
    request: Request | WireRequest,
    data: bytes = DATA,
    *,
    etag: str = ETAG,
    upto: int | None = None,
    **headers: str,
) -> Any:
    """Return a response to a request as a server with ranges gives it, truncated after ``upto`` bytes of the file."""
    fields = dict(request.headers)
    asked = fields.get("Range", "bytes=0-")
    begin = int(asked.removeprefix("bytes=").rstrip("-")) if fields.get("If-Range") == etag else 0
    own = {"ETag": etag, "Content_Length": str(len(data) - begin)}
    if begin:
        own["Content_Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
    body = data[begin:upto]
    chunks = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    response = file(status=206 if begin else 200, **{**own, **headers})
    return type(response)(response.status, response.headers, iter(chunks) if upto is None else truncated(*chunks))


def ranges(service: Service) -> list[str | None]:
    """Return the Range of each request."""
    return [request.headers.get("range") for request in service.requests]


def saved(service: Service, path: Path, **options: Any) -> bytes:
    """Save a file, and return its content."""
    arguments = {name: options.pop(name) for name in ("progress", "resume") if name in options}

    async def main() -> None:
        async with service.session(**{"retry": RetryPolicy(max_retries=3), **options}) as session:
            await download(session).save(path, **arguments)

    run(main())
    assert names(path.parent) == [path.name]
    return path.read_bytes()


# Over sockets #########################################################################################################


async def save_with_drops(data: bytes, drops: list[int], target: Path) -> list[WireRequest]:
    """Save a file once for each of the drops: the first response ends after so many bytes of it.

    Returns:
        The second request of each download.
    """
    second: list[WireRequest] = []
    upto: list[int] = []

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        fields = {name.lower(): value for name, value in request.headers}
        begin = int(fields.get("range", "bytes=0-")[6:-1])
        body = data[begin:]
        head = f"HTTP/1.1 {'206 Partial Content' if 'range' in fields else '200 OK'}\r\nETag: {ETAG}\r\n"
        if begin:
            assert fields["if-range"] == ETAG
            assert fields["accept-encoding"] == "identity"
            head += f"Content-Range: bytes {begin}-{len(data) - 1}/{len(data)}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        if upto:
            size = upto.pop()
            writer.write(body[:size])
            await transport.waits_after(size)  # aiohttp drops bytes that nobody has read when the connection is lost
            reset(writer)
        else:
            second.append(request)
            writer.write(body)

    transport = ObservedTransport()
    async with (
        wire_server(reply) as server,
        Session(api_key="k", base_url=server.url, retry=SOON, transport=transport) as session,
    ):
        for drop in drops:
            upto.append(drop)
            path = await download(session).save(target, overwrite=False)
            assert await asyncio.to_thread(path.read_bytes) == data
            await asyncio.to_thread(path.unlink)
    return second


async def test_drop_at_every_offset_of_a_small_file(tmp_path: Path) -> None:
    second = await save_with_drops(DATA[:40], list(range(40)), tmp_path / "f")
    assert [request.header("range") for request in second] == [[], *([f"bytes={drop}-"] for drop in range(1, 40))]
    assert not names(tmp_path)


async def test_drop_at_random_offsets_of_a_larger_file(tmp_path: Path) -> None:
    chance = random.Random(16)
    data = chance.randbytes(3 * 2**20)
    drops = [chance.randrange(1, len(data)) for _ in range(10)]
    second = await save_with_drops(data, drops, tmp_path / "f")
    assert [request.header("range") for request in second] == [[f"bytes={drop}-"] for drop in drops]


# In memory ############################################################################################################


def test_rest_of_the_file_is_requested_after_each_interruption(tmp_path: Path) -> None:
    service = Service(*(lambda request, end=end: served(request, upto=end) for end in (1000, 5000, 5000)), served)
    assert saved(service, tmp_path / "f") == DATA
    assert ranges(service) == [None, "bytes=1000-", "bytes=5000-", "bytes=5000-"]


def test_retries_of_one_save_are_limited(tmp_path: Path) -> None:
    service = Service(lambda request: served(request, upto=int(request.headers.get("range", "bytes=0-")[6:-1]) + 1000))
    with pytest.raises(APIConnectionError, match=r"lost .*3 attempts"):
        saved(service, tmp_path / "f", retry=RetryPolicy(max_retries=2))
    assert ranges(service) == [None, "bytes=1000-", "bytes=2000-"]
    assert not names(tmp_path)


def test_deadline_ends_a_save(tmp_path: Path) -> None:
    async def slow(request: Any) -> AsyncIterator[bytes]:
        yield DATA[:1000]
        await asyncio.sleep(20)
        raise APIConnectionError("lost")

    service = Service(slow)
    with pytest.raises(APITimeoutError, match="deadline"):
        saved(service, tmp_path / "f", timeouts=Timeouts(deadline=50))
    assert len(service.requests) == 3
    assert not names(tmp_path)


def test_silence_in_a_body_is_an_interruption(tmp_path: Path) -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield DATA[:1000]
        await asyncio.sleep(1000)

    def first(request: Any) -> Any:
        response = served(request)
        return type(response)(200, response.headers, silent())

    service = Service(first, served)
    assert saved(service, tmp_path / "f", timeouts=Timeouts(idle=5)) == DATA
    assert ranges(service) == [None, "bytes=1000-"]


@pytest.mark.parametrize(
    "headers", [{"etag": ""}, {"etag": 'W/"v1"'}, {"etag": "v1"}, {"etag": '""'}, {"etag": '"a", "b"'}]
)
def test_file_without_a_strong_etag_is_requested_anew(headers: Any, tmp_path: Path) -> None:
    service = Service(lambda request: served(request, upto=1000, **headers), served)
    assert saved(service, tmp_path / "f") == DATA
    assert ranges(service) == [None, None]


def test_file_is_requested_anew_without_resume(tmp_path: Path) -> None:
    service = Service(lambda request: served(request, upto=1000), served)
    assert saved(service, tmp_path / "f", resume=False) == DATA
    assert ranges(service) == [None, None]


NEW = DATA[::-1][:7000]


def test_file_that_changed_is_started_over_with_the_response_at_hand(tmp_path: Path) -> None:
    service = Service(
        lambda request: served(request, upto=10_000),
        lambda request: served(request, NEW, etag='"v2"', upto=3000),
        lambda request: served(request, NEW, etag='"v2"'),
    )
    assert saved(service, tmp_path / "f") == NEW
    assert ranges(service) == [None, "bytes=10000-", "bytes=3000-"]
    assert service.requests[-1].headers["if-range"] == '"v2"'


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"v2"'},
        {"Content_Range": f"bytes 1000-{len(DATA)}/{len(DATA) + 1}"},
        {"Content_Range": f"bytes 999-{len(DATA) - 1}/{len(DATA)}"},
        {"Content_Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"},
        {"Content_Range": f"bytes 1000-{len(DATA)}/{len(DATA)}"},
        {"Content_Range": "bytes 1000-999/*"},
        {"Content_Range": f"bytes 1000-{len(DATA)}/*"},
        {"Content_Range": f"bytes */{len(DATA)}"},
        {"Content_Range": ""},
        {"Content_Range": f"bytes {'1' * 5000}-{'2' * 5000}/{'3' * 5000}"},
        {"Content_Encoding": "gzip"},
        {"Content_Type": "multipart/byteranges; boundary=x", "Content_Range": ""},
    ],
)
def test_part_that_does_not_continue_the_file_is_thrown_away(headers: Any, tmp_path: Path) -> None:
    service = Service(
        lambda request: served(request, upto=1000),
        lambda request: served(request, **headers),
        served,
    )
    assert saved(service, tmp_path / "f") == DATA
    assert ranges(service) == [None, "bytes=1000-", None]


def test_part_that_never_continues_the_file_is_an_error(tmp_path: Path) -> None:
    def respond(request: Request) -> Any:
        return served(request, upto=1000) if "range" not in request.headers else served(request, Content_Range="")

    service = Service(respond)
    with pytest.raises(APIConnectionError, match="the file changed"):
        saved(service, tmp_path / "f")
    assert ranges(service) == [None, "bytes=1000-", None, "bytes=1000-"]


def test_part_of_unknown_total_continues_the_file(tmp_path: Path) -> None:
    last = len(DATA) - 1
    service = Service(
        lambda request: served(request, upto=1000, Content_Length="x"),
        lambda request: served(request, upto=2000, Content_Range=f"bytes 1000-{last}/*"),
        lambda request: served(request, Content_Range=f"bytes 2000-{last}/{len(DATA)}"),
    )
    assert saved(service, tmp_path / "f") == DATA


def test_smaller_part_than_requested_is_kept(tmp_path: Path) -> None:
    def part(request: Request) -> Any:
        begin = int(request.headers["range"][6:-1])
        end = begin + 5000
        return file(
            DATA[begin:end], status=206, Content_Range=f"bytes {begin}-{end - 1}/{len(DATA)}", Content_Length="5000"
        )

    service = Service(lambda request: served(request, upto=1000), part, served)
    assert saved(service, tmp_path / "f") == DATA
    assert ranges(service) == [None, "bytes=1000-", "bytes=6000-"]


def test_unsatisfiable_range_starts_over(tmp_path: Path) -> None:
    refusal = file(status=416, Content_Range="bytes */500")
    service = Service(lambda request: served(request, upto=1000), refusal, lambda request: served(request, DATA[:500]))
    assert saved(service, tmp_path / "f") == DATA[:500]
    assert ranges(service) == [None, "bytes=1000-", None]


def test_error_status_of_the_rest_is_retried_or_raised_as_any_other(tmp_path: Path) -> None:
    service = Service(lambda request: served(request, upto=1000), file(status=503), served)
    assert saved(service, tmp_path / "f") == DATA
    assert ranges(service) == [None, "bytes=1000-", "bytes=1000-"]
    (tmp_path / "f").unlink()
    with pytest.raises(APIStatusError, match="404"):
        saved(Service(lambda request: served(request, upto=1000), file(status=404)), tmp_path / "f")
    assert not names(tmp_path)


def test_encoded_file_is_requested_anew_without_encoding(tmp_path: Path) -> None:
    service = Service(
        lambda request: served(request, upto=1000, Content_Encoding="gzip"),
        lambda request: served(request, upto=2000),
        served,
    )
    assert saved(service, tmp_path / "f") == DATA
    assert ranges(service) == [None, None, "bytes=2000-"]
    encodings = [request.headers.get("accept-encoding") for request in service.requests]
    assert encodings == [None, "identity", "identity"]


@pytest.mark.parametrize("name", ["Range", "If-Range"])
def test_range_of_the_caller_is_requested_again_as_it_is(name: str, tmp_path: Path) -> None:
    value = "bytes=0-1999" if name == "Range" else ETAG
    service = Service(
        lambda request: served(request, DATA[:2000], upto=1000),
        lambda request: served(request, DATA[:2000]),
    )
    assert saved(service, tmp_path / "f", headers={name: value}) == DATA[:2000]
    assert [request.headers.get(name) for request in service.requests] == [value, value]


# Digests ##############################################################################################################


def sha256(data: bytes) -> str:
    return f"sha-256=:{b64encode(hashlib.sha256(data).digest()).decode()}:"


@pytest.mark.parametrize("upto", [None, 1000, 20_000])
def test_digest_of_the_whole_file_is_checked(upto: int | None, tmp_path: Path) -> None:
    service = Service(lambda request: served(request, upto=upto, Repr_Digest=sha256(DATA)), served)
    assert saved(service, tmp_path / "f") == DATA


def test_damaged_file_is_requested_anew(tmp_path: Path) -> None:
    damaged = b"x" + DATA[1:]
    service = Service(lambda request: served(request, damaged, Repr_Digest=sha256(DATA)), served)
    assert saved(service, tmp_path / "f") == DATA
    assert ranges(service) == [None, None]


def test_file_that_stays_damaged_is_an_error_and_keeps_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"before")
    service = Service(lambda request: served(request, Repr_Digest=sha256(b"")))
    with pytest.raises(APIConnectionError, match=r"the file is damaged: its sha256 digest differs.*4 attempts"):
        saved(service, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"before"
    assert names(tmp_path) == ["f"]


def test_digest_of_an_encoded_file_is_ignored(tmp_path: Path) -> None:
    service = Service(
        lambda request: served(request, Repr_Digest=sha256(b""), Content_Encoding="gzip", Content_Length="5")
    )
    assert saved(service, tmp_path / "f") == DATA


# Progress #############################################################################################################


def test_progress_counts_on_after_an_interruption_and_anew_after_a_change(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    service = Service(
        lambda request: served(request, DATA[:5000], upto=2000),
        lambda request: served(request, DATA[:5000], upto=3000),
        lambda request: served(request, NEW[:2000], etag='"v2"'),
    )
    assert saved(service, tmp_path / "f", progress=lambda *args: calls.append(args)) == NEW[:2000]
    assert calls == [
        *((done, 5000) for done in (0, 1000, 2000, 2000, 3000)),
        *((done, 2000) for done in (0, 1000, 2000)),
    ]


def test_size_that_is_not_known_is_none(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    saved(Service(lambda request: file(b"abc")), tmp_path / "f", progress=lambda *args: calls.append(args))
    assert calls == [(0, None), (3, None)]


def test_exception_of_progress_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(done: int, total: int | None) -> None:
        raise RuntimeError("bug")

    assert saved(Service(served), tmp_path / "f", progress=fail) == DATA
    assert "progress failed" in caplog.text
