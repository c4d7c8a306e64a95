"""``python -m handinger_async serve``: it prints its address, serves any client, and stops cleanly."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest

from handinger_async.cli.serve import serve_command
from handinger_async.testing.fault_specs import ABBREVIATIONS, OPERATION_NAMES


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


def call(url, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = Request(url + path, data, {"Authorization": "Bearer any", "Content-Type": "application/json"})
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
        f"An in-memory Handinger. HANDINGER_BASE_URL={url} points a client at it; Ctrl-C stops it."
    ]


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
    assert serve_command(["--port", url.rpartition(":")[2]]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_malformed_faults_are_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        serve_command(["--faults", "explode"])
    assert ended.value.code == 2
    assert "explode" in capsys.readouterr().err


def test_help_lists_the_name_of_every_operation(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        serve_command(["--help"])
    assert ended.value.code == 0
    unwrapped = re.sub(r"-\n\s+", "-", capsys.readouterr().out)
    assert {*OPERATION_NAMES, *ABBREVIATIONS} <= set(re.split(r"[\s,;]+", unwrapped))
