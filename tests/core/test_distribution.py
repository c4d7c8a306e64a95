"""The declarations in pyproject.toml, and the files that follow from them."""

import re
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import handinger_async

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lower_bound(requirement: Requirement) -> Version:
    [specifier] = requirement.specifier
    assert specifier.operator == ">=", "an upper limit would keep users from fixes of the dependency"
    return Version(specifier.version)


def test_oldest_txt_has_the_lower_bounds_of_all_dependencies() -> None:
    lines = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    bounds = {requirement.name: lower_bound(requirement) for requirement in map(Requirement, lines)}
    pins = re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: Version(version) for name, version in pins} == bounds


def test_supported_pythons_are_those_that_tox_and_the_workflow_run() -> None:
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={versions[0]}"
    for path in ("tox.ini", ".github/workflows/ci.yml"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert [version for version in versions if version not in text] == [], path


def test_changelog_begins_with_the_version() -> None:
    changelog = (ROOT / "docs" / "changelog.rst").read_text(encoding="utf-8")
    first = re.findall(r"^(\d\S+|Unreleased).*\n-+$", changelog, re.MULTILINE)[0]
    assert first in {handinger_async.__version__, "Unreleased"}
