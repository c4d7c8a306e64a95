"""Exchanges written to a file, and answered from it: for tests of code whose conversation with the service is long.

::

    async with Session(transport=RecordingTransport(AiohttpTransport(), "weather.json")) as session:
        ...  # with the real service, once

    async with Session(api_key="any", transport=ReplayTransport("weather.json")) as session:
        ...  # without it, from then on

The file is JSON that people can read and edit. The pieces of a body stay the pieces that they came in. The API key,
cookies and every field that you name are replaced before anything is written: by ``***``, or by an empty value of their
type, so that what is replayed can still be read.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

from yarl import URL

from .._json import dumps, loads
from ..errors import APIConnectionError, APITimeoutError, ConfigurationError, shorten
from ..http import Headers, Request
from ..transports import StreamedResponse, Transport
from ..transports.memory import MemoryTransport, StreamingResponse
from ._scrubber import MASK, Scrubber

__all__ = ["RecordingTransport", "ReplayMismatchError", "ReplayTransport"]

#: The header fields that tell one request from another; the rest is how a client introduces itself.
_TELLING = ("accept", "content-type", "last-event-id", "range", "if-none-match")


class ReplayMismatchError(AssertionError):
    """What is asked for is not what was recorded; the message says what differs.

    It is no `HandingerError`, so that nothing takes it for a failure of the service, and tries again.
    """


class RecordingTransport:
    """Passes requests on to another transport, and writes down what is said.

    Args:
        inner: The transport that sends them; closed with this one.
        path: The file, written when the transport is closed.
        scrub: Names of header fields, of query fields and of JSON fields, wherever they are in a body, whose values are
            not written.
    """

    def __init__(self, inner: Transport, path: str | os.PathLike[str], *, scrub: Collection[str] = ()) -> None:
        if isinstance(scrub, str):
            raise ConfigurationError("scrub must be a collection of names, not one string")
        self._inner = inner
        self._path = Path(path)
        self._names = sorted(scrub)
        self._exchanges: list[dict[str, Any]] = []

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Send a request; see `Transport.open`."""
        scrubber = Scrubber(self._names, _key(request))
        exchange: dict[str, Any] = {"request": _describe(request, scrubber)}
        self._exchanges.append(exchange)
        try:
            response = await self._inner.open(url, request, connect_timeout=connect_timeout)
        except APIConnectionError as error:
            exchange["error"] = _describe_error(error, scrubber)
            raise
        return _RecordedResponse(response, exchange, scrubber)

    async def aclose(self) -> None:
        """Close the other transport, and write the file."""
        await self._inner.aclose()
        recording = {"scrubbed": self._names, "exchanges": self._exchanges}
        _write(self._path, json.dumps(recording, ensure_ascii=False, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


class _RecordedResponse:
    def __init__(self, response: StreamedResponse, exchange: dict[str, Any], scrubber: Scrubber) -> None:
        self._response = response
        self._scrubber = scrubber
        self._chunks: list[bytes] = []
        self._record: dict[str, Any] = {
            "status": response.status,
            "headers": scrubber.headers(response.headers),
            "chunks": [],
            "end": "closed",
        }
        exchange["response"] = self._record
        self._done = False

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Headers:
        return self._response.headers

    async def read_chunk(self) -> bytes:
        try:
            chunk = await self._response.read_chunk()
        except APIConnectionError as error:
            self._end(_describe_error(error, self._scrubber))
            raise
        if chunk:
            self._chunks.append(chunk)
        else:
            self._end("complete")
        return chunk

    async def aclose(self) -> None:
        self._end("closed")
        await self._response.aclose()

    def _end(self, how: object) -> None:
        if not self._done:
            self._done = True
            self._record["end"] = how
            self._record["chunks"] = [_to_json(chunk) for chunk in self._scrubber.pieces(self._chunks)]
            self._chunks = []


class ReplayTransport:
    """Answers requests as they were answered when they were recorded, in the same pieces.

    A request is given the first recorded answer to the same request that was not given yet. What counts is the method,
    the path, the query, the body and the few headers that change an answer; not the host.

    Args:
        path: The file that a `RecordingTransport` has written.

    Raises:
        OSError: It cannot be read.
        ConfigurationError: It is no recording.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            recording = loads(Path(path).read_bytes())
            self._names: list[str] = recording["scrubbed"]
            self._unused: list[dict[str, Any]] = list(recording["exchanges"])
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(f"{path} is not a recording: {shorten(str(error))}") from None
        self._memory = MemoryTransport(self._answer)

    @property
    def unused(self) -> list[str]:
        """What was recorded and not asked for: ``"GET /api/workers/w1"``."""
        return [f"{exchange['request']['method']} {exchange['request']['target']}" for exchange in self._unused]

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Answer a request; see `Transport.open`.

        Raises:
            ReplayMismatchError: The request was not recorded, or its answers have all been given.
        """
        return await self._memory.open(url, request, connect_timeout=connect_timeout)

    async def aclose(self) -> None:
        """Close the answers that are still open."""
        await self._memory.aclose()

    def _answer(self, request: Request) -> StreamingResponse:
        asked = _describe(request, Scrubber(self._names, _key(request)))
        for place, exchange in enumerate(self._unused):
            if not _differences(exchange["request"], asked):
                del self._unused[place]
                break
        else:
            raise ReplayMismatchError(self._complaint(asked))
        if "error" in exchange:
            raise _to_error(exchange["error"])
        recorded = exchange["response"]
        return StreamingResponse(recorded["status"], recorded["headers"], _replay(recorded))

    def _complaint(self, asked: dict[str, Any]) -> str:
        what = f"{asked['method']} {asked['target']}"
        if not self._unused:
            return f"{what} is not in the recording, of which nothing is left."
        nearest = min((_differences(exchange["request"], asked) for exchange in self._unused), key=len)
        return "\n".join([f"{what} is not in the recording, or was asked for too often. What comes nearest:", *nearest])


async def _replay(recorded: dict[str, Any]) -> AsyncIterator[bytes]:
    for chunk in recorded["chunks"]:
        yield _from_json(chunk)
    end = recorded["end"]
    if isinstance(end, dict):
        raise _to_error(end)
    if end == "closed":
        raise ReplayMismatchError("The answer is read further than when it was recorded: there it was closed here.")


# Requests and errors as JSON ##########################################################################################


def _describe(request: Request, scrubber: Scrubber) -> dict[str, Any]:
    body = b"".join(scrubber.pieces([request.body]))
    return {
        "method": request.method,
        "target": scrubber.target(request.target),
        "headers": scrubber.headers(request.headers),
        "body": _to_json(body),
    }


def _differences(recorded: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """Return what tells two requests apart, a line each."""
    pairs = {part: (recorded[part], asked[part]) for part in ("method", "target")}
    then, now = Headers(recorded["headers"]), Headers(asked["headers"])
    pairs |= {f"header {name}": (then.get(name), now.get(name)) for name in _TELLING}
    pairs |= _leaves_apart("body", recorded["body"], asked["body"])
    return [
        f"  {part}: recorded {shorten(repr(before), 200)}, asked for {shorten(repr(after), 200)}"
        for part, (before, after) in pairs.items()
        if before not in (after, MASK)  # what is masked was another key's, or is not known
    ]


def _leaves_apart(path: str, before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two JSON values, by its path."""
    if isinstance(before, dict) and isinstance(after, dict):
        apart: dict[str, tuple[Any, Any]] = {}
        for key in before | after:
            apart |= _leaves_apart(f"{path}.{key}", before.get(key), after.get(key))
        return apart
    return {} if before == after else {path: (before, after)}


def _describe_error(error: APIConnectionError, scrubber: Scrubber) -> dict[str, Any]:
    return {
        "message": scrubber.text(error.message),
        "timeout": isinstance(error, APITimeoutError),
        "request_sent": error.request_sent,
    }


def _to_error(recorded: dict[str, Any]) -> APIConnectionError:
    cls = APITimeoutError if recorded["timeout"] else APIConnectionError
    return cls(recorded["message"], request_sent=recorded["request_sent"])


def _to_json(data: bytes) -> Any:
    """Return bytes as JSON that says the most: ``{"json": …}``, else a string, else ``{"base64": …}``."""
    try:
        value = loads(data)
        if isinstance(value, dict | list) and dumps(value) == data:
            return {"json": value}
    except (ValueError, TypeError):
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _from_json(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return dumps(value["json"]) if "json" in value else base64.b64decode(value["base64"])


def _key(request: Request) -> str:
    return request.headers.get("authorization", "").rpartition(" ")[2]
