"""Clauses on request bodies that are read while they are sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress

from ...errors import APIConnectionError
from ...http import Headers, MultipartBody, Part, Response
from .._harness import Always, Harness, cancel, check, expect
from .._scripted import Connection
from ._clauses import clause, network_clause

#: Bytes of a chunk of a content, and of a content that no buffer between a client and a server holds.
_CHUNK = 2**16
_LARGE = 2**24
#: Seconds for a transport to read more than the server takes, in threads. One that does so at once needs none.
_THREADS = 0.1


class _UnreadableError(OSError):
    pass


class _Content:
    """The content of a part: numbered blocks, so that one that is missing or misplaced shows.

    Args:
        size: The number of bytes.
        length: The number of bytes that is promised; None for none.
        fails: Raise an `_UnreadableError` instead of the last chunk.
    """

    is_readable = True

    def __init__(self, size: int, length: int | None, *, fails: bool = False) -> None:
        self.length = length
        self.started, self.ended, self.closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._size = size
        self._fails = fails
        self._loop = asyncio.get_running_loop()

    def chunks(self) -> Iterator[bytes]:
        self._set(self.started)
        try:
            for begin in range(0, self._size, _CHUNK):
                if self._fails and begin + _CHUNK >= self._size:
                    raise _UnreadableError("the content cannot be read")
                yield b"%016x" % begin * (min(_CHUNK, self._size - begin) // 16)
            self._set(self.ended)
        finally:
            self._set(self.closed)

    def _set(self, event: asyncio.Event) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(event.set)


def _form(*contents: _Content) -> MultipartBody:
    parts = [Part("input", b"Hello."), Part("files[]", b"\r\n--", "small.bin", "application/octet-stream")]
    parts += [Part("files[]", content, "large.bin", "application/octet-stream") for content in contents]
    return MultipartBody(parts)


def _headers(form: MultipartBody) -> Headers:
    return Headers({"Content-Type": form.content_type})


@clause
async def a_multipart_body_arrives_whole(harness: Harness) -> None:
    """A `MultipartBody` arrives whole and in order, with a length and without."""
    for length in (2**20, None):
        handler = Always(Response(200))
        form = _form(_Content(2**20, length), _Content(2**10, 2**10))
        async with harness.serving(handler) as setup:
            for _ in range(2):
                await setup.fetch(method="POST", headers=_headers(form), body=form)
        sent = form.read()
        for request in handler.seen:
            arrived = request.read_body()
            check(arrived == sent, f"a body of {len(sent)} bytes arrived as {len(arrived)} other ones")
            content_type = request.headers.get("content-type")
            check(content_type == form.content_type, f"its Content-Type arrived as {content_type}")


@clause
async def an_unreadable_body_is_no_request(harness: Harness) -> None:
    """An exception raised by the chunks of a body is raised unchanged, and the request is not completed."""
    for length in (2**20, None):
        handler = Always(Response(200))
        form = _form(_Content(2**20, length, fails=True))
        async with harness.serving(handler) as setup:
            try:
                await setup.fetch(method="POST", headers=_headers(form), body=form)
            except _UnreadableError:
                pass
            except Exception as error:
                raise AssertionError(f"it was raised as {type(error).__name__}: {error}") from error
            else:
                raise AssertionError("it was not raised")
            await setup.fetch("/next")
        targets = [request.target for request in handler.seen]
        check(targets == ["/next"], f"the requests that were completed are {targets}")


@network_clause
async def a_multipart_body_is_read_in_step(harness: Harness) -> None:
    """A `MultipartBody` is read as the server takes it, never held whole, and sent with its length."""
    content = _Content(_LARGE, _LARGE)
    form = _form(content)
    arrived, wanted = asyncio.Event(), asyncio.Event()
    received = bytearray()

    async def script(connection: Connection) -> None:
        received.extend(await connection.read_head())
        arrived.set()
        await wanted.wait()
        while not received.endswith(f"\r\n--{form.boundary}--\r\n".encode()):
            received.extend(await connection.read())
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with harness.scripting(script) as setup:
        opening = setup.start(setup.open(method="POST", headers=_headers(form), body=form))
        await expect(arrived, "the request did not arrive")
        lengths = re.findall(rb"(?im)^content-length: *([0-9]+)\r?$", received.partition(b"\r\n\r\n")[0])
        sent = [b"%d" % (form.length or 0)]
        check(lengths == sent, f"a body of {form.length} bytes was sent with the lengths {lengths}")
        await asyncio.wait((setup.start(content.ended.wait()),), timeout=_THREADS)
        ahead = content.ended.is_set()
        wanted.set()
        response = await opening
        await response.aclose()
    check(not ahead, f"all of {_LARGE} bytes were read before the server took them")
    check(received.partition(b"\r\n\r\n")[2] == form.read(), "it did not arrive whole")


@network_clause
async def an_unfinished_body_is_closed(harness: Harness) -> None:
    """The chunks of a body are closed if `open` is cancelled, or if the response comes before the end of the body."""
    early, cancelled = _Content(_LARGE, _LARGE), _Content(_LARGE, _LARGE)
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        head = await connection.read_head()
        if head.startswith(b"POST /early "):
            await connection.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        arrived.set()
        await ended.wait()

    async with harness.scripting(script) as setup:
        form = _form(cancelled)
        opening = setup.start(setup.open(method="POST", headers=_headers(form), body=form))
        await expect(arrived, "the request did not arrive")
        await expect(cancelled.started, "the content was not read")
        await cancel(opening)
        await expect(cancelled.closed, "the chunks were not closed after open was cancelled")
        ended.set()
        form = _form(early)
        try:
            response = await setup.open("/early", method="POST", headers=_headers(form), body=form)
            check(response.status == 413, f"a status of 413 was delivered as {response.status}")
            await response.aclose()
        except APIConnectionError:
            pass  # the connection was closed before the response was read
        await expect(early.closed, "the chunks were not closed after the response")
