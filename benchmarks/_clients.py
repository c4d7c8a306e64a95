"""The clients that are measured beside each other, behind one face.

Each imports what it needs when it is made, so that a process which measures start-up or memory has paid for one only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

__all__ = [
    "BARE",
    "BARE_JSON",
    "CLIENTS",
    "OURS",
    "OURS_JSON",
    "VENDOR",
    "VENDOR_AIOHTTP",
    "Client",
    "available",
    "make",
]

KEY = "sk_bench"
VENDOR, VENDOR_AIOHTTP = "handinger 0.3.0, httpx", "handinger 0.3.0, aiohttp"
BARE_JSON, BARE = "bare aiohttp, json", "bare aiohttp, orjson"
OURS_JSON, OURS = "handinger_async, json", "handinger_async, orjson"


class Client(Protocol):
    """What every client can do; the answers are read completely, and turned into what the client has for them."""

    async def worker(self, worker_id: str) -> Any:
        """Retrieve a worker."""
        ...

    async def schedules(self) -> Any:
        """List the schedules of the worker that has many."""
        ...

    async def events(self, worker_id: str) -> int:
        """Read a stream to its end; return how many events it had."""
        ...

    async def aclose(self) -> None:
        """Close the client."""


class Vendor(Client):
    def __init__(self, base_url: str, backend: str) -> None:
        import handinger

        http_client = None
        if backend == "aiohttp":
            import httpx_aiohttp  # noqa: F401 - without it, the vendor's class raises only at the first call

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
    """aiohttp as one would write it by hand for one's own service, without types, retries or time limits."""

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
        held = b""
        async with self._session.get(f"{self._base}{worker_id}/stream") as response:
            async for chunk in response.content.iter_any():
                *events, held = (held + chunk).split(b"\n\n")
                for event in events:
                    self._loads(event.removeprefix(b"data: "))
                    count += 1
        return count

    async def aclose(self) -> None:
        await self._session.close()


def parser(*, fast_json: bool) -> Any:
    """Return what our JSON module is to parse with: orjson, or None for the standard library.

    Raises:
        ImportError: orjson is not installed.
    """
    if not fast_json:
        return None
    import orjson

    return orjson


class Ours(Client):
    def __init__(self, base_url: str, *, fast_json: bool, batches: bool = False) -> None:
        from handinger_async import Session, _json

        self._session = Session(api_key=KEY, base_url=base_url)
        self._json = _json
        self._parser = parser(fast_json=fast_json)
        self._batches = batches

    def _choose_parser(self) -> None:
        """Two of us live in one process, and only one of them has orjson."""
        self._json.orjson = self._parser

    async def worker(self, worker_id: str) -> Any:
        self._choose_parser()
        return await self._session.workers.retrieve(worker_id)

    async def schedules(self) -> Any:
        self._choose_parser()
        return await self._session.workers.schedules.list("many")

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
    VENDOR: lambda base_url: Vendor(base_url, "httpx"),
    VENDOR_AIOHTTP: lambda base_url: Vendor(base_url, "aiohttp"),
    BARE_JSON: lambda base_url: Bare(base_url, json.loads),
    BARE: _bare_with_orjson,
    OURS_JSON: lambda base_url: Ours(base_url, fast_json=False),
    OURS: lambda base_url: Ours(base_url, fast_json=True),
}


def make(name: str, base_url: str) -> Client:
    """Make a client.

    Raises:
        ImportError: It is not installed.
    """
    return CLIENTS[name](base_url)


def available() -> list[str]:
    """Name the clients that are installed, and print which are not."""
    import importlib.util

    needs = {VENDOR: ["handinger"], VENDOR_AIOHTTP: ["handinger", "httpx_aiohttp"], BARE: ["orjson"], OURS: ["orjson"]}
    missing = {
        name: [module for module in modules if importlib.util.find_spec(module) is None]
        for name, modules in needs.items()
    }
    for name, modules in missing.items():
        if modules:
            print(f"left out, as {' and '.join(modules)} is not installed: {name}")
    return [name for name in CLIENTS if not missing.get(name)]
