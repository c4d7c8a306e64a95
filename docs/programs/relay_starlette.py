"""Relay the events of a worker to browsers, with Starlette, under any ASGI server."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from handinger_async import Session
from relay_frames import HEADERS, frames, open_stream


class FramesResponse(StreamingResponse):
    """A response that closes its source when the browser is gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.body_iterator):
            await super().__call__(scope, receive, send)


def make_app(session: Session) -> Starlette:
    """Return an application with a page that shows a worker."""

    async def page(request: Request) -> Response:
        return FileResponse(Path(__file__).with_name("relay.html"))

    async def relay(request: Request) -> Response:
        worker_id = request.path_params["worker_id"]  # may this user see this worker?
        last = request.headers.get("Last-Event-ID", "")
        if (events := await open_stream(session, worker_id, last)) is None:
            return Response(status_code=404)
        return FramesResponse(frames(session, worker_id, events), headers=HEADERS)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with session:
            yield

    routes = [Route("/", page), Route("/workers/{worker_id}/events", relay)]
    return Starlette(routes=routes, lifespan=lifespan)


def app() -> Starlette:
    """Return the application, for ``uvicorn --factory relay_starlette:app``."""
    return make_app(Session())
