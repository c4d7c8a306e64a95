"""Clauses on closing responses and transports, and on cancellation."""

from __future__ import annotations

import asyncio

from ...http import Request, Response
from ...transports.memory import HandlerResult
from .._harness import HANG_GUARD, Always, Gate, Harness, cancel, check, expect, failure_of, iterate_loop
from .._scripted import Connection
from ._clauses import clause, network_clause


@clause
async def closing_twice_is_closing_once(harness: Harness) -> None:
    """A response can be closed again: before it is read, in its middle and at its end."""
    async with harness.serving(Gate()) as setup:
        for chunks in range(2):
            response = await setup.open()
            for _ in range(chunks):
                await response.read_chunk()
            await response.aclose()
            await response.aclose()
            await failure_of(response.read_chunk(), "reading from a response that was closed before its end")
    async with harness.serving(lambda _: Response(200, {}, b"all")) as setup:
        response = await setup.open()
        await response.aclose()
        await failure_of(response.read_chunk(), "reading from a short response that was closed before it was read")
        response, _ = await setup.fetch()
        await response.aclose()


@clause
async def closing_is_seen_at_the_other_end(harness: Harness) -> None:
    """Closing a response before its end disconnects, so that the server can stop."""
    gate = Gate()
    async with harness.serving(gate) as setup:
        response = await setup.open()
        await response.read_chunk()
        await response.aclose()
        await expect(gate.left, "the server did not learn that the response was closed")


@clause
async def closing_wakes_a_reader(harness: Harness) -> None:
    """Closing a response wakes a task that waits in `read_chunk`, with an APIConnectionError."""
    async with harness.serving(Gate()) as setup:
        response = await setup.open()
        await response.read_chunk()
        reading = setup.start(response.read_chunk())
        await iterate_loop(reading, "read_chunk")
        await response.aclose()
        await asyncio.wait((reading,), timeout=HANG_GUARD)
        check(reading.done(), "the reader was not woken")
        await failure_of(reading, "read_chunk")


@clause
async def closing_completes_under_cancellation(harness: Harness) -> None:
    """Closing a response completes even if its task is cancelled in the meantime."""
    for iterations in range(1, 4):
        gate = Gate()
        async with harness.serving(gate) as setup:
            response = await setup.open()
            await response.read_chunk()
            closing = setup.start(response.aclose())
            for _ in range(iterations):
                await asyncio.sleep(0)
            await cancel(closing)
            await expect(gate.left, "a response was still open after its closing was cancelled")
            await response.aclose()


@clause
async def a_cancelled_open_leaves_nothing(harness: Harness) -> None:
    """Cancelling `open` ends the request on the server too, and does not harm the next one."""
    arrived, left = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> HandlerResult:
        if request.target == "/":
            return Response(200)
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    async with harness.serving(handler) as setup:
        opening = setup.start(setup.open("/never"))
        await expect(arrived, "the request did not arrive")
        opening.cancel()
        await asyncio.wait((opening,), timeout=HANG_GUARD)
        check(opening.done(), "open could not be cancelled")
        check(opening.cancelled(), "open swallowed its cancellation")
        await expect(left, "the server did not learn that the request was cancelled")
        response, _ = await setup.fetch()
    check(response.status == 200, "the next request failed")


@network_clause
async def a_cancelled_upload_leaves_no_socket(harness: Harness) -> None:
    """Cancelling `open` closes the socket at once, even if the server does not read the rest of a large body."""
    arrived, checked = asyncio.Event(), asyncio.Event()
    connections: list[Connection] = []

    async def script(connection: Connection) -> None:
        connections.append(connection)
        await connection.read_head()
        arrived.set()
        await checked.wait()

    async with harness.scripting(script) as setup:
        opening = setup.start(setup.open(method="POST", body=bytes(2**24)))
        await expect(arrived, "the request did not arrive")
        await iterate_loop(opening, "open")
        await cancel(opening)
        pause = 0.001  # seconds; it doubles
        while connections[0].held_by_client() and pause < HANG_GUARD:
            await asyncio.sleep(pause)
            pause *= 2
        held = connections[0].held_by_client()
        checked.set()
    check(not held, "the socket was still open, to send the rest of the body: abort the connection")


@clause
async def closing_the_transport_closes_its_responses(harness: Harness) -> None:
    """Closing the transport closes the responses that are open, and wakes their readers."""
    gate = Gate()
    async with harness.serving(gate) as setup:
        response = await setup.open()
        await response.read_chunk()
        reading = setup.start(response.read_chunk())
        await iterate_loop(reading, "read_chunk")
        await setup.transport.aclose()
        await asyncio.wait((reading,), timeout=HANG_GUARD)
        check(reading.done(), "the reader was not woken")
        await failure_of(reading, "read_chunk")
        await expect(gate.left, "the server did not learn that the transport was closed")
        await response.aclose()


@clause
async def a_closed_transport_sends_nothing(harness: Harness) -> None:
    """A transport can be closed again. Then `open` raises an APIConnectionError, and nothing is sent."""
    handler = Always(Response(200))
    async with harness.serving(handler) as setup:
        await setup.fetch()
        await setup.transport.aclose()
        await setup.transport.aclose()
        failure = await failure_of(setup.open(), "a request over a closed transport")
    check(not failure.request_sent, "request_sent is True, though the transport was closed")
    check(len(handler.seen) == 1, "it was sent")
