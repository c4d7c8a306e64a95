"""Workers (agents that run on the server), their output, and the templates that they run from.

Every class keeps unknown fields in ``extra``, and unknown values, such as a new status, as they are.
"""

from typing import Any, Literal, TypeAlias

import attrs

from ._model import response_model

__all__ = [
    "Costs",
    "DeleteWorkerResponse",
    "File",
    "Output",
    "OutputContent",
    "Source",
    "Usage",
    "Visibility",
    "Worker",
    "WorkerStatus",
    "WorkerTemplate",
]

Visibility: TypeAlias = Literal["public", "private"]
WorkerStatus: TypeAlias = Literal["running", "completed", "pending"] | str


@response_model
class File:
    """A file published by a worker.

    Args:
        media_type: Its content type.
        url: Its URL.
        filename: Its name.
        size: Its size in bytes.
        extra: Fields unknown to this version, as the server sent them.
    """

    media_type: str
    url: str
    filename: str | None = None
    size: int | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class OutputContent:
    """One part of an output message.

    Args:
        text: The text.
        type: ``"output_text"``.
        extra: Fields unknown to this version, as the server sent them.
    """

    text: str
    type: Literal["output_text"] | str
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class Output:
    """One message of a worker.

    Args:
        id: The message's id.
        content: Its parts.
        role: ``"assistant"``.
        status: ``"completed"``.
        type: ``"message"``.
        extra: Fields unknown to this version, as the server sent them.
    """

    id: str
    content: list[OutputContent]
    role: Literal["assistant"] | str
    status: Literal["completed"] | str
    type: Literal["message"] | str
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class Source:
    """A source read by a worker.

    Args:
        id: The source's id.
        type: ``"url"``.
        url: Its URL.
        title: Its title.
        extra: Fields unknown to this version, as the server sent them.
    """

    id: str
    type: Literal["url"] | str
    url: str
    title: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class Costs:
    """The costs of a worker, in US dollars.

    Args:
        internal_cost_usd: Cost of the service itself.
        model_cost_usd: Cost of models.
        sandbox_cost_usd: Cost of the sandbox.
        tool_cost_usd: Cost of tools.
        extra: Fields unknown to this version, as the server sent them.
    """

    internal_cost_usd: float
    model_cost_usd: float
    sandbox_cost_usd: float
    tool_cost_usd: float
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class Usage:
    """The resources used by a worker. Services differ in the counters that they report; the others are None.

    Args:
        cache_read_tokens: Input tokens read from the cache.
        cache_write_tokens: Input tokens written to the cache.
        cost_usd: Total cost in US dollars.
        input_tokens: Input tokens.
        output_tokens: Output tokens.
        reasoning_tokens: Output tokens used for reasoning.
        steps: Number of steps.
        total_tokens: Total number of tokens.
        credits: Credits used.
        duration_ms: Duration in milliseconds.
        extra: Fields unknown to this version, as the server sent them.
    """

    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    steps: int | None = None
    total_tokens: int | None = None
    credits: int | None = None
    duration_ms: int | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class Worker:
    """The state of a worker at one moment.

    Args:
        id: The worker's id; opaque.
        error: None, according to the API reference; any other value is kept as sent.
        files: Its published files.
        incomplete_details: None, according to the API reference; any other value is kept as sent.
        messages: The conversation; its format is not documented.
        metadata: Metadata stored with the worker.
        object: ``"worker"``.
        output: Its output messages.
        output_text: The text of the output messages.
        running: True while it works.
        sources: The sources it has read.
        status: ``"pending"``, ``"running"`` or ``"completed"``.
        created_at: Time of creation, in seconds since 1970-01-01 UTC.
        costs: Its costs so far.
        structured_output: The object that fits the output schema of its template; None without a schema.
        url: The URL of its page in the dashboard.
        usage: The resources used so far.
        extra: Fields unknown to this version, as the server sent them.
    """

    id: str
    error: Any
    files: list[File]
    incomplete_details: Any
    messages: list[Any]
    metadata: dict[str, Any]
    object: Literal["worker"] | str
    output: list[Output]
    output_text: str
    running: bool
    sources: list[Source]
    status: WorkerStatus
    created_at: int | None = None
    costs: Costs | None = None
    structured_output: dict[str, Any] | None = None
    url: str | None = None
    usage: Usage | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class WorkerTemplate:
    """A reusable worker: its instructions and settings, from which tasks are started.

    Args:
        id: The id of the worker; opaque.
        instructions: The instructions that every task follows.
        organization_id: The id of its organization.
        summary: A summary of at most 80 characters.
        title: The title.
        url: The URL of its page in the dashboard.
        user_id: The id of the user who created it.
        visibility: ``"public"`` or ``"private"``.
        created_at: Time of creation, RFC 3339.
        output_schema: JSON Schema, Draft 7, of the structured output; None for free text.
        updated_at: Time of the last change, RFC 3339.
        extra: Fields unknown to this version, as the server sent them.
    """

    id: str
    instructions: str
    organization_id: str
    summary: str
    title: str
    url: str
    user_id: str
    visibility: Visibility | str
    created_at: str | None = None
    output_schema: dict[str, Any] | None = None
    updated_at: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@response_model
class DeleteWorkerResponse:
    """The result of deleting a worker.

    Args:
        deleted: True if the worker is deleted.
        extra: Fields unknown to this version, as the server sent them.
    """

    deleted: bool
    extra: dict[str, Any] = attrs.field(factory=dict)
