"""Relay the events of a worker to browsers, with aiohttp.web."""

from contextlib import aclosing
from pathlib import Path

from aiohttp import web

from handinger_async import Session
from relay_frames import HEADERS, frames, open_stream


def make_app(session: Session) -> web.Application:
    """Return an application with a page that shows a worker."""

    async def page(request: web.Request) -> web.FileResponse:
        return web.FileResponse(Path(__file__).with_name("relay.html"))

    async def relay(request: web.Request) -> web.StreamResponse:
        worker_id = request.match_info["worker_id"]  # may this user see this worker?
        last = request.headers.get("Last-Event-ID", "")
        if (events := await open_stream(session, worker_id, last)) is None:
            raise web.HTTPNotFound
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        async with aclosing(frames(session, worker_id, events)) as chunks:
            async for chunk in chunks:
                await response.write(chunk)
        return response

    async def close(app: web.Application) -> None:
        await session.aclose()

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/workers/{worker_id}/events", relay)])
    app.on_shutdown.append(close)  # ends the relays, which would delay the shutdown
    return app


if __name__ == "__main__":
    web.run_app(make_app(Session()), handler_cancellation=True)
