"""The official client's own tests pass against the lenient service, those of its older version and of its newer one.

They are written for a mock server, and skipped in the package. Here nothing is skipped but what cannot run: three tests
that mock HTTP in a client that has another HTTP stack.
"""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import attrs
import pytest

pytest.importorskip("handinger", reason="the official client is not installed: tox -e interop")

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = session
filterwarnings = error
"""
#: What the official client puts before its tests of requests. It is removed, so that they run.
SKIP = '@pytest.mark.skip(reason="Mock server tests are disabled")'


@attrs.frozen
class Suite:
    """The tests of one version of the official client.

    Args:
        api: The generation of the service that it is made for.
        sdist: The environment variable with the path of its source distribution.
        installed: The environment variable with the folder where it is installed; None for this environment.
        calls: The number of its calls, each of which the guide to switching names.
        skipped: The number of tests that it skips.
        summary: The number of those that pass here, as pytest writes it.
    """

    api: str
    sdist: str
    installed: str | None
    calls: int
    skipped: int
    summary: str


OLDER = Suite("seed", "OFFICIAL_SDIST", None, 9, 70, "192 passed, 3 skipped")
NEWER = Suite("today", "OFFICIAL_NEWER_SDIST", "OFFICIAL_NEWER", 16, 136, "340 passed")


@pytest.mark.parametrize("suite", [OLDER, NEWER], ids=lambda suite: suite.api)
def test_official_suite_passes_unskipped(suite: Suite, tmp_path: Path) -> None:
    from .served import ServedFake

    for variable in filter(None, (suite.sdist, suite.installed)):
        if not os.environ.get(variable):
            pytest.skip(f"{variable} is not set: tox -e interop")
    with tarfile.open(os.environ[suite.sdist]) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    guide = (Path(__file__).parents[2] / "docs" / "howto" / "switch.rst").read_text("utf-8")
    calls = re.findall(r"client\.([\w.]+)\.<a [^>]+>([\w\\]+)</a>", (root / "api.md").read_text("utf-8"))
    assert len(calls) == suite.calls
    for resource, method in calls:
        call = f"{resource}.{method}(".replace("\\", "")
        assert f"``{call}" in guide or f"``s.{call}" in guide, call
    modules = sorted((root / "tests" / "api_resources").rglob("test_*.py"))
    texts = [module.read_text("utf-8") for module in modules]
    assert sum(text.count(SKIP) for text in texts) == suite.skipped
    for module, text in zip(modules, texts, strict=True):
        module.write_text(text.replace(SKIP, ""), "utf-8")
    (root / "pytest.ini").write_text(SETTINGS)
    env = dict(os.environ)
    if suite.installed:
        env["PYTHONPATH"] = env[suite.installed]
    with ServedFake(lenient=True, json_streams=True, api=suite.api) as served:
        served.fake.script()  # all runs end at once
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "tests/api_resources", "-q", "-p", "no:aiohttp", "-p", "no:cacheprovider"],
            cwd=root,
            env=env | {"TEST_API_BASE_URL": served.url},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert suite.summary in ran.stdout, ran.stdout + ran.stderr
