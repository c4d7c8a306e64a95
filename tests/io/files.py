"""Files of a service in memory, and what they leave on disk."""

from pathlib import Path
from typing import Any

from handinger_async import FileDownload, Session
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .service import Service

BINARY = {"Content-Type": "application/octet-stream"}
DATA = bytes(range(256)) * 100


def file(*chunks: bytes, status: int = 200, **headers: str) -> StreamingResponse:
    """Return a response with a file; ``_`` in the names of headers stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return StreamingResponse(status, BINARY | named, iter(chunks))


def plan() -> StreamingResponse:
    """Return a response with `DATA`, in chunks of 1000 bytes."""
    return file(*(DATA[at : at + 1000] for at in range(0, len(DATA), 1000)), Content_Length=str(len(DATA)))


def download(session: Session) -> FileDownload:
    """Return a file to be downloaded."""
    return session.workers.retrieve_file("dir/plan.md", worker_id="w")


async def iterate(opened: FileDownload) -> bytes:
    """Return a whole file, by iteration."""
    async with opened:
        return b"".join([chunk async for chunk in opened])


def names(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def save(path: Any, response: Any = lambda request: plan()) -> Service:
    """Save a file; return the service that was asked."""
    service = Service(response)

    async def main() -> None:
        async with service.session() as session:
            await download(session).save(path)

    run(main())
    return service
