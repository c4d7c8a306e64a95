"""The runs of a batch: each input is run once, also if the program ends in between and is started again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import attrs

from ..errors import (
    APIConnectionError,
    APIError,
    ConfigurationError,
    RateLimitError,
    RunError,
    RunFailedError,
    RunTimeoutError,
    RunUnknownError,
)
from ..http import Request, Response
from ..models.outcomes import Outcome
from ..schema import make_schema
from .calls import Settings
from .gates import Gate
from .polling import UpdateFunction, run_deadline
from .records import Records
from .runs import INTERRUPTED, Job, decode_output, find_run, is_older, make_template, run
from .starting import OtherwisePolicy
from .task_runs import SETTLING

if TYPE_CHECKING:
    from .journal import Row

__all__ = ["BatchRuns", "Entry"]

#: Requests for a run after the first, if it is refused with status 429.
_PATIENCE = 20
#: A request as those that start runs, for the retry policy.
_POST = Request("POST", "/api/tasks", {}, b"")


@attrs.define(eq=False)
class Entry:
    """An input of a batch.

    Args:
        index: Its number, from 0.
        input: The input, as it was given.
        arguments: The arguments of its run.
        digest: Its fingerprint; ``""`` without a journal.
        row: What the journal knows of it.

    Attributes:
        ids: The ids of its worker and task, as far as they are known.
        started: True once a service of the older generation has started its run.
    """

    index: int
    input: Any
    arguments: Mapping[str, Any]
    digest: str = ""
    row: Row | None = None
    ids: dict[str, str | None] = attrs.field(factory=lambda: {"worker_id": None, "task_id": None}, init=False)
    started: bool = attrs.field(default=False, init=False)

    def expired(self, deadline: float) -> RunTimeoutError:
        """Return the error for the end of the time."""
        return RunTimeoutError(f"the run had not ended after {deadline:g} s", **self.ids)


class _GatePolicy(OtherwisePolicy):
    """A retry policy that leaves requests that are refused with 429 to the gate of the batch."""

    def delay(self, request: Request, outcome: Response | APIConnectionError, **options: Any) -> float | None:
        """Decide as the policy does, except about a POST that is refused with 429."""
        if isinstance(outcome, Response) and outcome.status == 429 and request.method == "POST":
            return None
        return super().delay(request, outcome, **options)


class BatchRuns:
    """Performs the runs of a batch.

    Args:
        settings: The settings of the session.
        records: The journal.
        concurrency: The number of runs at a time.
        defaults: The arguments of all runs.
        output_schema: The output schema of all runs.
        on_update: Called with the number of an input and each new state of its run.
        repeat_unknown: Run inputs again whose runs may have been started, but are unknown to the service.
    """

    def __init__(
        self,
        settings: Settings,
        records: Records,
        *,
        concurrency: int,
        defaults: Mapping[str, Any],
        output_schema: Any,
        on_update: Callable[[int, Any], object] | None,
        repeat_unknown: bool,
    ) -> None:
        self._policy = settings.options.retry
        options = attrs.evolve(settings.options, retry=_GatePolicy(self._policy))
        self._settings: Settings = attrs.evolve(settings, options=options)
        self._records = records
        self._gate = Gate(settings.pool, concurrency, self._policy)
        self._defaults = defaults
        self._output_schema = output_schema
        self._on_update = on_update
        self._repeat_unknown = repeat_unknown
        self._template: str | None = None
        self._once = asyncio.Lock()
        self._workers: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def check(self) -> None:
        """Check that the batch is the one of the journal.

        Raises:
            ConfigurationError: The template of the journal has another output schema.
        """
        if self._output_schema is None or self._defaults["worker_id"] is not None:
            schema = "{}"
        else:
            schema = json.dumps(make_schema(self._output_schema), sort_keys=True)
        if await self._records.call("fact", "schema", schema) not in (schema, None):
            raise ConfigurationError("the journal is of a batch with another output_schema")

    async def run(self, entry: Entry, ends: float | None) -> Outcome[Any]:
        """Perform the run of an input, or wait for the one that was started before.

        Args:
            entry: The input.
            ends: The time of the event loop at which to give up; None for no limit.

        Raises:
            HandingerError: It has no outcome.
            OSError: A file cannot be read, or the journal cannot be written.
        """
        row = entry.row
        if row is not None and row.result is not None:
            from .journal import load_result

            return decode_output(load_result(row.result), self._output_schema)
        try:
            outcome = await self._run(entry, ends)
        except RunFailedError as error:
            with suppress(OSError):  # which the batch reports: the failure is known nevertheless
                await self._records.call("finish", entry.index, error)
            raise
        with suppress(OSError):
            await self._records.call("finish", entry.index, outcome)
        return decode_output(outcome, self._output_schema)

    async def _run(self, entry: Entry, ends: float | None) -> Outcome[Any]:
        try:
            if entry.row is not None and entry.row.posted:
                return await self._find(entry, entry.row, ends)
            return await self._start(entry, ends)
        except RunUnknownError:
            started = entry.started or (entry.row is not None and entry.row.started)
            if started or not self._repeat_unknown or self._settings.pool.closed:
                raise
        return await self._start(entry, ends, again=True)

    async def _find(self, entry: Entry, row: Row, ends: float | None) -> Outcome[Any]:
        """Wait for a run that was started before, or may have been."""
        entry.ids = {"worker_id": row.worker_id, "task_id": row.task_id}
        if row.task_id is None:  # of the older generation
            if not row.started:
                raise RunUnknownError(f"the run may have been started: {INTERRUPTED}", **entry.ids)
            if self._worker_of(entry) is not None:
                reason = "the run was started; the state of its worker may be that of another run"
                raise RunUnknownError(reason, **entry.ids)
        now = time.time()  # the clock that a later process shares
        sought = await self._records.call("sought", entry.index, now)
        return await find_run(
            self._settings,
            **entry.ids,
            grace=min(max(0.0, SETTLING - (now - sought)), SETTLING),
            ends=ends,
            on_update=self._updates(entry),
        )

    def _worker_of(self, entry: Entry) -> str | None:
        """Return the worker that the caller has chosen."""
        return entry.arguments.get("worker_id", self._defaults["worker_id"])  # type: ignore[no-any-return]

    @asynccontextmanager
    async def _alone(self, entry: Entry) -> AsyncIterator[None]:
        """Let a worker of the older generation perform one run at a time: its state does not tell whose it is."""
        worker_id = self._worker_of(entry)
        alone: asyncio.Lock | nullcontext[None] = nullcontext()
        if isinstance(worker_id, str):
            try:
                older = await self._is_older()
            except APIError:  # the service does not say: the run itself will tell
                older = True
            if older:
                alone = self._workers.setdefault(worker_id, asyncio.Lock())
        async with alone:
            yield

    async def _is_older(self) -> bool:
        async with self._once:
            return await is_older(self._settings)

    async def _start(self, entry: Entry, ends: float | None, *, again: bool = False) -> Outcome[Any]:
        """Request a run when the gate admits it, again if the service refuses it with 429.

        Args:
            entry: The input.
            ends: The time of the event loop at which to give up.
            again: The run may have been requested before.
        """
        loop = asyncio.get_running_loop()
        for refusals in count(1):
            left = None if ends is None else ends - loop.time()
            if left is not None and left <= 0:
                raise RunTimeoutError("the time was over before this run", **entry.ids)
            limit = nullcontext() if left is None else run_deadline(self._settings, left, lambda: entry)
            async with limit as scope, self._alone(entry), self._gate.admit() as admission:
                try:
                    job = await self._prepare(entry, again=again)
                    if scope is not None:
                        scope.reschedule(None)  # the run keeps the time itself: it knows whether it is over
                    outcome = await self._post(entry, job, ends, again=again)
                except RateLimitError as error:
                    if not self._slow_down(error, admission) or refusals > _PATIENCE:
                        raise
                else:
                    self._gate.succeed()
                    return outcome
        raise AssertionError("not reached")

    def _slow_down(self, error: RateLimitError, admission: int) -> bool:
        """Close the gate after a refusal; return True if the policy permits another request."""
        delay = self._policy.delay(_POST, error.response, attempt=1)
        asked = error.retry_after
        if delay is None:  # longer than the policy permits, or it permits none: the others wait nevertheless
            asked = min(asked or 0.0, self._policy.max_retry_after)
        self._gate.refuse(admission, asked)
        return delay is not None

    async def _prepare(self, entry: Entry, *, again: bool) -> Job:
        """Record that a run is about to be requested; return its arguments."""
        job = await self._job(entry, again=again)
        task_id = None if self._settings.generation.older else job.operation.task_id
        entry.ids = {"worker_id": job.worker_id, "task_id": task_id}
        try:
            await self._records.call("post", entry.index, entry.digest, task_id, job.worker_id)
        except asyncio.CancelledError:  # before anything was sent
            if not again:
                self._records.submit("refuse", entry.index)
            raise
        return job

    async def _post(self, entry: Entry, job: Job, ends: float | None, *, again: bool) -> Outcome[Any]:
        try:
            return await run(self._settings, job, ends)
        except RunError:
            raise
        except (APIError, OSError, ConfigurationError):  # the run was not started, unless it was before
            if not again and not self._settings.pool.closed:
                with suppress(OSError):
                    await self._records.call("refuse", entry.index)
            raise

    async def _job(self, entry: Entry, *, again: bool) -> Job:
        """Return the arguments of a run."""
        arguments = {**self._defaults, **entry.arguments}
        if again and entry.ids["task_id"] is not None and not await self._is_older():
            arguments["new_task_id"] = entry.ids["task_id"]  # if it turns up after all, it is waited for
        if arguments.get("worker_id") is None and self._output_schema is not None:
            arguments["worker_id"] = await self._find_template()
        return Job(**arguments, on_start=partial(self._note_start, entry), on_update=self._updates(entry))

    async def _find_template(self) -> str:
        """Return the worker with the output schema of the batch; make it if there is none."""
        async with self._once:
            template = self._template or await self._records.call("fact", "template")
            if template is None:
                made = await make_template(self._settings, make_schema(self._output_schema))
                template = await self._records.call("fact", "template", made) or made
            self._template = str(template)
        return self._template

    async def _note_start(self, entry: Entry, worker_id: str | None, task_id: str | None) -> None:
        """Take note of the worker that a service of the older generation has started."""
        if task_id is None:
            entry.started = True
            entry.ids = {"worker_id": worker_id, "task_id": None}
            with suppress(OSError):
                await self._records.call("start", entry.index, worker_id)

    def _updates(self, entry: Entry) -> UpdateFunction | None:
        return None if self._on_update is None else partial(self._on_update, entry.index)
