"""The core under httpx, in trio."""

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
    """A client for trio."""

    def __init__(self, client: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self.client = client
        self.endpoint = endpoint

    def _request(self, operation: operations.Operation[Any]) -> httpx.Request:
        url, request = self.endpoint.prepare(encode_request(operation))
        return self.client.build_request(
            request.method, str(url), headers=dict(request.headers), content=request.body or None
        )

    async def send(self, operation: operations.Operation[Any]) -> Any:
        """Perform an operation; errors are the library's own."""
        answer = await self.client.send(self._request(operation))
        return decode_response(operation, Response(answer.status_code, answer.headers, answer.content))

    async def stream(self, operation: operations.Operation[Any]) -> AsyncGenerator[ServerSentEvent, None]:
        """Perform an operation that answers with events."""
        answer = await self.client.send(self._request(operation), stream=True)
        parser = EventParser()
        try:
            async for chunk in answer.aiter_bytes():
                for event in parser.feed(chunk):
                    yield event
        finally:
            await answer.aclose()


async def talk(base_url: str, api_key: str) -> str:
    """Create a worker, watch it, and return what it says in the end."""
    async with httpx.AsyncClient() as client:
        handinger = Handinger(client, Endpoint(base_url, api_key))
        worker = await handinger.send(operations.CreateWorker(input="Compare three tents."))
        async with aclosing(handinger.stream(operations.StreamWorkerUpdates(worker.id))) as events:
            async for event in events:
                print(event.id, len(event.data))
        return str((await handinger.send(operations.RetrieveWorker(worker.id))).output_text)


def main(base_url: str, api_key: str) -> str:
    """Run it in trio."""
    return str(trio.run(talk, base_url, api_key))


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
