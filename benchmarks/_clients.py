"""The clients under comparison, behind one interface.

Each imports its packages when it is made, so that a process which measures start-up or memory loads only one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

__all__ = [
    "BARE",
    "BARE_JSON",
    "BARE_WREQ",
    "CLIENTS",
    "OFFICIAL",
    "OFFICIAL_AIOHTTP",
    "OURS",
    "OURS_JSON",
    "OURS_WREQ",
    "Client",
    "available",
    "make",
]

KEY = "sk_bench"
OFFICIAL, OFFICIAL_AIOHTTP = "handinger 0.3.0, httpx", "handinger 0.3.0, aiohttp"
BARE_JSON, BARE = "bare aiohttp, json", "bare aiohttp, orjson"
OURS_JSON, OURS = "handinger_async, json", "handinger_async, orjson"
BARE_WREQ, OURS_WREQ = "bare wreq, orjson", "handinger_async over wreq, orjson"


class Client(Protocol):
    """The calls that every client supports; responses are read completely and decoded to the client's own types."""

    async def worker(self, worker_id: str) -> Any:
        """Retrieve a worker."""
        ...

    async def schedules(self) -> Any:
        """List the schedules of a worker with many."""
        ...

    async def events(self, worker_id: str) -> int:
        """Read a stream to its end; return the number of events."""
        ...

    async def aclose(self) -> None:
        """Close the client."""


class Official(Client):
    def __init__(self, base_url: str, backend: str) -> None:
        import handinger

        http_client = None
        if backend == "aiohttp":
            import httpx_aiohttp  # noqa: F401 - if it is missing, the official client would raise only at the first call

            http_client = handinger.DefaultAioHttpClient()
        self._client = handinger.AsyncHandinger(api_key=KEY, base_url=base_url, http_client=http_client)

    async def worker(self, worker_id: str) -> Any:
        return await self._client.workers.retrieve(worker_id)

    async def schedules(self) -> Any:
        return await self._client.workers.schedules.list("many")

    async def events(self, worker_id: str) -> int:
        count = 0
        async for _ in await self._client.workers.stream_updates(worker_id):
            count += 1
        return count

    async def aclose(self) -> None:
        await self._client.close()


class Bare(Client):
    """Hand-written aiohttp code without types, retries or timeouts."""

    def __init__(self, base_url: str, loads: Callable[[bytes], Any]) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"})
        self._base = f"{base_url}/api/workers/"
        self._loads = loads

    async def _get(self, path: str) -> Any:
        async with self._session.get(self._base + path) as response:
            response.raise_for_status()
            return self._loads(await response.read())

    async def worker(self, worker_id: str) -> Any:
        return await self._get(worker_id)

    async def schedules(self) -> Any:
        return await self._get("many/schedules")

    async def events(self, worker_id: str) -> int:
        count = 0
        buffered = b""
        async with self._session.get(f"{self._base}{worker_id}/stream") as response:
            async for chunk in response.content.iter_any():
                *events, buffered = (buffered + chunk).split(b"\n\n")
                for event in events:
                    self._loads(event.removeprefix(b"data: "))
                    count += 1
        return count

    async def aclose(self) -> None:
        await self._session.close()


class BareWreq(Bare):
    """Hand-written wreq code without types, retries or timeouts."""

    def __init__(self, base_url: str) -> None:
        import orjson
        import wreq

        self._client = wreq.Client(headers={"Authorization": f"Bearer {KEY}"})
        self._base = f"{base_url}/api/workers/"
        self._loads = orjson.loads

    async def _get(self, path: str) -> Any:
        async with self._client.get(self._base + path) as response:
            response.raise_for_status()
            return self._loads(await response.bytes())

    async def events(self, worker_id: str) -> int:
        count = 0
        buffered = b""
        async with self._client.get(f"{self._base}{worker_id}/stream") as response, response.stream() as chunks:
            async for chunk in chunks:
                *events, buffered = (buffered + bytes(chunk)).split(b"\n\n")
                for event in events:
                    self._loads(event.removeprefix(b"data: "))
                    count += 1
        return count

    async def aclose(self) -> None:
        self._client.close()


def parser(*, fast_json: bool) -> Any:
    """Return the parser for `handinger_async._json`: orjson, or None for the standard library.

    Raises:
        ImportError: orjson is not installed.
    """
    if not fast_json:
        return None
    import orjson

    return orjson


class Ours(Client):
    def __init__(self, base_url: str, *, fast_json: bool, batches: bool = False, native: bool = False) -> None:
        from handinger_async import Session, _json

        transport = None
        if native:
            from handinger_async.transports.wreq import WreqTransport

            transport = WreqTransport()
        self._session = Session(api_key=KEY, base_url=base_url, transport=transport)
        self._json = _json
        self._parser = parser(fast_json=fast_json)
        self._batches = batches

    def _choose_parser(self) -> None:
        """Set the parser of this client: two clients share a process, and only one uses orjson."""
        self._json.orjson = self._parser

    async def worker(self, worker_id: str) -> Any:
        self._choose_parser()
        return await self._session.workers.retrieve(worker_id)

    async def schedules(self) -> Any:
        self._choose_parser()
        return await self._session.workers.schedules.list("many")

    async def upload(self, path: str) -> Any:
        """Upload a file with a new task."""
        from handinger_async.operations import CreateTask

        self._choose_parser()
        return await self._session.send(CreateTask("Read it.", files=[path]))

    async def events(self, worker_id: str) -> int:
        count = 0
        async with self._session.workers.stream_updates(worker_id) as events:
            if self._batches:
                async for batch in events.batches():
                    count += len(batch)
            else:
                async for _ in events:
                    count += 1
        return count

    async def aclose(self) -> None:
        await self._session.aclose()


def _bare_with_orjson(base_url: str) -> Client:
    import orjson

    return Bare(base_url, orjson.loads)


CLIENTS: dict[str, Callable[[str], Client]] = {
    OFFICIAL: lambda base_url: Official(base_url, "httpx"),
    OFFICIAL_AIOHTTP: lambda base_url: Official(base_url, "aiohttp"),
    BARE_JSON: lambda base_url: Bare(base_url, json.loads),
    BARE: _bare_with_orjson,
    OURS_JSON: lambda base_url: Ours(base_url, fast_json=False),
    OURS: lambda base_url: Ours(base_url, fast_json=True),
    BARE_WREQ: BareWreq,
    OURS_WREQ: lambda base_url: Ours(base_url, fast_json=True, native=True),
}


def make(name: str, base_url: str) -> Client:
    """Make a client.

    Raises:
        ImportError: Its package is not installed.
    """
    return CLIENTS[name](base_url)


def available() -> list[str]:
    """Return the names of the installed clients, and print which are missing."""
    import importlib.util

    needs = {
        OFFICIAL: ["handinger"],
        OFFICIAL_AIOHTTP: ["handinger", "httpx_aiohttp"],
        BARE: ["orjson"],
        OURS: ["orjson"],
        BARE_WREQ: ["orjson", "wreq"],
        OURS_WREQ: ["orjson", "wreq"],
    }
    missing = {
        name: [module for module in modules if importlib.util.find_spec(module) is None]
        for name, modules in needs.items()
    }
    for name, modules in missing.items():
        if modules:
            print(f"skipped, since {' and '.join(modules)} is not installed: {name}")
    return [name for name in CLIENTS if not missing.get(name)]
