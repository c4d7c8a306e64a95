"""Receive the deliveries of webhooks with aiohttp.web."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection

from aiohttp import web

from handinger_async import Session, TaskWithTurns, WebhookTokenError
from handinger_async.webhooks import receive


def make_app(
    session: Session, tokens: Collection[str], use: Callable[[TaskWithTurns], object]
) -> web.Application:
    """Return an application that passes each finished task to ``use``."""
    finished: asyncio.Queue[str] = asyncio.Queue()

    async def hook(request: web.Request) -> web.Response:
        try:
            body = await request.read()
            delivery = receive(request.headers, body, token=tokens)
        except WebhookTokenError:
            return web.Response(status=401)
        if delivery.task_id:
            finished.put_nowait(delivery.task_id)
        return web.Response(status=204)

    async def work() -> None:
        while True:
            task_id = await finished.get()
            try:
                use(await session.tasks.retrieve(task_id))
            except Exception as error:  # also of use: the next tasks go on
                print(task_id, error)

    async def run_worker(app: web.Application) -> AsyncIterator[None]:
        async with session:
            worker = asyncio.create_task(work())
            yield
            worker.cancel()
            await asyncio.wait((worker,))

    app = web.Application()
    app.router.add_post("/hook", hook)
    app.cleanup_ctx.append(run_worker)
    return app


if __name__ == "__main__":
    web.run_app(make_app(Session(), [os.environ["WEBHOOK_TOKEN"]], print))
