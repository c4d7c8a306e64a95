"""The core with httpx under trio."""

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx
import trio

from handinger_async import EventParser, ServerSentEvent, operations
from handinger_async.codec import decode_response, encode_request
from handinger_async.http import Endpoint, Response


class Handinger:
    """A client of the Handinger API for trio."""

    def __init__(self, client: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self.client = client
        self.endpoint = endpoint

    def _request(self, operation: operations.Operation[Any]) -> httpx.Request:
        url, request = self.endpoint.prepare(encode_request(operation))
        return self.client.build_request(
            request.method,
            str(url),
            headers=dict(request.headers),
            content=request.read_body() or None,
        )

    async def send(self, operation: operations.Operation[Any]) -> Any:
        """Perform an operation and return its result."""
        response = await self.client.send(self._request(operation))
        return decode_response(
            operation,
            Response(response.status_code, response.headers, response.content),
        )

    async def stream(
        self, operation: operations.Operation[Any]
    ) -> AsyncGenerator[ServerSentEvent, None]:
        """Perform an operation and yield the events of its stream."""
        response = await self.client.send(self._request(operation), stream=True)
        parser = EventParser()
        try:
            async for chunk in response.aiter_bytes():
                for event in parser.feed(chunk):
                    yield event
        finally:
            await response.aclose()


async def talk(base_url: str, api_key: str) -> str:
    """Create a worker, follow its events, and return its output."""
    timeout = httpx.Timeout(60, read=300)  # a stream may be quiet for minutes
    async with httpx.AsyncClient(timeout=timeout) as client:
        handinger = Handinger(client, Endpoint(base_url, api_key))
        worker = await handinger.send(
            operations.CreateWorker(input="Compare three tents.")
        )
        async with aclosing(
            handinger.stream(operations.StreamWorkerUpdates(worker.id))
        ) as events:
            async for event in events:
                print(event.id, len(event.data))
        return str(
            (await handinger.send(operations.RetrieveWorker(worker.id))).output_text
        )


def main(base_url: str, api_key: str) -> str:
    """Run ``talk`` under trio."""
    return str(trio.run(talk, base_url, api_key))


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
