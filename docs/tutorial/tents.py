"""Have a worker choose a tent, now and every morning: tents.py [WORKER]."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from handinger_async import CronWhen, Session, Timeouts
from handinger_async.schema import decode


@dataclass
class Choice:
    """The best tent for two, and its price in euros."""

    tent: str
    price: float


async def hire(session: Session) -> str:
    """Make a worker that runs every morning at nine, and return its id."""
    worker = await session.workers.create_template(
        title="Tents", instructions="Find the best tent for two.", output_schema=Choice
    )
    await session.workers.schedules.create(
        worker.id, input="Which tent today?", when=CronWhen("0 9 * * *"), budget="low"
    )
    return worker.id


async def ask(session: Session, worker_id: str, prices: Path) -> Choice:
    """Give the worker a file of prices, and return its choice."""
    outcome = await session.run(
        "Which tent, at these prices?",
        worker_id=worker_id,
        files=[prices],
        output_schema=Choice,
        budget="low",
    )
    return outcome.structured_output


async def latest(session: Session, worker_id: str, folder: Path) -> Choice:
    """Return the choice of the worker's latest run, and save its files."""
    worker = await session.workers.retrieve(worker_id)
    await session.workers.download_files(worker, folder)
    return decode(worker.structured_output, Choice)


async def main(session: Session, worker_id: str = "") -> None:
    async with session:
        if worker_id:
            print(await latest(session, worker_id, Path("saved")))
        else:
            print(worker_id := await hire(session), flush=True)
            print(await ask(session, worker_id, Path("prices.csv")))


if __name__ == "__main__":
    asyncio.run(main(Session(timeouts=Timeouts(deadline=600)), *sys.argv[1:]))
