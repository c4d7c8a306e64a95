"""Hours pass immediately, timers fire in order, and events from outside the loop are waited for.

Real times stand here only as bounds that no test reaches: a passing test never waits for one.
"""

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async.testing import virtual_time
from handinger_async.testing.virtual_time import NothingToWaitFor, VirtualTimeLoop, run

#: Seconds after which a test that hangs fails.
HANG_GUARD = 60.0


def test_a_cancelled_job_in_an_executor_is_not_overtaken():
    async def main(executor):
        loop = asyncio.get_running_loop()
        release, ended = threading.Event(), []

        def job():
            release.wait()
            ended.append(loop.time())

        running = loop.run_in_executor(executor, job)
        queued = loop.run_in_executor(executor, job)
        running.cancel()
        queued.cancel()
        await asyncio.sleep(0)
        threading.Timer(0.05, release.set).start()
        await asyncio.sleep(3600)
        assert ended
        assert set(ended) == {0}

    run(main(None))
    with ThreadPoolExecutor(1) as pool:
        run(main(pool))

    async def own_default():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        await main(None)

    run(own_default())


def test_the_result_of_a_job_arrives_before_the_clock_jumps():
    async def main():
        for _ in range(300):
            assert await asyncio.wait_for(asyncio.to_thread(sum, (1, 2)), 60) == 3
        assert now() == 0

    run(main())


def test_a_closed_loop_accepts_no_jobs():
    loop = VirtualTimeLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_in_executor(None, print)


def now():
    return asyncio.get_running_loop().time()


def test_a_day_passes_immediately():
    async def main():
        await asyncio.sleep(86_400)
        return now()

    assert run(main()) == pytest.approx(86_400)


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_sleepers_wake_in_order_and_on_time(delays):
    async def sleeper(delay, woken):
        await asyncio.sleep(delay)
        woken.append((delay, now()))

    async def main():
        woken = []
        await asyncio.gather(*(sleeper(delay, woken) for delay in delays))
        return woken

    woken = run(main())
    assert [at for _, at in woken] == sorted(at for _, at in woken)
    for delay, at in woken:
        assert at == pytest.approx(delay, abs=1e-5)


def test_timeouts_are_virtual():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()
        return now()

    assert run(main()) == pytest.approx(3600)


def test_the_clock_stands_still_during_work_in_a_thread():
    def work(loop):
        time.sleep(0.05)  # a clock that jumps would do so here
        return loop.time()

    async def main():
        async with asyncio.timeout(0.001):
            return await asyncio.to_thread(work, asyncio.get_running_loop())

    assert run(main()) == 0.0


def test_a_peer_on_loopback_is_heard_before_the_clock_jumps(monkeypatch):
    monkeypatch.setattr(virtual_time, "GRACE", HANG_GUARD)

    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def main():
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for _ in range(50):
                writer.write(b"ping")
                async with asyncio.timeout(3600):
                    assert await reader.readexactly(4) == b"ping"
            writer.close()
            await writer.wait_closed()
        return now()

    assert run(main()) == 0.0


def test_a_peer_in_another_thread_is_heard_before_the_clock_jumps(monkeypatch):
    monkeypatch.setattr(virtual_time, "GRACE", HANG_GUARD)
    ours, theirs = socket.socketpair()

    async def main():
        ours.setblocking(False)
        async with asyncio.timeout(3600):
            return await asyncio.get_running_loop().sock_recv(ours, 1)

    with ours, theirs:
        sending = threading.Timer(0.02, theirs.send, (b"x",))
        sending.start()
        assert run(main()) == b"x"
        sending.join()


def test_the_clock_jumps_in_spite_of_an_idle_socket(monkeypatch):
    monkeypatch.setattr(virtual_time, "GRACE", 0.0)
    ours, theirs = socket.socketpair()

    async def main():
        ours.setblocking(False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.get_running_loop().sock_recv(ours, 1)
        return now()

    with ours, theirs:
        assert run(main()) == pytest.approx(3600)


def test_without_timers_and_events_it_fails_and_names_the_tasks(monkeypatch):
    monkeypatch.setattr(virtual_time, "PATIENCE", 0.0)

    async def waits_for_godot():
        await asyncio.Event().wait()

    with pytest.raises(NothingToWaitFor, match="waits_for_godot"):
        run(waits_for_godot())


def test_it_fails_in_spite_of_an_idle_socket(monkeypatch):
    monkeypatch.setattr(virtual_time, "PATIENCE", 0.0)

    async def main():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            await asyncio.get_running_loop().sock_recv(ours, 1)

    with pytest.raises(NothingToWaitFor):
        run(main())


def test_real_seconds_to_wait_for_events_from_outside():
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        assert loop.wait_outside(3600, sockets=0) == 0
        assert loop.wait_outside(3600, sockets=1) == virtual_time.GRACE
        assert loop.wait_outside(virtual_time.GRACE / 2, sockets=1) == virtual_time.GRACE / 2
        assert loop.wait_outside(None, sockets=0) == virtual_time.PATIENCE


async def test_the_fixture_runs_the_test_in_virtual_time(virtual_time):
    assert asyncio.get_running_loop() is virtual_time
    await asyncio.sleep(3600)
    assert now() >= 3600


async def test_tests_without_the_fixture_run_in_real_time():
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
