"""Run the tests of a source distribution without the source tree: the library is the installed one.

``python tests/installed.py dist tests/core -n 2`` unpacks the newest source distribution in ``dist``, without the
package, and runs pytest there, with all further arguments.
"""

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import handinger_async

NAME = "handinger_async"


def main(folder: str, *arguments: str) -> int:
    """Return the exit status of pytest."""
    newest = max(Path(folder).glob(f"{NAME}-*.tar.gz"), key=lambda path: path.stat().st_mtime)
    top = newest.name.removesuffix(".tar.gz")
    if top != f"{NAME}-{version(NAME)}":
        raise SystemExit(f"{newest.name} has the tests of another version than {version(NAME)}, which is installed")
    if "site-packages" not in Path(handinger_async.__file__).parts:
        raise SystemExit(f"{handinger_async.__file__} is not installed")
    with tempfile.TemporaryDirectory() as unpacked, tarfile.open(newest) as archive:
        members = [each for each in archive if not each.name.startswith(f"{top}/{NAME}/")]
        archive.extractall(unpacked, members, filter="data")
        return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=Path(unpacked, top))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
