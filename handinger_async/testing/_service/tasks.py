"""Tasks of the in-memory service, each a timeline of updates.

A run appends all its updates to the timeline at once, each with the moment at which it takes effect. So nothing runs in
the background: to show a task is to read its timeline up to now.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ..scripts import Step
from .files import Files
from .recent import KEPT, STREAMED, Recent
from .usage import BUDGETS, Spent

__all__ = ["FINAL", "Run", "TaskState", "Update"]

#: The statuses in which a run is over.
FINAL = ("completed", "error", "aborted")


@attrs.frozen(kw_only=True)
class Run:
    """One turn of a task.

    Args:
        seq: Its index in the task.
        place: The index of its first update in the timeline.
        turn_id: Its id.
        message_id: The id of its output message.
        input: The instruction.
        begin: The moment when it begins, in seconds of the service's clock.
        budget: Its budget.
        schema: The output schema of the worker at that time, if it has one.
        files: The paths of the files that it publishes.
    """

    seq: int
    place: int
    turn_id: str
    message_id: str
    input: str
    begin: float
    budget: str
    schema: dict[str, Any] | None
    files: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Update:
    """The state of a task from one moment on.

    Args:
        at: The moment, in seconds of the service's clock.
        run: Its run.
        status: The status, as the script says it.
        text: The output text of this run so far.
        fields: Fields of the worker that a script has replaced.
        data: The data of the event, if a script replaces the worker's JSON.
        spent: The amounts used so far, over all runs.
    """

    at: float
    run: Run
    status: str
    text: str
    fields: Mapping[str, Any]
    data: str | None
    spent: Spent

    @property
    def is_final(self) -> bool:
        """True if the run is over with this update."""
        return self.status in FINAL


@attrs.define(kw_only=True, eq=False)
class TaskState:
    """A task of the in-memory service.

    Args:
        id: The id of the task.
        worker_id: The id of its worker.
        title: The title.
        created: The moment of its creation, in seconds of the service's clock.
        triggered_by: ``"api"`` or ``"schedule"``.
        user_id: The user who created it; None for a schedule.

    Attributes:
        archived: True once it is deleted.
        updates: The timeline.
        runs: Its runs.
        ends: The last update of each run. That of the last run that is forgotten is kept.
    """

    id: str
    worker_id: str
    title: str
    created: float
    triggered_by: str
    user_id: str | None
    archived: bool = attrs.field(default=False, init=False)
    updates: Recent[Update] = attrs.field(factory=Recent, init=False)
    runs: Recent[Run] = attrs.field(factory=Recent, init=False)
    ends: Recent[Update] = attrs.field(factory=Recent, init=False)

    def add(self, run: Run, steps: Sequence[Step], files: Files, *, made_up: bool) -> None:
        """Add a run with its updates, and publish its files.

        Args:
            run: The run.
            steps: Its steps.
            files: The files of the worker.
            made_up: True if no script wrote the steps.
        """
        at = run.begin
        spent = self.updates[-1].spent if self.updates else Spent()
        self.runs.append(run)
        self._append(at, Step(after=0.0), "completed" if not steps else "pending", "", {}, spent)
        said = ""
        fields: dict[str, Any] = {}
        for number, step in enumerate(steps, 1):
            at = round(at + step.after, 6)
            said += step.text
            fields = {**fields, **step.fields} if step.fields else fields
            spent = spent.on(step, BUDGETS[run.budget])
            status = step.status or ("completed" if number == len(steps) else "running")
            self._append(at, step, status, said, fields, spent)
            for path, data in step.files.items():
                files.publish(path, data, at=at, made_up=made_up)
        self.ends.append(self.updates[-1])

    def _append(self, at: float, step: Step, status: str, text: str, fields: dict[str, Any], spent: Spent) -> None:
        self.updates.append(
            Update(at=at, run=self.runs[-1], status=status, text=text, fields=fields, data=step.data, spent=spent)
        )

    def forget(self, now: float) -> None:
        """Forget past runs, except the last `KEPT`, and their updates, except those of the last `STREAMED`.

        Args:
            now: The current moment, in seconds of the service's clock.
        """
        current = self.current(now).run.seq
        self.runs.forget(current - KEPT)
        self.ends.forget(current - KEPT - 1)
        if current >= STREAMED:
            self.updates.forget(self.runs[current - STREAMED].place)

    def current(self, now: float) -> Update:
        """Return the update that is in effect."""
        first = self.updates.first
        return self.updates[max(first, bisect.bisect_right(self.updates, now, first, key=lambda update: update.at) - 1)]

    def progress(self, run: int, now: float) -> Update | None:
        """Return the update of a run that is in effect; None before it begins."""
        current = self.current(now)
        seq = current.run.seq
        return None if run > seq else current if run == seq else self.ends[run]
