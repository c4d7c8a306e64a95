"""The core with h11 over a blocking socket: no event loop, no HTTP client."""

import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import h11

from handinger_async import EventParser, ServerSentEvent, operations
from handinger_async.codec import decode_response, encode_request
from handinger_async.http import Endpoint, Response


def perform(endpoint: Endpoint, operation: Any) -> Iterator[Any]:
    """Send a request; yield status and headers, then the chunks of the body."""
    url, request = endpoint.prepare(encode_request(operation))
    body, http = h11.Data(request.read_body()), h11.Connection(h11.CLIENT)
    fields = [("Host", url.raw_authority), *request.headers.items()]
    fields += [("Content-Length", str(len(body.data)))] if body.data else []
    head = h11.Request(method=request.method, target=url.raw_path_qs, headers=fields)
    sock = socket.create_connection((url.host, url.port), timeout=300)
    if url.scheme == "https":
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=url.host)
    with sock:
        sock.sendall(b"".join(map(http.send, [head, body, h11.EndOfMessage()])))
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(sock.recv(65536))
            elif isinstance(event, h11.Response):
                yield event.status_code, [map(bytes.decode, f) for f in event.headers]
            elif isinstance(event, h11.Data):
                yield bytes(event.data)


def send(endpoint: Endpoint, operation: Any) -> Any:
    """Perform an operation and return its result."""
    head, *body = perform(endpoint, operation)
    return decode_response(operation, Response(*head, b"".join(body)))


def stream(endpoint: Endpoint, operation: Any) -> Iterator[ServerSentEvent]:
    """Perform an operation and return the events of its stream, as they arrive."""
    head, parser = next(body := perform(endpoint, operation)), EventParser()
    if head[0] != 200:
        decode_response(operation, Response(*head, b"".join(body)))  # raises the error
    return (event for chunk in body for event in parser.feed(chunk))


def main(base_url: str, api_key: str) -> None:
    endpoint = Endpoint(base_url, api_key)
    worker = send(endpoint, operations.CreateWorker(input="Compare three tents."))
    for event in stream(endpoint, operations.StreamWorkerUpdates(worker.id)):
        print("event", event.id)
    print(send(endpoint, operations.RetrieveWorker(worker.id)).output_text)


if __name__ == "__main__":
    main(*sys.argv[1:])
