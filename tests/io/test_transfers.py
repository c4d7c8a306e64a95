"""Saved files against servers that fail, change the file and bend the rules: each is one version of it, or an error."""

from pathlib import Path

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handinger_async import APIConnectionError, RetryPolicy, operations
from handinger_async._asyncio.transfers import Transfer
from handinger_async.http import Headers, Request, Response
from handinger_async.testing import FakeHandinger, faults
from handinger_async.testing.virtual_time import run

from .files import DATA, names

REQUEST = Request("GET", "/f", {"Accept": "*/*"})


@attrs.frozen
class Reply:
    """The behaviour of a server for one request."""

    version: int
    upto: int  #: bytes of the body that arrive, beyond which the connection is lost
    smaller: int  #: bytes of the requested part that the server leaves out
    total: bool = True
    length: bool = True
    ignores_range: bool = False
    ignores_if_range: bool = False


VERSIONS = [b"abcdefghij", b"ABCDEFGHIJ", b"0123456", b""]


def respond(request: Request, reply: Reply) -> tuple[Response, bytes, bool]:
    """Return a response, its body as far as it arrives, and whether that is all of it."""
    data = VERSIONS[reply.version]
    etag = f'"{reply.version}"'
    begin = 0
    if "range" in request.headers and not reply.ignores_range:
        same = request.headers["if-range"] == etag
        begin = int(request.headers["range"][6:-1]) if same or reply.ignores_if_range else 0
    if begin >= len(data) and begin:
        return Response(416), b"", True
    end = max(begin + 1, len(data) - reply.smaller) if begin else len(data)
    body = data[begin:end]
    headers = Headers({"ETag": etag})
    if begin:
        headers |= {"Content-Range": f"bytes {begin}-{end - 1}/{len(data) if reply.total else '*'}"}
    if reply.length:
        headers |= {"Content-Length": str(len(body))}
    return Response(206 if begin else 200, headers), body[: reply.upto], reply.upto >= len(body)


replies = st.builds(
    Reply,
    version=st.integers(0, len(VERSIONS) - 1),
    upto=st.integers(0, 12),
    smaller=st.integers(0, 3),
    total=st.booleans(),
    length=st.booleans(),
    ignores_range=st.booleans(),
    ignores_if_range=st.booleans(),
)


@example([Reply(0, 5, 0, length=False), Reply(0, 12, 2, total=False, length=False)], True)
@given(st.lists(replies, max_size=12), st.booleans())
def test_saved_file_is_one_version_of_it_whatever_the_server_does(replies: list[Reply], resume: bool) -> None:
    transfer = Transfer(REQUEST, resume=resume)
    part = b""
    for reply in [*replies, *[Reply(0, 12, 0)] * 2]:  # at the latest then, the file is complete
        request = transfer.next_request()
        assert resume or request is REQUEST
        response, body, complete = respond(request, reply)
        if response.status == 416:
            transfer.forget()
            continue
        try:
            if transfer.begin(response):
                part = b""
            part += body
            transfer.received += len(body)
            if complete:
                transfer.finish(None)
                break
        except APIConnectionError:
            continue
    else:
        raise AssertionError("the file never was complete")
    assert part in VERSIONS


ON = operations.RetrieveWorkerFile


@pytest.mark.parametrize(
    "fault",
    [
        faults.Refuse(on=ON),
        faults.Drop(on=ON),
        faults.Status(503, on=ON),
        faults.Status(429, retry_after=3, on=ON),
        faults.Delay(float("inf"), on=ON),
        faults.Delay(float("inf"), at=40, on=ON),
        faults.Delay(5, at=40, on=ON),
        faults.Trickle(1000, on=ON),
        faults.Cut(0, on=ON),
        faults.Cut(40, on=ON, times=3),
        faults.CloseConnection(on=ON),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_save_survives_each_fault(fault: faults.Fault, tmp_path: Path) -> None:
    async def main() -> None:
        service = FakeHandinger()
        async with service.session(fault, retry=RetryPolicy(max_retries=3)) as session:
            worker = await session.workers.create(input="x")
            service.publish(worker.id, "dir/a.bin", DATA)
            await session.workers.retrieve_file("dir/a.bin", worker_id=worker.id).save(tmp_path)

    run(main())
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert names(tmp_path) == ["a.bin"]
