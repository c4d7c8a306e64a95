"""The frames that a relay sends to a browser: the same for every web framework."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator

from handinger_async import (
    APIError,
    ConfigurationError,
    EventStream,
    NotFoundError,
    ServerSentEvent,
    Session,
    encode_event,
)

HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
HEARTBEAT = 15.0  # seconds

logger = logging.getLogger(__name__)


async def open_stream(
    session: Session, worker_id: str, last_event_id: str
) -> EventStream | None:
    """Return the events after an id; None if there is no such worker."""
    try:
        events = session.workers.stream_updates(worker_id, last_event_id=last_event_id)
        await session.workers.retrieve(worker_id)
    except (ConfigurationError, NotFoundError):  # also what cannot be an id
        return None
    except APIError as error:  # after a status 500, the browser would not come back
        logger.warning("the relay of %s cannot begin: %s", worker_id, error)
    return events


async def frames(
    session: Session, worker_id: str, events: EventStream
) -> AsyncGenerator[bytes, None]:
    """Yield the events, a comment after each silence, and the result at the end."""
    try:
        async with events:
            while True:
                coming = asyncio.ensure_future(anext(events, None))
                while not coming.done():
                    await asyncio.wait((coming,), timeout=HEARTBEAT)
                    if not coming.done():
                        yield b":\n\n"
                if (event := coming.result()) is None:
                    break
                yield encode_event(ServerSentEvent(event.data, id=event.id))
        worker = await session.workers.retrieve(worker_id)
        result = {"status": worker.status, "output_text": worker.output_text}
    except NotFoundError:  # no stream, or no worker any more: do not come back
        result = {"status": "gone", "output_text": ""}
    except APIError as error:  # without a result, the browser connects again
        logger.warning("the relay of %s ends: %s", worker_id, error)
        return
    yield encode_event(ServerSentEvent(json.dumps(result), event="done"))
