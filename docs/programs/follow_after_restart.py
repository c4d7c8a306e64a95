"""Follow a worker, and go on after a restart with the event that comes next."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing

from handinger_async import ServerSentEvent, Session
from handinger_async.testing import FakeHandinger

SCHEMA = "CREATE TABLE IF NOT EXISTS place (worker_id TEXT PRIMARY KEY, event_id TEXT)"
FIND = "SELECT event_id FROM place WHERE worker_id = ?"
STORE = "REPLACE INTO place VALUES (?, ?)"
Use = Callable[[sqlite3.Connection, ServerSentEvent], None]


async def follow(session: Session, worker_id: str, path: str, use: Use) -> str:
    """Pass each event to ``use``, and return the last status of the worker."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(SCHEMA)
        found = database.execute(FIND, (worker_id,)).fetchone()
        async with session.workers.stream_updates(
            worker_id, last_event_id=found[0] if found else ""
        ) as events:
            async for event in events:
                with database:  # one transaction: both, or nothing
                    database.execute(STORE, (worker_id, event.id))
                    use(database, event)
    return (await session.workers.retrieve(worker_id)).status


def show(database: sqlite3.Connection, event: ServerSentEvent) -> None:
    """Use an event."""
    print("event", event.id)


def crash(database: sqlite3.Connection, event: ServerSentEvent) -> None:
    """Use an event, until the program crashes."""
    if event.id == "3":
        raise SystemError("a crash")
    show(database, event)


async def main() -> None:
    """Follow a worker of the in-memory service, as two processes do."""
    service = FakeHandinger()
    async with service.session() as session:
        worker = await session.workers.create(input="Compare three tents.")
        try:
            await follow(session, worker.id, "place.db", crash)
        except SystemError as error:
            print(error)
    async with service.session() as session:  # the next process
        print(await follow(session, worker.id, "place.db", show))


if __name__ == "__main__":
    asyncio.run(main())
