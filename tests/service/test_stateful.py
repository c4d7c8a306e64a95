"""A session, a service and faults between them, against a model: nothing is lost, nothing is performed twice.

In the model a run takes one second, and schedules have due times; all times are whole seconds.
"""

import asyncio
import inspect
import itertools

import attrs
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from handinger_async import (
    APIConnectionError,
    APIError,
    ConfigurationError,
    DelayedWhen,
    IntervalWhen,
    NotFoundError,
    RetryPolicy,
    Session,
    StreamInterruptedError,
    to_dict,
)
from handinger_async.testing import FakeHandinger
from handinger_async.testing.fake import START
from handinger_async.testing.faults import Cut, Drop, FaultyHandler, Refuse, Status, Trickle
from handinger_async.testing.scripts import Step
from handinger_async.testing.virtual_time import VirtualTimeLoop
from handinger_async.transports.memory import MemoryTransport

#: Seconds after which a run that hangs fails; it takes many times as long on a busy machine as on an idle one.
pytestmark = [pytest.mark.timeout(600), pytest.mark.long]

TEXTS = st.sampled_from(["sun", "rain", "snow"])


@attrs.define
class Planned:
    due: int
    every: int | None
    text: str


@attrs.define
class Modelled:
    runs: list[tuple[int, str]] = attrs.field(factory=list)
    schedules: dict[str, Planned] = attrs.field(factory=dict)

    @property
    def free_at(self):
        return self.runs[-1][0] + 1 if self.runs else 0

    def run(self, due, text):
        self.runs.append((max(due, self.free_at), text))

    def advance(self, now):
        while ready := [
            (plan.due, place, key) for place, (key, plan) in enumerate(self.schedules.items()) if plan.due <= now
        ]:
            due, _, key = min(ready)
            plan = self.schedules[key]
            if plan.every is None:
                del self.schedules[key]
            else:
                plan.due += plan.every
            if plan.every is None or due >= self.free_at:
                self.run(due, plan.text)


class Limited:
    """The first events of a stream; all for None."""

    def __init__(self, events, count):
        self.events, self.left = events, count

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.left == 0:
            raise StopAsyncIteration
        self.left = None if self.left is None else self.left - 1
        return await anext(self.events)


def without_message_ids(workers):
    """Return workers as dicts. Their messages have ids in the order in which somebody looked at them."""
    shown = {key: to_dict(worker) for key, worker in workers.items()}
    for worker in shown.values():
        for message in worker["output"]:
            del message["id"]
    return shown


class Service(RuleBasedStateMachine):
    workers = Bundle("workers")
    schedules = Bundle("schedules")

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.fake = self.new_fake()
        self.handled = []  # the requests to the service, each with its moment; None for a look at it
        self.handler = FaultyHandler(self.handle)
        self.before = 0  # seconds that passed in earlier event loops
        self.sessions = [self.new_session(), self.new_session()]
        self.turns = itertools.count()
        self.keys = itertools.count()
        self.model = {}
        self.read_clock()

    def new_fake(self):
        fake = FakeHandinger()
        fake.script(Step("done", after=1))
        return fake

    def handle(self, request):
        self.handled.append((self.fake._clock.now(), request))
        return self.fake(request)

    def read_clock(self):
        """Send a request: the service learns of the time that has passed from its requests alone."""
        with pytest.raises(NotFoundError):
            self.await_(self.session.workers.retrieve("nobody"))

    def new_session(self):
        return Session(
            api_key="k",
            transport=MemoryTransport(self.handler),
            retry=RetryPolicy(max_retries=1000, initial_delay=0),
        )

    @property
    def session(self):
        """One of the two sessions, by turns."""
        return self.sessions[next(self.turns) % 2]

    def teardown(self):
        self.await_(self.close())
        self.runner.close()

    async def close(self):
        for session in self.sessions:
            await session.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def await_(self, work):
        async def main():
            return await work

        return self.runner.run(main())

    def once(self):
        """Return resources that send a new idempotency key, so that every request can be retried."""
        return self.session.with_options(idempotency_key=f"key-{next(self.keys)}").workers

    def now(self):
        now = self.before + self.runner.get_loop().time()
        assert now == pytest.approx(round(now), abs=1e-3)
        for modelled in self.model.values():
            modelled.advance(round(now))
        return round(now)

    @rule(target=workers, text=TEXTS)
    def create(self, text):
        worker = self.await_(self.once().create(input=text))
        assert worker.id not in self.model
        self.model[worker.id] = Modelled()
        self.model[worker.id].run(self.now(), text)
        return worker.id

    @rule(target=workers, text=TEXTS)
    def create_in_two_sessions_at_once(self, text):
        creating = [self.once().create(input=text) for _ in range(2)]

        async def both():
            return await asyncio.gather(*creating)

        first, second = self.await_(both())
        assert first.id != second.id
        order = list(self.await_(self.look()))  # the one that was retried is the second
        for worker in sorted((first, second), key=lambda worker: order.index(worker.id)):
            assert worker.id not in self.model
            self.model[worker.id] = Modelled()
            self.model[worker.id].run(self.now(), text)
        return first.id

    @rule(target=workers, text=TEXTS, iterations=st.integers(0, 12), closing=st.booleans())
    def interrupt_a_create(self, text, iterations, closing):
        """Cancel a request, or close its session, and send it again with the same key: it is performed once."""
        place = next(self.turns) % 2
        key = f"key-{next(self.keys)}"

        async def main():
            session = self.sessions[place]
            creating = asyncio.create_task(session.with_options(idempotency_key=key).workers.create(input=text))
            for _ in range(iterations):
                await asyncio.sleep(0)
            if closing:
                await session.aclose()
                self.sessions[place] = self.new_session()
            else:
                creating.cancel()
            (result,) = await asyncio.gather(creating, return_exceptions=True)
            again = self.sessions[place].with_options(idempotency_key=key).workers
            worker = await again.create(input=text)
            expected = (asyncio.CancelledError, APIError, ConfigurationError)
            assert isinstance(result, expected) or result.id == worker.id
            return worker

        worker = self.await_(main())
        assert worker.id not in self.model
        self.model[worker.id] = Modelled()
        self.model[worker.id].run(self.now(), text)
        return worker.id

    @rule(worker_id=workers, iterations=st.integers(0, 12), closing=st.booleans())
    def interrupt_a_stream(self, worker_id, iterations, closing):
        """A stream that is cancelled, or whose session is closed, ends, and leaves no task behind."""
        place = next(self.turns) % 2

        async def read():
            async with self.sessions[place].workers.stream_updates(worker_id) as events:
                async for _ in events:
                    pass

        async def main():
            reading = asyncio.create_task(read())
            for _ in range(iterations):
                await asyncio.sleep(0)
            if closing:
                await self.sessions[place].aclose()
                self.sessions[place] = self.new_session()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        self.await_(main())
        self.now()

    @rule(seconds=st.integers(1, 5))
    def fork(self, seconds):
        """A second service that gets the same requests is in the same state, also if its clock was ahead meanwhile."""
        fork = self.new_fake()
        moment = 0.0
        fork._clock.now = lambda: moment

        async def follow():
            nonlocal moment
            for moment, request in list(self.handled):  # noqa: B007 - read by the clock
                response = fork.workers if request is None else fork(request)
                if inspect.isawaitable(response):
                    await response

        self.await_(self.look())
        self.await_(follow())
        assert without_message_ids(fork.workers) == without_message_ids(self.fake.workers)
        moment += seconds
        ahead = fork.workers
        self.clock(seconds)
        now = self.await_(self.look())
        assert {key: shown.messages for key, shown in ahead.items()} == {
            key: shown.messages for key, shown in now.items()
        }
        moment = self.handled[-1][0]
        assert without_message_ids(fork.workers) == without_message_ids(now)

    @rule(
        worker_id=workers,
        cuts=st.lists(st.integers(1, 5), min_size=1, max_size=3),
        restarts=st.booleans(),
        resumes=st.booleans(),
    )
    def restart_the_server_of_a_stream(self, worker_id, cuts, restarts, resumes):
        """No event is lost or doubled when another server goes on, with other events, whose ids begin anew.

        Args:
            worker_id: The worker.
            cuts: The number of events of each connection but the last.
            restarts: The first connection has another server than the others.
            resumes: The server begins after the last event id, if that is one of its own.
        """
        self.now()
        count = 2 * len(self.model[worker_id].runs)
        later = FakeHandinger(seed=1, lenient=True) if restarts else self.fake
        cuts[0] = min(cuts[0], count)
        if restarts:
            later.script(*(Step(f"later {number}", after=1) for number in range(5)))
        connections = itertools.count()

        async def read(session, limit=None):
            async with session.workers.stream_updates(worker_id) as events:
                return [event async for event in Limited(events, limit)]

        async def cut(chunks, place):
            left = cuts[place] if place < len(cuts) else None
            async for chunk in chunks:
                yield chunk
                if left is not None and (left := left - 1) == 0:
                    raise APIConnectionError("the server is restarted")

        async def handler(request):
            place = next(connections)
            if not resumes:
                request = attrs.evolve(request, headers=request.headers | {"Last-Event-ID": "0"})
            response = (later if place else self.fake)(request)
            response = await response if inspect.isawaitable(response) else response
            return attrs.evolve(response, chunks=cut(response.chunks, place))

        async def main():
            async with self.fake.session() as plain:
                before = await read(plain, count)
            transport = MemoryTransport(handler)
            retry = RetryPolicy(max_retries=1000, initial_delay=0)
            async with Session(api_key="test", transport=transport, retry=retry) as session:
                if not restarts:
                    assert await read(session, count) == before
                    return
                got = await read(session)
            async with later.session() as plain:
                after = await read(plain)
            seen = cuts[0]
            assert got == before[:seen] + after[seen if resumes and seen <= len(after) else 0 :]

        self.await_(main())
        self.now()

    @rule()
    def go_on_in_another_event_loop(self):
        """The service's clock goes on from where it was, though the new loop's clock begins at 0."""
        self.before = self.now()
        self.read_clock()
        self.await_(self.close())
        self.runner.close()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.sessions = [self.new_session(), self.new_session()]
        self.read_clock()

    @rule(worker_id=workers, text=TEXTS)
    def continue_(self, worker_id, text):
        now = self.now()
        assert self.await_(self.once().continue_(worker_id, input=text)).id == worker_id
        self.model[worker_id].run(now, text)

    @rule(target=schedules, worker_id=workers, text=TEXTS, seconds=st.integers(0, 5))
    def delay(self, worker_id, text, seconds):
        when = DelayedWhen(delay_in_seconds=seconds)
        return self.plan(worker_id, text, when, Planned(self.now() + seconds, None, text))

    @rule(target=schedules, worker_id=workers, text=TEXTS, seconds=st.integers(1, 5))
    def recur(self, worker_id, text, seconds):
        when = IntervalWhen(interval_seconds=seconds)
        return self.plan(worker_id, text, when, Planned(self.now() + seconds, seconds, text))

    def plan(self, worker_id, text, when, planned):
        made = self.await_(self.once().schedules.create(worker_id, input=text, when=when))
        assert (made.next_run_at - START).total_seconds() == planned.due
        self.model[worker_id].schedules[made.id] = planned
        return worker_id, made.id

    @rule(schedule=consumes(schedules))
    def cancel(self, schedule):
        worker_id, schedule_id = schedule
        self.now()
        known = self.model[worker_id].schedules.pop(schedule_id, None)
        cancelling = self.once().schedules.cancel(schedule_id, worker_id=worker_id)
        if known is None:
            with pytest.raises(NotFoundError):
                self.await_(cancelling)
        else:
            assert self.await_(cancelling).cancelled

    @rule(worker_id=workers)
    def list_schedules(self, worker_id):
        self.now()
        listed = self.await_(self.session.workers.schedules.list(worker_id)).schedules
        shown = {schedule.id: (schedule.next_run_at - START).total_seconds() for schedule in listed}
        assert shown == {key: planned.due for key, planned in self.model[worker_id].schedules.items()}

    @rule(worker_id=workers)
    def watch(self, worker_id):
        self.now()
        count = 2 * len(self.model[worker_id].runs)  # the worker may never complete

        async def main():
            while True:
                try:
                    async with self.session.workers.stream_updates(worker_id) as events:
                        return [(await anext(events)).id for _ in range(count)]
                except StreamInterruptedError as error:
                    if error.events_seen:  # without one, there is no id to resume after
                        raise

        assert self.await_(main()) == [str(number) for number in range(1, count + 1)]

    @rule(seconds=st.integers(1, 10))
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

    @rule(worker_id=workers)
    def retrieve(self, worker_id):
        now = self.now()
        worker = self.await_(self.session.workers.retrieve(worker_id))
        self.check(worker, now)
        assert worker == self.await_(self.look())[worker_id]

    @invariant()
    def the_service_performed_every_request_once(self):
        now = self.now()
        shown = self.await_(self.look())
        assert list(shown) == list(self.model)
        for worker in shown.values():
            self.check(worker, now)

    async def look(self):
        self.handled.append((self.fake._clock.now(), None))
        return self.fake.workers

    def check(self, worker, now):
        modelled = self.model[worker.id]
        begun = [text for begin, text in modelled.runs if begin <= now]
        assert [message["content"] for message in worker.messages if message["role"] == "user"] == begun
        last = max(begin for begin, _ in modelled.runs if begin <= now)
        assert worker.status == ("completed" if now >= last + 1 else "pending")


Service.TestCase.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, phases=[Phase.generate, Phase.shrink]
)
TestService = Service.TestCase
