"""`FaultyHandler`: applies faults to the requests of another handler."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from ..codec import decode_request
from ..errors import APIConnectionError
from ..http import Request
from ..transports.memory import Handler, StreamingResponse, call_handler
from ._responses import close

if TYPE_CHECKING:
    from .faults import Fault

__all__ = ["KEPT", "CallNext", "FaultyHandler", "PostponedError"]

#: The number of requests and faults to keep: a server may run for days.
KEPT = 10_000

CallNext: TypeAlias = Callable[[], Awaitable[StreamingResponse]]


class PostponedError(Exception):
    """Raised by the fault `Postpone`, with the function that performs the request."""

    def __init__(self, perform: CallNext, seconds: float) -> None:
        self.perform = perform
        self.seconds = seconds


class FaultyHandler:
    """A handler that applies faults to the requests of another one.

    Args:
        handler: The other handler.
        faults: The faults, applied in this order. A request that a fault does not pass on does not count for the faults
            after it.
        seed: Determines the outcome of ``chance``.

    Attributes:
        faults: The faults; more can be appended at any time.
        injected: The faults applied so far, in order, each with its request; of more than 10,000, the last ones.
    """

    def __init__(self, handler: Handler, *faults: Fault, seed: int = 0) -> None:
        self._handler = handler
        self.faults: list[Fault] = list(faults)
        self._random = Random(seed)  # noqa: S311 - deterministic on purpose
        self._selected: Counter[int] = Counter()
        self._affected: Counter[int] = Counter()
        self.injected: list[tuple[Request, Fault]] = []
        self._postponed: list[tuple[Request, PostponedError]] = []
        self._performing: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> StreamingResponse:
        """Respond to a request.

        Args:
            request: The request.

        Returns:
            The response.

        Raises:
            APIConnectionError: A fault is a failure of the connection.
        """
        try:
            response = await self._pass_on(0, request)
        except PostponedError as postponed:
            self._postponed.append((request, postponed))
        else:
            if self._postponed and request.method == "GET":
                self._resume(request, response.status)
            return response
        raise APIConnectionError("the connection was lost")

    def _resume(self, get: Request, status: int) -> None:
        """Perform the postponed requests that waited for this GET."""
        waiting, self._postponed = self._postponed, []
        for request, postponed in waiting:
            task_id = _task_id(request)
            if status == 404 if task_id is None else (status < 300 or status == 404) and _task_id(get) == task_id:
                performing = asyncio.create_task(_perform(postponed))
                self._performing.add(performing)
                performing.add_done_callback(self._performing.discard)
            else:
                self._postponed.append((request, postponed))

    async def _pass_on(self, place: int, request: Request) -> StreamingResponse:
        """Pass a request to the fault at index ``place``, or to the handler behind the last one."""
        if place == len(self.faults):
            return await call_handler(self._handler, request)
        if self._affects(place, request):
            return await self.faults[place].apply(lambda: self._pass_on(place + 1, request))
        return await self._pass_on(place + 1, request)

    def _affects(self, place: int, request: Request) -> bool:
        """Return True if the fault at index ``place`` affects the request, and count the request."""
        fault = self.faults[place]
        if not fault.concerns(request):
            return False
        self._selected[place] += 1
        if self._selected[place] <= fault.skip or self._affected[place] == fault.times:
            return False
        if fault.chance < 1 and self._random.random() >= fault.chance:
            return False
        self._affected[place] += 1
        self.injected.append((request, fault))
        del self.injected[:-KEPT]
        return True


async def _perform(postponed: PostponedError) -> None:
    """Perform a postponed request, whose response nobody waits for."""
    await asyncio.sleep(postponed.seconds)
    with suppress(APIConnectionError):  # of a fault behind it
        await close((await postponed.perform()).chunks)


def _task_id(request: Request) -> str | None:
    """Return the id of the task that a request names."""
    try:
        return getattr(decode_request(request), "task_id", None)
    except (LookupError, ValueError):
        return None
