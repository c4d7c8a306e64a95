"""The transport, the timers and the pauses of a session."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Lock

from ..errors import ConfigurationError
from ..transports import Transport
from .timers import Timers

__all__ = ["Pool"]


class Pool:
    """The transport, the timers and the pauses that a session shares with its views. Usable in several threads.

    Args:
        transport: The transport; None to create an aiohttp transport when it is first needed.
    """

    def __init__(self, transport: Transport | None) -> None:
        self._transport = transport
        self._lock = Lock()
        self._pauses: set[asyncio.Future[None]] = set()
        self.timers: Timers = Timers()
        self.closed: bool = False

    def transport(self) -> Transport:
        """Return the transport.

        Raises:
            ConfigurationError: The session is closed.
        """
        if self._transport is None:
            from ..transports.aiohttp import AiohttpTransport  # here, since aiohttp is slow to import

            with self._lock:
                if self._transport is None:
                    self._transport = AiohttpTransport()
        if self.closed:
            raise ConfigurationError("the session is closed")
        return self._transport

    async def pause(self, delay: float) -> bool:
        """Wait ``delay`` seconds, or until the session is closed.

        Returns:
            True if the session is still open.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(delay, _wake, waiter)
        self._pauses.add(waiter)
        try:
            if not self.closed:
                await waiter
        finally:
            self._pauses.discard(waiter)
            timer.cancel()
        return not self.closed

    async def aclose(self) -> None:
        """End the pauses and close the transport. Idempotent."""
        self.closed = True
        for waiter in list(self._pauses):
            with suppress(RuntimeError):  # its event loop is closed
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)
        self.timers.close()
        if self._transport is not None:
            await self._transport.aclose()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
