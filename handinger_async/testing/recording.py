"""Record exchanges with the service to a file, and replay them in tests.

::

    async with Session(transport=RecordingTransport(AiohttpTransport(), "weather.json")) as session:
        ...  # once, with the real service

    async with Session(api_key="any", transport=ReplayTransport("weather.json")) as session:
        ...  # from then on, without it

The file is JSON, for people to read and edit. The chunks of a body are kept as they arrived. Of files that are sent,
the name, type, size and hash are kept, and compared; for the hash, a file is read once more, unless it is a pipe.

The API key, cookies, tokens of webhooks and the fields that you name are masked before anything is written: with
``***``, or with an empty value of the same type, so that the replayed response can still be decoded. Names are compared
without case, hyphens, underscores and blanks. A key of less than 8 characters is masked as a credential alone: it may
be a part of any word.
"""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import re
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from yarl import URL

from ..errors import APIConnectionError, APITimeoutError, ConfigurationError, shorten
from ..http import Headers, MultipartBody, Request, Secret
from ..transports import StreamedResponse, Transport
from ..transports.memory import MemoryTransport, StreamingResponse
from ._recorded_requests import bytes_from_json, bytes_to_json, describe_request, differences
from ._scrubber import Scrubber

__all__ = ["RecordingTransport", "ReplayMismatchError", "ReplayTransport"]

#: The paths of a worker's webhook.
_WEBHOOK = re.compile(r"/api/workers/[^/]+/webhook(/|\Z)")


class ReplayMismatchError(AssertionError):
    """A request differs from the recorded ones; the message lists the differences.

    It is not a `HandingerError`, so that it is never retried as a failure of the service.
    """


class RecordingTransport:
    """A transport that records the exchanges of another one.

    Args:
        inner: The transport that sends the requests. It is closed with this one.
        path: The file, written when the transport is closed.
        scrub: Names of fields to mask: header fields, query fields, and JSON fields at any depth of a body, also in
            JSON inside a string. ``api_key`` masks ``apiKey`` and ``Api-Key`` too.
    """

    def __init__(self, inner: Transport, path: str | os.PathLike[str], *, scrub: Collection[str] = ()) -> None:
        if isinstance(scrub, str):
            raise ConfigurationError("scrub must be a collection of names, not one string")
        self._inner = inner
        self._path = Path(path)
        self._names = sorted(scrub)
        self._keys: set[str] = set()  # of all requests: a response may show an earlier one
        self._exchanges: list[dict[str, Any]] = []
        self._responses: list[_RecordedResponse] = []
        self._closed = False

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Send a request; see `Transport.open`."""
        self._keys |= _keys(request)
        scrubber = _scrubber(request, self._names, self._keys)
        if isinstance(request.body, MultipartBody):
            described = await asyncio.to_thread(describe_request, request, scrubber)
        else:
            described = describe_request(request, scrubber)
        exchange: dict[str, Any] = {"request": described, "response": None}
        self._exchanges.append(exchange)
        try:
            opened = await self._inner.open(url, request, connect_timeout=connect_timeout)
        except Exception as error:
            if not self._closed:  # else the request was waiting until then
                exchange["error"] = _describe_error(error, scrubber)
            raise
        response = _RecordedResponse(opened, exchange, scrubber)
        self._responses.append(response)
        return response

    async def aclose(self) -> None:
        """Close the inner transport, and write the file."""
        self._closed = True
        for response in self._responses:
            response.end()
        try:
            await self._inner.aclose()
        finally:
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
        }
        exchange["response"] = self._record
        self._waiting = False
        self._done = False

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Headers:
        return self._response.headers

    async def read_chunk(self) -> bytes:
        self._waiting = True
        try:
            chunk = await self._response.read_chunk()
        except Exception as error:
            self._end(_describe_error(error, self._scrubber))
            raise
        self._waiting = False
        if chunk:
            self._chunks.append(chunk)
        else:
            self._end("complete")
        return chunk

    async def aclose(self) -> None:
        self.end()
        await self._response.aclose()

    def end(self) -> None:
        """End the record here: the response is closed."""
        self._end("waiting" if self._waiting else "closed")

    def _end(self, how: object) -> None:
        if not self._done:
            self._done = True
            self._record["end"] = how
            masked = self._scrubber.chunks(self._chunks)
            self._adjust_length(sum(map(len, masked)) - sum(map(len, self._chunks)))
            self._record["chunks"] = [bytes_to_json(chunk) for chunk in masked]
            self._chunks = []

    def _adjust_length(self, difference: int) -> None:
        """Let the Content-Length be that of the masked body: of a file, it is compared."""
        headers = self._record["headers"]
        length = self.headers.get("content-length", "")
        if difference and length.isdecimal() and "content-encoding" not in self.headers:
            (name,) = (name for name in headers if name.lower() == "content-length")
            headers[name] = str(max(0, int(length) + difference))


class ReplayTransport:
    """A transport that replays recorded responses, in the same chunks.

    Each request gets the first unused response to an equal request. Requests are compared by method, path, query, body
    and the headers that affect a response; not by host. Where the recorded exchange waited for the service until it was
    cancelled or closed, such as at a time limit, the replayed one waits as well, until the same happens to it.

    Args:
        path: A file written by a `RecordingTransport`.

    Raises:
        OSError: The file cannot be read.
        ConfigurationError: The file is not a recording.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            recording = json.loads(Path(path).read_bytes().decode("utf-8", "surrogatepass"))
            self._names: list[str] = recording["scrubbed"]
            self._unused: list[dict[str, Any]] = list(recording["exchanges"])
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(f"{path} is not a recording: {shorten(str(error))}") from None
        self._keys: set[str] = set()
        self._memory = MemoryTransport(self._replay)

    @property
    def unused(self) -> list[str]:
        """The recorded requests not replayed yet, each as ``"GET /api/workers/w1"``."""
        return [f"{exchange['request']['method']} {exchange['request']['target']}" for exchange in self._unused]

    async def open(self, url: URL, request: Request, *, connect_timeout: float | None) -> StreamedResponse:
        """Replay the response to a request; see `Transport.open`.

        Raises:
            ReplayMismatchError: The request was not recorded, or all its responses are used.
        """
        return await self._memory.open(url, request, connect_timeout=connect_timeout)

    async def aclose(self) -> None:
        """Close the responses that are still open."""
        await self._memory.aclose()

    async def _replay(self, request: Request) -> StreamingResponse:
        self._keys |= _keys(request)
        sent = describe_request(request, _scrubber(request, self._names, self._keys))
        for place, exchange in enumerate(self._unused):
            if not differences(exchange["request"], sent):
                del self._unused[place]
                break
        else:
            raise ReplayMismatchError(self._explain_mismatch(sent))
        if "error" in exchange:
            raise _to_error(exchange["error"])
        recorded = exchange["response"]
        if recorded is None:
            await _wait()
        return StreamingResponse(recorded["status"], recorded["headers"], _chunks(recorded))

    def _explain_mismatch(self, sent: dict[str, Any]) -> str:
        call = f"{sent['method']} {sent['target']}"
        if not self._unused:
            return f"{call} is not in the recording: all its exchanges are used"
        nearest = min((differences(exchange["request"], sent) for exchange in self._unused), key=len)
        return "\n".join([f"{call} is not in the recording, or is used already; the most similar request:", *nearest])


async def _chunks(recorded: dict[str, Any]) -> AsyncIterator[bytes]:
    for chunk in recorded["chunks"]:
        yield bytes_from_json(chunk)
    end = recorded["end"]
    if end == "waiting":
        await _wait()
    if isinstance(end, dict):
        raise _to_error(end)
    if end == "closed":
        raise ReplayMismatchError("the response is read further than in the recording, where it was closed early")


async def _wait() -> NoReturn:
    """Wait until cancelled."""
    while True:
        await asyncio.get_running_loop().create_future()


# Errors as JSON #######################################################################################################


def _describe_error(error: Exception, scrubber: Scrubber) -> dict[str, Any]:
    if not isinstance(error, APIConnectionError):  # an argument that is refused, or a bug
        message = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
        return {"message": scrubber.text(message), "raised": type(error).__name__}
    return {
        "message": scrubber.text(error.message),
        "timeout": isinstance(error, APITimeoutError),
        "request_sent": error.request_sent,
    }


def _to_error(recorded: dict[str, Any]) -> Exception:
    message: str = recorded["message"]
    if "raised" not in recorded:
        cls = APITimeoutError if recorded["timeout"] else APIConnectionError
        return cls(message, request_sent=recorded["request_sent"])
    name: str = recorded["raised"]
    if name == "ConfigurationError":
        return ConfigurationError(message)
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        with suppress(TypeError):  # a UnicodeError, for example, has more than a message
            return kind(message)
    return RuntimeError(f"{name}: {message}")


def _scrubber(request: Request, names: Collection[str], keys: Collection[str]) -> Scrubber:
    """Return the scrubber of an exchange. The ``token`` of a webhook is a secret that no name was given for."""
    return Scrubber([*names, "token"] if _WEBHOOK.match(request.path) else names, keys)


def _keys(request: Request) -> set[str]:
    """Return the credentials in a request: the API key, and others among its headers."""
    return {value.rpartition(" ")[2] for value in request.headers.values() if isinstance(value, Secret)}
