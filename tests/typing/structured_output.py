"""Structured output and webhooks, as type checkers see them; see ``usage``."""

from collections.abc import Mapping
from typing import Any, TypedDict, assert_type

import attrs
import pydantic

from handinger_async import Task
from handinger_async.schema import decode, make_schema
from handinger_async.webhooks import WebhookDelivery, receive


@attrs.frozen
class Tent:
    name: str


class Model(pydantic.BaseModel):
    name: str


class Dict(TypedDict):
    name: str


def structured_output(document: object, schema: Mapping[str, Any] | None) -> None:
    assert_type(decode(document, Tent), Tent)
    assert_type(decode(document, Model), Model)
    assert_type(decode(document, Dict, path="$.structured_output"), Dict)
    assert_type(decode(document, schema), Any)
    assert_type(make_schema(Tent), dict[str, Any])
    assert_type(make_schema({"type": "object"}), dict[str, Any])
    decode(document, "Tent")  # type: ignore[call-overload]


def deliveries(mapping: Mapping[str, str], pairs: list[tuple[bytes, bytes]], body: bytes) -> None:
    delivery = receive(mapping, body, token="whk_1")
    assert_type(delivery, WebhookDelivery)
    assert_type(delivery.task_id, str | None)
    assert_type(delivery.task, Task | None)
    receive(pairs, memoryview(body), token={"whk_1", "whk_2"})
    receive(pairs, body)  # type: ignore[call-arg]
