"""A service in memory that answers from a script, and remembers what it was asked, and when."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from handinger_async import APIConnectionError, Attempt, Session
from handinger_async.http import Request, Response
from handinger_async.transports.memory import Answer, MemoryTransport, StreamingResponse

from .test_operations_on_the_wire import LIST, SCHEDULE, WORKER

__all__ = ["LIST", "SCHEDULE", "WORKER", "Service", "cut", "document", "ok", "seconds", "trickle"]

JSON = {"Content-Type": "application/json"}
SSE = {"Content-Type": "text/event-stream"}


class Service:
    """Answers each request with the next of ``answers``, the last one for ever.

    An answer that is an exception is raised; one that is a number is a pause in seconds before the next answer.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.times: list[float] = []
        self.attempts: list[Attempt] = []

    async def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        self.times.append(asyncio.get_running_loop().time())
        answer = self._next()
        while isinstance(answer, int | float):
            await asyncio.sleep(answer)
            answer = self._next()
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def _next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def pauses(self) -> list[float]:
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]

    def session(self, **options: Any) -> Session:
        options.setdefault("observe", self.attempts.append)
        return Session(api_key="key", transport=MemoryTransport(self), **options)


def document(value: Any, status: int = 200, **headers: str) -> Response:
    """A JSON answer; ``_`` in the names of headers stands for ``-``."""
    named = {name.replace("_", "-"): header for name, header in headers.items()}
    return Response(status, JSON | named, json.dumps(value).encode())


ok = document(WORKER)


async def cut(*chunks: bytes) -> AsyncIterator[bytes]:
    """A body that is lost after these chunks."""
    for chunk in chunks:
        yield chunk
    raise APIConnectionError("lost")


def trickle(body: bytes, status: int = 200, headers: Any = JSON) -> StreamingResponse:
    """A body of which there is a byte a second."""

    async def chunks() -> AsyncIterator[bytes]:
        for index in range(len(body)):
            await asyncio.sleep(1)
            yield body[index : index + 1]

    return StreamingResponse(status, headers, chunks())


def seconds() -> float:
    """The loop's time, which begins at 0 in virtual time."""
    return asyncio.get_running_loop().time()
