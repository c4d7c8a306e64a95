"""The page about the command line: its commands give the output that it shows, and it has every verb."""

import importlib.util
import re
from pathlib import Path

from handinger_async.cli.verbs import COMMON, VERBS

from .page import PAGE, run_page

ROOT = PAGE.parent.parent.parent

TEXT = PAGE.read_text(encoding="utf-8")


def test_commands_give_the_output_that_the_page_shows() -> None:
    assert run_page(TEXT) == TEXT, "python -m tests.cli.page renews the page"


def test_the_page_has_every_verb_and_common_option() -> None:
    for name in VERBS:
        assert re.search(rf"handinger-async {name}\b", TEXT) or name == "serve", name
    for option in COMMON:
        assert f"``{option.names[0]}``" in TEXT


def test_screenshots_are_those_of_the_script(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "docs" / "screenshots.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.take(tmp_path / "tents", tmp_path / "images")
    images = PAGE.parent / "images"
    assert "running" in (images / "run.svg").read_text(encoding="utf-8")
    assert _words(tmp_path / "images" / "result.svg") == _words(images / "result.svg")


def _words(path: Path) -> set[str]:
    """Return the words of an image, without ids."""
    drawn = re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(re.findall(r"[A-Za-z]{4,}", re.sub(r"tsk_[\w-]+", "", drawn)))
