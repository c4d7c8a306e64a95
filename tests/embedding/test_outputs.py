"""The programs of the guides that need no server print what the guides show."""

import asyncio
import runpy
from pathlib import Path

import pytest

from handinger_async.testing.virtual_time import run

from ..run_readme import check

DOCS = Path(__file__).parents[2] / "docs"
#: Each has a file beside it with what it prints, where "..." stands for anything.
PROGRAMS = sorted(path for path in (DOCS / "programs").glob("*.py") if path.with_suffix(".txt").exists())


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program_prints_what_the_guide_shows(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if "serve(" not in path.read_text(encoding="utf-8"):  # without sockets time can be virtual
        monkeypatch.setattr(asyncio, "run", run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HANDINGER_API_KEY", raising=False)
    runpy.run_path(str(path), run_name="__main__")
    check(capsys.readouterr().out, path.with_suffix(".txt").read_text(encoding="utf-8"), path.name)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_output_is_shown_beside_its_program(path: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in DOCS.rglob("*.rst")]
    assert any(f"programs/{path.name}" in page and f"programs/{path.stem}.txt" in page for page in pages)
