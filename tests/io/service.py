"""A service in memory that responds from a script, and the API's documents for tests."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator
from typing import Any

from handinger_async import APIConnectionError, Attempt, EventStream, Session
from handinger_async.http import Request, Response
from handinger_async.testing import FakeHandinger
from handinger_async.transports.memory import Handler, HandlerResult, MemoryTransport, StreamingResponse, call_handler

JSON = {"Content-Type": "application/json"}
SSE = {"Content-Type": "text/event-stream"}

WORKER = {
    "id": "id",
    "created_at": 0,
    "error": None,
    "files": [{"filename": "filename", "mediaType": "mediaType", "url": "url"}],
    "incomplete_details": None,
    "messages": [{}],
    "metadata": {"foo": "bar"},
    "object": "worker",
    "output": [
        {
            "id": "id",
            "content": [{"text": "text", "type": "output_text"}],
            "role": "assistant",
            "status": "completed",
            "type": "message",
        }
    ],
    "output_text": "output_text",
    "running": True,
    "sources": [{"id": "id", "title": "title", "type": "url", "url": "url"}],
    "status": "running",
    "costs": {"internalCostUsd": 0, "modelCostUsd": 0, "sandboxCostUsd": 0, "toolCostUsd": 0},
    "usage": {
        "cacheReadTokens": 0,
        "cacheWriteTokens": 0,
        "costUsd": 0,
        "inputTokens": 0,
        "outputTokens": 0,
        "reasoningTokens": 0,
        "steps": 0,
        "totalTokens": 0,
        "credits": 0,
    },
}
SCHEDULE = {
    "id": "id",
    "budget": "low",
    "input": "input",
    "nextRunAt": "2019-12-27T18:11:19.117Z",
    "type": "scheduled",
}
LIST = {"schedules": [SCHEDULE], "workerId": "workerId"}


def without_responses(fake: FakeHandinger) -> Handler:
    """Return a handler that performs each POST and never responds to it."""
    performed: list[asyncio.Future[Any]] = []

    async def handle(request: Request) -> HandlerResult:
        if request.method == "POST":
            performed.append(asyncio.ensure_future(call_handler(fake, request)))
            await asyncio.sleep(1e6)
        return await call_handler(fake, request)

    return handle


class Service:
    """Responds to each request with the next of ``responses``, and to further ones with the last.

    An exception is raised, a number is a pause in seconds before the next response, a function is called with the
    request. Requests, their times and the attempts of the session are recorded.
    """

    def __init__(self, *responses: Any) -> None:
        self.responses = list(responses)
        self.requests: list[Request] = []
        self.times: list[float] = []
        self.attempts: list[Attempt] = []

    async def __call__(self, request: Request) -> HandlerResult:
        self.requests.append(request)
        self.times.append(now())
        response = self._next()
        while isinstance(response, int | float):
            await asyncio.sleep(response)
            response = self._next()
        if isinstance(response, Exception):
            raise response
        if callable(response):
            response = response(request)
        return await response if inspect.isawaitable(response) else response

    def _next(self) -> Any:
        return self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]

    @property
    def pauses(self) -> list[float]:
        """The seconds between requests."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]

    @property
    def resumed_after(self) -> list[str | None]:
        """The Last-Event-ID of each request."""
        return [request.headers.get("last-event-id") for request in self.requests]

    def session(self, **options: Any) -> Session:
        """Return a session with this service."""
        options.setdefault("observe", self.attempts.append)
        return Session(**{"api_key": "key", "transport": MemoryTransport(self), **options})


def json_response(value: Any, status: int = 200, **headers: str) -> Response:
    """Return a JSON response; ``_`` in the names of headers stands for ``-``."""
    named = {name.replace("_", "-"): header for name, header in headers.items()}
    return Response(status, JSON | named, json.dumps(value).encode())


ok = json_response(WORKER)


def event_stream(chunks: Any, status: int = 200) -> StreamingResponse:
    """Return a response with a stream of events."""
    return StreamingResponse(status, {"Content-Type": "text/event-stream; charset=utf-8"}, chunks)


async def truncated(*chunks: bytes) -> AsyncIterator[bytes]:
    """Yield these chunks of a body and lose the connection."""
    for chunk in chunks:
        yield chunk
    raise APIConnectionError("lost")


async def silent(*chunks: bytes, seconds: float = 1e9) -> AsyncIterator[bytes]:
    """Yield these chunks of a body and fall silent."""
    for chunk in chunks:
        yield chunk
    await asyncio.sleep(seconds)


def trickle(body: bytes, status: int = 200, headers: Any = JSON) -> StreamingResponse:
    """Return a response whose body comes at a byte a second."""

    async def chunks() -> AsyncIterator[bytes]:
        for index in range(len(body)):
            await asyncio.sleep(1)
            yield body[index : index + 1]

    return StreamingResponse(status, headers, chunks())


async def read_events(stream: EventStream) -> list[str]:
    """Return the data of all events."""
    async with stream as events:
        return [str(event) async for event in events]


def now() -> float:
    """Return the loop's time, which begins at 0 in virtual time."""
    return asyncio.get_running_loop().time()
