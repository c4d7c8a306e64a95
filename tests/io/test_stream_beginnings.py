"""The beginning of a stream: ``Last-Event-ID``, ``Cache-Control``, and the size of events."""

import asyncio
from typing import Any

import pytest

from handinger_async import (
    APIConnectionError,
    ConfigurationError,
    EventStream,
    EventTooLargeError,
    Session,
    StreamInterruptedError,
)
from handinger_async.operations import RetrieveWorker, StreamWorkerUpdates
from handinger_async.testing.virtual_time import run

from .service import Service, event_stream, read_events, truncated
from .wire import WireRequest, chunked, wire_server

HEADER = {"last-event-id": "5"}


@pytest.mark.parametrize(
    "stream",
    [
        lambda session: session.workers.stream_updates("w", last_event_id="5"),
        lambda session: session.stream(StreamWorkerUpdates("w"), last_event_id="5"),
        lambda session: session.stream(RetrieveWorker("w"), last_event_id="5"),
        lambda session: session.with_options(headers=HEADER).workers.stream_updates("w"),
        lambda session: session.with_options(headers={"Last-Event-ID": "4"}).workers.stream_updates(
            "w", last_event_id="5"
        ),
    ],
    ids=["stream_updates", "stream", "retrieve", "header", "both"],
)
def test_stream_begins_after_the_given_id_and_advances(stream: Any) -> None:
    async def main() -> None:
        service = Service(
            event_stream(truncated()), event_stream(truncated(b"id: 6\ndata: a\n\n")), event_stream([b"data: b\n\n"])
        )
        async with service.session() as session:
            events: EventStream = stream(session)
            assert events.last_event_id == "5"
            assert await read_events(events) == ["a", "b"]
            assert events.last_event_id == "6"
        assert service.resumed_after == ["5", "5", "6"]

    run(main())


def test_last_event_id_among_the_headers_of_the_session_advances() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 6\ndata: a\n\n")), event_stream([]))
        async with service.session(headers=HEADER) as session:
            await read_events(session.workers.stream_updates("w"))
        assert service.resumed_after == ["5", "6"]

    run(main())


@pytest.mark.parametrize("header", ["", None])
def test_empty_last_event_id_among_the_headers_holds_no_id_back(header: str | None) -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 6\ndata: a\n\n")), event_stream([]), event_stream([]))
        async with service.session(headers={"Last-Event-ID": header}) as session:
            await read_events(session.workers.stream_updates("w"))
            await read_events(session.workers.stream_updates("w", last_event_id="5"))
        assert service.resumed_after == [None, "6", "5"]

    run(main())


def test_last_event_id_is_that_of_the_last_event_returned() -> None:
    async def main() -> None:
        service = Service(event_stream([b"".join(b"id: %d\ndata: a\n\n" % n for n in range(1, 7))]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            assert events.last_event_id == ""
            assert (await anext(events)).id == events.last_event_id == "1"
            assert (await anext(events)).id == events.last_event_id == "2"
        assert events.last_event_id == "2"

    run(main())


def test_last_event_id_after_a_batch_is_that_of_its_last_event() -> None:
    async def main() -> None:
        service = Service(event_stream([b"".join(b"id: %d\ndata: a\n\n" % n for n in range(1, 7))]))
        async with service.session() as session, session.workers.stream_updates("w") as events:
            await anext(events)
            assert len(await anext(events.batches())) == 5
            assert events.last_event_id == "6"
        assert events.last_event_id == "6"

    run(main())


def test_id_of_an_interruption_is_where_another_stream_begins() -> None:
    async def main() -> None:
        service = Service(event_stream(truncated(b"id: 6\ndata: a\n\n")), event_stream([b"id: 7\ndata: b\n\n"]))
        async with service.session() as session:
            with pytest.raises(StreamInterruptedError) as caught:
                await read_events(session.workers.stream_updates("w", resume=False))
            again = session.workers.stream_updates("w", last_event_id=caught.value.last_event_id)
            assert await read_events(again) == ["b"]
        assert service.resumed_after == [None, "6"]

    run(main())


@pytest.mark.parametrize("last_event_id", ["a\x01b", "\x7f", "a\nb", " ", "\ud800", 7, None])
def test_last_event_id_that_no_header_can_carry_is_refused(last_event_id: Any) -> None:
    session = Session(api_key="k")
    with pytest.raises(ConfigurationError, match="last_event_id"):
        session.workers.stream_updates("w", last_event_id=last_event_id)


@pytest.mark.parametrize(("size", "refused"), [(20, True), (21, False)])
def test_largest_event_is_an_option_of_the_session(size: int, refused: bool) -> None:
    async def main() -> None:
        async with Service(event_stream([b"data: " + b"x" * 14 + b"\n\n"])).session(max_event_size=size) as session:
            for view in (session, session.with_options(headers={"X": "y"})):
                try:
                    await read_events(view.workers.stream_updates("w"))
                except EventTooLargeError:
                    assert refused
                else:
                    assert not refused

    run(main())


@pytest.mark.parametrize("size", [0, -1, 1.5, "9", None])
@pytest.mark.parametrize("name", ["max_event_size", "max_body_size"])
def test_maximum_size_that_is_no_positive_number_of_bytes_is_refused(name: str, size: Any) -> None:
    options: Any = {name: size}
    with pytest.raises(ConfigurationError, match=f"{name} must be a number of bytes above zero"):
        Session(api_key="k", **options)


@pytest.mark.parametrize("ident", ["\u00e9\u2192\N{GRINNING FACE}", "a\tb", "x" * 4000, "a\x01b", "a\x7fb"])
async def test_id_is_resumed_after_on_a_socket_or_else_the_stream_is_interrupted(ident: str) -> None:
    async def reply(request: WireRequest, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            writer.write(chunked(f"retry: 0\nid: {ident}\ndata: a\n\n".encode(), end=False))
            writer.close()
        else:
            writer.write(chunked(b"data: b\n\n"))

    async with wire_server(reply) as server, Session(api_key="k", base_url=server.url) as session:
        stream = session.workers.stream_updates("w")
        if ident.isprintable() or "\t" in ident:
            assert await read_events(stream) == ["a", "b"]
            (sent,) = server.requests[1].header("last-event-id")
            assert sent in (ident, ident.encode().decode("latin-1"))
        else:
            with pytest.raises(StreamInterruptedError, match="cannot be sent in a header") as caught:
                await read_events(stream)
            assert caught.value.last_event_id == ident
            assert isinstance(caught.value.__cause__, APIConnectionError)
            assert len(server.requests) == 1
        assert server.requests[0].header("cache-control") == ["no-cache"]
