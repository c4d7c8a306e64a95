"""The core with httpx under trio."""

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx
import trio

from handinger_async import EventParser, ServerSentEvent, operations
from handinger_async.codec import decode_response, encode_request, raise_for_status
from handinger_async.http import Endpoint, Request, Response


class Handinger:
    """A client of the Handinger API for trio."""

    def __init__(self, http: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self.http, self.endpoint = http, endpoint

    async def open(self, request: Request) -> httpx.Response:
        """Send a request and wait for the head of the response."""
        url, ready = self.endpoint.prepare(request)
        headers, body = dict(ready.headers), ready.read_body() or None
        outgoing = httpx.Request(ready.method, str(url), headers=headers, content=body)
        got = await self.http.send(outgoing, stream=True)
        if not got.is_success:
            raise_for_status(Response(got.status_code, got.headers, await got.aread()))
        return got

    async def send(self, operation: Any) -> Any:
        """Perform an operation and return its result."""
        got = await self.open(encode_request(operation))
        response = Response(got.status_code, got.headers, await got.aread())
        return decode_response(operation, response)

    async def stream(self, operation: Any) -> AsyncGenerator[ServerSentEvent, None]:
        """Perform an operation and yield the events of its stream."""
        got, parser = await self.open(encode_request(operation)), EventParser()
        async with aclosing(got):
            async for chunk in got.aiter_bytes():
                for event in parser.feed(chunk):
                    yield event


async def main(base_url: str, api_key: str) -> None:
    """Create a worker, follow its events, and print its output."""
    async with httpx.AsyncClient(timeout=httpx.Timeout(60, read=300)) as http:
        api = Handinger(http, Endpoint(base_url, api_key))
        worker = await api.send(operations.CreateWorker(input="Compare three tents."))
        updates = operations.StreamWorkerUpdates(worker.id)
        async with aclosing(api.stream(updates)) as events:
            async for event in events:
                print("event", event.id)
        print((await api.send(operations.RetrieveWorker(worker.id))).output_text)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
