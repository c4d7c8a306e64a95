"""Workers of the in-memory service, each a timeline of updates.

A run appends all its updates to the timeline at once, each with the moment at which it takes effect. So nothing runs in
the background: to show a worker is to read its timeline up to now.
"""

from __future__ import annotations

import asyncio
import bisect
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs

from ...http import BINARY
from ...models import File, Output, OutputContent, Worker
from ..scripts import Step
from .clock import Clock, Ids
from .files import Version
from .schedules import Planned
from .usage import BUDGETS, Spent

__all__ = ["Update", "WorkerState"]

#: Only the types that the standard library knows: the list of the operating system differs between machines.
_MEDIA_TYPES = mimetypes.MimeTypes(filenames=())
_MEDIA_TYPES.add_type("text/markdown", ".md")  # in the standard library since Python 3.14

#: The number of due times of schedules to handle at once: some milliseconds of work.
_BATCH = 200


@attrs.frozen(kw_only=True)
class _Run:
    message_id: str
    input: str
    begin: float
    budget: str


@attrs.frozen(kw_only=True)
class Update:
    """The state of a worker from one moment on.

    Args:
        at: The moment, in seconds of the service's clock.
        run: The index of its run.
        status: The worker's status.
        text: The output text of this run so far.
        fields: Fields of the worker that a script has replaced.
        data: The data of the event, if a script replaces the worker's JSON.
        spent: The amounts used so far, over all runs.
    """

    at: float
    run: int
    status: str
    text: str
    fields: Mapping[str, Any]
    data: str | None
    spent: Spent


class WorkerState:
    """A worker of the in-memory service.

    Args:
        worker_id: The id of the worker.
        clock: The service's clock.
        ids: Generates the ids of messages.
        direct: Returns the steps of a run, given its instruction, and True if they are made up.
    """

    def __init__(
        self, worker_id: str, clock: Clock, ids: Ids, direct: Callable[[str], tuple[Sequence[Step], bool]]
    ) -> None:
        self.id = worker_id
        self.created = clock.now()
        self.updates: list[Update] = []
        self.schedules: dict[str, Planned] = {}
        self._clock = clock
        self._ids = ids
        self._direct = direct
        self._runs: list[_Run] = []
        self._ends: list[Update] = []  # the last update of each run
        self._files: dict[str, list[Version]] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    def run(self, text: str, budget: str | None, *, due: float) -> int:
        """Add a run. It begins at ``due``, or after the last run if that takes longer.

        Args:
            text: The instruction.
            budget: The budget; None for the budget of the last run.
            due: The earliest begin, in seconds of the service's clock.

        Returns:
            The index of its first update in the timeline.
        """
        first = len(self.updates)
        at = max(due, self.updates[-1].at) if self.updates else due
        spent = self.updates[-1].spent if self.updates else Spent()
        budget = budget or (self._runs[-1].budget if self._runs else "standard")
        self._runs.append(_Run(message_id=self._ids.new("msg"), input=text, begin=at, budget=budget))
        steps, made_up = self._direct(text)
        self._append(at, Step(after=0.0), "completed" if not steps else "pending", "", {}, spent)
        said = ""
        fields: dict[str, Any] = {}
        for number, step in enumerate(steps, 1):
            at = round(at + step.after, 6)
            said += step.text
            fields |= step.fields
            spent = spent.on(step, BUDGETS[budget])
            status = step.status or ("completed" if number == len(steps) else "running")
            self._append(at, step, status, said, dict(fields), spent)
            for path, data in step.files.items():
                self.publish(path, data, at=at, made_up=made_up)
        self._ends.append(self.updates[-1])
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        return first

    def _append(self, at: float, step: Step, status: str, text: str, fields: dict[str, Any], spent: Spent) -> None:
        run = len(self._runs) - 1
        self.updates.append(
            Update(at=at, run=run, status=status, text=text, fields=fields, data=step.data, spent=spent)
        )

    def publish(
        self, path: str, data: bytes, *, at: float, media_type: str | None = None, made_up: bool = False
    ) -> None:
        """Publish a file, or a new version of it, at the moment ``at``."""
        version = Version(at, data, media_type or _MEDIA_TYPES.guess_type(path)[0] or BINARY, made_up)
        bisect.insort(self._files.setdefault(path, []), version, key=lambda version: version.at)

    def file(self, path: str, at: float) -> Version | None:
        """Return the version of a file that is current at a moment; None if there is none.

        Versions that are made up never replace others.
        """
        versions = [version for version in self._files.get(path, ()) if version.at <= at]
        versions = [version for version in versions if not version.made_up] or versions
        return versions[-1] if versions else None

    def advance(self) -> float:
        """Start the runs of all schedules that are due, and return the current moment."""
        now = self._clock.now()
        while not self.start_due(now):
            pass
        return now

    async def catch_up(self) -> float:
        """Like `advance`, but other tasks run meanwhile, as far as many runs are due."""
        now = self._clock.now()
        while not self.start_due(now):  # noqa: ASYNC110 - not a wait: each iteration does a part of the work
            await asyncio.sleep(0)
        return now

    def start_due(self, now: float | None = None) -> bool:
        """Start runs of schedules that are due, the first `_BATCH` of them.

        A recurring schedule that is due while the worker is still running skips that run.

        Args:
            now: The current moment; None to read the clock.

        Returns:
            True if no more of them are due.
        """
        now = self._clock.now() if now is None else now
        for _ in range(_BATCH):
            due = min((planned for planned in self.schedules.values() if planned.at <= now), key=_at, default=None)
            if due is None:
                return True
            schedule = due.schedule
            if due.again is None:
                del self.schedules[schedule.id]
            else:
                following = due.again(due.at)
                moved = attrs.evolve(schedule, next_run_at=self._clock.instant(following))  # type: ignore[misc]
                self.schedules[schedule.id] = attrs.evolve(due, schedule=moved, at=following)
                if due.at < self.updates[-1].at:
                    continue
            self.run(schedule.input, schedule.budget, due=due.at)
        return False

    def current(self, base_url: str) -> Worker:
        """Return the worker as it is now; see `show`."""
        now = self.advance()
        return self.show(self.updates[bisect.bisect_right(self.updates, now, key=_at) - 1], base_url, at=now)

    async def wait_for(self, place: int) -> Update | None:
        """Wait until the update at index ``place`` of the timeline takes effect.

        Returns:
            The update; None if the worker completes without it.
        """
        while True:
            now = await self.catch_up()
            if place < len(self.updates):
                update = self.updates[place]
                if update.at > now:
                    await asyncio.sleep(update.at - now)
                    continue  # `advance` adds the runs that came due in the meantime
                return update
            if self.updates[-1].status == "completed":
                return None
            await self._grow(min((planned.at - now for planned in self.schedules.values()), default=None))

    async def _grow(self, timeout: float | None) -> None:  # noqa: ASYNC109 - not an error: the schedule is due then
        """Wait until there is another run, or for ``timeout`` seconds."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=timeout)
        finally:
            self._waiting.discard(waiter)

    def show(self, update: Update, base_url: str, *, at: float) -> Worker:
        """Return the worker in the state of ``update``.

        Args:
            update: One of its updates.
            base_url: The base URL of the links to its files.
            at: The moment for which to list the files.
        """
        run = self._runs[update.run]
        said = {run.message_id: update.text} if update.text else {}
        files = [
            File(
                filename=path,
                media_type=version.media_type,
                url=f"{base_url}/api/workers/{quote(self.id)}/files/{quote(path)}",
            )
            for path in sorted(self._files)
            if (version := self.file(path, at)) is not None
        ]
        worker = Worker(
            id=self.id,
            created_at=int(self._clock.instant(self.created).timestamp()),
            error=None,
            files=files,
            incomplete_details=None,
            messages=self._messages(update),
            metadata={"budget": run.budget},
            object="worker",
            output=[
                Output(
                    id=message_id,
                    content=[OutputContent(text=text, type="output_text")],
                    role="assistant",
                    status="completed",
                    type="message",
                )
                for message_id, text in said.items()
            ],
            output_text=update.text,
            running=update.status != "completed",
            sources=[],
            status=update.status,
            costs=update.spent.costs,
            usage=update.spent.usage,
        )
        return attrs.evolve(worker, **update.fields)  # type: ignore[misc]

    def _messages(self, update: Update) -> list[dict[str, str]]:
        """Return the conversation up to ``update``."""
        messages = []
        for run, end in zip(self._runs, [*self._ends[: update.run], update], strict=False):
            messages.append({"role": "user", "content": run.input})
            if end.text:
                messages.append({"role": "assistant", "content": end.text})
        return messages


def _at(item: Update | Planned) -> float:
    return item.at
