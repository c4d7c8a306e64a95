"""Adapt aiohttp's responses to the transport protocol."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import aiohttp

from ..errors import APIConnectionError
from ..http import Headers, ReceivedHeaders
from ._aiohttp_connections import CheckedConnection
from ._aiohttp_errors import FAILURES, adapt_error
from ._decompression import decode_body, is_plain

if TYPE_CHECKING:
    from . import StreamedResponse
    from ._aiohttp_sessions import LoopState

__all__ = ["adapt_response"]


async def adapt_response(response: aiohttp.ClientResponse, state: LoopState) -> StreamedResponse:
    """Convert a response of aiohttp whose status and headers have arrived.

    Args:
        response: The response.
        state: The state of the event loop, which knows the response until it is closed.

    Returns:
        The response as defined by the transport protocol.
    """
    headers = ReceivedHeaders(response.headers)
    adapted: StreamedResponse
    connection = response.connection
    if connection is None and response.content.exception() is None:
        # The body has arrived too, and aiohttp has released the connection.
        body = response.content.read_nowait() or await response.read()  # a middleware may have read it already
        adapted = _CompleteResponse(response.status, headers, body)
    else:
        checked = isinstance(connection and connection.protocol, CheckedConnection)
        adapted = (_IncompleteResponse if checked else _WatchedResponse)(response, headers, state)
    return adapted if is_plain(response.headers) else decode_body(adapted)


class _CompleteResponse:
    """A response that has arrived completely, so its connection is released already."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body: bytes | None = body

    async def read_chunk(self) -> bytes:
        if self._body is None:
            raise APIConnectionError("the response is closed")
        chunk, self._body = self._body, b""
        return chunk

    async def aclose(self) -> None:
        self._body = None


class _IncompleteResponse:
    """A response whose body is still arriving."""

    __slots__ = ("_response", "_state", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, headers: Headers, state: LoopState) -> None:
        self._response = response
        self._state = state
        self.status = response.status
        self.headers = headers
        state.open_responses.add(response)

    async def read_chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except FAILURES as error:
            failure = adapt_error(error)
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame

    async def aclose(self) -> None:
        state, response = self._state, self._response
        state.open_responses.discard(response)
        if state.inherited:  # closing it in a forked process would stop it in the parent
            return
        if asyncio.get_running_loop() is state.loop:
            response.close()
        else:  # in another thread
            with suppress(RuntimeError):  # the loop is closed
                state.loop.call_soon_threadsafe(response.close)

    def __del__(self) -> None:
        # Forgotten: the garbage collector can run in any thread.
        state, response = self._state, self._response
        if response in state.open_responses:
            state.open_responses.discard(response)
            with suppress(RuntimeError):  # the loop is closed
                state.loop.call_soon_threadsafe(response.close)


class _WatchedResponse(_IncompleteResponse):
    """A response on a connection that is not a `CheckedConnection`: another watch for its end.

    On a malformed chunk, aiohttp closes the connection without setting an exception. It takes a reset for the end of a
    body without length or chunks.
    """

    def __init__(self, response: aiohttp.ClientResponse, headers: Headers, state: LoopState) -> None:
        super().__init__(response, headers, state)
        protocol = response.connection and response.connection.protocol
        self._lost: asyncio.Future[None] | None = getattr(protocol, "closed", None)
        self._wake_reader = partial(_wake_reader, response.content)
        if self._lost is not None:
            # Removed first, since an earlier response on this connection may have added it.
            self._lost.remove_done_callback(_retrieve_exception)
            self._lost.add_done_callback(_retrieve_exception)
            self._lost.add_done_callback(self._wake_reader)

    async def read_chunk(self) -> bytes:
        chunk = await super().read_chunk()
        lost = self._lost
        if not chunk and lost is not None and lost.done() and not lost.cancelled() and lost.exception():
            raise APIConnectionError("the body is truncated: the connection was reset")
        return chunk

    async def aclose(self) -> None:
        await super().aclose()
        if self._lost is not None:
            self._lost.remove_done_callback(self._wake_reader)


def _wake_reader(content: aiohttp.StreamReader, _: asyncio.Future[None]) -> None:
    """Wake a blocked reader: on a malformed chunk, aiohttp closes the connection without setting an exception."""
    if not content.is_eof() and content.exception() is None:
        content.set_exception(aiohttp.ClientPayloadError("malformed HTTP response: malformed chunk"))


def _retrieve_exception(connection_lost: asyncio.Future[None]) -> None:
    """Avoid asyncio's "exception was never retrieved" log."""
    if not connection_lost.cancelled():
        connection_lost.exception()
