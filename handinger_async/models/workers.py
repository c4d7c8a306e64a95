"""Workers (agents that run on the server) and their output.

Every class keeps unknown fields in ``extra``, and unknown values, such as a new status, as they are.
"""

from typing import Any, Literal, TypeAlias

import attrs

from ._model import response_model

__all__ = ["Costs", "File", "Output", "OutputContent", "Source", "Usage", "Worker", "WorkerStatus"]

WorkerStatus: TypeAlias = Literal["running", "completed", "pending"] | str


@response_model
class File:
    """A file published by a worker.

    Args:
        media_type: Its content type.
        url: Its URL.
        filename: Its name.
        extra: Fields unknown to this version, as the server sent them.
    """

    media_type: str
    url: str
    filename: str | None = None
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
    """The resources used by a worker.

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

    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    steps: int
    total_tokens: int
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
    usage: Usage | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)
