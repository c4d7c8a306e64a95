"""Workers of the in-memory service: their settings, tasks, files and schedules."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from ..scripts import Step
from .clock import Clock, Ids
from .files import Files
from .recent import KEPT, STREAMED
from .schedules import Planned
from .tasks import Run, TaskState, Update

__all__ = ["Context", "Settings", "WorkerState"]

#: The number of due times of schedules to handle at once: some milliseconds of work.
_BATCH = 50


@attrs.frozen(kw_only=True)
class Context:
    """The parts of the service that its workers share.

    Args:
        clock: The service's clock.
        ids: Generates ids in the longer format.
        short_ids: Generates ids in the shorter format.
        direct: Returns the steps of a run, given its instruction, and True if they are made up.
        tasks: All tasks, by id.
    """

    clock: Clock
    ids: Ids
    short_ids: Ids
    direct: Callable[[str], tuple[Sequence[Step], bool]]
    tasks: dict[str, TaskState] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a worker; see `handinger_async.WorkerTemplate`."""

    instructions: str
    title: str
    summary: str = ""
    visibility: str = "public"
    output_schema: dict[str, Any] | None = None


class WorkerState:
    """A worker of the in-memory service.

    Args:
        worker_id: The id of the worker.
        context: The parts of the service that it needs.
        settings: Its settings.
        user_id: The user who created it.
        conversation: True if it is one conversation, as in the older generation: scheduled runs go into its latest
            task, instead of a new one.

    Attributes:
        tasks: Its tasks, in the order of their creation.
        reports_ends: True if it has a webhook.
        ended: The last updates of runs whose end was not reported to a webhook, each with its task.
    """

    def __init__(
        self, worker_id: str, context: Context, settings: Settings, *, user_id: str, conversation: bool = False
    ) -> None:
        self.id = worker_id
        self.settings = settings
        self.user_id = user_id
        self.conversation = conversation
        self.created = context.clock.now()
        self.updated: float | None = None
        self.deleted = False
        self.tasks: list[TaskState] = []
        self.schedules: dict[str, Planned] = {}
        self.files = Files()
        self.reports_ends = False
        self.ended: list[tuple[TaskState, Update]] = []
        self._scheduled: deque[TaskState] = deque()
        self._past: deque[TaskState] = deque()
        self._context = context
        self._clock = context.clock
        self._busy_until = 0.0
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def latest(self) -> TaskState | None:
        """The most recent task that is not archived."""
        return next((task for task in reversed(self.tasks) if not task.archived), None)

    def start_task(self, text: str, *, at: float, task_id: str | None = None, user_id: str | None = None) -> TaskState:
        """Add a task without a run.

        Args:
            text: Its first instruction, which gives it a title.
            at: The current moment, in seconds of the service's clock.
            task_id: Its id; None for a new one.
            user_id: The user who creates it; None for a schedule.
        """
        task = TaskState(
            id=task_id or self._context.short_ids.new_short("tsk"),
            worker_id=self.id,
            title=" ".join(text.split())[:60],
            created=at,
            triggered_by="api" if user_id else "schedule",
            user_id=user_id,
        )
        self.tasks.append(task)
        self._context.tasks[task.id] = task
        return task

    def run(self, task: TaskState, text: str, budget: str | None, *, due: float) -> int:
        """Add a run to a task. It begins at ``due``, or after the task's last run if that takes longer.

        Args:
            task: The task.
            text: The instruction.
            budget: The budget; None for the budget of the last run.
            due: The earliest begin, in seconds of the service's clock.

        Returns:
            The index of its first update in the timeline.
        """
        first = len(task.updates)
        message_id = self._context.ids.new("msg")
        steps, made_up = self._context.direct(text)
        run = Run(
            seq=len(task.runs),
            place=first,
            turn_id=self._context.short_ids.new_short("trn"),
            message_id=message_id,
            input=text,
            begin=max(due, task.updates[-1].at) if task.updates else due,
            budget=budget or (task.runs[-1].budget if task.runs else "standard"),
            schema=self.settings.output_schema,
            files=tuple(path for step in steps for path in step.files),
        )
        task.add(run, steps, self.files, made_up=made_up)
        now = self._clock.now()
        task.forget(now)
        for path in run.files:
            self.files.forget(path, now)
        end = task.ends[-1]
        self._busy_until = max(self._busy_until, end.at)
        self.ended.append((task, end))
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        return first

    def forget_ended(self) -> None:
        """Report the runs that are over to nobody."""
        now = self._clock.now()
        self.ended = [(task, end) for task, end in self.ended if end.at > now]

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

        A recurring schedule that is due while the worker is still running skips that run. Schedules of a deleted worker
        stay stored, and start nothing.

        Args:
            now: The current moment; None to read the clock.

        Returns:
            True if no more of them are due.
        """
        if self.deleted:
            return True
        now = self._clock.now() if now is None else now
        is_done = self._start_due(now)
        self._forget(now)
        return is_done

    def _start_due(self, now: float) -> bool:
        for _ in range(_BATCH):
            due = min(
                (planned for planned in self.schedules.values() if planned.at <= now),
                key=lambda planned: planned.at,
                default=None,
            )
            if due is None:
                return True
            schedule = due.schedule
            if due.again is None:
                del self.schedules[schedule.id]
            else:
                following = due.again(due.at)
                moved = attrs.evolve(schedule, next_run_at=self._clock.instant(following))  # type: ignore[misc]
                self.schedules[schedule.id] = attrs.evolve(due, schedule=moved, at=following)
                if due.at < self._busy_until:
                    continue
            task = self.latest if self.conversation else None
            if task is None:
                task = self.start_task(schedule.input, at=due.at)
                self._scheduled.append(task)
            self.run(task, schedule.input, schedule.budget, due=due.at)
        return False

    def _forget(self, now: float) -> None:
        """Forget past tasks of schedules, with the limits of `TaskState.forget`, and past ends without a webhook."""
        if not self.reports_ends:
            self.forget_ended()
        while len(self._scheduled) > STREAMED and self._scheduled[0].updates[-1].at <= now:
            task = self._scheduled.popleft()
            task.updates.forget(len(task.updates) - 1)
            self._past.append(task)
        while len(self._past) > KEPT:
            task = self._past.popleft()
            if len(task.runs) == 1:  # nobody has continued it
                self.tasks.remove(task)
                del self._context.tasks[task.id]

    async def wait_for(self, task: TaskState, place: int) -> tuple[int, Update] | None:
        """Wait until the update at index ``place`` of a task's timeline takes effect.

        Returns:
            Its index and the update, or the first one that is kept; None if the task is over without it.
        """
        while True:
            now = self._clock.now()
            # Runs that are due come after the updates there are: a reader who is behind has them made as it reads.
            if place >= len(task.updates) and not self.start_due(now):
                await asyncio.sleep(0)
                continue
            place = max(place, task.updates.first)
            if place < len(task.updates):
                update = task.updates[place]
                if update.at <= now:
                    return place, update
                await asyncio.sleep(update.at - now)
            elif task.updates[-1].is_final:
                return None
            else:
                await self.grow(now)

    async def wait_for_end(self, task: TaskState, run: int) -> Update:
        """Wait until a run is over, and return its last update. A run that a script leaves open ends with the next."""
        end = task.ends[run]
        while True:
            now = await self.catch_up()
            if end.at > now:
                await asyncio.sleep(end.at - now)
            elif end.is_final:
                return end
            elif run + 1 < len(task.ends):
                run = max(run + 1, task.ends.first)
                end = task.ends[run]
            else:
                await self.grow(now)

    async def grow(self, now: float, until: float | None = None) -> None:
        """Wait until there is another run, the next schedule is due, or the moment ``until``."""
        moments = [planned.at for planned in self.schedules.values() if not self.deleted]
        following = min(moments if until is None else [*moments, until], default=None)
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=None if following is None else following - now)
        finally:
            self._waiting.discard(waiter)
