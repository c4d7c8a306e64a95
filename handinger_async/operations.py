"""Every operation of the API, each declared once, as an immutable value.

The fields of an operation class are its arguments. Its `Route` says how they are sent: fields named in the path go into
the path, the others into the JSON body or the query, depending on the method. Fields that equal their default are left
out.

An operation that exists is well-formed: arguments of a wrong type, and ids that would change the structure of the URL,
are refused at construction, before anything is sent.
"""

from typing import Any, ClassVar

import attrs

from ._operation import Operation, Route, check_path, check_segment
from .models import (
    UNSET,
    Budget,
    DeleteTaskResponse,
    DeleteWorkerResponse,
    ScheduleCancelResponse,
    ScheduleListResponse,
    TaskTurnList,
    TaskWithTurns,
    Unset,
    Visibility,
    Webhook,
    WebhookExecutionList,
    When,
    Worker,
    WorkerSchedule,
    WorkerTemplate,
    to_when,
)
from .models._checks import (
    check_count,
    check_flag,
    check_form,
    check_optional_id,
    check_optional_object,
    check_optional_text,
    check_text,
)
from .models._model import frozen_model
from .sse import ServerSentEvent
from .uploads import Upload, to_uploads

__all__ = [
    "OPERATIONS",
    "CancelSchedule",
    "ContinueWorker",
    "CreateSchedule",
    "CreateTask",
    "CreateWorker",
    "CreateWorkerTemplate",
    "DeleteTask",
    "DeleteWebhook",
    "DeleteWorker",
    "ListSchedules",
    "ListTaskTurns",
    "ListWebhookExecutions",
    "Operation",
    "RegenerateWebhookToken",
    "RetrieveTask",
    "RetrieveWebhook",
    "RetrieveWorker",
    "RetrieveWorkerEmail",
    "RetrieveWorkerFile",
    "Route",
    "StreamWorkerUpdates",
    "UpdateWebhook",
    "UpdateWorker",
]


@frozen_model
class CreateWorker(Operation[Worker]):
    """Create a worker and start it with an instruction, on a service of the older generation.

    Args:
        input: The instruction.
        budget: The cost limit; None for the service's default.
        stream: Request a stream of events instead of the worker.
    """

    route: ClassVar[Route] = Route("POST", "/api/workers", Worker)

    input: str = attrs.field(validator=check_text)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)
    stream: bool = attrs.field(default=False, validator=check_flag)


@frozen_model
class RetrieveWorker(Operation[Worker]):
    """Retrieve the current state of a worker.

    Args:
        worker_id: The id of the worker.
        stream: Request a stream of events instead of the worker.
        task_id: The id of the task to show; None for the most recent.
    """

    route: ClassVar[Route] = Route("GET", "/api/workers/{worker_id}", Worker)

    worker_id: str = attrs.field(validator=check_segment)
    stream: bool = attrs.field(default=False, validator=check_flag)
    task_id: str | None = attrs.field(default=None, validator=check_optional_id)


@frozen_model
class ContinueWorker(Operation[Worker]):
    """Send another instruction to an existing worker.

    Args:
        worker_id: The id of the worker.
        input: The instruction.
        budget: The cost limit; None for the service's default.
        stream: Request a stream of events instead of the worker.
    """

    route: ClassVar[Route] = Route("POST", "/api/workers/{worker_id}", Worker)

    worker_id: str = attrs.field(validator=check_segment)
    input: str = attrs.field(validator=check_text)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)
    stream: bool = attrs.field(default=False, validator=check_flag)


@frozen_model
class StreamWorkerUpdates(Operation[list[ServerSentEvent]]):
    """Subscribe to the updates of a worker.

    Args:
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("GET", "/api/workers/{worker_id}/stream", ServerSentEvent)

    worker_id: str = attrs.field(validator=check_segment)


@frozen_model
class RetrieveWorkerEmail(Operation[str]):
    """Retrieve the e-mail address of a worker.

    Args:
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("GET", "/api/workers/{worker_id}/email", str)

    worker_id: str = attrs.field(validator=check_segment)


@frozen_model
class RetrieveWorkerFile(Operation[bytes]):
    """Retrieve a file published by a worker.

    Args:
        file_path: Its path in the worker's space; slashes separate directories.
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("GET", "/api/workers/{worker_id}/files/{file_path...}", bytes)

    file_path: str = attrs.field(validator=check_path)
    worker_id: str = attrs.field(validator=check_segment)


@frozen_model
class ListSchedules(Operation[ScheduleListResponse]):
    """List the schedules of a worker.

    Args:
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("GET", "/api/workers/{worker_id}/schedules", ScheduleListResponse)

    worker_id: str = attrs.field(validator=check_segment)


@frozen_model
class CreateSchedule(Operation[WorkerSchedule]):
    """Schedule an instruction for one future run or for recurring runs.

    Args:
        worker_id: The id of the worker.
        input: The instruction.
        when: One of the When classes, or a dict with its ``type`` and its fields.
        budget: The cost limit of each run; None for the service's default.
    """

    route: ClassVar[Route] = Route("POST", "/api/workers/{worker_id}/schedules", WorkerSchedule)

    worker_id: str = attrs.field(validator=check_segment)
    input: str = attrs.field(validator=check_text)
    when: When = attrs.field(converter=to_when)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)


@frozen_model
class CancelSchedule(Operation[ScheduleCancelResponse]):
    """Cancel a schedule of a worker.

    Args:
        schedule_id: The id of the schedule.
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("DELETE", "/api/workers/{worker_id}/schedules/{schedule_id}", ScheduleCancelResponse)

    schedule_id: str = attrs.field(validator=check_segment)
    worker_id: str = attrs.field(validator=check_segment)


@frozen_model
class CreateWorkerTemplate(Operation[WorkerTemplate]):
    """Create a worker without running it. Arguments that are None are left to the service.

    Args:
        instructions: The instructions that every task follows, at most 20,000 characters.
        prompt: A description that the service expands into instructions, at most 10,000 characters.
        title: The title, at most 200 characters.
        summary: A summary, at most 80 characters.
        visibility: ``"public"`` or ``"private"``.
        output_schema: JSON Schema, Draft 7, of the structured output; None for free text.
    """

    route: ClassVar[Route] = Route("POST", "/api/workers", WorkerTemplate)

    instructions: str | None = attrs.field(default=None, validator=check_optional_text)
    prompt: str | None = attrs.field(default=None, validator=check_optional_text)
    title: str | None = attrs.field(default=None, validator=check_optional_text)
    summary: str | None = attrs.field(default=None, validator=check_optional_text)
    visibility: Visibility | None = attrs.field(default=None, validator=check_optional_text)
    output_schema: dict[str, Any] | None = attrs.field(default=None, validator=check_optional_object)


@frozen_model
class UpdateWorker(Operation[WorkerTemplate]):
    """Change a worker. Arguments that are left out keep their values.

    Args:
        worker_id: The id of the worker.
        instructions: The instructions of later tasks, at most 20,000 characters.
        title: The title, at most 200 characters.
        summary: A summary, at most 80 characters.
        visibility: ``"public"`` or ``"private"``.
        output_schema: JSON Schema, Draft 7, of the structured output; None for free text.
    """

    route: ClassVar[Route] = Route("PATCH", "/api/workers/{worker_id}", WorkerTemplate)

    worker_id: str = attrs.field(validator=check_segment)
    instructions: str | None = attrs.field(default=None, validator=check_optional_text)
    title: str | None = attrs.field(default=None, validator=check_optional_text)
    summary: str | None = attrs.field(default=None, validator=check_optional_text)
    visibility: Visibility | None = attrs.field(default=None, validator=check_optional_text)
    output_schema: dict[str, Any] | Unset | None = attrs.field(default=UNSET, validator=check_optional_object)


@frozen_model
class DeleteWorker(Operation[DeleteWorkerResponse]):
    """Delete a worker. Its tasks, files and schedules stay stored.

    Args:
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("DELETE", "/api/workers/{worker_id}", DeleteWorkerResponse)

    worker_id: str = attrs.field(validator=check_segment)


@frozen_model
class CreateTask(Operation[Worker]):
    """Start or continue a task. The response comes when the run is over.

    Args:
        input: The message.
        worker_id: The id of the worker; None for a new one with the message as its instructions.
        task_id: The id of the task to continue, or a new id; None to let the service choose one.
        budget: The cost limit; None for the service's default.
        stream: Request a stream of events instead of the worker.
        files: Files for the worker: paths, ``(name, bytes)``, or binary files that stay open until they are sent. They
            become a tuple of `handinger_async.uploads.Upload`.

    Raises:
        OSError: A file does not exist, or cannot be opened.
    """

    route: ClassVar[Route] = Route("POST", "/api/tasks", Worker, blocking=True)

    input: str = attrs.field(validator=check_text)
    worker_id: str | None = attrs.field(default=None, validator=check_optional_id)
    task_id: str | None = attrs.field(default=None, validator=check_optional_id)
    budget: Budget | None = attrs.field(default=None, validator=check_optional_text)
    stream: bool = attrs.field(default=False, validator=check_flag)
    files: tuple[Upload, ...] = attrs.field(default=(), converter=to_uploads, validator=check_form)


@frozen_model
class RetrieveTask(Operation[TaskWithTurns]):
    """Retrieve the current state of a task.

    Args:
        task_id: The id of the task.
    """

    route: ClassVar[Route] = Route("GET", "/api/tasks/{task_id}", TaskWithTurns)

    task_id: str = attrs.field(validator=check_segment)


@frozen_model
class ListTaskTurns(Operation[TaskTurnList]):
    """List the turns of a task.

    Args:
        task_id: The id of the task.
    """

    route: ClassVar[Route] = Route("GET", "/api/tasks/{task_id}/turns", TaskTurnList)

    task_id: str = attrs.field(validator=check_segment)


@frozen_model
class DeleteTask(Operation[DeleteTaskResponse]):
    """Archive a task: it leaves the lists, and keeps its turns and files.

    Args:
        task_id: The id of the task.
    """

    route: ClassVar[Route] = Route("DELETE", "/api/tasks/{task_id}", DeleteTaskResponse)

    task_id: str = attrs.field(validator=check_segment)


@frozen_model
class RetrieveWebhook(Operation[Webhook]):
    """Retrieve the webhook of a worker.

    Args:
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("GET", "/api/workers/{worker_id}/webhook", Webhook)

    worker_id: str = attrs.field(validator=check_segment)


@frozen_model
class UpdateWebhook(Operation[Webhook]):
    """Set or remove the URL of a worker's webhook. The first URL creates a token, later ones keep it.

    Args:
        worker_id: The id of the worker.
        url: An HTTPS URL of at most 2048 characters; None to remove the webhook.
    """

    route: ClassVar[Route] = Route("PUT", "/api/workers/{worker_id}/webhook", Webhook)

    worker_id: str = attrs.field(validator=check_segment)
    url: str | None = attrs.field(validator=check_optional_text)


@frozen_model
class DeleteWebhook(Operation[Webhook]):
    """Remove the webhook of a worker.

    Args:
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("DELETE", "/api/workers/{worker_id}/webhook", Webhook)

    worker_id: str = attrs.field(validator=check_segment)


@frozen_model
class ListWebhookExecutions(Operation[WebhookExecutionList]):
    """List one page of the deliveries to a worker's webhook, the newest first.

    Args:
        worker_id: The id of the worker.
        page: The number of the page, from 1.
    """

    route: ClassVar[Route] = Route("GET", "/api/workers/{worker_id}/webhook/executions", WebhookExecutionList)

    worker_id: str = attrs.field(validator=check_segment)
    page: int = attrs.field(default=1, validator=check_count)


@frozen_model
class RegenerateWebhookToken(Operation[Webhook]):
    """Replace the token of a worker's webhook. The old one is invalid at once.

    Args:
        worker_id: The id of the worker.
    """

    route: ClassVar[Route] = Route("POST", "/api/workers/{worker_id}/webhook/regenerate-token", Webhook)

    worker_id: str = attrs.field(validator=check_segment)


OPERATIONS: tuple[type[Operation[Any]], ...] = (
    CreateWorker,
    RetrieveWorker,
    ContinueWorker,
    StreamWorkerUpdates,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    ListSchedules,
    CreateSchedule,
    CancelSchedule,
    CreateWorkerTemplate,
    UpdateWorker,
    DeleteWorker,
    CreateTask,
    RetrieveTask,
    ListTaskTurns,
    DeleteTask,
    RetrieveWebhook,
    UpdateWebhook,
    DeleteWebhook,
    ListWebhookExecutions,
    RegenerateWebhookToken,
)
