"""Run workers of the older generation, and wait for them: by their streams, and by retrieving their state."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ..codec import encode_request
from ..errors import APIError, RunError, RunFailedError, RunTimeoutError, RunUnknownError
from ..models import Worker
from ..models.outcomes import worker_outcome
from ..operations import ContinueWorker, CreateWorker, RetrieveWorker, StreamWorkerUpdates
from .attempts import logger
from .calls import Settings, send
from .events import EventStream
from .polling import Poll, UpdateFunction, is_transient
from .starting import DoubtfulError, send_once

__all__ = ["WorkerRun"]

#: Seconds between two requests for a caller who wants every change, at least, while the stream tells of changes.
_MIN_INTERVAL = 1.0
#: Seconds between two requests while the stream tells nothing, at first and at most: its connection may be lost.
_FIRST_INTERVAL = 5.0
_MAX_INTERVAL = 60.0


class WorkerRun:
    """The run of a worker.

    Args:
        settings: The settings of the session.
        worker_id: The id of the worker; None for one that is to be created.
        on_update: Called with each new state.

    Attributes:
        worker_id: The id of the worker; None before it is created.

    Raises:
        ConfigurationError: The id cannot be part of a URL.
    """

    def __init__(
        self, settings: Settings, worker_id: str | None = None, on_update: UpdateFunction | None = None
    ) -> None:
        self.worker_id = worker_id
        self._settings = settings
        self._watched = on_update is not None
        self._poll = Poll[Worker](settings, on_update)
        self._known = "it goes on"
        self._before: Worker | None = None
        self._has_streams = True
        self._news: asyncio.Future[None] | None = None
        if worker_id is not None:
            RetrieveWorker(worker_id=worker_id)  # refuses an id that cannot be part of a URL

    def ids(self) -> dict[str, Any]:
        """Return the ids of worker and task for an error."""
        return {"worker_id": self.worker_id, "task_id": None}

    def expired(self, deadline: float) -> RunError:
        """Return the error for the end of the time."""
        return RunTimeoutError(f"the run had not ended after {deadline:g} s; {self._known}", **self.ids())

    async def start(self, operation: CreateWorker | ContinueWorker) -> None:
        """Start the run.

        Args:
            operation: The request.

        Raises:
            RunUnknownError: The request may have been performed.
            Exception: It was refused: nothing has been started.
        """
        self._known = "nothing was sent"
        if isinstance(operation, ContinueWorker):
            self._before = await self._retrieve()
        self._known = "it may have been started"
        try:
            worker = await send_once(self._settings, operation)
        except DoubtfulError as error:
            failure = error.failure
        else:
            self.worker_id, self._known = worker.id, "it goes on"
            self._poll.update(worker)
            return
        raise RunUnknownError(f"the run may have been started: {failure}", **self.ids()) from failure

    async def wait(self) -> Worker:
        """Wait until the worker has completed.

        Returns:
            Its final state.

        Raises:
            RunFailedError: It ended with an error.
            APIError: The service does not know it, or refuses the request.
        """
        listener: asyncio.Task[None] | None = None
        try:
            while True:
                state = await self._poll.retrieve(self._retrieve)
                if state is not None and self._has_ended(state):
                    return self._succeeded(state)
                if state is None and not is_transient(self._poll.failure.error):
                    self._poll.failure.throw()
                del state  # a run may go on for hours, and a worker takes kilobytes
                if not self._watched:
                    self._poll.state = None
                if not self._has_streams:
                    await self._poll.pause()
                elif listener is not None and listener.done():  # before the end of the run
                    await self._poll.pause()
                    listener = None
                else:
                    listener = listener or asyncio.create_task(self._listen())
                    await self._pause(listener)
        finally:
            if listener is not None:
                listener.cancel()
                await asyncio.wait((listener,))

    async def _pause(self, listener: asyncio.Task[None]) -> None:
        """Wait for the end of the stream, for an event if the caller wants every change, or for the next request."""
        if not self._watched:
            await self._poll.pause(listener, shortest=_FIRST_INTERVAL, longest=_MAX_INTERVAL)
            return
        loop = asyncio.get_running_loop()
        self._news, earliest = loop.create_future(), loop.time() + _MIN_INTERVAL
        await self._poll.pause(listener, self._news, shortest=_FIRST_INTERVAL, longest=_MAX_INTERVAL)
        if not listener.done():
            await asyncio.wait((listener,), timeout=max(0.0, earliest - loop.time()))

    async def _listen(self) -> None:
        """Read the stream of the worker to its end."""
        request = encode_request(StreamWorkerUpdates(worker_id=str(self.worker_id)))
        try:
            async with EventStream(self._settings, request, resume=True) as events:
                async for _ in events.batches():
                    if self._news is not None and not self._news.done():
                        self._news.set_result(None)
        except Exception as error:
            logger.info("no stream of worker %s: %s", self.worker_id, error)
            self._has_streams = is_transient(error) or not isinstance(error, APIError)

    def _retrieve(self) -> Coroutine[Any, Any, Worker]:
        return send(self._settings, RetrieveWorker(worker_id=str(self.worker_id)))

    def _has_ended(self, worker: Worker) -> bool:
        """Return True if the run is over. The state of a worker that is continued may be that of an earlier run."""
        if worker == self._before:
            return False
        self._before = None  # from now on, a state that looks like that one is a new one
        return not worker.running and (worker.status == "completed" or worker.error is not None)

    def _succeeded(self, worker: Worker) -> Worker:
        """Return the final state, or raise if it is a failure."""
        if worker.error is None:
            return worker
        reason = f"the worker ended with the error {worker.error!r}"
        raise RunFailedError(reason, outcome=worker_outcome(worker), **self.ids())
