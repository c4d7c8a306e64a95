"""Hours pass in no time, in the right order, and what is outside the loop is waited for."""

import asyncio
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async.testing import virtual_time
from handinger_async.testing.virtual_time import NothingToWaitFor, VirtualTimeLoop, run


def now():
    return asyncio.get_running_loop().time()


def test_a_day_passes_in_no_time():
    async def main():
        await asyncio.sleep(86_400)
        return now()

    begin = time.monotonic()
    assert run(main()) == pytest.approx(86_400)
    assert time.monotonic() - begin < 5


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


def test_timeouts_are_covered():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()
        return now()

    assert run(main()) == pytest.approx(3600)


def test_work_in_a_thread_is_waited_for_with_the_clock_standing_still():
    async def main():
        async with asyncio.timeout(0.001):
            return await asyncio.to_thread(lambda: time.sleep(0.05) or now_is.time())

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        now_is = runner.get_loop()
        assert runner.run(main()) == 0.0


def test_a_peer_on_loopback_is_heard_before_the_clock_jumps():
    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def main():
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for _ in range(50):
                writer.write(b"ping")
                async with asyncio.timeout(1e-3):
                    assert await reader.readexactly(4) == b"ping"
            writer.close()
            await writer.wait_closed()
        return now()

    assert run(main()) < 1


def test_a_peer_in_another_thread_gets_a_moment_before_the_clock_jumps(monkeypatch):
    monkeypatch.setattr(virtual_time, "GRACE", 10.0)
    ours, theirs = socket.socketpair()

    async def main():
        ours.setblocking(False)
        async with asyncio.timeout(3600):
            return await asyncio.get_running_loop().sock_recv(ours, 1)

    with ours, theirs:
        speaking = threading.Timer(0.02, theirs.send, (b"x",))
        speaking.start()
        assert run(main()) == b"x"
        speaking.join()


def test_where_nothing_can_happen_it_fails_and_names_who_waits(monkeypatch):
    monkeypatch.setattr(virtual_time, "PATIENCE", 0.01)

    async def waits_for_godot():
        await asyncio.Event().wait()

    with pytest.raises(NothingToWaitFor, match="waits_for_godot"):
        run(waits_for_godot())


def test_an_idle_socket_does_not_keep_it_from_failing(monkeypatch):
    monkeypatch.setattr(virtual_time, "PATIENCE", 0.01)

    async def main():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            await asyncio.get_running_loop().sock_recv(ours, 1)

    with pytest.raises(NothingToWaitFor):
        run(main())


async def test_the_fixture_gives_the_test_such_a_loop(virtual_time):
    assert asyncio.get_running_loop() is virtual_time
    await asyncio.sleep(3600)
    assert now() >= 3600


async def test_other_tests_keep_their_loop():
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
