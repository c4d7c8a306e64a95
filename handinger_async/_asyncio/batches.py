"""`RunMany`: the runs of many inputs, a number of them at a time."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sized
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

import attrs

from .._values import by_value
from ..errors import ConfigurationError, RunTimeoutError, RunUnknownError, quoted
from ..models.outcomes import Outcome
from .calls import Settings
from .polling import check_arguments
from .records import Records

if TYPE_CHECKING:
    from .batch_runs import Entry
    from .progress import Progress

__all__ = ["RunMany", "RunResult"]

T = TypeVar("T")

#: The arguments of `Session.run` that an input can have of its own.
_OWN = frozenset({"input", "worker_id", "budget", "files"})
#: The number of inputs without a result that are kept while those of a journal are compared, before the first is sent.
_MAX_COMPARED = 1000
_END = object()


@by_value
@attrs.frozen(eq=False, repr=False)
class RunResult(Generic[T]):
    """The result of one input of a batch: an outcome or an error.

    Args:
        index: The number of the input, from 0.
        input: The input, as it was given.
        outcome: The outcome; None if there is none.
        error: The reason why there is none: what `Session.run` raises.
    """

    index: int
    input: Any
    outcome: Outcome[T] | None
    error: Exception | None


class RunMany(Generic[T]):
    """The results of a batch, as they complete; see `Session.run_many`.

    ::

        async with session.run_many(inputs) as results:
            async for result in results:
                print(result.index, result.outcome or result.error)

    Leaving the ``async with`` ends the waiting. Runs that are started go on at the service.
    """

    def __init__(
        self,
        settings: Settings,
        inputs: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int,
        defaults: Mapping[str, Any],
        output_schema: Any,
        deadline: float | None,
        on_update: Callable[[int, Any], object] | None,
        journal: str | os.PathLike[str] | None,
        repeat_unknown: bool,
        progress: bool,
    ) -> None:
        from .batch_runs import BatchRuns  # here, since most programs run no batch

        check_arguments(deadline, on_update=on_update)
        if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
            raise ConfigurationError(f"concurrency must be a number of runs above zero, not {quoted(concurrency)}")
        if not isinstance(inputs, Iterable | AsyncIterable) or isinstance(inputs, str | bytes | Mapping):
            raise ConfigurationError(f"inputs must be an iterable of inputs, not {type(inputs).__name__}")
        if journal is not None and (not isinstance(journal, str | os.PathLike) or not os.fspath(journal)):
            raise ConfigurationError(f"journal must be the path of a file, not {quoted(journal)}")
        self._settings = settings
        self._inputs: Iterator[Any] | AsyncIterator[Any]
        self._inputs = aiter(inputs) if isinstance(inputs, AsyncIterable) else iter(inputs)
        self._total = len(inputs) if isinstance(inputs, Sized) else None
        self._defaults = defaults
        self._deadline = deadline
        self._has_journal = journal is not None
        self._records = Records(journal)
        self._runs = BatchRuns(
            settings,
            self._records,
            concurrency=concurrency,
            defaults=defaults,
            output_schema=output_schema,
            on_update=on_update,
            repeat_unknown=repeat_unknown,
        )
        self._shows_progress = progress
        self._progress: Progress | None = None
        self._slots = asyncio.Semaphore(concurrency)  # of the inputs that are taken and whose results are not
        self._working: set[asyncio.Task[None]] = set()
        self._ready: deque[RunResult[T]] = deque()
        self._news = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._ends: float | None = None
        self._has_all = self._closed = False

    async def __aenter__(self) -> Self:
        if self._feeder is not None or self._closed:
            raise ConfigurationError("a batch can be entered once")
        try:
            await self._records.open()
            await self._runs.check()
            if self._shows_progress:
                from .progress import Progress

                self._progress = Progress(self._total)
        except BaseException:
            await self.aclose()
            raise
        if self._deadline is not None:
            self._ends = asyncio.get_running_loop().time() + self._deadline
        self._feeder = asyncio.create_task(self._feed_all())
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RunResult[T]:
        """Return the next result.

        Raises:
            ConfigurationError: The inputs are not those of the journal, or this is outside of its ``async with``.
            RunTimeoutError: Inputs are left at the deadline.
            OSError: The journal cannot be written.
            Exception: Whatever the inputs raise, once the results before are returned.
        """
        if self._feeder is None:
            raise ConfigurationError("a batch is used with 'async with'")
        while not self._ready:
            if self._closed or (self._has_all and not self._working):
                await self._end()
            self._news.clear()
            await self._news.wait()
        self._slots.release()
        return self._ready.popleft()

    async def _end(self) -> NoReturn:
        """Raise the failure of the batch the first time, and then the end of the iteration."""
        await self.aclose()
        # Without a reference to it here, which would be in a cycle.
        failures = [failure for failure in (self._failure, self._records.failure) if failure is not None]
        self._failure = self._records.failure = None
        raise failures.pop(0) if failures else StopAsyncIteration

    async def aclose(self) -> None:
        """Stop waiting for runs, which go on at the service, and close the journal. Idempotent."""
        self._closed = True
        self._news.set()
        tasks = self._working if self._feeder is None else {*self._working, self._feeder}
        for task in tasks:
            task.cancel()
        try:
            while pending := {task for task in tasks if not task.done()}:
                await asyncio.wait(pending)
        finally:
            if self._progress is not None:
                self._progress.stop()  # raises nothing
            await self._records.close()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # Inputs ###########################################################################################################

    async def _feed_all(self) -> None:
        try:
            await self._feed()
        except Exception as error:  # of the inputs, for the caller
            self._failure = error
        except asyncio.CancelledError as error:
            if self._closed:
                raise
            self._failure = ConfigurationError("the inputs ended with a CancelledError")
            self._failure.__cause__ = error
        finally:
            self._has_all = True
            self._news.set()

    async def _feed(self) -> None:
        """Start the runs. Those of a journal are compared with it before any of them is requested."""
        waiting: deque[Entry] = deque()
        index = -1
        while self._records.failure is None:
            await self._slots.acquire()
            try:
                given = await self._take()
            except (Exception, asyncio.CancelledError):
                if not self._closed:
                    self._slots.release()
                    await self._launch_all(waiting)
                raise
            if self._closed:  # and the inputs went on after a CancelledError
                return
            if given is _END:
                self._slots.release()
                break
            index += 1
            entry = await self._make_entry(index, given)
            if entry is not None and entry.row is not None and entry.row.result is not None:
                self._launch(entry)
            elif entry is not None:
                self._slots.release()
                waiting.append(entry)
            if index >= self._records.last or len(waiting) >= _MAX_COMPARED:
                await self._launch_all(waiting)
        else:
            return
        if index < self._records.last:
            raise ConfigurationError(
                f"the journal is of other inputs: it has {self._records.last + 1} or more, not {index + 1}"
            )
        await self._launch_all(waiting)

    async def _launch_all(self, waiting: deque[Entry]) -> None:
        """Start runs, each when there is a slot for it."""
        while waiting:
            await self._slots.acquire()
            self._launch(waiting.popleft())

    async def _take(self) -> Any:
        """Return the next input.

        Raises:
            RunTimeoutError: There is one, but the time is over.
        """
        if isinstance(self._inputs, AsyncIterator):
            scope = asyncio.timeout_at(self._ends)
            try:
                async with scope:
                    given = await anext(self._inputs, _END)
            except TimeoutError:
                if not scope.expired():
                    raise
                given = None
        else:
            given = next(self._inputs, _END)
        if given is not _END and self._ends is not None and asyncio.get_running_loop().time() >= self._ends:
            raise RunTimeoutError(f"the batch had not ended after {self._deadline:g} s: inputs are left")
        return given

    async def _make_entry(self, index: int, given: Any) -> Entry | None:
        """Compare an input with the journal; return None if it cannot be recorded, which is its result."""
        from .batch_runs import Entry

        arguments = dict(given) if isinstance(given, Mapping) else {"input": given}
        if isinstance(files := arguments.get("files"), Iterator) and not hasattr(files, "read"):
            arguments["files"] = tuple(files)  # it is read twice
        if not self._has_journal:
            return Entry(index, given, arguments)
        from .journal import fingerprint

        try:
            digest = fingerprint({**self._defaults, **arguments})
        except ConfigurationError as error:
            if index <= self._records.last:  # there is another input in the journal
                raise
            self._add(RunResult(index, given, None, error.with_traceback(None)))
            return None
        return Entry(index, given, arguments, digest, await self._records.call("find", index, digest))

    # Runs #############################################################################################################

    def _launch(self, entry: Entry) -> None:
        task = asyncio.create_task(self._work(entry))
        self._working.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._news.set()

    async def _work(self, entry: Entry) -> None:
        outcome = None
        failure: Exception | None = None
        try:
            _check_input(entry.arguments)
            outcome = await self._runs.run(entry, self._ends)
        except Exception as error:
            failure = error
        except asyncio.CancelledError as error:
            if self._closed:
                raise
            failure = RunUnknownError("the run ended with a CancelledError", **entry.ids)
            failure.__cause__ = error
        try:
            self._add(RunResult(entry.index, entry.input, outcome, failure))
        finally:
            failure = None  # which has this frame, in a cycle

    def _add(self, result: RunResult[T]) -> None:
        self._ready.append(result)
        self._news.set()
        if self._progress is not None:
            self._progress.add(failed=result.error is not None)


def _check_input(arguments: Mapping[str, Any]) -> None:
    if unknown := arguments.keys() - _OWN:
        raise ConfigurationError(
            f"an input has {quoted(min(map(str, unknown)))}, which is none of {', '.join(sorted(_OWN))}"
        )
    if "input" not in arguments:
        raise ConfigurationError("an input has no 'input'")
