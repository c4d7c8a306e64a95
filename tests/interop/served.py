"""The in-memory service, served to the official client."""

import asyncio
import queue
import threading

import handinger as official

from handinger_async.testing import FakeHandinger, serve
from handinger_async.testing.faults import FaultyHandler


class ServedFake:
    """The in-memory service on a thread of its own, since the official client blocks."""

    def __init__(self, *faults, **options):
        self.fake = FakeHandinger(**options or {"api_keys": ["key"]})
        self.handler = FaultyHandler(self.fake, *faults)

    def __enter__(self):
        started = queue.Queue()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        self._thread.start()
        self.url, self._loop, self._stop = started.get(timeout=60)
        self.client = official.Handinger(api_key="key", base_url=self.url)
        return self

    def __exit__(self, *exc):
        self.client.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()

    async def _serve(self, started):
        stop = asyncio.Event()
        async with serve(self.handler) as url:
            started.put((url, asyncio.get_running_loop(), stop))
            await stop.wait()

    def completed(self, worker_id):
        """Stream a worker's updates until it completes, and return it."""
        for _ in self.client.workers.stream_updates(worker_id):
            pass
        return self.client.workers.retrieve(worker_id)
