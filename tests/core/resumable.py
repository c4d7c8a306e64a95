"""Streams that are open, or open again, for tests of `ResumableStream`."""

from handinger_async import APIConnectionError, RetryPolicy, ServerSentEvent, encode_event
from handinger_async.http import Request, Response
from handinger_async.resume import ResumableStream

GET = Request("GET", "/api/workers/w/stream", {"Accept": "text/event-stream"})
SSE = Response(200, {"Content-Type": "text/event-stream"})
CUT = APIConnectionError("cut")
POLICY = RetryPolicy(max_retries=2, initial_delay=1.0, max_delay=1.0)


def live(*chunks: bytes, retry: RetryPolicy = POLICY) -> ResumableStream:
    """Return a stream that is open and has received some chunks."""
    stream = ResumableStream(GET, retry=retry)
    stream.connected(SSE)
    for chunk in chunks:
        stream.feed(chunk)
    return stream


def resumed(*chunks: bytes, retry: RetryPolicy = POLICY) -> ResumableStream:
    """Return a stream that has received some chunks, was interrupted, and is open again."""
    stream = live(*chunks, retry=retry)
    stream.interrupted(CUT)
    stream.connected(SSE)
    return stream


def event(id: str, data: str = "x") -> bytes:
    return encode_event(ServerSentEvent(data, id=id))


def plain(data: str) -> bytes:
    """Return an event without an id of its own."""
    return f"data: {data}\n\n".encode()
