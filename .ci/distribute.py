"""Build the wheel and the source distribution into ``dist``, and check them; see the environment "dist" in tox.ini.

With a tag (``v0.2.0``) as its argument, check that the version and the changelog agree with it.
"""

import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*command: str) -> None:
    print("+", *command, flush=True)
    subprocess.run([sys.executable, "-m", *command], check=True, cwd=ROOT)


def main(tag: str = "") -> None:
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    run("build")
    [wheel] = (ROOT / "dist").glob("*.whl")
    [source] = (ROOT / "dist").glob("*.tar.gz")
    run("twine", "check", "--strict", str(wheel), str(source))
    run("check_wheel_contents", str(wheel))

    top = source.name.removesuffix(".tar.gz")
    tracked = subprocess.run(["git", "ls-files"], check=True, cwd=ROOT, capture_output=True, text=True).stdout.split(
        "\n"
    )
    with tarfile.open(source) as archive:
        packed = {name.removeprefix(f"{top}/") for name in archive.getnames()}
    if missing := set(filter(None, tracked)) - packed:
        raise SystemExit(f"the source distribution lacks {', '.join(sorted(missing))}")

    version = top.rpartition("-")[2]
    if tag and tag != f"v{version}":
        raise SystemExit(f"the tag is {tag}, and the version {version}")
    changelog = (ROOT / "docs" / "changelog.rst").read_text(encoding="utf-8")
    if tag and f"\n{version} (" not in changelog:
        raise SystemExit(f"docs/changelog.rst has no section {version} with a date")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    print(f"{wheel.name} and {source.name} are complete; extras: {', '.join(extras)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
