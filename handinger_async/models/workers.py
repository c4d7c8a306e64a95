"""A worker: an agent that runs on the server, and what it has produced so far.

Every class keeps the fields that this version does not know in ``extra``, and values that it does not know (a new
status, say) as they are.
"""

from typing import Any, Literal, TypeAlias

import attrs

from ._value import answer

__all__ = ["Costs", "File", "Output", "OutputContent", "Source", "Usage", "Worker", "WorkerStatus"]

WorkerStatus: TypeAlias = Literal["running", "completed", "pending"] | str


@answer
class File:
    """A file that a worker has published.

    Args:
        media_type: Its content type.
        url: Where it is.
        filename: Its name.
        extra: Fields unknown to this version, as the server sent them.
    """

    media_type: str
    url: str
    filename: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class OutputContent:
    """One piece of an output message.

    Args:
        text: The text.
        type: ``"output_text"``.
        extra: Fields unknown to this version, as the server sent them.
    """

    text: str
    type: Literal["output_text"] | str
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class Output:
    """One message of a worker.

    Args:
        id: The message's id.
        content: Its pieces.
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


@answer
class Source:
    """Something that a worker has read.

    Args:
        id: The source's id.
        type: ``"url"``.
        url: Where it is.
        title: Its title.
        extra: Fields unknown to this version, as the server sent them.
    """

    id: str
    type: Literal["url"] | str
    url: str
    title: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class Costs:
    """What a worker has cost, in US dollars.

    Args:
        internal_cost_usd: The service's own share.
        model_cost_usd: The models.
        sandbox_cost_usd: The sandbox.
        tool_cost_usd: The tools.
        extra: Fields unknown to this version, as the server sent them.
    """

    internal_cost_usd: float
    model_cost_usd: float
    sandbox_cost_usd: float
    tool_cost_usd: float
    extra: dict[str, Any] = attrs.field(factory=dict)


@answer
class Usage:
    """What a worker has used.

    Args:
        cache_read_tokens: Input tokens read from the cache.
        cache_write_tokens: Input tokens written to the cache.
        cost_usd: What it cost, in US dollars.
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        reasoning_tokens: Tokens written while reasoning.
        steps: Steps taken.
        total_tokens: All tokens.
        credits: Credits used.
        duration_ms: Time taken, in milliseconds.
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


@answer
class Worker:
    """The state of a worker at one moment.

    Args:
        id: The worker's id; opaque.
        error: None, says the reference; whatever else a server sends is kept.
        files: The files it has published.
        incomplete_details: None, says the reference; whatever else a server sends is kept.
        messages: The conversation; its form is not documented.
        metadata: Whatever was stored with the worker.
        object: ``"worker"``.
        output: The messages it has produced.
        output_text: Their text.
        running: Whether it is at work.
        sources: What it has read.
        status: ``"pending"``, ``"running"`` or ``"completed"``.
        created_at: When it was created, in seconds since 1970-01-01 UTC.
        costs: What it has cost.
        usage: What it has used.
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
