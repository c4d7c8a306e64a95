"""Adapt wreq's responses to the transport protocol."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from weakref import WeakSet

import wreq
from wreq.header import HeaderMap

from ..errors import APIConnectionError
from ..http import ReceivedHeaders
from ._decompression import is_plain
from ._wreq_errors import FAILURES, adapt_error
from ._wreq_requests import Upload

__all__ = ["LoopState", "WreqResponse"]


class LoopState:
    """The part of a transport that belongs to the running event loop, in this process.

    Args:
        limit: The maximum number of requests in flight; 0 for no limit.
    """

    def __init__(self, limit: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.slots = asyncio.Semaphore(limit) if limit else None
        #: The responses that are not closed yet.
        self.open_responses: WeakSet[WreqResponse] = WeakSet()
        self._pid = os.getpid()

    @property
    def inherited(self) -> bool:
        """True in a forked process."""
        return self._pid != os.getpid()

    def close(self) -> None:
        """Close the open responses; in the event loop that they belong to."""
        for response in list(self.open_responses):
            response.close()

    def close_soon(self) -> None:
        """Let the event loop do the same when it runs; from any thread."""
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self.close)


class Fields:
    """The header fields of a response of wreq, decoded when they are read.

    Args:
        received: The fields, as bytes.
    """

    def __init__(self, received: HeaderMap) -> None:
        self._received = received

    def getall(self, name: str, _default: tuple[()]) -> list[str]:
        """Return the values of all fields of this name, in any case."""
        values = self._received.get_all(name) if name.isascii() else []
        return [str(value, "utf-8", "surrogateescape") for value in values]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.isascii() and name in self._received

    def items(self) -> Iterator[tuple[str, str]]:
        """Return names and values."""
        return ((str(name, "latin-1"), str(value, "utf-8", "surrogateescape")) for name, value in self._received)


class WreqResponse:
    """A response whose body is arriving.

    Args:
        response: The response of wreq.
        state: The state of the event loop.
        slots: Released when the response is complete or closed.
        upload: The body of the request, which may not be sent completely.
    """

    def __init__(
        self, response: wreq.Response, state: LoopState, slots: asyncio.Semaphore | None, upload: Upload | None
    ) -> None:
        self.status = response.status.as_int()
        fields = Fields(response.headers)
        self.headers = ReceivedHeaders(fields)
        self.is_plain = is_plain(fields)
        self._stream = response.stream()
        #: The bytes that are missing; None if that is not known.
        self._left = response.content_length
        self._state = state
        self._slots = slots
        self._upload = upload
        self._complete = self._closed = False
        state.open_responses.add(self)

    async def read_chunk(self) -> bytes:
        failure = None
        while not self._closed and not self._complete:
            try:
                chunk = await anext(self._stream)
            except StopAsyncIteration:
                if not self._closed:
                    self._end()
                break
            except FAILURES as error:
                failure = adapt_error(error)
                break
            if isinstance(chunk, memoryview):  # others are trailers
                if self._left is not None:
                    self._left -= len(chunk)
                    if not self._left:
                        self._end()
                if chunk:
                    return bytes(chunk)
        if self._closed:
            failure = APIConnectionError("the response is closed")
        if failure is None:
            return b""
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame

    def _end(self) -> None:
        """Take note that the body is complete: the connection is back in the pool."""
        self._complete = True
        self._release()

    def _release(self) -> None:
        self._state.open_responses.discard(self)
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()
        if self._upload is not None:
            self._upload.close()

    def close(self) -> None:
        """Close the response; in its event loop."""
        if self._closed or self._state.inherited:
            return
        self._closed = True
        if not self._complete:
            self._stream.__exit__(None, None, None)
            self._release()

    async def aclose(self) -> None:
        if asyncio.get_running_loop() is self._state.loop:
            self.close()
        else:  # in another thread
            with suppress(RuntimeError):  # the loop is closed
                self._state.loop.call_soon_threadsafe(self.close)

    def __del__(self) -> None:
        if self._complete or self._closed or self._state.inherited:
            return
        if self._upload is not None:
            self._upload.close()
        if self._slots is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._state.loop.call_soon_threadsafe(self._slots.release)
