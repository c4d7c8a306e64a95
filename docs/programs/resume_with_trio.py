"""A stream that survives interruptions under trio: the core decides, trio waits."""

import sys
from contextlib import aclosing

import httpx
import trio

from handinger_async import APIConnectionError, APIStatusError, operations
from handinger_async.codec import encode_request
from handinger_async.http import Endpoint, Response
from handinger_async.resume import ResumableStream, State
from with_trio import Handinger


async def watch(api: Handinger, worker_id: str) -> None:
    """Print the events of a worker, each once."""
    operation = operations.StreamWorkerUpdates(worker_id)
    stream = ResumableStream(encode_request(operation))
    while stream.state is not State.ENDED:
        try:
            async with aclosing(await api.open(stream.request())) as got:
                stream.connected(Response(got.status_code, got.headers))
                async for chunk in got.aiter_bytes():
                    for event in stream.feed(chunk):
                        print("event", event.id)
                for event in stream.end():
                    print("event", event.id)
        except httpx.TransportError as error:
            await trio.sleep(stream.interrupted(APIConnectionError(str(error))))
        except (APIConnectionError, APIStatusError) as error:
            await trio.sleep(stream.interrupted(error))


async def main(base_url: str, api_key: str) -> None:
    """Create a worker, watch it, and print its output."""
    async with httpx.AsyncClient(timeout=httpx.Timeout(60, read=300)) as http:
        api = Handinger(http, Endpoint(base_url, api_key))
        worker = await api.send(operations.CreateWorker(input="Compare three tents."))
        await watch(api, worker.id)
        print((await api.send(operations.RetrieveWorker(worker.id))).output_text)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
