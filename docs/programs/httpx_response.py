"""The responses of httpx_transport.py: bodies that are read chunk by chunk."""

import asyncio

import httpx

from handinger_async import APIConnectionError
from handinger_async.http import Headers


class HttpxResponse:
    """A response of httpx with the interface of ``StreamedResponse``."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = Headers(response.headers.multi_items())
        self._response = response
        # Raw: httpx would take a truncated gzip body for a complete one.
        self._chunks = response.aiter_raw()
        self._reading: asyncio.Task[bytes] | None = None
        self._closed = False

    async def read_chunk(self) -> bytes:
        """Return the next chunk of the body, or ``b""`` at its end."""
        if self._closed:
            raise APIConnectionError("the response is closed")
        if self._reading is None:  # a task, which survives a cancelled reader
            self._reading = asyncio.ensure_future(self._next())
        await asyncio.wait((reading := self._reading,))
        self._reading = None
        if reading.cancelled():
            raise APIConnectionError("the response is closed")
        return reading.result()

    async def _next(self) -> bytes:
        try:
            async for chunk in self._chunks:
                if chunk:
                    return chunk
            return b""
        except httpx.HTTPError as error:  # has the request, and so the API key
            failure = APIConnectionError(str(error) or type(error).__name__)
        raise failure

    async def aclose(self) -> None:
        """Close the response and wake a task that is blocked in a read."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        await asyncio.shield(asyncio.ensure_future(self._response.aclose()))
