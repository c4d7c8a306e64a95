"""Whether a transport keeps to its protocol: the page `handinger_async.transports`, clause by clause.

For people who bring another HTTP client::

    from handinger_async.testing import check_transport

    async def test_my_transport():
        await check_transport(lambda handler: MyTransport())

or, with a line in the report for each clause::

    @pytest.mark.parametrize("clause", CLAUSES)
    async def test_my_transport(clause):
        await check_transport(lambda handler: MyTransport(), clauses=[clause])
"""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeAlias

from yarl import URL

from ..errors import APIConnectionError, APITimeoutError
from ..http import Request, Response
from ..transports.memory import Answer, StreamingResponse
from ._bench import SOON, Always, Bench, Gate, Make, cancel, check, failure_of, happens, read_all, waits
from .server import Server

__all__ = ["CLAUSES", "Bench", "Clause", "check_transport"]

Clause: TypeAlias = "Callable[[Bench], Awaitable[None]]"

#: Seconds that a clause may take; each is done in a fraction of one.
LIMIT = 10.0
#: Every clause, in the order in which they are checked.
CLAUSES: list[Clause] = []


async def check_transport(make: Make, *, clauses: Iterable[Clause] = CLAUSES) -> None:
    """Check that a transport keeps to the protocol.

    Args:
        make: Returns a new transport. It is given the handler that is to answer, which is also served over HTTP on
            loopback at the URL that is opened: a transport with a network takes no notice of it.
        clauses: The clauses to check; all by default. Those that need a network are passed over for a transport that
            has none.

    Raises:
        AssertionError: A clause does not hold; the message begins with its name.
    """
    network = await _has_network(make)
    for clause in clauses:
        if network or clause not in _OF_NETWORKS:
            try:
                async with asyncio.timeout(LIMIT):
                    await clause(Bench(make))
            except Exception as error:
                reason = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
                claim = (clause.__doc__ or "").partition("\n")[0]
                raise AssertionError(f"{clause.__name__}: {claim} But: {reason}") from error


async def _has_network(make: Make) -> bool:
    """Find out who answers: the handler that the transport was given, or the one at the URL."""
    async with Server(lambda _: Response(200)) as server:
        transport = make(lambda _: Response(201))
        try:
            response = await transport.open(URL(server.url), Request("GET", "/"), connect_timeout=None)
            await response.aclose()
            return response.status == 200
        except Exception:
            return True
        finally:
            await transport.aclose()


# What the clauses are written in ######################################################################################


def _clause(function: Clause) -> Clause:
    CLAUSES.append(function)
    return function


_OF_NETWORKS: set[Clause] = set()


def _network_clause(function: Clause) -> Clause:
    _OF_NETWORKS.add(function)
    return _clause(function)


# The request ##########################################################################################################


@_clause
async def target_arrives_as_given(bench: Bench) -> None:
    """The path and the query arrive as they were given, percent-encoding and all."""
    target = "/api/%7Eodd%2fid/a%2Fb;v=1,(2)!$&'*+=:@~/%E2%82%AC/.hidden?stream=true&q=a+b%20c%3D%26&empty=&%C3%A9"
    handler = Always(Response(200))
    async with bench.answering(handler) as setup:
        await setup.fetch(target)
    seen = handler.seen
    check(seen[0].target == target, f"{target} arrived as {seen[0].target}")


@_clause
async def method_headers_and_body_arrive_as_given(bench: Bench) -> None:
    """The method, the headers and the body arrive as they were given, once."""
    handler = Always(Response(200))
    headers = {
        "Accept": "application/json",
        "Authorization": "Bearer key",
        "Content-Type": "application/json",
        "User-Agent": "conformance/1",
        "X-Odd": 'a, b;c="d"',
    }
    body = bytes(range(256)) * 8192
    async with bench.answering(handler) as setup:
        await setup.fetch("/", method="POST", headers=headers, body=body)
        for method in ("GET", "DELETE", "PATCH"):
            await setup.fetch("/", method=method)
    seen = handler.seen
    check([request.method for request in seen] == ["POST", "GET", "DELETE", "PATCH"], "a method is not that given")
    for name, value in headers.items():
        check(seen[0].headers.get(name) == value, f"{name}: {value} arrived as {seen[0].headers.get(name)}")
    check(seen[0].body == body, f"a body of {len(body)} bytes arrived as {len(seen[0].body)} other ones")
    check(seen[1].body == b"", "a body was made up")
    check("content-type" not in seen[1].headers, "a content type was made up for a request without a body")


@_clause
async def many_requests_at_a_time(bench: Bench) -> None:
    """Requests are sent while others wait for their answers."""
    count = 20
    arrived = 0
    all_here = asyncio.Event()

    async def handler(_: Request) -> Answer:
        nonlocal arrived
        arrived += 1
        if arrived == count:
            all_here.set()
        await happens(all_here, f"only {arrived} of {count} requests arrived")
        return Response(200)

    async with bench.answering(handler) as setup:
        answers = await asyncio.gather(*(setup.fetch() for _ in range(count)))
    check({response.status for response, _ in answers} == {200}, f"of {count} requests, only {arrived} were sent")


# The answer ###########################################################################################################


@_clause
async def answer_arrives_as_given(bench: Bench) -> None:
    """The status, the headers and the body are delivered as they were sent."""
    body = bytes(range(256)) * 2048
    headers = {"Content-Type": "text/odd; a=b", "X-Request-Id": "req_1", "Retry-After": "7", "ETag": '"x"'}
    async with bench.answering(lambda _: Response(203, headers, body)) as setup:
        response, received = await setup.fetch()
    check(response.status == 203, f"a status of 203 was delivered as {response.status}")
    for name, value in headers.items():
        found = response.headers.get(name.lower())
        check(found == value, f"the header {name}: {value} was delivered as {found}")
    check(received == body, f"a body of {len(body)} bytes was delivered as {len(received)} other ones")


@_clause
async def statuses_are_no_errors(bench: Bench) -> None:
    """An answer is an answer, whatever its status says; its body can be read."""
    for status in (400, 401, 404, 408, 409, 429, 500, 503, 599):
        async with bench.answering(Always(Response(status, {}, b"why"))) as setup:
            response, body = await setup.fetch()
        check((response.status, body) == (status, b"why"), f"{status} was delivered as {response.status}, {body!r}")


@_clause
async def redirects_are_not_followed(bench: Bench) -> None:
    """A redirect is delivered, and nothing is sent to where it points."""
    for status in (301, 302, 303, 307, 308):
        handler = Always(Response(status, {"Location": "/elsewhere"}))
        async with bench.answering(handler) as setup:
            response, _ = await setup.fetch()
        check(response.status == status, f"{status} was delivered as {response.status}")
        check(response.headers.get("location") == "/elsewhere", "the Location was not delivered")
        check(len(handler.seen) == 1, f"{len(handler.seen)} requests were sent")


@_clause
async def head_comes_before_the_body(bench: Bench) -> None:
    """The status and the headers are delivered before there is any of the body."""
    gate = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        await gate.wait()
        yield b"late"

    async with bench.answering(lambda _: StreamingResponse(200, {"X-Early": "yes"}, chunks())) as setup:
        opening = setup.start(setup.open())
        await asyncio.wait((opening,), timeout=SOON)
        early = opening.done()
        gate.set()
        response = await opening
        body = await read_all(response)
        await response.aclose()
    check(early, "open waited for the body")
    check((response.headers.get("x-early"), body) == ("yes", b"late"), "head or body got lost")


@_clause
async def chunks_come_as_they_are_sent(bench: Bench) -> None:
    """Each piece of the body is delivered as soon as it is there."""
    gate = Gate()
    async with bench.answering(gate) as setup:
        response = await setup.open()
        reading = setup.start(response.read_chunk())
        await asyncio.wait((reading,), timeout=SOON)
        early = reading.done()
        gate.opened.set()
        body = await reading + await read_all(response)
        await response.aclose()
    check(early, "a piece was kept back until there was more")
    check(body == b"firstsecond", f"b'firstsecond' was delivered as {body!r}")


@_clause
async def end_is_empty_from_then_on(bench: Bench) -> None:
    """At the end `read_chunk` returns ``b""``, and from then on."""
    async with bench.answering(lambda _: Response(200, {}, b"all")) as setup:
        response = await setup.open()
        body = await read_all(response)
        more = [await response.read_chunk() for _ in range(3)]
        await response.aclose()
    check((body, more) == (b"all", [b"", b"", b""]), f"b'all' and the end were delivered as {body!r} and {more!r}")


@_clause
async def empty_pieces_are_not_the_end(bench: Bench) -> None:
    """An empty piece in the middle is not delivered: it would read as the end."""
    chunks = [b"", b"one", b"", b"", b"two", b""]
    async with bench.answering(lambda _: StreamingResponse(200, {}, iter(chunks))) as setup:
        _, body = await setup.fetch()
    check(body == b"onetwo", f"b'onetwo' with empty pieces around was delivered as {body!r}")


@_clause
async def answers_without_a_body_end_at_once(bench: Bench) -> None:
    """An answer that has no body (204, 304, to HEAD, of length 0) ends at once, and the next request is answered."""
    for status, method in ((204, "GET"), (204, "DELETE"), (304, "GET"), (200, "HEAD"), (200, "GET")):
        async with bench.answering(Always(Response(status))) as setup:
            for _ in range(2):
                response, body = await setup.fetch(method=method)
                check(response.status == status, f"{status} to {method} was delivered as {response.status}")
                check(body == b"", f"{status} to {method} came with a body: {body!r}")


@_network_clause
async def bodies_are_decompressed(bench: Bench) -> None:
    """A compressed body is delivered decompressed."""
    packed = gzip.compress(b"plain" * 1000)
    async with bench.answering(lambda _: Response(200, {"Content-Encoding": "gzip"}, packed)) as setup:
        _, body = await setup.fetch(headers={"Accept-Encoding": "gzip"})
    check(body == b"plain" * 1000, f"a body in gzip was delivered as {body[:40]!r}…")


# Failure ##############################################################################################################


@_clause
async def a_cut_body_is_no_end(bench: Bench) -> None:
    """A body that is cut short raises an APIConnectionError with ``request_sent`` True, after what there was of it."""
    delivered = asyncio.Event()

    async def cut() -> AsyncIterator[bytes]:
        yield b"some"
        await delivered.wait()
        raise APIConnectionError("cut")

    def handler(request: Request) -> Answer:
        return StreamingResponse(200, {"Content-Length": "100"} if request.target == "/long" else {}, cut())

    for target in ("/", "/long"):
        async with bench.answering(handler) as setup:
            delivered.clear()
            response = await setup.open(target)
            received = await response.read_chunk()
            delivered.set()
            failure = await failure_of(read_all(response), "reading a body that is cut short")
            await response.aclose()
        check(received == b"some", f"b'some' was delivered as {received!r}")
        check(failure.request_sent, "request_sent is False, though the answer had begun")


@_clause
async def a_dropped_connection_is_reported_and_not_repeated(bench: Bench) -> None:
    """A connection lost before the answer raises an APIConnectionError, and the request is sent just once."""
    seen: list[Request] = []

    def handler(request: Request) -> Answer:
        seen.append(request)
        if request.target == "/drop":
            raise APIConnectionError("dropped")
        return Response(200)

    for method in ("GET", "POST", "DELETE"):
        async with bench.answering(handler) as setup:
            await setup.fetch()  # so that there is a connection to reuse, which may be lost at any time
            seen.clear()
            failure = await failure_of(setup.open("/drop", method=method), "a request whose connection is lost")
        check(failure.request_sent, "request_sent is False, though the server has received the request")
        check(len(seen) == 1, f"a {method} was sent {len(seen)} times")


@_network_clause
async def a_refused_connection_was_not_sent(bench: Bench) -> None:
    """A refused connection raises an APIConnectionError with ``request_sent`` False."""
    async with bench.answering(lambda _: Response(200)) as setup:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # bound, but not listening
            url = URL(f"http://127.0.0.1:{unused.getsockname()[1]}/")
            opening = setup.transport.open(url, Request("POST", "/", {}, b"body"), connect_timeout=5.0)
            failure = await failure_of(opening, "a refused connection")
    check(not failure.request_sent, "request_sent is True, though there was no connection")


@_network_clause
async def an_unknown_host_was_not_sent(bench: Bench) -> None:
    """A host whose name cannot be resolved raises an APIConnectionError with ``request_sent`` False."""
    async with bench.answering(lambda _: Response(200)) as setup:
        url = URL("http://nowhere.invalid/")  # RFC 6761, section 6.4: never resolved
        opening = setup.transport.open(url, Request("GET", "/"), connect_timeout=5.0)
        failure = await failure_of(opening, "a host that does not exist")
    check(not failure.request_sent, "request_sent is True, though there was no connection")


@_network_clause
async def an_answer_that_is_not_http_is_a_connection_error(bench: Bench) -> None:
    """What is not HTTP raises an APIConnectionError with ``request_sent`` True."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"What is this?\r\n\r\n")
        writer.close()

    babbler = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with bench.answering(lambda _: Response(200)) as setup, babbler:
        url = URL(f"http://127.0.0.1:{babbler.sockets[0].getsockname()[1]}/")
        opening = setup.transport.open(url, Request("GET", "/"), connect_timeout=5.0)
        failure = await failure_of(opening, "an answer that is not HTTP")
    check(failure.request_sent, "request_sent is False, though the server has received the request")


@_clause
async def connect_timeout_is_for_connecting_alone(bench: Bench) -> None:
    """Once there is a connection, the answer may take longer than ``connect_timeout``."""

    async def handler(_: Request) -> Answer:
        await asyncio.sleep(0.6)
        return Response(200)

    async with bench.answering(handler) as setup:
        try:
            response = await setup.open(connect_timeout=0.4)
        except APITimeoutError:
            raise AssertionError("the time to answer was counted") from None
        await response.aclose()


# Closing ##############################################################################################################


@_clause
async def closing_twice_is_closing_once(bench: Bench) -> None:
    """An answer can be closed again: unread, in its middle and at its end."""
    async with bench.answering(Gate()) as setup:
        for pieces in range(2):
            response = await setup.open()
            for _ in range(pieces):
                await response.read_chunk()
            await response.aclose()
            await response.aclose()
            await failure_of(response.read_chunk(), "reading from an answer that was closed before its end")
    async with bench.answering(lambda _: Response(200, {}, b"all")) as setup:
        response = await setup.open()
        await response.aclose()
        await failure_of(response.read_chunk(), "reading from a short answer that was closed before it was read")
        response, _ = await setup.fetch()
        await response.aclose()


@_clause
async def closing_is_seen_at_the_other_end(bench: Bench) -> None:
    """To close an answer before its end tells the server, so that it can stop."""
    gate = Gate()
    async with bench.answering(gate) as setup:
        response = await setup.open()
        await response.read_chunk()
        await response.aclose()
        await happens(gate.left, "the server did not learn that the answer was closed")


@_clause
async def closing_wakes_a_reader(bench: Bench) -> None:
    """To close an answer from another task wakes one that waits in `read_chunk`, with an APIConnectionError."""
    async with bench.answering(Gate()) as setup:
        response = await setup.open()
        await response.read_chunk()
        reading = setup.start(response.read_chunk())
        await waits(reading, "read_chunk")
        await response.aclose()
        await asyncio.wait((reading,), timeout=SOON)
        check(reading.done(), "the reader was not woken")
        await failure_of(reading, "read_chunk")


@_clause
async def closing_completes_under_cancellation(bench: Bench) -> None:
    """To close an answer completes even if the task that does so is cancelled meanwhile."""
    for steps in range(3):
        gate = Gate()
        async with bench.answering(gate) as setup:
            response = await setup.open()
            await response.read_chunk()
            closing = setup.start(response.aclose())
            for _ in range(steps):
                await asyncio.sleep(0)
            if steps:
                await cancel(closing)
            else:
                await closing
            await happens(gate.left, "an answer whose closing was cancelled was still open")
            await response.aclose()


@_clause
async def a_cancelled_open_leaves_nothing(bench: Bench) -> None:
    """To cancel `open` ends the request at the other end too, and does not harm the next one."""
    arrived, left = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Answer:
        if request.target == "/":
            return Response(200)
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    async with bench.answering(handler) as setup:
        opening = setup.start(setup.open("/never"))
        await happens(arrived, "the request did not arrive")
        opening.cancel()
        await asyncio.wait((opening,), timeout=SOON)
        check(opening.done(), "open could not be cancelled")
        check(opening.cancelled(), "open swallowed its cancellation")
        await happens(left, "the server did not learn that the request was cancelled")
        response, _ = await setup.fetch()
    check(response.status == 200, "the next request was not answered")


@_clause
async def a_cancelled_read_loses_nothing(bench: Bench) -> None:
    """When `read_chunk` is cancelled, the next one goes on where it was."""
    for steps in range(8):
        gate = Gate()
        async with bench.answering(gate) as setup:
            response = await setup.open()
            body = await response.read_chunk()
            reading = setup.start(response.read_chunk())
            await waits(reading, "read_chunk")
            gate.opened.set()
            for _ in range(steps):  # cancelled before the piece is there, when it is, and after
                await asyncio.sleep(0)
            reading.cancel()
            with suppress(asyncio.CancelledError):
                body += await reading
            body += await read_all(response)
            await response.aclose()
        check(body == b"firstsecond", f"after a cancelled read, b'firstsecond' was delivered as {body!r}")


@_network_clause
async def connections_are_reused(bench: Bench) -> None:
    """A connection whose answer was read to its end and closed is used again."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(0)
        yield b"two"

    async with bench.answering(
        lambda request: Response(200, {}, b"body") if request.method == "POST" else StreamingResponse(200, {}, chunks())
    ) as setup:
        for number in range(6):
            await setup.fetch(method="POST" if number % 2 else "GET", body=b"x" * (number % 2))
        connections = setup.server.connections
    check(connections == 1, f"six requests, one after the other, took {connections} connections")


@_clause
async def closing_the_transport_closes_its_answers(bench: Bench) -> None:
    """To close the transport closes the answers that are open, and wakes who waits for them."""
    gate = Gate()
    async with bench.answering(gate) as setup:
        response = await setup.open()
        await response.read_chunk()
        reading = setup.start(response.read_chunk())
        await waits(reading, "read_chunk")
        await setup.transport.aclose()
        await asyncio.wait((reading,), timeout=SOON)
        check(reading.done(), "the reader was not woken")
        await failure_of(reading, "read_chunk")
        await happens(gate.left, "the server did not learn that the transport was closed")
        await response.aclose()


@_clause
async def a_closed_transport_sends_nothing(bench: Bench) -> None:
    """A transport can be closed again; what is opened then raises an APIConnectionError, and is not sent."""
    handler = Always(Response(200))
    async with bench.answering(handler) as setup:
        await setup.fetch()
        await setup.transport.aclose()
        await setup.transport.aclose()
        failure = await failure_of(setup.open(), "a request over a closed transport")
    check(not failure.request_sent, "request_sent is True, though the transport was closed")
    check(len(handler.seen) == 1, "it was sent")
