"""A canary for the token of a webhook: it is in the value and its JSON, and shows up nowhere else."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from handinger_async import APIResponseValidationError, Attempt, Session, to_dict, to_json
from handinger_async.http import Headers, Request, Response
from handinger_async.models import Webhook
from handinger_async.operations import OPERATIONS
from handinger_async.testing.recording import RecordingTransport, ReplayTransport
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

TOKEN = "whk_canary_01HZY31W2SZJ8MJ2FQTR3M1K9D"
URL = "https://example.com/hook"
WEBHOOK = json.dumps({"token": TOKEN, "url": URL}).encode()
JSON = {"Content-Type": "application/json"}
CALLS: Any = [
    cls(worker_id="w", **({"url": URL} if "url" in cls.__annotations__ else {}))
    for cls in OPERATIONS
    if cls.route.returns is Webhook
]
each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)


def test_every_operation_of_a_webhook_is_tested() -> None:
    assert {type(call).__name__ for call in CALLS} == {
        "RetrieveWebhook",
        "UpdateWebhook",
        "DeleteWebhook",
        "RegenerateWebhookToken",
    }


@each_call
async def test_token_is_in_the_value_and_in_no_repr_or_log(call: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    attempts: list[Attempt] = []
    transport = MemoryTransport(lambda request: Response(200, JSON, WEBHOOK))
    async with Session(api_key="key", transport=transport, observe=attempts.append) as session:
        exchange = await session.exchange(call)
    webhook: Webhook = exchange.result
    assert webhook.token == to_dict(webhook)["token"] == json.loads(to_json(webhook))["token"] == TOKEN
    text = f"{webhook!r} {webhook} {exchange!r} {exchange.response!r} {attempts!r} {call!r}"
    text += caplog.text + "".join(map(repr, (vars(record) for record in caplog.records)))
    assert "token='***'" in text
    assert TOKEN not in text


@each_call
@pytest.mark.parametrize(
    "body",
    [
        WEBHOOK[:-1],
        WEBHOOK[:45],
        WEBHOOK + b"}",
        b"token: " + TOKEN.encode(),
        json.dumps({"token": [TOKEN], "url": URL}).encode(),
        json.dumps({"token": TOKEN, "url": {"token": TOKEN}}).encode(),
        json.dumps([TOKEN]).encode(),
        json.dumps(TOKEN).encode(),
    ],
)
async def test_no_error_about_a_response_shows_the_token(
    call: Any, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    transport = MemoryTransport(lambda request: Response(200, JSON, body))
    async with Session(api_key="key", transport=transport) as session:
        with pytest.raises(APIResponseValidationError) as caught:
            await session.send(call)
    error = caught.value
    text = f"{error} {error!r} {error.message} {error.args} {error.path} {error.response!r} {caplog.text}"
    assert TOKEN not in text


@pytest.mark.parametrize("name", ["X-Handinger-Token", "x-handinger-token"])
def test_header_is_masked_like_a_credential(name: str) -> None:
    headers = Headers({name: TOKEN})
    assert headers["x-handinger-token"] == TOKEN
    for value in (headers, Request("POST", "/hook", headers), Response(200, headers)):
        assert TOKEN not in repr(value)
        assert "***" in repr(value)


# Recordings ###########################################################################################################


async def record(path: Path, handler: Any, calls: Any) -> list[Any]:
    transport = RecordingTransport(MemoryTransport(handler), path)
    async with Session(api_key="key", transport=transport) as session:
        return [await call(session) for call in calls]


async def test_recordings_mask_the_token_of_responses_and_replay(tmp_path: Path) -> None:
    """In chunks as well, and in text that is no JSON; other tokens stay."""
    path = tmp_path / "webhooks.json"

    def handler(request: Request) -> StreamingResponse:
        headers = JSON | {"X-Handinger-Token": TOKEN, "Content-Length": str(len(WEBHOOK))}
        return StreamingResponse(200, headers, [WEBHOOK[:20], WEBHOOK[20:25], WEBHOOK[25:]])

    calls = [lambda session, call=call: session.send(call) for call in CALLS]
    assert [webhook.token for webhook in await record(path, handler, calls)] == [TOKEN] * len(CALLS)
    text = path.read_text("utf-8")
    assert TOKEN[:12] not in text
    assert TOKEN[-12:] not in text
    replay = ReplayTransport(path)
    async with Session(api_key="key", transport=replay) as session:
        assert [await session.send(call) for call in CALLS] == [Webhook(token="***", url=URL)] * len(CALLS)
    assert replay.unused == []


@pytest.mark.parametrize("path", ["/api/workers/w/files/webhook/a.json", "/api/workers/webhook", "/api/webhook"])
async def test_recordings_keep_the_tokens_of_other_responses(path: str, tmp_path: Path) -> None:
    async def call(session: Session) -> Any:
        return await session.request("GET", path)

    await record(tmp_path / "other.json", lambda request: Response(200, JSON, b'{"token": "kept"}'), [call])
    assert '"kept"' in (tmp_path / "other.json").read_text("utf-8").replace("\\", "")


async def test_recordings_of_deliveries_mask_the_token(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.json"

    def handler(request: Request) -> Response:
        assert request.headers["x-handinger-token"] == TOKEN
        return Response(200, {"X-Echo": TOKEN}, b"received " + request.body)

    async def call(session: Session) -> Any:
        document = {"taskId": "t", "token": TOKEN, "text": f"the token is {TOKEN}"}
        return await session.request("POST", "/hook", json=document, headers={"X-Handinger-Token": TOKEN})

    (response,) = await record(path, handler, [call])
    assert TOKEN in response.body.decode()
    assert TOKEN not in path.read_text("utf-8")
    async with Session(api_key="key", transport=ReplayTransport(path)) as session:
        assert (await call(session)).status == 200
