"""Structured output and webhooks, as type checkers see them; see ``usage``."""

from collections.abc import AsyncIterable, Mapping
from typing import Any, TypedDict, assert_type

import attrs
import pydantic

from handinger_async import Outcome, RunMany, RunResult, Session, Task
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


def deliveries(mapping: Mapping[str, str], pairs: list[tuple[bytes, bytes]], body: bytes) -> None:
    delivery = receive(mapping, body, token="whk_1")
    assert_type(delivery, WebhookDelivery)
    assert_type(delivery.task_id, str | None)
    assert_type(delivery.task, Task | None)
    receive(pairs, memoryview(body), token={"whk_1", "whk_2"})


async def batches(session: Session, inputs: AsyncIterable[str], schema: Mapping[str, Any]) -> None:
    async with session.run_many(["a", {"input": "b", "budget": "low"}], journal="j", progress=True) as results:
        async for result in results:
            assert_type(result, RunResult[None])
            assert_type(result.outcome, Outcome[None] | None)
            assert_type(result.error, Exception | None)
    assert_type(session.run_many(inputs, output_schema=Tent), RunMany[Tent])
    assert_type(session.run_many(inputs, output_schema=schema), RunMany[dict[str, Any]])
