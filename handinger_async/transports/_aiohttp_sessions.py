"""The aiohttp sessions and open responses of each event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TypeAlias

import aiohttp

from ..http import Headers
from ._aiohttp_connections import Connector
from ._decompression import ACCEPT_ENCODING

__all__ = ["DEFAULT_HEADERS", "LoopState"]

#: Sent with every request.
DEFAULT_HEADERS = Headers({"Accept-Encoding": ACCEPT_ENCODING})

_Sessions: TypeAlias = tuple[aiohttp.ClientSession, aiohttp.ClientSession]


class LoopState:
    """The part of a transport that belongs to the running event loop, in this process.

    Args:
        given: The session that the user gave to the transport; None to create sessions with `create`.
    """

    __slots__ = ("_generator", "_pid", "checks", "loop", "open_responses", "opening", "plain", "streams")

    def __init__(self, given: aiohttp.ClientSession | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        #: The sessions for plain requests and for event streams.
        self.plain = self.streams = given
        #: True if the connections check themselves before they are reused.
        self.checks = False
        #: The responses that are not closed yet.
        self.open_responses: set[aiohttp.ClientResponse] = set()
        #: The number of requests whose response has not begun.
        self.opening = 0
        self._generator: AsyncGenerator[_Sessions] | None = None

    @classmethod
    async def create(cls, limit: int) -> LoopState:
        """Create the state with sessions, at most ``limit`` plain connections; the event loop closes them at last."""
        state = cls()
        state._generator = _open_sessions(limit)
        state.plain, state.streams = sessions = await anext(state._generator)
        state.checks = all(getattr(session.connector, "checks", False) for session in sessions)
        return state

    @property
    def inherited(self) -> bool:
        """True in a forked process. Its parent uses the connections: even to close one here would disturb it there."""
        return self._pid != os.getpid()

    @property
    def needs_closing(self) -> bool:
        """True if there are sessions to close."""
        return self._generator is not None and not self.loop.is_closed() and not self.inherited

    async def aclose(self) -> None:
        """Close the open responses and the sessions; in the event loop that they belong to."""
        while self.open_responses:
            self.open_responses.pop().close()
        if self._generator is not None:
            await self._generator.aclose()

    def close_soon(self) -> None:
        """Let the event loop do the same when it runs; from any thread."""
        with suppress(RuntimeError):  # the loop is closed, and its connections with it
            self.loop.call_soon_threadsafe(self._start_closing)

    def _start_closing(self) -> None:
        closing = self.loop.create_task(self.aclose())
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)


#: Keeps tasks alive until they end.
_CLOSING: set[asyncio.Task[None]] = set()
#: Keeps sessions alive until their generator closes them, so that aiohttp does not log "Unclosed client session".
_OPEN_SESSIONS: dict[_Sessions, asyncio.AbstractEventLoop] = {}


async def _open_sessions(limit: int) -> AsyncGenerator[_Sessions]:
    """Yield a session for plain requests and one for event streams, and close them at the end.

    This is an async generator so that the event loop closes it on shutdown, or earlier once it is unreferenced
    (PEP 525).
    """
    for sessions, loop in _OPEN_SESSIONS.copy().items():  # other threads change the dict; its copy() is atomic
        if loop.is_closed():
            _OPEN_SESSIONS.pop(sessions, None)
    plain, streams = Connector(limit), Connector(0)
    async with _new_session(plain) as first, _new_session(streams) as second:
        sessions = first, second
        _OPEN_SESSIONS[sessions] = asyncio.get_running_loop()
        try:
            yield sessions
        finally:
            _OPEN_SESSIONS.pop(sessions, None)
            plain.interrupt()
            streams.interrupt()


def _new_session(connector: Connector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=DEFAULT_HEADERS)
