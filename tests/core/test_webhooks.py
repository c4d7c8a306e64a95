"""Deliveries of webhooks are accepted with the webhook's token alone."""

import copy
import hmac
import json
import pickle
import traceback
from typing import Any

import pytest

from handinger_async import ConfigurationError, HandingerError, WebhookTokenError, to_dict
from handinger_async.http import Headers
from handinger_async.webhooks import WebhookDelivery, receive

TOKEN = "whk_01HZY31W2SZJ8MJ2FQTR3M1K9D"
NAME = "X-Handinger-Token"
TASK = {
    "id": "tsk_2Z-YWz3hFq6VlW",
    "completedAt": "2026-05-11T09:14:48.000Z",
    "createdAt": "2026-05-11T09:14:22.000Z",
    "organizationId": "org_8s1Df9aLp-1z",
    "status": "completed",
    "title": "Weather report",
    "totals": {"credits": 42, "durationMs": 25812, "turnCount": 1},
    "triggeredBy": "api",
    "url": "https://v3.handinger.com/worker/wrk_vk81XUHKHG-qr4/task/tsk_2Z-YWz3hFq6VlW",
    "workerId": "wrk_vk81XUHKHG-qr4",
}


@pytest.mark.parametrize(
    "headers",
    [
        {NAME: TOKEN},
        {"x-handinger-token": TOKEN, "host": "example.com", "x-other": "é"},
        Headers({NAME.upper(): TOKEN}),
        [(NAME, TOKEN), ("Accept", "*/*"), ("Accept", "b")],
        [(b"host", b"\xff"), (b"x-handinger-token", TOKEN.encode())],
        {b"X-HANDINGER-TOKEN": bytearray(TOKEN.encode())},
        iter([(NAME, TOKEN)]),
    ],
)
@pytest.mark.parametrize("token", [TOKEN, ["whk_old", TOKEN], {TOKEN, "whk_old"}, (TOKEN,), {TOKEN: "w1"}.keys()])
def test_delivery_with_the_token_is_accepted(headers: Any, token: Any) -> None:
    headers = copy.copy(headers)
    assert receive(headers, b"{}", token=token) == WebhookDelivery(b"{}")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "the delivery has no X-Handinger-Token"),
        ({"Authorization": f"Bearer {TOKEN}", "X_Handinger_Token": TOKEN}, "the delivery has no X-Handinger-Token"),
        ([(NAME, TOKEN), (NAME.lower(), TOKEN)], "the delivery has several X-Handinger-Token"),
        ([(NAME.encode(), TOKEN.encode()), (NAME, "")], "the delivery has several X-Handinger-Token"),
        *(
            ({NAME: given}, "the delivery has another X-Handinger-Token than the webhook")
            for given in (
                "",
                TOKEN[:-1],
                TOKEN + "a",
                TOKEN.lower(),
                f"{TOKEN}, {TOKEN}",
                f" {TOKEN}",
                f"{TOKEN}\n",
                "é",
                "\ud800",
                b"\xff",
                b"",
            )
        ),
    ],
)
@pytest.mark.parametrize("token", [TOKEN, [TOKEN, "whk_?"]])
def test_delivery_without_the_token_is_refused(headers: Any, reason: str, token: Any) -> None:
    with pytest.raises(WebhookTokenError) as caught:
        receive(headers, b"{}", token=token)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("headers", "body", "token", "reason"),
    [
        ({NAME: ""}, b"", "", "token is empty"),
        ({NAME: ""}, b"", [], "token is an empty collection"),
        ({NAME: TOKEN}, b"", [TOKEN, ""], "token is empty"),
        ({NAME: " "}, b"", " ", "token contains white space.*"),
        ({NAME: TOKEN}, b"", f"{TOKEN}\n", "token contains white space.*"),
        ({NAME: "é"}, b"", "é", "token contains .* a character outside ASCII"),
        ({NAME: "None"}, b"", None, "token must be a string or a collection of strings, not NoneType"),
        ({NAME: TOKEN}, b"", [None], "token must be a string, not NoneType"),
        ({NAME: TOKEN}, b"", TOKEN.encode(), "token must be a string, not int"),
        (5, b"", TOKEN, "headers must be a mapping, or pairs, of strings or bytes"),
        ([NAME], b"", TOKEN, "headers must be a mapping, or pairs, of strings or bytes"),
        ({NAME: [TOKEN]}, b"", TOKEN, "headers must be a mapping, or pairs, of strings or bytes"),
        ({5: TOKEN}, b"", TOKEN, "headers must be a mapping, or pairs, of strings or bytes"),
        ({NAME: TOKEN}, "{}", TOKEN, "body must be bytes, not str"),
    ],
)
def test_wrong_argument_is_a_configuration_error(headers: Any, body: Any, token: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{reason}$"):
        receive(headers, body, token=token)


def test_every_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return compare_digest(given, expected)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    receive({NAME: "one"}, b"", token=["one", "two"])
    assert compared == [(b"one", b"one"), (b"one", b"two")]


@pytest.mark.parametrize("headers", [{NAME: "wrong-token-of-a-stranger"}, {}, 5])
@pytest.mark.parametrize("token", [TOKEN, f"{TOKEN}\n", [TOKEN, ""]])
def test_refusal_shows_no_token(headers: Any, token: Any) -> None:
    with pytest.raises(HandingerError) as caught:
        receive(headers, b"", token=token)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack[1:]
    text = "".join(f"{frame.name} {frame.locals}" for frame in frames) + repr(caught.value) + str(caught.value)
    assert "receive" in text
    assert TOKEN not in text
    assert "stranger" not in text


@pytest.mark.parametrize("body", [TASK, {"task": TASK, "turns": []}, {"event": "task.completed", "task": TASK}])
def test_task_in_the_body_is_found(body: Any) -> None:
    delivery = WebhookDelivery(json.dumps(body).encode())
    assert delivery.json() == body
    assert (delivery.task_id, delivery.worker_id) == (TASK["id"], TASK["workerId"])
    assert delivery.task is not None
    assert to_dict(delivery.task).keys() == TASK.keys()


@pytest.mark.parametrize(
    ("body", "task_id", "worker_id"),
    [
        (b'{"taskId": "t", "workerId": "w"}', "t", "w"),
        (b'{"task_id": "t", "worker_id": "w"}', "t", "w"),
        (b'{"task": {"id": "t"}}', "t", None),
        (b'{"task": {"id": 5}}', None, None),
        (b'{"task": {"taskId": "t"}, "workerId": ""}', "t", None),
        (b'{"task": "t", "taskId": 5}', None, None),
        (b"{}", None, None),
        (b"[]", None, None),
        (b"", None, None),
        (b"\xff", None, None),
        (b"[" * 100_000, None, None),
    ],
)
def test_hints_are_none_where_they_are_absent(body: bytes, task_id: str | None, worker_id: str | None) -> None:
    delivery = WebhookDelivery(body)
    assert (delivery.task_id, delivery.worker_id, delivery.task) == (task_id, worker_id, None)


def test_delivery_shows_no_body_and_pickles() -> None:
    body = json.dumps({"taskId": "t", "token": TOKEN}).encode()
    delivery = receive({NAME: TOKEN}, memoryview(body), token=TOKEN)
    assert repr(delivery) == f"WebhookDelivery(task_id='t', worker_id=None, {len(body)} bytes)"
    assert pickle.loads(pickle.dumps(delivery)) == copy.deepcopy(delivery) == WebhookDelivery(body)
    assert hash(delivery) == hash(WebhookDelivery(body))
    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        WebhookDelivery(b"<p>").json()
