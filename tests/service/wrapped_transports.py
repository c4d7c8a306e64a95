"""Wrappers around the two transports, which pass everything on."""

import aiohttp

from handinger_async.transports.aiohttp import AiohttpTransport
from handinger_async.transports.memory import MemoryTransport


class WithGivenSession(AiohttpTransport):
    """The aiohttp transport with a session from the caller."""

    def __init__(self, **kwargs):
        self.session = aiohttp.ClientSession(**kwargs)
        super().__init__(self.session)

    async def aclose(self):
        await super().aclose()
        await self.session.close()


class Passing:
    """A transport that passes everything on."""

    def __init__(self, inner):
        self.inner = inner

    async def open(self, url, request, *, connect_timeout):
        return self.respond(await self.inner.open(url, request, connect_timeout=connect_timeout))

    def respond(self, response):
        return PassingResponse(response)

    async def aclose(self):
        await self.inner.aclose()


class PassingResponse:
    def __init__(self, inner):
        self.inner = inner
        self.status = inner.status
        self.headers = inner.headers

    async def read_chunk(self):
        return await self.inner.read_chunk()

    async def aclose(self):
        await self.inner.aclose()


class InMemory(Passing):
    def __init__(self, handler):
        self.handler = handler
        super().__init__(MemoryTransport(handler))


class OverNetwork(Passing):
    def __init__(self, handler):
        super().__init__(AiohttpTransport())
