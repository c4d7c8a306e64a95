"""The official client's own tests pass against the lenient service.

They are written for a mock server, and skipped in the package. Here nothing is skipped but what cannot run: three tests
that mock HTTP in a client that has another HTTP stack.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("handinger", reason="the official client is not installed: tox -e interop")
SDIST = os.environ.get("OFFICIAL_SDIST", "")
pytestmark = pytest.mark.skipif(not SDIST, reason="OFFICIAL_SDIST does not name its sdist: tox -e interop")

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = session
filterwarnings = error
"""
SKIP = '@pytest.mark.skip(reason="Mock server tests are disabled")'


def test_the_official_suite_passes_without_skips(tmp_path: Path) -> None:
    from .served import ServedFake

    with tarfile.open(SDIST) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    modules = sorted((root / "tests" / "api_resources").rglob("test_*.py"))
    texts = [module.read_text("utf-8") for module in modules]
    assert sum(text.count(SKIP) for text in texts) == 70
    for module, text in zip(modules, texts, strict=True):
        module.write_text(text.replace(SKIP, ""), "utf-8")
    (root / "pytest.ini").write_text(SETTINGS)
    with ServedFake(lenient=True, json_streams=True) as served:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "tests/api_resources", "-q", "-p", "no:aiohttp", "-p", "no:cacheprovider"],
            cwd=root,
            env=os.environ | {"TEST_API_BASE_URL": served.url},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert "192 passed, 3 skipped" in ran.stdout, ran.stdout + ran.stderr
