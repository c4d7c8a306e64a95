"""Record a use of a session, and replay it."""

from handinger_async import RetryPolicy, Session
from handinger_async.testing.recording import RecordingTransport, ReplayTransport
from handinger_async.transports.memory import MemoryTransport

KEY = "sk-very-secret"


async def record(path, handler, talk, **kwargs):
    transport = RecordingTransport(MemoryTransport(handler), path, **kwargs)
    async with Session(api_key=KEY, transport=transport, retry=RetryPolicy(max_retries=0)) as session:
        return await talk(session)


async def replay(path, talk):
    transport = ReplayTransport(path)
    async with Session(api_key="other", transport=transport, retry=RetryPolicy(max_retries=0)) as session:
        result = await talk(session)
    assert transport.unused == []
    return result
