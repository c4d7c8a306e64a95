"""The log of attempts, and the observer."""

import asyncio
import logging
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from handinger_async import APIConnectionError, APIError, Attempt, RetryPolicy, StreamInterruptedError, Timeouts
from handinger_async.http import Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import StreamingResponse

from .. import run_readme
from .service import SSE, Service, ok, truncated
from .wire import HANG_GUARD

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "observability.rst"

once = RetryPolicy(max_retries=0)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "handinger_async"]


# The log ##############################################################################################################


def test_attempts_are_logged_without_an_observer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "handinger_async")

    async def main() -> None:
        async with Service(ok).session(observe=None) as session:
            await session.workers.retrieve("w")

    run(main())
    assert lines(caplog) == ["GET /api/workers/w: 200 after 0.000 s (attempt 1)"]


def test_each_attempt_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "handinger_async")

    async def main() -> None:
        service = Service(
            Response(503, {"X-Request-Id": "req_1", "Retry-After": "2"}),
            APIConnectionError("the cable was cut"),
            Response(200, {"Content-Type": "application/json", "X-Request-Id": "req\x1b[2J\ud8002"}, ok.body),
        )
        async with service.session() as session:
            await session.request("GET", "/api/things", query={"secret": "x"})

    run(main())
    first, second, third = lines(caplog)
    assert first == "GET /api/things: 503 after 0.000 s (attempt 1, request id req_1, next in 2.000 s)"
    pattern = (
        r"GET /api/things: APIConnectionError \(the cable was cut\) after 0\.000 s "
        r"\(attempt 2, next in (0\.\d{3}|1\.000) s\)"
    )
    assert re.fullmatch(pattern, second)
    assert third == "GET /api/things: 200 after 0.000 s (attempt 3, request id req\ufffd[2J\ufffd2)"


def test_debug_level_logs_the_start_of_an_attempt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "handinger_async")

    async def main() -> None:
        async with Service(ok).session() as session:
            await session.workers.retrieve("w")

    run(main())
    assert lines(caplog)[0].startswith("GET /api/workers/w: attempt 1 ")


def test_interrupted_stream_logs_that_it_resumes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "handinger_async")

    async def main() -> None:
        service = Service(StreamingResponse(200, SSE, truncated(b"id: 1\nretry: 1500\ndata: a\n\n")), Response(204))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert [str(event) async for event in events] == ["a"]

    run(main())
    assert "interrupted (APIConnectionError)" in lines(caplog)[1]
    assert "1.500 s" in lines(caplog)[1]
    assert "attempt 2" in lines(caplog)[2]


@pytest.mark.parametrize(
    ("level", "shown"),
    [("info", True), ("debug", True), ("DEBUG", True), (" Info", True), ("", False), ("loud", False)],
)
def test_environment_variable_enables_the_log(level: str, shown: bool) -> None:
    program = """
        import asyncio, logging, sys
        import handinger_async, handinger_async.session
        assert not logging.getLogger("handinger_async").handlers
        from handinger_async import Session
        from handinger_async.http import Response
        from handinger_async.transports.memory import MemoryTransport
        async def main():
            for _ in range(2):
                async with Session(api_key="k", transport=MemoryTransport(lambda request: Response(204))) as session:
                    await session.request("GET", "/x")
        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"HANDINGER_LOG": level},
        capture_output=True,
        text=True,
        timeout=HANG_GUARD,
        check=True,
    )
    assert done.stdout == ""
    assert done.stderr.count("handinger_async INFO GET /x: 204 after ") == (2 if shown else 0)
    assert ("handinger_async DEBUG" in done.stderr) == (level.lower() == "debug")


def test_configured_logging_gets_no_second_handler() -> None:
    program = """
        import asyncio, logging
        logging.basicConfig(format="mine %(message)s")
        from handinger_async import Session
        from handinger_async.http import Response
        from handinger_async.transports.memory import MemoryTransport
        async def main():
            async with Session(api_key="k", transport=MemoryTransport(lambda request: Response(204))) as session:
                await session.request("GET", "/x")
        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"HANDINGER_LOG": "info", "PYTHONDEVMODE": ""},
        capture_output=True,
        text=True,
        timeout=HANG_GUARD,
        check=True,
    )
    assert re.fullmatch(r"mine GET /x: 204 after .*\n", done.stderr)


# The observer #########################################################################################################


def test_observer_receives_each_attempt() -> None:
    async def main() -> list[Attempt]:
        service = Service(1.5, Response(500, {"cf-ray": "ray"}), APIConnectionError("lost", request_sent=False), ok)
        async with service.session(retry=RetryPolicy(initial_delay=0)) as session:
            await session.workers.retrieve("w")
        return service.attempts

    first, second, third = run(main())
    assert (first.method, first.path, first.number, first.status) == ("GET", "/api/workers/w", 1, 500)
    assert (first.elapsed, first.delay, first.request_id, first.request_sent) == (1.5, 0, "ray", True)
    assert (second.number, second.status, second.request_id, second.request_sent) == (2, None, None, False)
    assert isinstance(second.error, APIConnectionError)
    assert (third.status, third.error, third.delay, third.request_sent) == (200, None, None, True)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        third.status = 500  # type: ignore[misc]


def test_cancelled_attempt_is_reported() -> None:
    async def main() -> None:
        service = Service(100)
        async with service.session() as session:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await session.workers.create(input="x")
        (attempt,) = service.attempts
        assert isinstance(attempt.error, asyncio.CancelledError)
        assert (attempt.elapsed, attempt.status, attempt.delay) == (3, None, None)
        assert "CancelledError after 3.000 s" in str(attempt)

    run(main())


def test_timed_out_attempt_is_reported() -> None:
    async def main() -> None:
        service = Service(100)
        async with service.session(timeouts=Timeouts(attempt=5), retry=once) as session:
            with pytest.raises(APIError):
                await session.workers.retrieve("w")
        assert [attempt.elapsed for attempt in service.attempts] == [5]

    run(main())


def test_attempts_of_a_stream_are_numbered_across_reconnections() -> None:
    async def main() -> None:
        service = Service(StreamingResponse(200, SSE, truncated(b"id: 1\ndata: a\n\n")), Response(500), Response(500))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            await anext(events)
            with pytest.raises(StreamInterruptedError) as caught:
                await anext(events)
        assert [attempt.number for attempt in service.attempts] == [1, 2, 3]
        assert caught.value.attempts == 3
        assert caught.value.call == "GET /api/workers/w/stream"

    run(main())


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), asyncio.InvalidStateError(), RecursionError()])
def test_exception_of_the_observer_is_logged_only(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def observe(attempt: Attempt) -> None:
        raise error

    async def main() -> None:
        async with Service(Response(500), ok).session(observe=observe) as session:
            assert (await session.workers.retrieve("w")).id == "id"

    run(main())
    assert ["observer failed" in line for line in lines(caplog)] == [True] * 2


def test_observer_runs_in_the_context_of_the_call() -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable")
    seen: list[Any] = []

    async def main() -> None:
        service = Service(StreamingResponse(200, SSE, [b"data: a\n\n", b"data: b\n\n"]))
        async with service.session(observe=lambda attempt: seen.append(variable.get())) as session:
            variable.set("outer")
            async with session.workers.stream_updates("w") as events:
                async for _ in events:
                    variable.set("inner")
                    break
            assert variable.get() == "inner"

    run(main())
    assert seen == ["outer"]


# The guide ############################################################################################################


def test_guide_works_as_written() -> None:
    before = time.time_ns()
    names = run(run_readme.run(GUIDE.read_text(encoding="utf-8"), GUIDE.name))
    after = time.time_ns()
    spans = {span.name: span for span in names["exporter"].get_finished_spans()}
    assert set(spans) == {"compare", "POST", "GET"}
    attempt = spans["POST"]
    assert {spans[name].parent.span_id for name in ("POST", "GET")} == {spans["compare"].context.span_id}
    assert attempt.attributes["http.response.status_code"] == 200
    assert before <= attempt.end_time <= after
    assert attempt.end_time - attempt.start_time >= 1e9  # in virtual time: the run
    registry = names["registry"]
    labels = {"method": "POST", "outcome": "200"}
    assert registry.get_sample_value("handinger_attempt_seconds_count", labels) == 1
