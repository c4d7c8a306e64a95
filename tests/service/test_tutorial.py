"""The tests of the program of the tutorial pass, with the fixtures that its readers use."""

import runpy
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"

sys.path.insert(0, str(TUTORIAL))
try:
    TESTS = {
        name: value
        for name, value in runpy.run_path(str(TUTORIAL / "test_tents.py")).items()
        if name == "prices" or name.startswith("test_")
    }
finally:
    sys.path.remove(str(TUTORIAL))
globals().update(TESTS)


def test_tutorial_shows_how_many_tests_pass() -> None:
    page = TUTORIAL.with_suffix(".rst").read_text(encoding="utf-8")
    assert f"   {len(TESTS) - 1} passed in " in page
