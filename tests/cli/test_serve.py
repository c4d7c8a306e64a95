"""``python -m handinger_async serve``: it prints its address, serves any client, and stops cleanly."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

import attrs
import pytest

from handinger_async import APIConnectionError
from handinger_async.cli import main
from handinger_async.cli.serve import _LoggingHandler, _parser, serve_command
from handinger_async.http import Request
from handinger_async.testing.fault_specs import ABBREVIATIONS, OPERATION_NAMES
from handinger_async.testing.faults import Cut, Drop, Refuse, Status


@pytest.fixture
def serving():
    """A function that starts the command, and returns the process and the address that it printed."""
    started = []
    # Without asyncio's debug mode, which logs slow callbacks on a slow machine.
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONDEVMODE", "PYTHONASYNCIODEBUG")
    }

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "handinger_async", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def call(url, path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer any", "Content-Type": "application/json"}
    request = UrlRequest(url + path, data, headers, method=method)
    with urlopen(request, timeout=60) as response:
        return response.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_serves_and_stops_without_warnings(serving, number):
    process, url = serving("--seed", "7")
    assert url.startswith("http://127.0.0.1:")
    worker = json.loads(call(url, "/api/workers", {"input": "hello"}))
    stream = call(url, f"/api/workers/{worker['id']}/stream").decode()
    assert stream.count("\n\n") == 6
    assert '"status":"completed"' in stream
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == ""
    assert err.splitlines() == [
        f"An in-memory Handinger. HANDINGER_BASE_URL={url} points a client at it; Ctrl-C stops it.",
        "POST /api/workers: 200",
        f"GET /api/workers/{worker['id']}/stream: 200",
    ]


def test_requests_and_faults_are_logged_but_not_kept(capsys):
    faults = [Status(503, skip=1), Refuse(skip=1), Cut(10, skip=1), Drop(skip=2)]
    for options in (["--quiet"], []):
        handler = _LoggingHandler(_parser().parse_args(options))
        handler._faulty.faults[:] = faults
        request = Request("POST", "/api/workers", {"Authorization": "Bearer k"}, b'{"input": "x"}')

        async def send(handler=handler, request=request):
            for _ in range(200):
                with suppress(APIConnectionError):
                    await handler(attrs.evolve(request))

        asyncio.run(send())
        assert len(handler._fake.requests) <= 100
        assert len(handler._faulty.injected) <= 100
    assert capsys.readouterr().err.splitlines()[:6] == [
        "POST /api/workers: 200",
        "POST /api/workers: 503 (Status)",
        "POST /api/workers: the connection was refused (Refuse)",
        "POST /api/workers: 200 (Cut)",
        "POST /api/workers: the connection was lost (Drop)",
        "POST /api/workers: 200",
    ]


def test_lenient_options_reach_the_service():
    handler = _LoggingHandler(_parser().parse_args(["--lenient", "--json-streams", "--quiet"]))
    request = Request("GET", "/api/workers/w1?stream=true", {"Authorization": "Bearer k"})
    response = asyncio.run(handler(request))
    assert (response.status, response.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(("api", "status"), [("seed", 404), ("today", 422), ("both", 422)])
def test_the_api_option_selects_the_generation(api, status):
    handler = _LoggingHandler(_parser().parse_args(["--api", api, "--quiet"]))
    request = Request("POST", "/api/tasks", {"Authorization": "Bearer k"}, b"{}")
    assert asyncio.run(handler(request)).status == status


def test_webhooks_are_delivered_to_servers_of_this_machine(serving):
    _, url = serving("--api", "today", "--lenient")
    received = threading.Event()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            received.token = self.headers["X-Handinger-Token"]
            self.send_response(204)
            self.end_headers()
            received.set()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        thread = threading.Thread(target=receiver.handle_request)
        thread.start()
        hook = f"http://127.0.0.1:{receiver.server_port}/hook"
        webhook = json.loads(call(url, "/api/workers/w1/webhook", {"url": hook}, "PUT"))
        call(url, "/api/tasks", {"input": "x", "workerId": "w1"})
        assert received.wait(60)
        thread.join()
    assert received.token == webhook["token"]


def test_ids_depend_on_the_seed(serving):
    ids = [json.loads(call(serving("--seed", seed)[1], "/api/workers", {"input": "x"}))["id"] for seed in "112"]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_a_stream_a_fault_and_an_error(serving):
    _, url = serving("--faults", "503:1", "--api-key", "secret")
    create = ["curl", "-sS", "-H", "Authorization: Bearer secret", f"{url}/api/workers"]
    create += ["-H", "Content-Type: application/json", "-d", '{"input": "What is the weather?", "stream": true}']
    first = subprocess.run([*create, "-w", "%{http_code}"], capture_output=True, text=True, timeout=60, check=True)
    assert first.stdout.endswith("503")
    second = subprocess.run([*create, "-N"], capture_output=True, text=True, timeout=60, check=True)
    assert second.stdout.startswith('id: 1\ndata: {"id":"t_org_123_w_')
    assert "What is the weather?" in second.stdout
    unauthorized = subprocess.run(
        ["curl", "-sS", f"{url}/api/workers/w"], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(unauthorized.stdout)["error"]["code"] == "unauthorized"


def test_an_address_in_use_is_an_error_of_one_line(serving, capsys):
    _, url = serving()
    port = url.rpartition(":")[2]
    assert serve_command(["--port", port]) == 1
    assert capsys.readouterr().err == f"error: cannot listen on 127.0.0.1, port {port}: the port is taken\n"


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_a_host_that_is_no_name_is_an_error_of_one_line(capsys, host):
    assert serve_command(["--host", host, "--port", "0"]) == 1
    assert capsys.readouterr().err == f"error: cannot listen on {host}, port 0: not the name of a host\n"


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_out_of_range_is_an_error_of_one_line(port, capsys):
    assert main(["serve", f"--port={port}"]) == 2
    assert capsys.readouterr().err == f"error: the port must be from 0 to 65535, not {port}\n"


def test_malformed_faults_are_a_usage_error(capsys):
    assert main(["serve", "--faults", "explode"]) == 2
    assert "explode" in capsys.readouterr().err


def test_help_lists_the_name_of_every_operation(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        serve_command(["--help"])
    assert ended.value.code == 0
    unwrapped = re.sub(r"-\n\s+", "-", capsys.readouterr().out)
    assert {*OPERATION_NAMES, *ABBREVIATIONS} <= set(re.split(r"[\s,;]+", unwrapped))
