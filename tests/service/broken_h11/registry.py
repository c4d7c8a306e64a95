"""The registry of broken transports, and a base class of those that deliver wrong chunks."""

from ..h11_transport import H11Transport
from ..wrapped_transports import PassingResponse

#: The broken transports, by the clause that they fail.
BROKEN_H11 = {}


def breaks(clause):
    """Register a transport that fails this clause, and no other."""

    def add(cls):
        BROKEN_H11.setdefault(clause, []).append(cls)
        return cls

    return add


class ReadsChunks(H11Transport):
    """A transport with a step that reads the next chunk of a decoded response."""

    def respond(self, response):
        return ReadByOwner(self, super().respond(response))

    async def read_chunk(self, response):
        return await response.inner.read_chunk()


class ReadByOwner(PassingResponse):
    def __init__(self, owner, inner):
        super().__init__(inner)
        self.owner = owner
        self.begun = False
        self.ended = False
        self.buffer = []

    async def read_chunk(self):
        return await self.owner.read_chunk(self)
