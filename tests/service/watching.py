"""Observing workers of the in-memory service through a session."""

import asyncio

from handinger_async.codec import decode_response
from handinger_async.http import Response
from handinger_async.operations import RetrieveWorker


def now():
    """Return the time of the running event loop."""
    return asyncio.get_running_loop().time()


async def watch(stream):
    """Return the events of a stream, each as its id, its worker and the time of its arrival."""
    async with stream as events:
        return [(event.id, worker_of(event), now()) async for event in events]


def worker_of(event):
    """Return the worker in the data of an event."""
    response = Response(200, {"Content-Type": "application/json"}, event.data.encode())
    return decode_response(RetrieveWorker(worker_id="w"), response)
