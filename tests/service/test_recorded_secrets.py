"""Recordings show no credentials and none of the named fields, and replay with the masks in their place."""

import json

from handinger_async import Session
from handinger_async.http import Request, Response
from handinger_async.testing.recording import RecordingTransport
from handinger_async.testing.virtual_time import run
from handinger_async.transports.memory import MemoryTransport, StreamingResponse

from .recordings import KEY, record, replay


def test_scrubbed_fields_are_masked_everywhere_and_replay_matches(path):
    secret = "a secret of the user's"

    def handler(request):
        body = b'event: x\ndata: {"deep": [{"input" : "%s"}], "key": "%s"}\n\n' % (secret.encode(), KEY.encode())
        return StreamingResponse(200, {"X-Private": secret, "Set-Cookie": secret}, [body[:40], body[40:50], body[50:]])

    async def talk(session):
        response = await session.request(
            "POST", "/api/odd?input=secret-of&b=1", json={"input": {"a": [secret]}, "b": KEY}, headers={"X-Own": secret}
        )
        return response.status

    scrub = {"input", "x-private", "X-Own"}
    assert run(record(path, handler, talk, scrub=scrub)) == 200
    text = path.read_text("utf-8")
    for word in ("secret", KEY):
        assert word not in text
    assert run(replay(path, talk)) == 200


def test_a_masked_file_has_its_own_length(path, tmp_path):
    content = b'{"token": "hunter2", "k": 1}'
    whole = {"Content-Type": "application/json", "content-length": str(len(content)), "ETag": '"1"'}

    async def save(session):
        file = session.workers.retrieve_file("a.json", worker_id="w")
        return await file.save(tmp_path / "a.json")

    async def read(session):
        return await session.workers.retrieve_file("a.json", worker_id="w").read()

    def handler(_):
        return Response(200, whole, content)

    for use in (save, read):
        run(record(path, handler, use, scrub=["token"]))
        run(replay(path, use))
    assert (tmp_path / "a.json").read_bytes() == b'{"token": "***", "k": 1}'


def test_the_length_of_a_compressed_body_is_kept(path):
    async def talk(transport):
        response = await transport.open(None, Request("GET", "/"), connect_timeout=None)
        while await response.read_chunk():
            pass
        await transport.aclose()

    headers = {"Content-Length": "9", "Content-Encoding": "gzip"}  # as of a transport that has decompressed the body
    handler = lambda _: StreamingResponse(200, headers, [b'{"a": "long enough"}'])  # noqa: E731
    run(talk(RecordingTransport(MemoryTransport(handler), path, scrub=["a"])))
    assert json.loads(path.read_bytes())["exchanges"][0]["response"]["headers"] == headers


def test_credentials_of_other_headers_and_earlier_requests_are_masked(path):
    keys = ["sk-first-key", "sk-second-key", "sk-third-key"]
    seen = []

    def handler(request):
        seen.extend([request.headers["authorization"], request.headers["x-api-key"]])
        return Response(200, {"Content-Type": "application/json"}, json.dumps(seen).encode())

    async def talk(session):
        return [(await session.request("GET", f"/{number}")).status for number in range(3)]

    async def recorded():
        transport = RecordingTransport(MemoryTransport(handler), path)
        rotating = iter(keys)
        async with Session(
            api_key=lambda: next(rotating), transport=transport, headers={"X-Api-Key": "another-key"}
        ) as session:
            return await talk(session)

    assert run(recorded()) == run(replay(path, talk))
    for word in (*keys, "another-key"):
        assert word not in path.read_text()
