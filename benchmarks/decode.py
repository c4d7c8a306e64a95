"""Decode the bytes of a response to typed values, without a network.

Ours validates required fields, the type of every value, and time zones. The official client validates nothing, like the
constructors of its models. Points of reference: pydantic validating into the official client's models, msgspec decoding
into structs of the same fields (both parse the JSON themselves), and orjson returning plain dicts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import handinger_async._json as our_json
from handinger_async.codec import decode_response
from handinger_async.http import Response
from handinger_async.operations import ListSchedules, Operation, RetrieveWorker

from . import _documents as documents
from ._clients import OURS, OURS_JSON, parser
from ._measure import Goal, interleave, number, print_goals, table

OFFICIAL = "handinger 0.3.0"
PYDANTIC, MSGSPEC, ORJSON = "pydantic", "msgspec", "orjson alone"

Decode = Callable[[bytes], Any]
WORKER, SCHEDULES = "worker", "schedules"
#: By label: the document, its kind, and the number of times that one round decodes it.
DOCUMENTS: dict[str, tuple[bytes, str, int]] = {
    "Worker, 3 kB": (documents.small(), WORKER, 300),
    "Worker, 200 kB": (documents.big(), WORKER, 10),
    "list of 1000": (documents.schedules(), SCHEDULES, 6),
}


def ours(kind: str, *, fast_json: bool) -> Decode:
    """Return our decoder, which starts from the response."""
    operation: Operation[Any] = RetrieveWorker("w1") if kind == WORKER else ListSchedules("w1")
    headers = {"Content-Type": "application/json"}
    chosen = parser(fast_json=fast_json)

    def decode(body: bytes) -> Any:
        our_json.orjson = chosen
        return decode_response(operation, Response(200, headers, body))

    return decode


def official(kind: str) -> Decode:
    """Return the official client's decoder of a body."""
    from handinger._models import construct_type
    from handinger.types import Worker
    from handinger.types.workers import ScheduleListResponse

    model = Worker if kind == WORKER else ScheduleListResponse
    return lambda body: construct_type(value=json.loads(body), type_=model)


def pydantic(kind: str) -> Decode:
    """Return the parser and validator of pydantic."""
    from handinger.types import Worker
    from handinger.types.workers import ScheduleListResponse

    decode: Decode = (Worker if kind == WORKER else ScheduleListResponse).model_validate_json
    return decode


def msgspec(kind: str) -> Decode:
    """Return a decoder into hand-written structs."""
    import msgspec

    class Base(msgspec.Struct, kw_only=True):
        pass

    class Camel(msgspec.Struct, kw_only=True, rename="camel"):
        pass

    class File(Camel):
        media_type: str
        url: str
        filename: str | None = None

    class OutputContent(Base):
        text: str
        type: str

    class Output(Base):
        id: str
        content: list[OutputContent]
        role: str
        status: str
        type: str

    class Source(Base):
        id: str
        type: str
        url: str
        title: str | None = None

    class Costs(Camel):
        internal_cost_usd: float
        model_cost_usd: float
        sandbox_cost_usd: float
        tool_cost_usd: float

    class Usage(Camel):
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

    class Worker(Base):
        id: str
        error: Any
        files: list[File]
        incomplete_details: Any
        messages: list[Any]
        metadata: dict[str, Any]
        object: str
        output: list[Output]
        output_text: str
        running: bool
        sources: list[Source]
        status: str
        created_at: int | None = None
        costs: Costs | None = None
        usage: Usage | None = None

    class Schedule(msgspec.Struct, kw_only=True, rename="camel", tag_field="type"):
        id: str
        budget: str
        input: str
        next_run_at: datetime

    class Scheduled(Schedule, tag="scheduled"):
        pass

    class Delayed(Schedule, tag="delayed"):
        delay_in_seconds: int

    class Cron(Schedule, tag="cron"):
        cron: str

    class Interval(Schedule, tag="interval"):
        interval_seconds: int

    class ScheduleList(Camel):
        schedules: list[Scheduled | Delayed | Cron | Interval]
        worker_id: str

    types = {name: value for name, value in locals().items() if isinstance(value, type)}
    for cls in types.values():
        cls.__annotations__ = {
            name: eval(text, {**globals(), **types}) if isinstance(text, str) else text
            for name, text in cls.__annotations__.items()
        }
    decode: Decode = msgspec.json.Decoder(Worker if kind == WORKER else ScheduleList).decode
    return decode


def orjson_alone(kind: Literal["worker", "schedules"]) -> Decode:
    """Return the parser alone."""
    import orjson

    decode: Decode = orjson.loads
    return decode


CONTENDERS: dict[str, Callable[[str], Decode]] = {
    OFFICIAL: official,
    PYDANTIC: pydantic,
    MSGSPEC: msgspec,
    ORJSON: orjson_alone,
    OURS_JSON: lambda kind: ours(kind, fast_json=False),
    OURS: lambda kind: ours(kind, fast_json=True),
}


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians in seconds."""
    medians: dict[str, dict[str, float]] = {}
    for label, (body, kind, often) in DOCUMENTS.items():
        calls: dict[str, Callable[[], object]] = {}
        for name, make in CONTENDERS.items():
            try:
                decode = make(kind)
            except ImportError as error:
                if not medians:
                    print(f"skipped, since {error.name} is not installed: {name}")
                continue
            calls[name] = _repeat(decode, body, often)
        medians[label] = {name: took / often for name, took in interleave(calls, rounds).items()}
    labels = list(medians)
    names = list(medians[labels[0]])
    if OFFICIAL in names:
        print("speed as a multiple of the official client's")
        rows = [(name, [number(row[OFFICIAL] / row[name]) for row in medians.values()]) for name in names]
        print(table(labels, rows))
    print("\nmicroseconds")
    print(table(labels, [(name, [number(row[name] * 1e6) for row in medians.values()]) for name in names]))
    if OURS in names:
        goals: list[Goal] = [
            (
                f"{label}: official client over ours",
                row[OFFICIAL] / row[OURS] if OFFICIAL in row else None,
                ">=",
                wanted,
            )
            for (label, row), wanted in zip(medians.items(), (12, 14, 6.5), strict=True)
        ]
        print_goals(goals)
    return {"seconds": medians}


def _repeat(decode: Decode, body: bytes, often: int) -> Callable[[], None]:
    def call() -> None:
        for _ in range(often):
            decode(body)

    return call
