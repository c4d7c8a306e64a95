"""Models written as dicts and as JSON."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from handinger_async.codec import decode_response, to_dict, to_json
from handinger_async.http import Response
from handinger_async.models import (
    CronWhen,
    DelayedWhen,
    ScheduledWhen,
    Worker,
)
from handinger_async.operations import (
    CreateWorker,
    RetrieveWorker,
)
from handinger_async.sse import ServerSentEvent

from .documents import NOON, WORKER, make_response


@pytest.mark.parametrize(
    "value", [None, 1, "text", {}, [], CreateWorker("x"), ServerSentEvent("a"), Response(200), Worker]
)
def test_to_dict_refuses_anything_but_a_model(value: object) -> None:
    with pytest.raises(TypeError, match="takes a model"):
        to_dict(value)


def test_to_dict_accepts_when_objects() -> None:
    assert to_dict(DelayedWhen(60)) == {"delayInSeconds": 60, "type": "delayed"}
    assert to_dict(ScheduledWhen(NOON)) == {"date": "2019-12-27T18:11:19.117000+00:00", "type": "scheduled"}


def test_to_json_is_compact_and_does_not_escape_non_ascii() -> None:
    assert to_json(CronWhen("à 9 h")) == '{"cron":"à 9 h","type":"cron"}'


@pytest.mark.parametrize("convert", [to_dict, to_json])
def test_converting_a_too_deeply_nested_value_is_a_value_error(convert: Callable[[Worker], object]) -> None:
    worker = decode_response(RetrieveWorker("w"), make_response(WORKER))
    inner: list[Any] = []
    for _ in range(100_000):
        inner = [inner]
    for name in ("metadata", "error"):
        with pytest.raises(ValueError, match="nested too deeply"):
            convert(attrs.evolve(worker, **{name: {"foo": inner}}))
