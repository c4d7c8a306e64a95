"""The core with Tornado's HTTP client: a callback feeds the chunks to the parser."""

import asyncio
import sys
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from handinger_async import EventParser, ServerSentEvent, operations
from handinger_async.codec import decode_response, encode_request
from handinger_async.http import Endpoint, Response


def make_request(
    endpoint: Endpoint,
    operation: operations.Operation[Any],
    parser: EventParser | None,
    events: list[ServerSentEvent],
) -> HTTPRequest:
    """Return Tornado's request for an operation; append its events to ``events``."""
    url, request = endpoint.prepare(encode_request(operation))
    return HTTPRequest(
        str(url),
        method=request.method,
        headers=dict(request.headers),
        body=request.read_body() or None,
        connect_timeout=60,
        request_timeout=0,  # a stream may last for hours
        streaming_callback=None
        if parser is None
        else lambda chunk: events.extend(parser.feed(chunk)),
    )


async def talk(base_url: str, api_key: str) -> str:
    """Create a worker, follow its events, and return its output."""
    endpoint = Endpoint(base_url, api_key)
    client = AsyncHTTPClient(force_instance=True)

    async def send(operation: operations.Operation[Any]) -> Any:
        response: HTTPResponse = await client.fetch(
            make_request(endpoint, operation, None, []), raise_error=False
        )
        return decode_response(
            operation,
            Response(response.code, response.headers.get_all(), response.body),
        )

    try:
        worker = await send(operations.CreateWorker(input="Compare three tents."))
        events: list[ServerSentEvent] = []
        await client.fetch(
            make_request(
                endpoint,
                operations.StreamWorkerUpdates(worker.id),
                EventParser(),
                events,
            )
        )
        print(len(events), "events")
        return str((await send(operations.RetrieveWorker(worker.id))).output_text)
    finally:
        client.close()


def main(base_url: str, api_key: str) -> str:
    """Run ``talk`` in an event loop."""
    return asyncio.run(talk(base_url, api_key))


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
