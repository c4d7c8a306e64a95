"""Webhooks of the in-memory service: their deliveries, and the log of these."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import attrs
from yarl import URL

from ..._json import dumps
from ...errors import APIConnectionError, shorten
from ...http import JSON, Request, Response
from ...models import WebhookExecution
from ...transports.memory import HandlerResult, call_handler
from .._responses import close
from .clock import Clock, Ids
from .documents import document
from .recent import KEPT
from .tasks import TaskState
from .views import View
from .workers import WorkerState

__all__ = ["LOOPBACK", "Deliver", "Deliveries", "Hook"]

Deliver: TypeAlias = Callable[[Request], HandlerResult | Awaitable[HandlerResult | None] | None]

#: The hosts of this machine, on which nobody has a certificate.
LOOPBACK = ("localhost", "127.0.0.1", "::1")

#: Seconds to wait for the response to a delivery.
_PATIENCE = 30.0


@attrs.define(kw_only=True, eq=False)
class Hook:
    """The webhook of a worker.

    Args:
        url: The URL; None without a webhook.
        token: The token of its deliveries; None without a webhook.
        executions: The last deliveries, also to earlier URLs.
    """

    url: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    executions: list[WebhookExecution] = attrs.field(factory=list)


class Deliveries:
    """Delivers the ends of runs in the background, while runs or schedules of a worker with a webhook are pending.

    Args:
        clock: The service's clock.
        ids: Generates ids.
        view: Renders tasks.
        deliver: Receives the requests; None if nothing does.

    Attributes:
        hooks: The webhooks by the id of their worker.
    """

    def __init__(self, clock: Clock, ids: Ids, view: View, deliver: Deliver | None) -> None:
        self.hooks: dict[str, Hook] = {}
        self._clock = clock
        self._ids = ids
        self._view = view
        self._deliver = deliver
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, worker: WorkerState) -> None:
        """Deliver what is pending for a worker, now and later. Outside an event loop, nothing is delivered."""
        hook = self.hooks.get(worker.id)
        worker.reports_ends = hook is not None and hook.url is not None
        if hook is None or hook.url is None:
            worker.forget_ended()
            return
        if not worker.ended and not worker.schedules:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        delivering = self._tasks.get(worker.id)
        if delivering is None or delivering.done() or delivering.get_loop() is not loop:
            self._tasks[worker.id] = loop.create_task(self._run(worker, hook))

    async def _run(self, worker: WorkerState, hook: Hook) -> None:
        while hook.url is not None:
            now = await worker.catch_up()
            over = [(task, end) for task, end in worker.ended if end.at <= now]
            worker.ended = [(task, end) for task, end in worker.ended if end.at > now]
            for task, end in over:
                if end.is_final:
                    await self._post(hook, hook.url, task)
                    await asyncio.sleep(0)  # a receiver that is a plain function lets nobody else run
            if over:
                continue  # time may have passed meanwhile
            if not worker.ended and (worker.deleted or not worker.schedules):
                return
            await worker.grow(now, min((end.at for _, end in worker.ended), default=None))

    async def _post(self, hook: Hook, url: str, task: TaskState) -> None:
        began = self._clock.now()
        shown = self._view.task(task, began)
        where = URL(url)
        headers = {
            "Host": where.host_port_subcomponent or "",
            "Content-Type": JSON,
            "X-Handinger-Token": hook.token or "",
        }
        request = Request("POST", where.raw_path_qs, headers, dumps({"task": document(shown)}))
        status, reason = await self._send(request)
        execution = WebhookExecution(
            id=self._ids.new("whe"),
            created_at=self._clock.instant(began),
            duration_ms=round((self._clock.now() - began) * 1000),
            error_message=reason,
            request_status="error" if reason else "success",
            response_status=status,
            task_id=task.id,
            task_title=task.title,
            url=url,
            worker_id=task.worker_id,
        )
        hook.executions.append(execution)
        del hook.executions[:-KEPT]

    async def _send(self, request: Request) -> tuple[int | None, str | None]:
        """Return the status of the response, and the reason of a failure."""
        deliver = self._deliver
        if deliver is None:
            return None, "nothing receives deliveries here: FakeHandinger(deliver=…) names a receiver"

        async def receive(request: Request) -> HandlerResult:
            result: Any = deliver(request)
            if inspect.isawaitable(result):
                result = await result
            return Response(204) if result is None else result

        try:
            async with asyncio.timeout(_PATIENCE):
                response = await call_handler(receive, request)
                await close(response.chunks)
        except TimeoutError:
            return None, f"no response within {_PATIENCE:g} s"
        except APIConnectionError as error:
            return None, error.message
        except Exception as error:  # a mistake in the receiver: logged, and shown as that of a server would be
            context = {"message": "the receiver of a webhook failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return 500, f"{type(error).__name__}: {shorten(str(error))}"
        if 200 <= response.status < 300:
            return response.status, None
        return response.status, f"the response has the status {response.status}"
