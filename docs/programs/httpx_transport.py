"""A transport over httpx."""

import ssl
from collections.abc import AsyncIterator
from contextlib import closing, nullcontext

import httpx
from yarl import URL

from handinger_async import APIConnectionError, APITimeoutError
from handinger_async.http import MultipartBody, Request
from handinger_async.transports import StreamedResponse
from handinger_async.transports.decompression import ACCEPT_ENCODING, decode_body
from handinger_async.transports.uploads import BodyReader
from httpx_response import HttpxResponse


class HttpxTransport:
    """Sends requests with httpx. Share the context: to create one takes long."""

    def __init__(self, verify: ssl.SSLContext | bool = True) -> None:
        limits = httpx.Limits(max_connections=None)
        self._client = httpx.AsyncClient(verify=verify, trust_env=False, limits=limits)
        self.aclose = self._client.aclose

    async def open(
        self, url: URL, request: Request, *, connect_timeout: float | None
    ) -> StreamedResponse:
        """Send a request and wait for the head of the response."""
        if self._client.is_closed:
            raise APIConnectionError("the transport is closed", request_sent=False)
        headers = request.headers | {"Accept-Encoding": ACCEPT_ENCODING}
        body, timeout = request.body, httpx.Timeout(None, connect=connect_timeout)
        uploading = isinstance(body, MultipartBody)
        if uploading and body.length is not None:
            headers |= {"Content-Length": str(body.length)}
        with closing(BodyReader(body)) if uploading else nullcontext() as reader:
            outgoing = httpx.Request(
                request.method,
                str(url),
                headers=[(name.encode(), v.encode()) for name, v in headers.items()],
                content=read(reader) if reader else body or None,
                extensions={"timeout": timeout.as_dict()},
            )
            try:
                response = await self._client.send(outgoing, stream=True)
                return decode_body(HttpxResponse(response))
            except httpx.ConnectTimeout as error:
                failure = APITimeoutError(str(error), request_sent=False)
            except httpx.HTTPError as error:
                sent = not isinstance(error, httpx.ConnectError)
                failure = APIConnectionError(str(error), request_sent=sent)
        raise failure  # outside of except: errors of httpx hold the API key


async def read(reader: BodyReader) -> AsyncIterator[bytes]:
    """Yield the chunks of a body with files."""
    while chunk := await reader.read():
        yield chunk
