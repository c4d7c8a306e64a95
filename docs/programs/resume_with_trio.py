"""A stream that survives interruptions, in trio: the core decides, trio waits."""

import sys
from typing import Any

import httpx
import trio

from handinger_async import (
    APIConnectionError,
    APIStatusError,
    ServerSentEvent,
    operations,
)
from handinger_async.codec import decode_response, encode_request, raise_for_status
from handinger_async.http import Endpoint, Request, Response
from handinger_async.resume import ResumableStream, State


def prepare(client: httpx.AsyncClient, endpoint: Endpoint, request: Request) -> Any:
    """Return a request for httpx."""
    url, request = endpoint.prepare(request)
    headers = [
        (name.encode(), value.encode()) for name, value in request.headers.items()
    ]
    body = request.read_body() or None
    return client.build_request(request.method, str(url), headers=headers, content=body)


def show(events: list[ServerSentEvent]) -> None:
    """Print the events."""
    for event in events:
        print(event.id, len(event.data))


async def watch(client: httpx.AsyncClient, endpoint: Endpoint, worker_id: str) -> int:
    """Print the events of a worker, each once, and return their number."""
    operation = operations.StreamWorkerUpdates(worker_id)
    stream = ResumableStream(encode_request(operation))
    while stream.state is not State.ENDED:
        request = prepare(client, endpoint, stream.request())
        try:
            async with client.stream(
                request.method, request.url, headers=request.headers
            ) as response:
                head = Response(response.status_code, response.headers)
                raise_for_status(head)
                stream.connected(head)
                async for chunk in response.aiter_bytes():
                    show(stream.feed(chunk))
                show(stream.end())
        except httpx.TransportError as error:
            await trio.sleep(stream.interrupted(APIConnectionError(str(error))))
        except (APIConnectionError, APIStatusError) as error:
            await trio.sleep(stream.interrupted(error))
    return stream.events_seen


async def talk(base_url: str, api_key: str) -> str:
    """Create a worker, watch it, and return its output."""
    endpoint = Endpoint(base_url, api_key)

    timeout = httpx.Timeout(60, read=300)  # a stream may be quiet for minutes
    async with httpx.AsyncClient(timeout=timeout) as client:

        async def send(operation: operations.Operation[Any]) -> Any:
            request = prepare(client, endpoint, encode_request(operation))
            response = await client.send(request)
            return decode_response(
                operation,
                Response(response.status_code, response.headers, response.content),
            )

        worker = await send(operations.CreateWorker(input="Compare three tents."))
        print(await watch(client, endpoint, worker.id), "events")
        return str((await send(operations.RetrieveWorker(worker.id))).output_text)


def main(base_url: str, api_key: str) -> str:
    """Run it in trio."""
    return str(trio.run(talk, base_url, api_key))


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
