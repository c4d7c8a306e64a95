"""The core with the standard library's blocking HTTP client, without an event loop."""

import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any

from handinger_async import EventParser, ServerSentEvent, operations
from handinger_async.codec import decode_response, encode_request
from handinger_async.http import Endpoint, Response


class Handinger:
    """A blocking client of the Handinger API."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.endpoint = Endpoint(base_url, api_key)

    def _open(
        self, operation: operations.Operation[Any]
    ) -> tuple[HTTPConnection, HTTPResponse]:
        url, request = self.endpoint.prepare(encode_request(operation))
        connect = HTTPSConnection if url.scheme == "https" else HTTPConnection
        connection = connect(url.host or "", url.port, timeout=60)
        connection.request(
            request.method,
            url.raw_path_qs,
            request.read_body() or None,
            dict(request.headers),
        )
        return connection, connection.getresponse()

    def send(self, operation: operations.Operation[Any]) -> Any:
        """Perform an operation and return its result."""
        connection, response = self._open(operation)
        try:
            return decode_response(
                operation,
                Response(response.status, response.getheaders(), response.read()),
            )
        finally:
            connection.close()

    def stream(self, operation: operations.Operation[Any]) -> Iterator[ServerSentEvent]:
        """Perform an operation and yield the events of its stream."""
        connection, response = self._open(operation)
        parser = EventParser()
        try:
            while chunk := response.read1(65536):
                yield from parser.feed(chunk)
            if parser.truncated:
                raise ConnectionError("the stream ended within an event")
        finally:
            connection.close()


def main(base_url: str, api_key: str) -> str:
    """Create a worker, follow its events, and return its output."""
    handinger = Handinger(base_url, api_key)
    worker = handinger.send(operations.CreateWorker(input="Compare three tents."))
    for event in handinger.stream(operations.StreamWorkerUpdates(worker.id)):
        print(event.id, len(event.data))
    return str(handinger.send(operations.RetrieveWorker(worker.id)).output_text)


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
