"""A transport over httpx."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
from yarl import URL

from handinger_async import APIConnectionError, APITimeoutError, Session
from handinger_async.http import Headers, MultipartBody, Request
from handinger_async.transports import StreamedResponse
from handinger_async.transports.decompression import ACCEPT_ENCODING, decode_body
from handinger_async.transports.uploads import BodyReader

#: What httpx cannot do: clauses of check_transport. If a server sends more than a
#: response, in one segment with it, httpx takes the surplus for the next response.
KNOWN_LIMITS = ["a_connection_with_surplus_data_is_not_reused"]


class HttpxTransport:
    """Sends requests with httpx.

    Args:
        verify: The SSL context. Share one: httpx makes a new one for each client, which
            takes longer than a request.
    """

    def __init__(self, verify: ssl.SSLContext | bool = True) -> None:
        self._client = httpx.AsyncClient(
            verify=verify,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
            headers={"Accept-Encoding": ACCEPT_ENCODING},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # keeps none
        )

    async def open(
        self, url: URL, request: Request, *, connect_timeout: float | None
    ) -> StreamedResponse:
        """Send a request and wait for the head of the response."""
        body, framing, reader = request.body or None, {}, None
        if isinstance(body, MultipartBody):
            if body.length is not None:
                framing = {"Content-Length": str(body.length)}
            reader = BodyReader(body)
            body = read(reader)
        outgoing = self._client.build_request(
            request.method,
            str(url),
            # httpx would refuse a value outside ASCII.
            headers=[
                (name.encode(), value.encode())
                for name, value in (request.headers | framing).items()
            ],
            content=body,
            timeout=httpx.Timeout(None, connect=connect_timeout),
        )
        try:
            response = await self._client.send(outgoing, stream=True)
            return decode_body(HttpxResponse(response))
        except httpx.ConnectTimeout as error:
            failure: APIConnectionError = APITimeoutError(
                str(error), request_sent=False
            )
        except httpx.HTTPError as error:
            failure = APIConnectionError(
                str(error), request_sent=not isinstance(error, httpx.ConnectError)
            )
        except RuntimeError as error:  # the client is closed
            failure = APIConnectionError(str(error), request_sent=False)
        finally:
            if reader is not None:  # the server may not have taken all of it
                reader.close()
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


async def read(reader: BodyReader) -> AsyncIterator[bytes]:
    """Yield a body with files, as httpx sends it."""
    while chunk := await reader.read():
        yield chunk


class HttpxResponse:
    """A response whose body is read chunk by chunk."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = Headers(response.headers.multi_items())
        self._response = response
        # httpx would take a truncated gzip body for a complete one.
        self._chunks: AsyncIterator[bytes] = response.aiter_raw()
        self._reading: asyncio.Task[bytes] | None = None
        self._closed = False

    async def read_chunk(self) -> bytes:
        """Return the next chunk of the body, or ``b""`` at its end."""
        if self._closed:
            raise APIConnectionError("the response is closed")
        if (
            self._reading is None
        ):  # in a task, so that it survives the cancellation of a reader
            self._reading = asyncio.ensure_future(self._next())
        reading = self._reading
        await asyncio.wait((reading,))
        self._reading = None
        if reading.cancelled():
            raise APIConnectionError("the response is closed")
        return reading.result()

    async def _next(self) -> bytes:
        try:
            while True:
                if chunk := await anext(self._chunks, None):
                    return chunk
                if chunk is None:
                    return b""
        except httpx.HTTPError as error:
            failure = APIConnectionError(str(error) or type(error).__name__)
        raise failure

    async def aclose(self) -> None:
        """Close the response and wake a task that is blocked in a read."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        await asyncio.shield(asyncio.ensure_future(self._response.aclose()))


async def talk(base_url: str, api_key: str) -> str:
    """Create a worker, follow its events, and return its output."""
    async with Session(
        api_key=api_key, base_url=base_url, transport=HttpxTransport()
    ) as session:
        worker = await session.workers.create(input="Compare three tents.")
        async with session.workers.stream_updates(worker.id) as events:
            async for event in events:
                print(event.id, len(event.data))
        return (await session.workers.retrieve(worker.id)).output_text


def main(base_url: str, api_key: str) -> str:
    """Run ``talk`` in an event loop."""
    return asyncio.run(talk(base_url, api_key))


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
