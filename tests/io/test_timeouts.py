"""Timeouts: the scope of each, on virtual time and on sockets."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from handinger_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    InternalServerError,
    NotFoundError,
    RetryPolicy,
    Session,
    StreamInterruptedError,
    Timeouts,
)
from handinger_async.http import Request, Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

from .service import JSON, SSE, Service, now, ok, silent, trickle
from .wire import Clock, ObservedTransport, WireRequest, forever, wire_server

FOREVER = 10.0**9


async def collect(session: Session) -> Any:
    async with session.workers.stream_updates("w") as events:
        return [event async for event in events]


async def iterate(session: Session) -> Any:
    async with session.workers.retrieve_file("f", worker_id="w") as file:
        return [chunk async for chunk in file]


def read(session: Session) -> Any:
    return session.workers.retrieve_file("f", worker_id="w").read()


def retrieve(session: Session) -> Any:
    return session.workers.retrieve("w")


def custom(session: Session) -> Any:
    return session.request("GET", "/x")


CALLS = [retrieve, custom, collect, iterate, read]
WHOLE = [retrieve, custom]
STREAMED = [collect, iterate, read]
once = RetryPolicy(max_retries=0)


@pytest.mark.parametrize("value", [0, -1, 0.0, -math.inf, math.nan, True, "5", [1]])
@pytest.mark.parametrize("name", ["connect", "attempt", "idle", "deadline"])
def test_timeout_that_is_not_positive_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Timeouts(**{name: value})


@pytest.mark.parametrize("name", ["connect", "attempt", "idle", "deadline"])
def test_infinite_timeout_is_none(name: str) -> None:
    assert getattr(Timeouts(**{name: math.inf}), name) is None


def test_defaults_are_the_documented_ones() -> None:
    defaults = {field.name: field.default for field in attrs.fields(Timeouts)}
    assert defaults == {"connect": 5.0, "attempt": 60.0, "idle": 300.0, "deadline": None}


@pytest.mark.parametrize("wrong", [5, {"attempt": 5}, "5"])
def test_options_of_a_wrong_type_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeouts must be a Timeouts"):
        Session(api_key="key", timeouts=wrong)
    with pytest.raises(ConfigurationError, match="retry must be a RetryPolicy"):
        Session(api_key="key").with_options(retry=wrong)


# One attempt ##########################################################################################################


@pytest.mark.parametrize("call", CALLS)
def test_attempt_without_a_response_times_out_and_is_retried(call: Callable[[Session], Any]) -> None:
    async def main() -> None:
        service = Service(FOREVER)
        async with service.session(timeouts=Timeouts(attempt=7), retry=RetryPolicy(initial_delay=0)) as session:
            with pytest.raises(APITimeoutError, match=r"\b7 s\b"):
                await call(session)
        assert service.times == [0, 7, 14]
        assert now() == 21

    run(main())


@pytest.mark.parametrize("call", WHOLE)
def test_attempt_timeout_includes_a_buffered_body(call: Callable[[Session], Any]) -> None:
    async def main() -> None:
        async with Service(trickle(b"x" * 1000)).session(retry=once) as session:
            with pytest.raises(APITimeoutError):
                await call(session)
        assert now() == 60

    run(main())


@pytest.mark.parametrize("call", STREAMED)
def test_attempt_timeout_excludes_a_streamed_body(call: Callable[[Session], Any]) -> None:
    async def main() -> None:
        async with Service(trickle(b"x:" * 500, headers=SSE)).session(retry=once) as session:
            await call(session)
        assert now() == 1000

    run(main())


@pytest.mark.parametrize("call", STREAMED)
def test_idle_timeout_ends_a_silent_body(call: Callable[[Session], Any]) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b": a\n"
        await asyncio.sleep(9)
        yield b": b\n"
        await asyncio.sleep(FOREVER)

    async def main() -> None:
        service = Service(StreamingResponse(200, SSE, chunks()))
        async with service.session(retry=once, timeouts=Timeouts(idle=10)) as session:
            with pytest.raises(APIConnectionError, match=r"\b10 s\b"):
                await call(session)
        assert now() == 19

    run(main())


# The deadline #########################################################################################################


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "response",
    [FOREVER, lambda request: trickle(b"x:" * 500, headers=SSE)],
)
def test_deadline_covers_headers_and_body(call: Callable[[Session], Any], response: Any) -> None:
    async def main() -> None:
        service = Service(response)
        async with service.session(timeouts=Timeouts(attempt=None, idle=None, deadline=30)) as session:
            with pytest.raises((APITimeoutError, StreamInterruptedError)) as caught:
                await call(session)
            assert now() == 30
            assert "deadline" in str(caught.value)
        assert len(service.requests) == 1

    run(main())


@pytest.mark.parametrize("call", CALLS)
def test_deadline_covers_attempts_and_delays(call: Callable[[Session], Any]) -> None:
    async def main() -> None:
        async def slow(request: Request) -> Response:
            await asyncio.sleep(9)
            return Response(500)

        times = []
        retry = RetryPolicy(max_retries=99, initial_delay=4, max_delay=4)
        session = Session(
            api_key="key",
            transport=MemoryTransport(slow),
            timeouts=Timeouts(deadline=30),
            retry=retry,
            observe=lambda attempt: times.append(attempt.elapsed),
        )
        async with session:
            with pytest.raises((APITimeoutError, InternalServerError)):
                await call(session)
        assert 22 <= now() <= 30
        assert len(times) == 3

    run(main())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("none", [None, math.inf])
def test_none_and_infinity_disable_timeouts(call: Callable[[Session], Any], none: Any) -> None:
    async def main() -> None:
        async def chunks() -> AsyncIterator[bytes]:
            await asyncio.sleep(10**7)
            yield ok.body if call in WHOLE else b": comment\n"

        service = Service(10**7, StreamingResponse(200, SSE, chunks()))
        timeouts = Timeouts(connect=none, attempt=none, idle=none, deadline=none)
        async with service.session(timeouts=timeouts) as session:
            await call(session)
        assert now() == 2 * 10**7

    run(main())


def test_timeout_of_the_caller_is_not_translated() -> None:
    async def main() -> None:
        async with Service(FOREVER).session() as session:
            for call in CALLS:
                with pytest.raises(TimeoutError) as caught:
                    async with asyncio.timeout(3):
                        await call(session)
                assert not isinstance(caught.value, APITimeoutError)

    run(main())


def test_slow_save_ends_at_the_deadline(tmp_path: Path) -> None:
    async def main() -> None:
        service = Service(trickle(b"x" * 1000))
        async with service.session(timeouts=Timeouts(deadline=30)) as session:
            with pytest.raises(APITimeoutError, match="deadline"):
                await session.workers.retrieve_file("f", worker_id="w").save(tmp_path / "f")
        assert not list(tmp_path.iterdir())  # noqa: ASYNC240

    run(main())


# On sockets ###########################################################################################################


@pytest.mark.parametrize("call", CALLS)
async def test_deadline_ends_a_trickled_response_on_a_socket(call: Callable[[Session], Any], clock: Clock) -> None:
    transport = ObservedTransport()

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        kind = b"text/event-stream" if request.target.endswith("/stream") else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nContent-Length: 10000\r\n\r\n")
        for size in range(100):
            await transport.waits_after(size)
            clock.advance(10)
            writer.write(b":")
        await forever()

    async with (
        wire_server(reply) as server,
        Session(
            api_key="key", base_url=server.url, transport=transport, timeouts=Timeouts(attempt=None, deadline=600)
        ) as session,
    ):
        with pytest.raises((APITimeoutError, StreamInterruptedError), match="deadline"):
            await call(session)
        assert 0 < transport.waiting_after <= 60  # the real time of the loop counts too
        await server.empty()
        assert len(server.requests) == 1


async def test_connect_timeout_means_the_request_was_not_sent(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object) -> None:
        clock.advance(30)
        await forever()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    timeouts = Timeouts(connect=20, attempt=None)
    retry = RetryPolicy(max_retries=1, initial_delay=0)
    async with Session(api_key="key", base_url="http://127.0.0.1:9", timeouts=timeouts, retry=retry) as session:
        with pytest.raises(APITimeoutError) as caught:
            await session.workers.create(input="x")
    assert not caught.value.request_sent
    assert caught.value.attempts == 2


# Error statuses with a slow body ######################################################################################


def stalls(*chunks: bytes, status: int = 500, **headers: str) -> Callable[[Request], StreamingResponse]:
    return lambda request: StreamingResponse(status, JSON | headers, silent(*chunks))


def test_slow_body_does_not_hide_an_error_status() -> None:
    async def main() -> None:
        async with Service(trickle(b"{}", 404)).session() as session:
            with pytest.raises(APIStatusError):
                await retrieve(session)
        assert now() == 2

    run(main())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("chunks", [(), (b'{"message": "no', b' such worker"}')])
@pytest.mark.parametrize(
    ("timeouts", "ends"), [(Timeouts(), 60), (Timeouts(attempt=None, deadline=30), 30), (Timeouts(deadline=90), 60)]
)
def test_stalled_body_of_an_error_ends_in_its_status(
    call: Callable[[Session], Any], chunks: tuple[bytes, ...], timeouts: Timeouts, ends: float
) -> None:
    async def main() -> None:
        service = Service(stalls(*chunks, status=404))
        async with service.session(timeouts=timeouts) as session:
            with pytest.raises(NotFoundError) as caught:
                await call(session)
        assert now() == ends
        assert caught.value.attempts == len(service.requests) == 1
        assert caught.value.body == ({"message": "no such worker"} if chunks else None)
        assert caught.value.message == ("no such worker" if chunks else "")
        assert [(attempt.status, attempt.error) for attempt in service.attempts] == [(404, caught.value)]

    run(main())


@pytest.mark.parametrize("call", CALLS)
def test_stalled_error_is_retried_as_its_status_says(call: Callable[[Session], Any]) -> None:
    async def main() -> None:
        service = Service(stalls(**{"Retry-After": "7"}))
        async with service.session() as session:
            with pytest.raises(InternalServerError):
                await call(session)
        assert service.times == [0, 67, 134]

    run(main())


def test_stalled_error_shares_the_attempt_with_its_headers() -> None:
    async def main() -> None:
        async with Service(40, stalls(status=404)).session() as session:
            with pytest.raises(NotFoundError):
                await retrieve(session)
        assert now() == 60

    run(main())


def test_stalled_error_is_retried_only_before_the_deadline() -> None:
    async def main() -> None:
        service = Service(stalls(**{"Retry-After": "7"}))
        async with service.session(timeouts=Timeouts(deadline=67)) as session:
            with pytest.raises(InternalServerError):
                await retrieve(session)
        assert service.times == [0]
        assert now() == 60

    run(main())


def test_stalled_error_can_be_cancelled() -> None:
    async def main() -> None:
        closed = 0

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal closed
            try:
                yield b"{"
                await forever()
            finally:
                closed += 1

        async with Service(lambda request: StreamingResponse(500, JSON, chunks())).session() as session:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(3):
                    await retrieve(session)
        assert type(caught.value) is TimeoutError
        assert closed == 1

    run(main())


@pytest.mark.parametrize("call", CALLS)
async def test_stalled_error_on_a_socket_ends_in_its_status(call: Callable[[Session], Any], clock: Clock) -> None:
    transport = ObservedTransport()

    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 99\r\nRetry-After: 0\r\n\r\nwait")
        await transport.waits_after(4)
        clock.advance(120)
        await forever()

    async with (
        wire_server(reply) as server,
        Session(api_key="key", base_url=server.url, transport=transport, retry=RetryPolicy(max_retries=1)) as session,
    ):
        with pytest.raises(InternalServerError) as caught:
            await call(session)
        assert (caught.value.status_code, caught.value.body) == (503, "wait")
        assert len(server.requests) == caught.value.attempts == 2
        await server.empty()
