"""Encode operations to requests, and values back to JSON, without a network.

Both clients build the request for their HTTP library, with URL, headers and body, and stop there. Values are compared
with pydantic, which encodes the official client's models.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import handinger_async._json as our_json
from handinger_async import DelayedWhen, Worker, operations, to_dict, to_json
from handinger_async.codec import decode_response, encode_request
from handinger_async.http import Endpoint, Response

from . import _documents as documents
from ._clients import KEY, OURS, OURS_JSON, parser
from ._measure import Goal, interleave, number, print_goals, table
from .decode import DOCUMENTS, PYDANTIC, WORKER
from .decode import ours as our_decoder
from .decode import pydantic as pydantic_decoder

OFFICIAL = "handinger 0.3.0"
OFTEN = 100
BASE_URL = "http://127.0.0.1:1"
RETRIEVE, CREATE, SCHEDULE = "retrieve", "create", "schedule"
TO_DICT, TO_JSON = "Worker, 3 kB, to dict", "to JSON"


def ours(*, fast_json: bool) -> dict[str, Callable[[], object]]:
    """Return our calls, by label."""
    chosen = parser(fast_json=fast_json)
    endpoint = Endpoint(BASE_URL, KEY)
    worker: Worker = decode_response(operations.RetrieveWorker("w1"), Response(200, {}, documents.small()))

    def using(call: Callable[[], object]) -> Callable[[], object]:
        def with_parser() -> object:
            our_json.orjson = chosen
            return call()

        return with_parser

    def build(operation: operations.Operation[Any]) -> object:
        return endpoint.prepare(encode_request(operation))

    when = DelayedWhen(delay_in_seconds=60)
    calls: dict[str, Callable[[], object]] = {
        RETRIEVE: lambda: build(operations.RetrieveWorker("w1")),
        CREATE: lambda: build(operations.CreateWorker("What's the weather?", budget="low")),
        SCHEDULE: lambda: build(operations.CreateSchedule("w1", "Look again", when)),
        TO_DICT: lambda: to_dict(worker),
        TO_JSON: lambda: to_json(worker),
    }
    return {label: using(call) for label, call in calls.items()}


def official() -> dict[str, Callable[[], object]]:
    """Return the calls of the official blocking client, with its sending replaced by building the request."""
    import handinger
    from handinger._models import FinalRequestOptions, construct_type
    from handinger.types import Worker as OfficialWorker

    client = handinger.Handinger(api_key=KEY, base_url=BASE_URL)

    build = client._build_request  # noqa: SLF001 - it has no public equivalent

    def request(cast_to: object, options: FinalRequestOptions, **_: object) -> object:
        return build(options)

    client.request = request
    worker = construct_type(value=our_json.loads(documents.small()), type_=OfficialWorker)
    workers = client.workers
    return {
        RETRIEVE: lambda: workers.retrieve("w1"),
        CREATE: lambda: workers.create(input="What's the weather?", budget="low"),
        SCHEDULE: lambda: workers.schedules.create(
            "w1", input="Look again", when={"type": "delayed", "delay_in_seconds": 60}
        ),
        TO_DICT: worker.to_dict,
        TO_JSON: lambda: worker.to_json(indent=None),
    }


def encoders(kind: str, body: bytes) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return the functions that encode a document to a dict and to JSON, by contender."""
    value = our_decoder(kind, fast_json=False)(body)

    def to_text(*, fast_json: bool) -> Callable[[], object]:
        chosen = parser(fast_json=fast_json)

        def encode() -> object:
            our_json.orjson = chosen
            return to_json(value)

        return encode

    model = pydantic_decoder(kind)(body)
    return {
        PYDANTIC: (model.model_dump, model.model_dump_json),
        OURS_JSON: (lambda: to_dict(value), to_text(fast_json=False)),
        OURS: (lambda: to_dict(value), to_text(fast_json=True)),
    }


def run_values(rounds: int) -> dict[str, dict[str, float]]:
    """Measure the encoding of values, and print it beside pydantic's."""
    medians: dict[str, dict[str, float]] = {}
    for label, (body, kind, times) in DOCUMENTS.items():
        found = encoders(kind, body)
        for place, form in enumerate(("dict", "JSON")):
            calls = {name: _repeat(pair[place], times) for name, pair in found.items()}
            took = interleave(calls, rounds, time.process_time)
            medians[f"{label}, {form}"] = {name: seconds / times for name, seconds in took.items()}
    print(f"\nvalues: speed as a multiple of {PYDANTIC}'s; microseconds")
    names = [PYDANTIC, OURS_JSON, OURS]
    for unit in (lambda row, name: row[PYDANTIC] / row[name], lambda row, name: row[name] * 1e6):
        print(table(list(medians), [(name, [number(unit(row, name)) for row in medians.values()]) for name in names]))
    small = next(label for label, (_, kind, _) in DOCUMENTS.items() if kind == WORKER)
    goals: list[Goal] = [
        (f"{small}, {form}: our speed over {PYDANTIC}'s", row[PYDANTIC] / row[OURS], ">=", wanted)
        for form, wanted in (("dict", 1), ("JSON", 0.8))
        for row in [medians[f"{small}, {form}"]]
    ]
    print_goals(goals)
    return medians


def run(rounds: int) -> dict[str, object]:
    """Measure, print and return the medians in seconds."""
    contenders = {OURS_JSON: ours(fast_json=False)}
    for name, make in ((OURS, lambda: ours(fast_json=True)), (OFFICIAL, official)):
        try:
            contenders = {name: make()} | contenders
        except ImportError as error:
            print(f"skipped, since {error.name} is not installed: {name}")
    labels = list(contenders[OURS_JSON])
    medians = {}
    for label in labels:
        took = interleave(
            {name: _repeat(calls[label], OFTEN) for name, calls in contenders.items()}, rounds, time.process_time
        )
        medians[label] = {name: seconds / OFTEN for name, seconds in took.items()}
    if OFFICIAL in contenders:
        print("speed as a multiple of the official client's")
        rows = [(name, [number(row[OFFICIAL] / row[name]) for row in medians.values()]) for name in contenders]
        print(table(labels, rows))
    print("\nmicroseconds")
    print(table(labels, [(name, [number(row[name] * 1e6) for row in medians.values()]) for name in contenders]))
    return {"seconds": medians, "values": run_values(rounds) if {OFFICIAL, OURS} <= contenders.keys() else {}}


def _repeat(call: Callable[[], object], times: int) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(times):
            call()

    return repeat
