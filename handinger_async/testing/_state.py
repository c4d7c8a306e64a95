"""The state behind the in-memory service: workers whose futures are laid out in advance.

A run writes all its updates into the worker's timeline at once, each with the moment at which it comes to pass. So
nothing runs in the background: to ask a worker is to read its timeline up to now.
"""

from __future__ import annotations

import asyncio
import bisect
import hashlib
import math
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

import attrs

from ..models import (
    Costs,
    CronWorkerSchedule,
    DelayedWorkerSchedule,
    File,
    IntervalWorkerSchedule,
    Output,
    OutputContent,
    ScheduledWorkerSchedule,
    Usage,
    Worker,
)
from ..operations import BINARY
from ._clock import Clock, Ids
from .scripts import Step

__all__ = ["BUDGETS", "KnownSchedule", "Planned", "Update", "Version", "WorkerState"]

KnownSchedule: TypeAlias = ScheduledWorkerSchedule | DelayedWorkerSchedule | CronWorkerSchedule | IntervalWorkerSchedule

#: Only what the standard library knows, so that the machine's own list of types makes no difference.
_MEDIA_TYPES = mimetypes.MimeTypes(filenames=())
_MEDIA_TYPES.add_type("text/markdown", ".md")  # in the library from Python 3.14 on

#: What a run may cost -> how hard it tries: how many times the tokens of a low budget it uses.
BUDGETS = {"low": 1, "standard": 2, "high": 4, "unlimited": 8}


@attrs.frozen(kw_only=True)
class _Run:
    message_id: str
    input: str
    begin: float
    budget: str


@attrs.frozen(kw_only=True)
class _Spent:
    """What a worker has used so far; `Usage` and `Costs` both follow from it, so that they add up."""

    read: int = 0
    written: int = 0
    steps: int = 0
    effort: int = 0
    files: int = 0
    seconds: float = 0.0

    def on(self, step: Step, effort: int) -> _Spent:
        """Return what has been used once ``step`` is done."""
        return _Spent(
            read=self.read + 400 * effort,
            written=self.written + (40 + len(step.text) // 4) * effort,
            steps=self.steps + 1,
            effort=self.effort + effort,
            files=self.files + len(step.files),
            seconds=self.seconds + step.after,
        )

    @property
    def costs(self) -> Costs:
        return Costs(
            internal_cost_usd=self.effort * 50 / 1e6,
            model_cost_usd=(self.read + 5 * self.written) / 1e6,
            sandbox_cost_usd=self.effort * 100 / 1e6,
            tool_cost_usd=self.files * 200 / 1e6,
        )

    @property
    def usage(self) -> Usage:
        costs = self.costs
        total = costs.internal_cost_usd + costs.model_cost_usd + costs.sandbox_cost_usd + costs.tool_cost_usd
        return Usage(
            cache_read_tokens=self.read // 2,
            cache_write_tokens=self.read // 4,
            cost_usd=round(total, 6),
            input_tokens=self.read,  # the cached ones too
            output_tokens=self.written,  # the reasoning too
            reasoning_tokens=self.written // 4,
            steps=self.steps,
            total_tokens=self.read + self.written,
            credits=math.ceil(total * 1000),
            duration_ms=round(self.seconds * 1000),
        )


@attrs.frozen(kw_only=True)
class Update:
    """The state of a worker from one moment on.

    Args:
        at: The moment.
        run: The run that it belongs to, counted from 0.
        status: The worker's status.
        text: What it has said in this run.
        fields: Fields of the worker that a script has replaced.
        data: What the event says, if a script wants something else than the worker's JSON.
        spent: What the worker has used, over all runs.
    """

    at: float
    run: int
    status: str
    text: str
    fields: Mapping[str, Any]
    data: str | None
    spent: _Spent


@attrs.frozen(kw_only=True)
class Planned:
    """A schedule with the moments that it is for.

    Args:
        schedule: The schedule, as it is shown.
        at: When it is due next.
        again: Gives the moment after that one; None if there is no other.
    """

    schedule: KnownSchedule
    at: float
    again: Callable[[float], float] | None


@attrs.frozen
class Version:
    """What a file holds from one moment on.

    Args:
        at: The moment.
        data: The content.
        media_type: Its type.
    """

    at: float
    data: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """A validator: the same for the same content (RFC 9110, section 8.8.3)."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


class WorkerState:
    """A worker.

    Args:
        worker_id: Its id.
        clock: The service's time.
        ids: Where ids come from.
        direct: Gives the steps of a run with this instruction.
    """

    def __init__(self, worker_id: str, clock: Clock, ids: Ids, direct: Callable[[str], Sequence[Step]]) -> None:
        self.id = worker_id
        self.created = clock.now()
        self.updates: list[Update] = []
        self.schedules: dict[str, Planned] = {}
        self._clock = clock
        self._ids = ids
        self._direct = direct
        self._runs: list[_Run] = []
        self._files: dict[str, list[Version]] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    def run(self, text: str, budget: str | None, *, due: float) -> int:
        """Add a run: at ``due``, or when the worker has done what it is at.

        Args:
            text: The instruction.
            budget: Its budget; None for that of the run before.
            due: When it is to begin at the earliest.

        Returns:
            The place of its first update in the timeline.
        """
        first = len(self.updates)
        at = max(due, self.updates[-1].at) if self.updates else due
        spent = self.updates[-1].spent if self.updates else _Spent()
        budget = budget or (self._runs[-1].budget if self._runs else "standard")
        self._runs.append(_Run(message_id=self._ids.new("msg"), input=text, begin=at, budget=budget))
        steps = self._direct(text)
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
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        return first

    def _append(self, at: float, step: Step, status: str, text: str, fields: dict[str, Any], spent: _Spent) -> None:
        run = len(self._runs) - 1
        self.updates.append(
            Update(at=at, run=run, status=status, text=text, fields=fields, data=step.data, spent=spent)
        )
        for path, data in step.files.items():
            self.publish(path, data, at=at)

    def publish(self, path: str, data: bytes, *, at: float, media_type: str | None = None) -> None:
        """Publish a file, or a new version of it, from the moment ``at`` on."""
        media_type = media_type or _MEDIA_TYPES.guess_type(path)[0] or BINARY
        bisect.insort(self._files.setdefault(path, []), Version(at, data, media_type), key=lambda version: version.at)

    def file(self, path: str, at: float) -> Version | None:
        """Return what a file holds at a moment; None if it is not there."""
        versions = [version for version in self._files.get(path, ()) if version.at <= at]
        return versions[-1] if versions else None

    def advance(self) -> float:
        """Let the schedules that have come due run, and return the time.

        A recurring one whose worker is still at work then is passed over until its next time.
        """
        now = self._clock.now()
        while due := min((planned for planned in self.schedules.values() if planned.at <= now), key=_due, default=None):
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
        return now

    def current(self, base_url: str) -> Worker:
        """Return the worker as it is now; see `show`."""
        now = self.advance()
        return self.show(self.updates[bisect.bisect_right(self.updates, now, key=_due) - 1], base_url, at=now)

    async def wait_for(self, place: int) -> Update | None:
        """Wait until the update at ``place`` of the timeline comes to pass.

        Returns:
            The update; None if the worker has completed its work, and there is none.
        """
        while True:
            now = self.advance()
            if place < len(self.updates):
                update = self.updates[place]
                if update.at > now:
                    await asyncio.sleep(update.at - now)
                    continue  # what came due meanwhile has been added behind it
                return update
            if self.updates[-1].status == "completed":
                return None
            await self._grow(min((planned.at - now for planned in self.schedules.values()), default=None))

    async def _grow(self, limit: float | None) -> None:
        """Wait until there is another run, or for ``limit`` seconds."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=limit)
        finally:
            self._waiting.discard(waiter)

    def show(self, update: Update, base_url: str, *, at: float) -> Worker:
        """Return the worker as ``update`` has it.

        Args:
            update: One of its updates.
            base_url: Where its files are.
            at: The moment of which to show the files.
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
        ends = {earlier.run: earlier for earlier in self.updates if earlier.run < update.run} | {update.run: update}
        messages = []
        for number, end in ends.items():
            messages.append({"role": "user", "content": self._runs[number].input})
            if end.text:
                messages.append({"role": "assistant", "content": end.text})
        return messages


def _due(thing: Update | Planned) -> float:
    return thing.at
