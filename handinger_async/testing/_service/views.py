"""Workers, tasks and turns of the in-memory service, as the API shows them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import attrs

from ...http import DEFAULT_BASE_URL
from ...models import (
    File,
    Output,
    OutputContent,
    Task,
    TaskTotals,
    Turn,
    Usage,
    Worker,
    WorkerTemplate,
)
from .clock import Clock
from .schemas import example
from .tasks import Run, TaskState, Update
from .usage import Spent
from .workers import WorkerState

__all__ = ["View"]


@attrs.frozen(kw_only=True)
class View:
    """The rendering of one response.

    Args:
        clock: The service's clock.
        base_url: The base URL of the links to files.
        organization_id: The id of the organization.
        newer: Show workers as the newer generation does, with their structured output and with fewer counters.
        files: The path of the files of a worker, with ``{}`` for its id.
    """

    clock: Clock
    base_url: str = DEFAULT_BASE_URL
    organization_id: str
    newer: bool
    files: str = "/api/workers/{}/files/"

    def worker(self, worker: WorkerState, task: TaskState | None, update: Update | None, *, at: float) -> Worker:
        """Return a worker in the state of an update.

        Args:
            worker: The worker.
            task: The task to show; None for a worker without any.
            update: One of the task's updates.
            at: The moment for which to list the files, in seconds of the service's clock.
        """
        run = update.run if update else None
        text = update.text if update else ""
        message = Output(
            id=run.message_id if run else "",
            content=[OutputContent(text=text, type="output_text")],
            role="assistant",
            status="completed",
            type="message",
        )
        spent = update.spent if update else Spent()
        shown = Worker(
            id=worker.id,
            created_at=int(self.clock.instant(worker.created).timestamp()),
            error=None,
            files=self._files(worker, at),
            incomplete_details=None,
            messages=_messages(task, update) if task and update else [],
            metadata={"budget": run.budget} if run else {},
            object="worker",
            output=[message] if text else [],
            output_text=text,
            running=update is not None and not update.is_final,
            sources=[],
            status="completed" if update is None or update.is_final else update.status,
            costs=None if self.newer else spent.costs,
            usage=_credits(spent.usage) if self.newer else spent.usage,
            structured_output=_structured(run, update) if self.newer else None,
            url=f"{DEFAULT_BASE_URL}/worker/{quote(worker.id)}" if self.newer else None,
        )
        return attrs.evolve(shown, **update.fields) if update else shown  # type: ignore[misc]

    def _files(self, worker: WorkerState, at: float, only: tuple[str, ...] | None = None) -> list[File]:
        url = self.base_url + self.files.format(quote(worker.id))
        return [
            File(
                filename=path,
                media_type=version.media_type,
                url=url + quote(path),
                size=len(version.data) if self.newer else None,
            )
            for path, version in worker.files.current(at, only).items()
        ]

    def template(self, worker: WorkerState) -> WorkerTemplate:
        """Return the settings of a worker."""
        settings = worker.settings
        return WorkerTemplate(
            id=worker.id,
            created_at=self._time(worker.created),
            instructions=settings.instructions,
            organization_id=self.organization_id,
            output_schema=settings.output_schema,
            summary=settings.summary,
            title=settings.title,
            updated_at=None if worker.updated is None else self._time(worker.updated),
            url=f"{DEFAULT_BASE_URL}/worker/{quote(worker.id)}",
            user_id=worker.user_id,
            visibility=settings.visibility,
        )

    def task(self, task: TaskState, now: float) -> Task:
        """Return a task as it is at a moment."""
        last = task.progress(len(task.runs) - 1, now)
        current = last or task.current(now)
        status = "running" if last is None else _status(last)
        usage = current.spent.usage
        return Task(
            id=task.id,
            completed_at=self._time(last.at) if last and last.is_final else None,
            created_at=self._time(task.created),
            created_by_user_id=task.user_id,
            organization_id=self.organization_id,
            status=status,
            title=task.title,
            totals=TaskTotals(
                credits=usage.credits or 0, duration_ms=usage.duration_ms or 0, turn_count=len(task.runs)
            ),
            triggered_by=task.triggered_by,
            url=f"{DEFAULT_BASE_URL}/worker/{quote(task.worker_id)}/task/{quote(task.id)}",
            worker_id=task.worker_id,
        )

    def turns(self, worker: WorkerState, task: TaskState, now: float) -> list[Turn]:
        """Return the turns of a task as they are at a moment. Those that wait for an earlier one are pending."""
        return [self._turn(worker, task, run, now) for run in task.runs.kept()]

    def _turn(self, worker: WorkerState, task: TaskState, run: Run, now: float) -> Turn:
        update = task.progress(run.seq, now)
        before = task.ends[run.seq - 1].spent if run.seq else Spent()
        spent = update.spent if update else before
        used, earlier = spent.usage, before.usage
        return Turn(
            id=run.turn_id,
            completed_at=self._time(update.at) if update and update.is_final else None,
            credits=(used.credits or 0) - (earlier.credits or 0),
            duration_ms=(used.duration_ms or 0) - (earlier.duration_ms or 0),
            files=self._files(worker, update.at, run.files) if update else [],
            input=run.input,
            input_tokens=spent.read - before.read,
            output_text=update.text if update else "",
            output_tokens=spent.written - before.written,
            role="user",
            seq=run.seq,
            started_at=self._time(min(run.begin, now)),
            status=_status(update) if update else "pending",
            structured_output=_structured(run, update),
            task_id=task.id,
        )

    def _time(self, moment: float) -> str:
        instant = self.clock.instant(moment)
        return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status(update: Update) -> str:
    """Return the status of a task or a turn: a script makes it fail with an ``error`` field, or by its status."""
    failed = update.status == "completed" and update.fields.get("error") is not None
    return "error" if failed else update.status


def _structured(run: Run | None, update: Update | None) -> Any:
    """Return the structured output: of the script, or made up for the schema once the run is completed."""
    if run is None or update is None:
        return None
    if "structured_output" in update.fields:
        return update.fields["structured_output"]
    return example(run.schema) if run.schema is not None and _status(update) == "completed" else None


def _credits(usage: Usage) -> Usage:
    return Usage(credits=usage.credits, duration_ms=usage.duration_ms)


def _messages(task: TaskState, update: Update) -> list[dict[str, str]]:
    """Return the conversation up to an update, as far as it is not forgotten."""
    messages = []
    for run in task.runs.kept(update.run.seq + 1):
        messages.append({"role": "user", "content": run.input})
        end = update if run is update.run else task.ends[run.seq]
        if end.text:
            messages.append({"role": "assistant", "content": end.text})
    return messages
