"""EventStream on virtual time: how it ends, what it waits for, and what it does after an interruption."""

import asyncio
import gc
import itertools
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    EventStream,
    EventTooLargeError,
    NotFoundError,
    RetryPolicy,
    ServerSentEvent,
    Session,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.errors import ConfigurationError
from handinger_async.http import Request, Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import Answer, MemoryTransport, StreamingResponse

SSE = {"Content-Type": "text/event-stream; charset=utf-8"}


def sse(chunks: Any, status: int = 200) -> StreamingResponse:
    return StreamingResponse(status, SSE, chunks)


class Service:
    """Answers each connection with the next of ``answers``, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.times: list[float] = []

    def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        self.times.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    @property
    def resumed_after(self) -> list[str | None]:
        return [request.headers.get("last-event-id") for request in self.requests]

    def session(self, **options: Any) -> Session:
        return Session(api_key="key", transport=MemoryTransport(self), **options)


async def cut(*chunks: bytes) -> AsyncIterator[bytes]:
    """A body that is lost after these chunks."""
    for chunk in chunks:
        yield chunk
    raise APIConnectionError("lost")


async def silent(*chunks: bytes, after: float = 1e9) -> AsyncIterator[bytes]:
    """A body that falls silent after these chunks."""
    for chunk in chunks:
        yield chunk
    await asyncio.sleep(after)


async def read(stream: EventStream) -> list[str]:
    async with stream as events:
        return [str(event) async for event in events]


# What it delivers #####################################################################################################


def test_events_come_with_their_id_and_type() -> None:
    async def main() -> None:
        service = Service(sse([b"id: 1\nevent: up", b"date\ndata: a\n\n", b": hello\n\ndata: b\n\n"]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert events.response.status == 200
            assert events.response.headers["content-type"].startswith("text/event-stream")
            assert [event async for event in events] == [
                ServerSentEvent("a", event="update", id="1"),
                ServerSentEvent("b", id="1"),
            ]
            assert events.last_event_id == "1"

    run(main())


def test_batches_are_the_events_of_each_chunk() -> None:
    async def main() -> None:
        service = Service(sse([b"data: a\n\ndata: b\n\nda", b"ta: c\n\n", b": nothing\n\n", b"data: d\n\n"]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert str(await anext(events)) == "a"
            batches = events.batches()
            assert [[str(event) for event in batch] async for batch in batches] == [["b"], ["c"], ["d"]]
            await batches.aclose()

    run(main())


def test_iteration_opens_and_closes_by_itself() -> None:
    async def main() -> None:
        service = Service(sse([b"data: a\n\n"]))
        async with service.session() as session:
            stream = session.workers.stream_updates("w")
            with pytest.raises(ConfigurationError):
                _ = stream.response
            assert not service.requests
            assert [str(event) async for event in stream] == ["a"]
            assert "closed" in repr(stream)
            assert [event async for event in stream] == []

    run(main())


def test_a_204_is_a_stream_that_has_ended() -> None:
    async def main() -> None:
        async with Service(Response(204)).session() as session:
            assert await read(session.workers.stream_updates("w")) == []

    run(main())


def test_an_error_status_is_the_same_exception_as_for_any_request() -> None:
    async def main() -> None:
        service = Service(Response(404, {"X-Request-Id": "r"}, b'{"error": {"message": "no such worker"}}'))
        async with service.session() as session:
            with pytest.raises(NotFoundError, match="no such worker") as caught:
                await read(session.workers.stream_updates("w"))
            assert caught.value.request_id == "r"

    run(main())


@pytest.mark.parametrize("content_type", ["text/html", "application/json", ""])
def test_a_200_that_is_no_event_stream_is_refused(content_type: str) -> None:
    async def main() -> None:
        async with Service(Response(200, {"Content-Type": content_type}, b"<html>")).session() as session:
            with pytest.raises(APIResponseValidationError, match="event-stream"):
                await read(session.workers.stream_updates("w"))

    run(main())


def test_an_event_beyond_the_cap_is_an_error_of_its_own() -> None:
    async def main() -> None:
        endless = itertools.chain([b"data: "], itertools.repeat(b"x" * 2**20))
        async with Service(sse(endless)).session() as session:
            with pytest.raises(EventTooLargeError):
                await read(session.workers.stream_updates("w"))

    run(main())


def test_a_reader_that_is_cancelled_can_go_on_where_it_was() -> None:
    async def slow() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(10)
            yield b"data: %d\n\n" % number

    async def main() -> None:
        got = []
        async with Service(sse(slow())).session() as session, session.workers.stream_updates("w") as events:
            while len(got) < 3:
                try:
                    async with asyncio.timeout(3):
                        got.append(str(await anext(events)))
                except TimeoutError:
                    continue
        assert got == ["0", "1", "2"]

    run(main())


# How it ends ##########################################################################################################


class Body:
    """A body that never ends, and knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            for number in itertools.count():
                yield b"data: %d\n\n" % number
                await asyncio.sleep(1)
        finally:
            self.closed = True


async def leave_by_break(events: EventStream) -> None:
    async for _ in events:
        break


async def leave_by_error(events: EventStream) -> None:
    async for _ in events:
        raise LookupError


async def leave_by_timeout(events: EventStream) -> None:
    async with asyncio.timeout(5):
        async for _ in events:
            pass


async def leave_by_cancellation(events: EventStream) -> None:
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().call_later(2.5, task.cancel)
    async for _ in events:
        pass


async def leave_by_double_cancellation(events: EventStream) -> None:
    task = asyncio.current_task()
    assert task
    loop = asyncio.get_running_loop()
    loop.call_later(2.5, task.cancel)
    try:
        async for _ in events:
            pass
    except asyncio.CancelledError:
        loop.call_soon(task.cancel)
        raise


@pytest.mark.parametrize(
    "leave",
    [leave_by_break, leave_by_error, leave_by_timeout, leave_by_cancellation, leave_by_double_cancellation],
)
def test_however_it_is_left_its_body_is_closed_at_once(leave: Callable[[EventStream], Any]) -> None:
    async def main() -> None:
        body = Body()

        async def use(session: Session) -> None:
            async with session.workers.stream_updates("w") as events:
                await leave(events)

        async with Service(sse(body.chunks())).session() as session:
            gc.disable()
            try:
                await asyncio.wait((asyncio.ensure_future(use(session)),))
                await asyncio.sleep(0)
                assert body.closed
            finally:
                gc.enable()

    run(main())


def test_closing_from_another_task_ends_the_iteration() -> None:
    async def main() -> None:
        async with Service(sse(silent(b"data: a\n\n"))).session() as session:
            events = session.workers.stream_updates("w")
            reader = asyncio.ensure_future(read(events))
            await asyncio.sleep(1)
            assert not reader.done()
            await events.aclose()
            await events.aclose()
            assert await reader == ["a"]

    run(main())


def test_closing_from_another_task_ends_an_opening_and_a_pause_too() -> None:
    async def never(request: Request) -> Response:
        await asyncio.sleep(1e9)
        raise AssertionError

    async def main() -> None:
        async with Service(never).session() as session:
            events = session.workers.stream_updates("w")
            opening = asyncio.ensure_future(anext(events, None))
            await asyncio.sleep(1)
            await events.aclose()
            assert await opening is None

        service = Service(sse(cut(b"id: 1\nretry: 50000\ndata: a\n\n")))
        async with service.session() as session:
            events = session.workers.stream_updates("w")
            pausing = asyncio.ensure_future(read(events))
            await asyncio.sleep(1)
            await events.aclose()
            assert await pausing == ["a"]
            assert asyncio.get_running_loop().time() < 10

    run(main())


def test_a_stream_that_is_never_closed_warns() -> None:
    async def main() -> None:
        async with Service(sse(silent(b"data: a\n\n"))).session() as session:
            events = session.workers.stream_updates("w")
            await anext(events)
            with pytest.warns(ResourceWarning, match="never closed"):
                del events

    run(main())


def test_a_stream_that_was_never_opened_does_not_warn() -> None:
    async def main() -> None:
        async with Service(sse([])).session() as session:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                session.workers.stream_updates("w")
                gc.collect()
            assert not caught

    run(main())


@pytest.mark.parametrize("rest", [b"data: unfinished", b"data: a line\n", b"id: 2\ndata\n"])
def test_an_end_within_an_event_that_holds_data_is_an_interruption(rest: bytes) -> None:
    async def main() -> None:
        async with Service(sse([b"id: 7\ndata: a\n\n", rest])).session() as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(session.workers.stream_updates("w", resume=False))
            assert (caught.value.last_event_id, caught.value.events_seen) == ("7", 1)

    run(main())


@pytest.mark.parametrize("rest", [b"", b": comment", b"event: x\n", b"id: 9", b"retry: 1\n"])
def test_an_end_without_unfinished_data_is_an_end(rest: bytes) -> None:
    async def main() -> None:
        async with Service(sse([b"data: a\n\n", rest])).session() as session:
            assert await read(session.workers.stream_updates("w")) == ["a"]

    run(main())


def test_a_body_cut_short_is_an_interruption_with_its_cause() -> None:
    async def main() -> None:
        async with Service(sse(cut(b"data: a\n\n"))).session() as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(session.workers.stream_updates("w"))
            assert isinstance(caught.value.__cause__, APIConnectionError)
            assert (caught.value.last_event_id, caught.value.events_seen) == ("", 1)
            assert "after 1 events: lost" in str(caught.value)

    run(main())


# What it waits for ####################################################################################################


def test_a_ten_hour_stream_with_a_ping_a_minute_lives() -> None:
    async def pings() -> AsyncIterator[bytes]:
        for _ in range(600):
            await asyncio.sleep(60)
            yield b": ping\n\n"
        yield b"data: done\n\n"

    async def main() -> None:
        service = Service(sse(pings()))
        async with service.session() as session:
            assert await read(session.workers.stream_updates("w")) == ["done"]
        assert asyncio.get_running_loop().time() >= 36000
        assert len(service.requests) == 1

    run(main())


def test_silence_is_an_interruption_whose_cause_is_the_timeout() -> None:
    async def main() -> None:
        async with Service(sse(silent(b"data: a\n\n"))).session(timeouts=Timeouts(idle=7)) as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(session.workers.stream_updates("w"))
        assert isinstance(caught.value.__cause__, APITimeoutError)
        assert asyncio.get_running_loop().time() == pytest.approx(7)

    run(main())


def test_silence_is_resumed_after_where_that_is_possible() -> None:
    async def main() -> None:
        service = Service(sse(silent(b"id: 1\ndata: a\n\n")), sse([b"id: 2\ndata: b\n\n"]))
        async with service.session(timeouts=Timeouts(idle=7)) as session:
            assert await read(session.workers.stream_updates("w")) == ["a", "b"]
        assert service.resumed_after == [None, "1"]

    run(main())


def test_the_callers_own_timeout_stays_the_callers() -> None:
    async def main() -> None:
        async with Service(sse(silent(b"data: a\n\n"))).session() as session:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(3):
                    await read(session.workers.stream_updates("w"))
            assert not isinstance(caught.value, APITimeoutError)

    run(main())


@pytest.mark.parametrize("resume", [True, False])
def test_the_deadline_holds_over_a_body_that_never_falls_silent(resume: bool) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(1)
            yield b"id: 1\ndata: x\n\n"

    async def main() -> None:
        service = Service(sse(trickle()))
        async with service.session(timeouts=Timeouts(deadline=30)) as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(session.workers.stream_updates("w", resume=resume))
        assert isinstance(caught.value.__cause__, APITimeoutError)
        assert asyncio.get_running_loop().time() == pytest.approx(30)
        assert len(service.requests) == 1

    run(main())


# Going on after an interruption #######################################################################################

SCRIPT = [
    b"retry: 10\n\n",
    b"id: 1\ndata: one\n\n",
    b": ping\n\n",
    b"id: 2\nevent: step\ndata: two\ndata: lines\n\n",
    b"data: no id of its own\n\n",
    b"data: nor has this\n\n",
    b"id: 3\n\n",
    b"id: 4\ndata: \xc3\xa9\r\n\r\n",
    b"id: 5\rdata: five\r\r",
]
WHOLE = ["one", "two\nlines", "no id of its own", "nor has this", "é", "five"]


def blocks_after(last_event_id: str | None) -> list[bytes]:
    """The rest of the script, as a server sends it that honours Last-Event-ID."""
    if last_event_id is None:
        return SCRIPT
    at = next(i for i, block in enumerate(SCRIPT) if block.startswith(b"id: " + last_event_id.encode()))
    return SCRIPT[at + 1 :]


def honours(request: Request) -> bytes:
    return b"".join(blocks_after(request.headers.get("last-event-id")))


def begins_anew(request: Request) -> bytes:
    return b"".join(SCRIPT)


def begins_somewhere(request: Request) -> bytes:
    """Keeps only the last blocks, and sends all of them."""
    return b"".join(SCRIPT if request.headers.get("last-event-id") in (None, "1") else SCRIPT[3:])


@pytest.mark.parametrize("body_for", [honours, begins_anew, begins_somewhere])
@pytest.mark.parametrize("drops", [1, 2])
def test_drops_at_every_byte_lose_nothing_and_double_nothing(body_for: Callable[[Request], bytes], drops: int) -> None:
    total = len(b"".join(SCRIPT))
    first_id = len(b"".join(SCRIPT[:2]))

    async def main(*at: int) -> None:
        cuts = iter(at)

        def answer(request: Request) -> Answer:
            body = body_for(request)
            place = next(cuts, None)
            return sse([body] if place is None or place >= len(body) else cut(body[:place]))

        service = Service(answer)
        async with service.session() as session:
            stream = session.workers.stream_updates("w")
            if at[0] < first_id:
                with pytest.raises(StreamInterruptedError):
                    await read(stream)
            else:
                assert await read(stream) == WHOLE, at

    for first in range(total):
        for second in [()] if drops == 1 or first < first_id else [(n,) for n in range(0, total, 19)]:
            run(main(first, *second))


def test_resuming_waits_as_long_as_the_server_says_else_as_the_policy_says() -> None:
    async def main() -> None:
        service = Service(sse(cut(b"id: 1\nretry: 4200\ndata: a\n\n")), sse([]))
        async with service.session() as session:
            assert await read(session.workers.stream_updates("w")) == ["a"]
        assert service.times[1] - service.times[0] == pytest.approx(4.2)

        service = Service(sse(cut(b"id: 1\ndata: a\n\n")), sse([]))
        async with service.session(retry=RetryPolicy(initial_delay=3)) as session:
            assert await read(session.workers.stream_updates("w")) == ["a"]
        assert 2.25 <= service.times[1] - service.times[0] <= 3

    run(main())


def test_a_pause_beyond_what_the_policy_accepts_gives_up_at_once() -> None:
    async def main() -> None:
        service = Service(sse(cut(b"id: 1\nretry: 86400000\ndata: a\n\n")))
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError):
                await read(session.workers.stream_updates("w"))
        assert asyncio.get_running_loop().time() == 0

    run(main())


@pytest.mark.parametrize(
    "failure",
    [
        sse([]).__class__(200, SSE, cut()),
        APIConnectionError("refused", request_sent=False),
        Response(503),
        Response(429, {"Retry-After": "1"}),
        lambda request: sse(cut(b": ping\n\n")),
        lambda request: sse(cut(b"id: 1\ndata: a\n\n")),
        lambda request: sse(cut(b"data: news without an id\n\n")),
    ],
)
def test_reconnections_in_a_row_that_bring_nothing_new_are_counted(failure: Any) -> None:
    async def main() -> None:
        if isinstance(failure, StreamingResponse):
            service = Service(sse(cut(b"id: 1\ndata: a\n\n")), *(sse(cut()) for _ in range(9)))
        else:
            service = Service(sse(cut(b"id: 1\ndata: a\n\n")), failure)
        async with service.session(retry=RetryPolicy(max_retries=3)) as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(session.workers.stream_updates("w"))
        assert len(service.requests) == 4
        assert caught.value.last_event_id == "1"

    run(main())


def test_the_budget_is_renewed_when_the_id_advances() -> None:
    async def main() -> None:
        numbers = itertools.count(1)
        service = Service(lambda request: sse(cut(b"id: %d\ndata: x\n\n" % next(numbers))))
        session = service.session(retry=RetryPolicy(max_retries=1))
        async with session, session.workers.stream_updates("w") as events:
            for _ in range(50):
                await anext(events)
        assert len(service.requests) == 50

    run(main())


@pytest.mark.parametrize(
    "answer", [Response(404), Response(401), Response(200, {"Content-Type": "text/html"}, b"<html>")]
)
def test_an_answer_that_will_not_change_ends_the_attempts(answer: Response) -> None:
    async def main() -> None:
        service = Service(sse(cut(b"id: 1\ndata: a\n\n")), answer)
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read(session.workers.stream_updates("w"))
        assert len(service.requests) == 2
        assert caught.value.__cause__ is not None
        assert caught.value.__cause__.response.status == answer.status  # type: ignore[attr-defined]

    run(main())


def test_a_204_on_reconnection_is_the_end() -> None:
    async def main() -> None:
        async with Service(sse(cut(b"id: 1\ndata: a\n\n")), Response(204)).session() as session:
            assert await read(session.workers.stream_updates("w")) == ["a"]

    run(main())


def test_resuming_ends_at_the_deadline() -> None:
    async def main() -> None:
        service = Service(sse(cut(b"id: 1\nretry: 10000\ndata: a\n\n")), APIConnectionError("down"))
        async with service.session(timeouts=Timeouts(deadline=25), retry=RetryPolicy(max_retries=99)) as session:
            with pytest.raises(StreamInterruptedError):
                await read(session.workers.stream_updates("w"))
        assert asyncio.get_running_loop().time() <= 25
        assert len(service.requests) == 3

    run(main())


def streams_that_are_not_resumed(session: Session) -> Iterable[EventStream]:
    yield session.workers.create(input="x", stream=True)
    yield session.workers.continue_("w", input="x", stream=True)
    yield session.workers.stream_updates("w", resume=False)
    yield session.stream(session_operation(), resume=False)


def session_operation() -> Any:
    from handinger_async.operations import RetrieveWorker

    return RetrieveWorker("w")


def test_posts_and_streams_told_not_to_are_never_resumed() -> None:
    async def main() -> None:
        service = Service(lambda request: sse(cut(b"id: 1\ndata: a\n\n")))
        async with service.session() as session:
            for count, stream in enumerate(streams_that_are_not_resumed(session), 1):
                with pytest.raises(StreamInterruptedError):
                    await read(stream)
                assert len(service.requests) == count

    run(main())


def test_an_empty_id_takes_the_place_to_resume_from_away() -> None:
    async def main() -> None:
        service = Service(sse(cut(b"id: 1\ndata: a\n\nid\ndata: b\n\n")))
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError):
                await read(session.workers.stream_updates("w"))
        assert len(service.requests) == 1

    run(main())


def test_a_server_that_begins_anew_and_ends_too_early_is_an_interruption() -> None:
    async def main() -> None:
        service = Service(
            sse(cut(b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n")),
            lambda request: sse([b"id: 1\ndata: a\n\n"]),
        )
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError, match="began anew"):
                await read(session.workers.stream_updates("w"))

    run(main())


def test_a_long_stream_is_resumed_in_bounded_memory() -> None:
    """Even where the server begins anew after far more events than are remembered."""

    def block(number: int) -> bytes:
        return b"id: %d\ndata: %d\n\n" % (number, number)

    async def main() -> None:
        whole = [block(number) for number in range(5000)]
        service = Service(sse(cut(*whole[:4000])), sse(whole))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            got = [int(event.data) async for event in events]
            history = events._history
        assert got == list(range(5000))
        assert history is not None
        assert len(history._recent) <= history.SPAN
        assert len(history._tail) <= history.SPAN

    run(main())


def test_a_reader_that_is_cancelled_in_a_pause_resumes_at_the_next_step() -> None:
    async def main() -> None:
        service = Service(sse(cut(b"id: 1\nretry: 10000\ndata: a\n\n")), sse([b"id: 2\ndata: b\n\n"]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert str(await anext(events)) == "a"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await anext(events)
            assert str(await anext(events)) == "b"
        assert service.resumed_after == [None, "1"]

    run(main())


def test_an_event_without_an_id_is_never_taken_for_a_repetition_by_it() -> None:
    async def main() -> None:
        service = Service(sse(cut(b"id: 1\n\n")), sse([b"id\ndata: a\n\ndata: b\n\n"]))
        async with service.session() as session:
            assert await read(session.workers.stream_updates("w")) == ["a", "b"]
        assert service.resumed_after == [None, "1"]

    run(main())
