"""A handler runs in one task and one context for each response, and ends with it: as in a server."""

import asyncio
import gc
from contextlib import suppress
from contextvars import ContextVar

import anyio
import pytest

from handinger_async import APIConnectionError
from handinger_async.http import Request, Response
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

USER = ContextVar("user", default="nobody")


async def open_response(handler):
    transport = MemoryTransport(handler)
    return transport, await transport.open(None, Request("GET", "/"), connect_timeout=None)


async def with_token():
    token = USER.set("somebody")
    yield b"1"
    yield USER.get().encode()
    USER.reset(token)


async def with_timeout():
    async with asyncio.timeout(100):
        yield b"1"
        await asyncio.sleep(1)
        yield b"2"


async def with_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1))
        yield b"1"
        yield b"2"


async def with_scope():
    with anyio.fail_after(100):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 1)
            yield b"1"
            yield b"2"


def without_await():
    token = USER.set("somebody")
    yield b"1"
    yield USER.get().encode()
    USER.reset(token)


GENERATORS = [with_token, with_timeout, with_group, with_scope, without_await]


@pytest.mark.parametrize("handler", [lambda make: lambda _: make(), lambda make: later(make)], ids=["plain", "async"])
@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_scopes_around_a_yield_work_when_each_chunk_has_its_reader(make, handler, count):
    async def main():
        transport, response = await open_response(handler(make))
        chunks = [await asyncio.create_task(response.read_chunk()) for _ in range(count)]
        await asyncio.create_task(response.aclose())
        await transport.aclose()
        assert len(asyncio.all_tasks()) == 1
        return chunks

    assert run(main()) == ([b"1", b"somebody" if "USER" in make.__code__.co_names else b"2", b""])[:count]


def later(make):
    async def handler(_):
        await asyncio.sleep(1)
        return make()

    return handler


def test_a_context_variable_of_the_handler_is_seen_by_its_chunks_alone():
    async def handler(_):
        token = USER.set("the handler's")

        async def chunks():
            yield USER.get().encode()
            USER.reset(token)

        return chunks()

    def plain(_):
        token = USER.set("the handler's")

        def chunks():
            yield USER.get().encode()
            USER.reset(token)

        return chunks()

    async def main(handler):
        _, response = await open_response(handler)
        assert USER.get() == "nobody"
        assert [await response.read_chunk(), await response.read_chunk()] == [b"the handler's", b""]

    run(main(handler))
    run(main(plain))


def test_a_timeout_that_expires_between_two_reads_ends_the_body():
    async def chunks():
        async with asyncio.timeout(5):
            yield b"1"
            yield b"2"

    async def main():
        _, response = await open_response(lambda _: chunks())
        assert await response.read_chunk() == b"1"
        await asyncio.sleep(10)
        for error in (TimeoutError, APIConnectionError):
            with pytest.raises(error):
                await response.read_chunk()
        await response.aclose()

    run(main())


@pytest.mark.parametrize("waiting", [False, True])
def test_chunks_after_a_timeout_between_two_reads_arrive_in_order(waiting):
    async def chunks():
        for number in range(3):
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    yield b"%d" % number

    async def main():
        _, response = await open_response(lambda _: chunks())
        assert await response.read_chunk() == b"0"
        if waiting:  # a cancelled reader has requested a chunk that nobody takes
            reader = asyncio.create_task(response.read_chunk())
            await asyncio.sleep(0)
            reader.cancel()
        await asyncio.sleep(60)
        assert [await response.read_chunk() for _ in range(3)] == [b"1", b"2", b""]

    run(main())


def test_a_failure_of_a_task_group_is_the_failure_of_the_body():
    async def fail():
        raise ZeroDivisionError

    async def chunks():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            yield b"1"

    async def main():
        _, response = await open_response(lambda _: chunks())
        assert await response.read_chunk() == b"1"
        await asyncio.sleep(1)
        with pytest.raises(ExceptionGroup) as failure:
            await response.read_chunk()
        assert failure.group_contains(ZeroDivisionError)
        await response.aclose()

    run(main())


@pytest.mark.parametrize("iterations", range(4))
@pytest.mark.parametrize("how", ["close", "cancel"])
def test_a_handler_at_work_ends_when_its_request_does(iterations, how):
    states = []

    async def handler(_):
        states.append("begun")
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(1)
            states.append("ended")

    async def main():
        transport = MemoryTransport(handler)
        opening = asyncio.create_task(transport.open(None, Request("GET", "/"), connect_timeout=None))
        for _ in range(iterations):
            await asyncio.sleep(0)
        if how == "close":
            await transport.aclose()
        else:
            opening.cancel()
        with pytest.raises(APIConnectionError if how == "close" else asyncio.CancelledError):
            await opening
        assert len(asyncio.all_tasks()) == 1
        assert asyncio.get_running_loop().time() < 3600

    run(main())
    assert states in ([], ["begun", "ended"])


def test_a_handler_that_cancels_itself_is_a_connection_error():
    async def handler(_):
        raise asyncio.CancelledError

    async def chunks():
        yield b"1"
        raise asyncio.CancelledError

    async def main():
        with pytest.raises(APIConnectionError, match="cancelled"):
            await open_response(handler)
        _, response = await open_response(lambda _: chunks())
        await response.read_chunk()
        with pytest.raises(APIConnectionError, match="cancelled"):
            await response.read_chunk()

    run(main())


def test_a_handler_may_close_its_own_transport():
    async def main():
        async def chunks():
            await transport.aclose()
            yield b"1"

        transport, response = await open_response(lambda _: chunks())
        with pytest.raises(APIConnectionError):
            await response.read_chunk()

    run(main())


def test_an_abandoned_response_ends_its_generator():
    left = []

    async def chunks():
        try:
            yield b"1"
        finally:
            await asyncio.sleep(1)
            left.append(True)

    async def main():
        _, response = await open_response(lambda _: chunks())
        await response.read_chunk()
        del response
        gc.collect()
        await asyncio.sleep(2)
        assert left
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_the_end_of_the_event_loop_ends_a_generator_that_yields_on():
    async def chunks():
        with suppress(asyncio.CancelledError):
            yield b"1"
        yield b"2"

    async def main():
        _, response = await open_response(lambda _: chunks())
        await response.read_chunk()
        return response

    run(main())


def test_an_error_of_an_awaited_handler_propagates_unchanged():
    async def handler(_):
        raise ZeroDivisionError("a mistake")

    async def respond(_):
        return Response(204)

    async def main():
        with pytest.raises(ZeroDivisionError, match="a mistake"):
            await open_response(handler)
        _, response = await open_response(respond)
        assert (response.status, await response.read_chunk()) == (204, b"")

    run(main())


def test_an_iterator_without_methods_to_close_it_is_read_and_closed():
    class Chunks:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return b"more"

    async def main():
        _, response = await open_response(lambda _: StreamingResponse(200, {}, Chunks()))
        assert await response.read_chunk() == b"more"
        await response.aclose()
        with pytest.raises(APIConnectionError, match="closed"):
            await response.read_chunk()
        assert len(asyncio.all_tasks()) == 1

    run(main())


@pytest.mark.parametrize("error", [APIConnectionError("lost"), ZeroDivisionError("a mistake")], ids=["network", "bug"])
@pytest.mark.parametrize("closing", [False, True])
def test_only_a_bug_while_closing_is_logged(error, closing, caplog):
    async def chunks():
        try:
            await asyncio.sleep(3600 if closing else 1)
        finally:
            raise error
        yield b""

    async def main():
        _, response = await open_response(lambda _: chunks())
        reader = asyncio.create_task(response.read_chunk())
        await asyncio.sleep(0)
        reader.cancel()  # so that nobody is told of the error
        await asyncio.sleep(5)
        await response.aclose()

    run(main())
    gc.collect()
    expected = ["a handler failed while its response was closed"] if closing and error.args == ("a mistake",) else []
    assert [record.message.splitlines()[0] for record in caplog.records] == expected
