"""Encode operations to requests, and values back to JSON, without a network.

Both clients build the request for their HTTP library, with URL, headers and body, and stop there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import handinger_async._json as our_json
from handinger_async import DelayedWhen, Worker, operations, to_dict, to_json
from handinger_async.codec import decode_response, encode_request
from handinger_async.http import Endpoint, Response

from . import _documents as documents
from ._clients import KEY, OURS, OURS_JSON, parser
from ._measure import interleave, number, table

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
        took = interleave({name: _repeat(calls[label]) for name, calls in contenders.items()}, rounds)
        medians[label] = {name: seconds / OFTEN for name, seconds in took.items()}
    if OFFICIAL in contenders:
        print("speed as a multiple of the official client's")
        rows = [(name, [number(row[OFFICIAL] / row[name]) for row in medians.values()]) for name in contenders]
        print(table(labels, rows))
    print("\nmicroseconds")
    print(table(labels, [(name, [number(row[name] * 1e6) for row in medians.values()]) for name in contenders]))
    return {"seconds": medians}


def _repeat(call: Callable[[], object]) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(OFTEN):
            call()

    return repeat
