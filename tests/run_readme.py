"""Run the Python snippets of a reStructuredText page in order, as ``python -m asyncio`` does.

This script needs only the installed library: ``python run_readme.py README.rst``.
"""

import ast
import asyncio
import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:(?: {3}.*)?\n)+)", re.MULTILINE)


def snippets(page: str) -> list[str]:
    """Return the Python code blocks of a page."""
    return [textwrap.dedent(block) for block in _BLOCK.findall(page)]


async def run(page: str, name: str) -> dict[str, Any]:
    """Run the snippets of a page in one namespace, and return it."""
    namespace: dict[str, Any] = {"__name__": name}
    for number, source in enumerate(snippets(page), 1):
        code = compile(source, f"{name}, snippet {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        done = eval(code, namespace)
        if inspect.isawaitable(done):
            await done
    return namespace


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        asyncio.run(run(Path(argument).read_text(encoding="utf-8"), Path(argument).name))
