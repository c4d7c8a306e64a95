"""The newer official client runs each of its operations against the local server.

It needs two versions of the official client, which only the tox environments "coverage" and "interop" install: one into
the environment, one into the folder that OFFICIAL_NEWER names.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("handinger", reason="the official client is not installed: tox -e interop")

from handinger_async import operations
from handinger_async.codec import decode_request
from handinger_async.testing.faults import Drop
from handinger_async.testing.scripts import Step

from .served import ServedFake

NEWER = os.environ.get("OFFICIAL_NEWER", "")
pytestmark = pytest.mark.skipif(
    not NEWER, reason="OFFICIAL_NEWER does not name the newer official client: tox -e interop"
)

#: The operations that this client does not have: those of the older generation, and a later one of the newer.
OTHERS = {"CreateWorker", "ContinueWorker", "StreamWorkerUpdates", "RetrieveWorkerFile", "ListTaskTurns"}


def run(*command, **env):
    """Run a Python in which "handinger" is the newer official client."""
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": NEWER} | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_newer_official_client_runs_every_operation():
    delivered = []
    with ServedFake(api="today", api_keys=["key"], deliver=delivered.append) as served:
        served.fake.script(Step("Yes.", after=0.01))
        ran = run(Path(__file__).with_name("newer_client.py"), served.url, "tsk_2Z-YWz3hFq6VlW")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    sent = {type(decode_request(request)).__name__ for request in served.fake.requests}
    assert sent == {cls.__name__ for cls in operations.OPERATIONS} - OTHERS
    (delivery,) = delivered
    assert delivery.headers["X-Handinger-Token"] == ran.stdout.strip()


CREATE = """
import sys
import handinger
with handinger.Handinger(api_key="key", base_url=sys.argv[1]) as client:
    client.tasks.create(input="x")
"""


def test_lost_connection_makes_the_newer_official_client_run_a_task_twice():
    with ServedFake(Drop(times=1), api="today", api_keys=["key"]) as served:
        served.fake.script()
        ran = run("-c", CREATE, served.url)
    assert ran.returncode == 0, ran.stderr
    assert served.fake.runs["x"] == 2
