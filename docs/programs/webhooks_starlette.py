"""Receive the deliveries of webhooks with Starlette, under any ASGI server."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handinger_async import Session, TaskWithTurns, WebhookTokenError
from handinger_async.webhooks import receive


def make_app(
    session: Session, tokens: Collection[str], use: Callable[[TaskWithTurns], object]
) -> Starlette:
    """Return an application that passes each finished task to ``use``."""
    finished: asyncio.Queue[str] = asyncio.Queue()

    async def hook(request: Request) -> Response:
        try:
            body = await request.body()
            delivery = receive(request.headers, body, token=tokens)
        except WebhookTokenError:
            return Response(status_code=401)
        if delivery.task_id:
            finished.put_nowait(delivery.task_id)
        return Response(status_code=204)

    async def work() -> None:
        while True:
            task_id = await finished.get()
            try:
                use(await session.tasks.retrieve(task_id))
            except Exception as error:  # also of use: the next tasks go on
                print(task_id, error)

    @asynccontextmanager
    async def run_worker(app: Starlette) -> AsyncIterator[None]:
        async with session:
            worker = asyncio.create_task(work())
            yield
            worker.cancel()
            await asyncio.wait((worker,))

    route = Route("/hook", hook, methods=["POST"])
    return Starlette(routes=[route], lifespan=run_worker)


def app() -> Starlette:
    """Return the application, for ``uvicorn --factory webhooks_starlette:app``."""
    return make_app(Session(), [os.environ["WEBHOOK_TOKEN"]], print)
