"""Tasks of the newer generation behind faults, against a model: nothing is lost, no input runs twice.

So are settings of templates and webhooks: each run that ends while there is a webhook is delivered once.

In the model a run takes one second, and tasks of one worker run side by side; all times are whole seconds.
"""

import asyncio
import itertools
from collections import Counter
from contextlib import suppress
from json import loads

import attrs
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from handinger_async import APIError, DelayedWhen, IntervalWhen, NotFoundError, RetryPolicy, Session
from handinger_async.operations import (
    CreateTask,
    CreateWorkerTemplate,
    DeleteTask,
    DeleteWorker,
    ListTaskTurns,
    RegenerateWebhookToken,
    RetrieveTask,
    RetrieveWorker,
    UpdateWorker,
)
from handinger_async.testing import FakeHandinger
from handinger_async.testing.faults import Cut, Drop, FaultyHandler, Refuse, Status, Trickle
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import VirtualTimeLoop
from handinger_async.transports.memory import MemoryTransport

#: Seconds after which a run that hangs fails; it takes many times as long on a busy machine as on an idle one.
pytestmark = [pytest.mark.timeout(600), pytest.mark.long]

URLS = ["https://a.example/hook", "https://b.example/hook"]

TEXTS = st.sampled_from(["sun", "rain", "snow"])


@attrs.define
class ModelledTask:
    runs: list[tuple[int, str]] = attrs.field(factory=list)
    archived: bool = False

    def run(self, now, text):
        self.runs.append((max(now, self.runs[-1][0] + 1) if self.runs else now, text))

    def statuses(self, now):
        return ["completed" if begin + 1 <= now else "pending" for begin, _ in self.runs]


@attrs.define
class ModelledWorker:
    tasks: list[ModelledTask] = attrs.field(factory=list)
    schedules: list[list] = attrs.field(factory=list)  # due time, interval or None, text
    deleted: bool = False
    settings: dict = attrs.field(factory=dict)
    hooked: list[list] = attrs.field(factory=list)  # when a webhook was set, and when it was removed, or None
    token: str | None = None

    @property
    def has_hook(self):
        return bool(self.hooked) and self.hooked[-1][1] is None

    def deliveries(self, task, now):
        ends = [begin + 1 for begin, _ in task.runs if begin + 1 <= now]
        return sum(any(made < end <= (now if gone is None else gone) for made, gone in self.hooked) for end in ends)

    def start(self, now, text):
        task = ModelledTask()
        task.run(now, text)
        self.tasks.append(task)
        return task

    def advance(self, now):
        while not self.deleted and (ready := [plan for plan in self.schedules if plan[0] <= now]):
            plan = min(ready, key=lambda plan: plan[0])
            due, every, text = plan
            busy_until = max((task.runs[-1][0] + 1 for task in self.tasks), default=0)
            if every is None:
                self.schedules.remove(plan)
            else:
                plan[0] += every
            if every is None or due >= busy_until:
                self.start(due, text)


class Tasks(RuleBasedStateMachine):
    workers = Bundle("workers")
    tasks = Bundle("tasks")

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.delivered = []
        self.fake = FakeHandinger(api="today", deliver=self.delivered.append)
        self.fake.script(Step("done", after=1))
        self.handler = FaultyHandler(self.fake)
        self.ids = (f"task-{number}" for number in itertools.count())
        self.model = {}
        self.named = {}  # the modelled tasks that a client started, with their workers, by id
        self.session = self.new_session()
        with pytest.raises(NotFoundError):  # the first request starts the clock
            self.await_(self.session.send(RetrieveTask("nobody")))

    def new_session(self):
        retry = RetryPolicy(max_retries=1000, initial_delay=0)
        return Session(api_key="k", transport=MemoryTransport(self.handler), retry=retry)

    def await_(self, work):
        async def main():
            return await work

        return self.runner.run(main())

    def teardown(self):
        self.await_(self.session.aclose())
        self.runner.close()

    def now(self):
        now = self.runner.get_loop().time()
        assert now == pytest.approx(round(now), abs=1e-3)
        for modelled in self.model.values():
            modelled.advance(round(now))
        return round(now)

    async def post(self, operation, turns):
        """Send an operation until its task has more than ``turns`` turns: never again once it may have been performed.

        The faults here perform a request before its response is lost, or never: a look at the task tells.
        """
        while True:
            try:
                return await self.session.send(operation)
            except APIError:
                try:
                    shown = await self.session.send(RetrieveTask(operation.task_id))
                except NotFoundError:
                    continue
                if len(shown.turns) > turns:
                    return None

    def run(self, operation, turns=0):
        """Post a task, and wait for the end of its run."""
        self.now()
        self.await_(self.post(operation, turns))

    @rule(target=workers)
    def create_template(self):
        known = set(self.model)
        while True:  # a template costs nothing: one that was lost is made again
            try:
                worker = self.await_(self.session.send(CreateWorkerTemplate()))
                break
            except APIError:
                pass
        for lost in self.await_(self.look())[0].keys() - known - {worker.id}:
            self.model[lost] = ModelledWorker()
        self.model[worker.id] = ModelledWorker()
        return worker.id

    @rule(target=tasks, worker_id=workers, text=TEXTS)
    def start(self, worker_id, text):
        now, task_id = self.now(), next(self.ids)
        self.named[task_id] = worker_id, self.model[worker_id].start(now, text)
        self.run(CreateTask(input=text, task_id=task_id, worker_id=worker_id))
        return task_id

    @rule(target=tasks, text=TEXTS)
    def start_without_a_worker(self, text):
        now, task_id = self.now(), next(self.ids)
        self.run(CreateTask(input=text, task_id=task_id))
        worker_id = self.await_(self.look())[1][task_id].task.worker_id
        assert worker_id not in self.model
        self.model[worker_id] = ModelledWorker()
        self.named[task_id] = worker_id, self.model[worker_id].start(now, text)
        return task_id

    @rule(task_id=tasks, text=TEXTS)
    def continue_(self, task_id, text):
        now = self.now()
        worker_id, modelled = self.named[task_id]
        turns = len(modelled.runs)
        if self.model[worker_id].deleted:
            with pytest.raises(NotFoundError):
                self.await_(self.send_surely(CreateTask(input=text, task_id=task_id)))
            return
        modelled.run(now, text)
        self.run(CreateTask(input=text, task_id=task_id), turns)

    async def send_surely(self, operation):
        """Send an operation that changes nothing the second time."""
        while True:
            try:
                return await self.session.send(operation)
            except NotFoundError:
                raise
            except APIError:
                pass

    @rule(first=tasks, second=tasks, text=TEXTS)
    def continue_in_two_sessions_at_once(self, first, second, text):
        """Two clients post a turn each, to two tasks or to the same one: both run, and each post is performed once."""
        now = self.now()
        if any(self.model[self.named[task_id][0]].deleted for task_id in (first, second)):
            return
        self.handler.faults.clear()  # a look at the task does not tell whose turn was lost

        async def main():
            async with self.new_session() as other:
                posted = [CreateTask(input=text, task_id=task_id) for task_id in (first, second)]
                await asyncio.gather(self.session.send(posted[0]), other.send(posted[1]))

        for task_id in (first, second):
            self.named[task_id][1].run(now, text)
        self.await_(main())

    @rule(task_id=tasks, text=TEXTS, iterations=st.integers(0, 12), closing=st.booleans())
    def give_up(self, task_id, text, iterations, closing):
        """A run goes on when its client does not wait for it: the request is cancelled, or its session closed."""
        now = self.now()
        worker_id, modelled = self.named[task_id]

        async def main():
            posting = asyncio.create_task(self.session.send(CreateTask(input=text, task_id=task_id)))
            for _ in range(iterations):
                await asyncio.sleep(0)
            if closing:
                await self.session.aclose()
                self.session = self.new_session()
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert all("Deliveries" in task.get_coro().__qualname__ for task in left)
            return len(self.fake.tasks[task_id].turns)

        turns = self.await_(main())
        if not self.model[worker_id].deleted and turns > len(modelled.runs):
            modelled.run(now, text)

    @rule(task_id=tasks)
    def archive(self, task_id):
        self.now()
        assert self.await_(self.send_surely(DeleteTask(task_id))).archived
        self.named[task_id][1].archived = True

    @rule(worker_id=consumes(workers))
    def delete(self, worker_id):
        self.now()
        if not self.model[worker_id].deleted:
            with suppress(NotFoundError):  # where the response to an earlier request was lost
                assert self.await_(self.send_surely(DeleteWorker(worker_id))).deleted
            self.model[worker_id].deleted = True

    @rule(
        worker_id=workers,
        changes=st.fixed_dictionaries(
            {},
            optional={"title": TEXTS, "summary": TEXTS, "output_schema": st.sampled_from([None, {"type": "object"}])},
        ),
    )
    def update(self, worker_id, changes):
        self.now()
        shown = self.await_(self.send_surely(UpdateWorker(worker_id, **changes)))
        expected = self.model[worker_id].settings
        expected.update(changes)
        assert {name: getattr(shown, name) for name in expected} == expected

    @rule(worker_id=workers, text=TEXTS, urls=st.lists(st.sampled_from([None, *URLS]), min_size=1, max_size=4))
    def set_webhook(self, worker_id, text, urls):
        for url in urls:
            now, modelled = self.now(), self.model[worker_id]
            hook = self.await_(self.session.workers.webhooks.update(worker_id, url=url))
            assert (hook.url, hook.token is None) == (url, url is None)
            if modelled.has_hook and url is not None:
                assert hook.token == modelled.token
            elif modelled.has_hook:
                modelled.hooked[-1][1] = now
            elif url is not None:
                modelled.hooked.append([now, None])
            modelled.token = hook.token
            self.start(worker_id, text)

    @rule(worker_id=workers)
    def regenerate_token(self, worker_id):
        self.now()
        modelled = self.model[worker_id]
        if modelled.has_hook:
            hook = self.await_(self.send_surely(RegenerateWebhookToken(worker_id)))
            assert hook.token != modelled.token
            modelled.token = hook.token

    @rule(worker_id=workers, text=TEXTS, seconds=st.integers(1, 5), recurs=st.booleans())
    def schedule(self, worker_id, text, seconds, recurs):
        now = self.now()
        when = IntervalWhen(interval_seconds=seconds) if recurs else DelayedWhen(delay_in_seconds=seconds)
        once = self.session.with_options(idempotency_key=f"schedule-{next(self.ids)}")
        self.await_(once.workers.schedules.create(worker_id, input=text, when=when))
        self.model[worker_id].schedules.append([now + seconds, seconds if recurs else None, text])

    @rule(seconds=st.integers(1, 5))
    def clock(self, seconds):
        self.await_(asyncio.sleep(seconds))

    @rule(
        fault=st.sampled_from([Refuse, Drop])
        | st.sampled_from([429, 500, 503]).map(lambda status: lambda **common: Status(status, retry_after=0, **common))
        | st.integers(0, 2000).map(lambda at: lambda **common: Cut(at, **common))
        | st.integers(1, 2000).map(lambda size: lambda **common: Trickle(size, 0, **common)),
        times=st.integers(1, 3),
        skip=st.integers(0, 2),
    )
    def disturb(self, fault, times, skip):
        self.handler.faults.append(fault(times=times, skip=skip))

    @rule(task_id=tasks)
    def retrieve(self, task_id):
        now = self.now()
        worker_id, modelled = self.named[task_id]
        shown = self.await_(self.session.send(RetrieveTask(task_id)))
        self.check(shown, modelled, now)
        assert self.await_(self.session.send(ListTaskTurns(task_id))).items == shown.turns
        worker = self.model[worker_id]
        latest = next((task for task in reversed(worker.tasks) if not task.archived), None)
        if worker.deleted:
            with pytest.raises(NotFoundError):
                self.await_(self.session.send(RetrieveWorker(worker_id)))
        elif latest is not None:
            seen = self.await_(self.session.send(RetrieveWorker(worker_id)))
            asked = [message["content"] for message in seen.messages if message["role"] == "user"]
            assert asked == [text for begin, text in latest.runs if begin <= now]

    @invariant()
    def every_input_ran_once(self):
        now = self.now()
        workers, tasks = self.await_(self.look())
        assert workers.keys() == {key for key, modelled in self.model.items() if not modelled.deleted}
        for worker_id, modelled in self.model.items():
            shown = [task for task in tasks.values() if task.task.worker_id == worker_id]
            for task, expected in zip(shown, modelled.tasks, strict=True):
                self.check(task, expected, now)
        wanted = [text for modelled in self.model.values() for task in modelled.tasks for _, text in task.runs]
        assert self.fake.runs == Counter(wanted)

    @invariant()
    def every_run_is_delivered_once(self):
        now = self.now()
        tasks = self.await_(self.look())[1].values()
        expected = Counter()
        for worker_id, modelled in self.model.items():
            shown = [task.task.id for task in tasks if task.task.worker_id == worker_id]
            for task_id, task in zip(shown, modelled.tasks, strict=True):
                expected[task_id] = modelled.deliveries(task, now)
        self.await_(self.wait_for_deliveries(expected.total()))
        assert Counter(loads(request.body)["task"]["id"] for request in self.delivered) == +expected

    async def wait_for_deliveries(self, number):
        for _ in range(1000):  # iterations of the event loop: a delivery takes a few
            if len(self.delivered) < number:
                await asyncio.sleep(0)

    async def look(self):
        return self.fake.workers, self.fake.tasks

    def check(self, shown, modelled, now):
        statuses = modelled.statuses(now)
        assert [(turn.input, turn.status) for turn in shown.turns] == [
            (text, status) for (_, text), status in zip(modelled.runs, statuses, strict=True)
        ]
        assert (shown.task.status == "completed") == (set(statuses) == {"completed"})


Tasks.TestCase.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, phases=[Phase.generate, Phase.shrink]
)
TestTasks = Tasks.TestCase
