"""The core with Tornado's HTTP client: a callback feeds the chunks to the parser."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from handinger_async import EventParser, operations
from handinger_async.codec import decode_response, encode_request
from handinger_async.http import Endpoint, Response


class Handinger:
    """A client of the Handinger API for Tornado."""

    def __init__(self, http: AsyncHTTPClient, endpoint: Endpoint) -> None:
        self.http, self.endpoint = http, endpoint

    async def send(
        self, operation: Any, on_chunk: Callable[[bytes], None] | None = None
    ) -> Any:
        """Perform an operation and return its result, or pass its chunks on."""
        url, request = self.endpoint.prepare(encode_request(operation))
        outgoing = HTTPRequest(
            str(url),
            method=request.method,
            headers=dict(request.headers),
            body=request.read_body() or None,
            connect_timeout=60,
            request_timeout=0,  # a stream may last for hours
            streaming_callback=on_chunk,
        )
        got = await self.http.fetch(outgoing, raise_error=False)
        response = Response(got.code, got.headers.get_all(), got.body or b"")
        return decode_response(operation, response)


async def main(base_url: str, api_key: str) -> None:
    """Create a worker, follow its events, and print its output."""
    http, parser = AsyncHTTPClient(force_instance=True), EventParser()
    api = Handinger(http, Endpoint(base_url, api_key))

    def show(chunk: bytes) -> None:
        for event in parser.feed(chunk):
            print("event", event.id)

    worker = await api.send(operations.CreateWorker(input="Compare three tents."))
    await api.send(operations.StreamWorkerUpdates(worker.id), show)
    print((await api.send(operations.RetrieveWorker(worker.id))).output_text)
    http.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
