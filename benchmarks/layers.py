"""Processor time of a call by layer: one call, begun further and further down, over a transport without a network."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable

from multidict import CIMultiDict
from yarl import URL

import handinger_async._json as our_json
from handinger_async import Session, operations
from handinger_async._asyncio.calls import Call, send
from handinger_async._asyncio.timers import CancelScope
from handinger_async.codec import decode_response, encode_request
from handinger_async.http import ReceivedHeaders, Request, Response
from handinger_async.resources._resource import settings_of
from handinger_async.transports import StreamedResponse
from handinger_async.transports._aiohttp_responses import _CompleteResponse
from handinger_async.transports.decompression import decode_body

from . import _documents as documents
from ._clients import KEY
from ._measure import number, run_loop, table

WORKER_ID = "t_org_123_w_01HZY2ZJQ8"
OFTEN = 500

#: The layers, each with the one below it that its calls begin with.
LAYERS = (
    "operation and resource method",
    "request and call",
    "attempts and retries",
    "cached URL and headers, timeout",
    "reading the body",
    "header fields of the response",
    "values from parsed JSON",
    "JSON parser",
)


class NoNetwork:
    """Responds at once, with the objects that the transport for aiohttp makes of a response that is complete."""

    def __init__(self, body: bytes) -> None:
        fields = {
            "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
            "Content-Type": "application/json",
            "Connection": "keep-alive",
        }
        self._fields = CIMultiDict(fields | {"Content-Length": str(len(body)), "cf-ray": "8c0b1f2e-BCN", "Server": "x"})
        self._body = body

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        return decode_body(_CompleteResponse(200, ReceivedHeaders(self._fields), self._body))

    async def aclose(self) -> None:
        pass


def beginnings(session: Session, body: bytes) -> list[Callable[[], Awaitable[object]]]:
    """Return the same call, begun at each layer and at none."""
    settings = settings_of(session)
    operation = operations.RetrieveWorker(WORKER_ID)
    request = encode_request(operation)
    call = Call(settings, request)
    url, prepared = settings.prepare(request)
    transport, timers = settings.pool.transport(), settings.pool.timers
    complete = Response(200, {}, body)

    async def attempts() -> object:
        again = Call(settings, request)
        return again.decode(operation, await again.fetch())

    async def timeout() -> object:
        settings.prepare(request)
        with CancelScope(timers, 60.0, None, "response"):
            response = await call._send_and_read(url, prepared)  # noqa: SLF001 - a layer
        return call.decode(operation, response)

    async def read() -> object:
        return call.decode(operation, await call._send_and_read(url, prepared))  # noqa: SLF001 - a layer

    async def head() -> object:
        await transport.open(url, prepared, connect_timeout=None)
        return call.decode(operation, complete)

    async def decode() -> object:
        return decode_response(operation, complete)

    async def parse() -> object:
        return our_json.loads(body)

    async def nothing() -> None:
        pass

    return [
        lambda: session.workers.retrieve(WORKER_ID),
        lambda: send(settings, operation),
        attempts,
        timeout,
        read,
        head,
        decode,
        parse,
        nothing,
    ]


async def measure(rounds: int) -> list[float]:
    """Return the median processor time of each beginning, in seconds."""
    body = documents.small()
    async with Session(api_key=KEY, base_url="http://127.0.0.1:1", transport=NoNetwork(body)) as session:
        calls = beginnings(session, body)
        times: list[list[float]] = [[] for _ in calls]
        gc.collect()
        gc.freeze()
        for _ in range(10 * rounds):
            for call, took in zip(calls, times, strict=True):
                start = time.process_time()
                for _ in range(OFTEN):
                    await call()
                took.append((time.process_time() - start) / OFTEN)
        gc.unfreeze()
    return [statistics.median(took) for took in times]


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians in seconds."""
    took = run_loop(measure(rounds))
    layers = {name: above - below for name, above, below in zip(LAYERS, took, took[1:], strict=False)}
    whole = took[0] - took[-1]
    rows = [(name, [number(seconds * 1e6), f"{seconds / whole:.0%}"]) for name, seconds in layers.items()]
    print(table(["µs", "share"], [*rows, ("whole", [number(whole * 1e6), "100%"])]))
    return {"seconds": layers, "whole": whole}
