"""Run the Python snippets of a reStructuredText page in order, as ``python -m asyncio`` does.

A block of text that directly follows a snippet is what the snippet prints: "..." stands for anything.

This script needs only the installed library: ``python run_readme.py README.rst``.
"""

import ast
import asyncio
import code
import contextlib
import doctest
import inspect
import io
import re
import sys
import textwrap
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

_BODY = r"\n\n((?:(?: {3}.*)?\n)+)"
_BLOCK = re.compile(rf"^\.\. code-block:: python{_BODY}(?:\.\. code-block:: text{_BODY})?", re.MULTILINE)


def snippets(page: str) -> list[tuple[str, str]]:
    """Return the Python code blocks of a page, each with the output that the page shows, or ""."""
    return [(textwrap.dedent(block), textwrap.dedent(output)) for block, output in _BLOCK.findall(page)]


def check(shown: str, expected: str, name: str) -> None:
    """Fail unless an output is the expected one.

    Raises:
        AssertionError: The outputs differ.
    """
    if not doctest.OutputChecker().check_output(expected, shown, doctest.ELLIPSIS):
        raise AssertionError(f"{name} prints\n\n{shown}\ninstead of\n\n{expected}")


async def run(page: str, name: str) -> dict[str, Any]:
    """Run the snippets of a page in one namespace, and return it."""
    namespace: dict[str, Any] = {"__name__": name}
    for number, (source, expected) in enumerate(snippets(page), 1):
        title = f"{name}, snippet {number}"
        code = compile(source, title, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            done = eval(code, namespace)
            if inspect.isawaitable(done):
                await done
        print(printed.getvalue(), end="")
        if expected:
            check(printed.getvalue(), expected.rstrip("\n") + "\n", title)
    return namespace


class Prompt(code.InteractiveConsole):
    """The prompt of ``python -m asyncio``: it compiles line by line, as that of Python 3.11 does.

    Attributes:
        entered: The statements that are complete, to be executed.
    """

    def __init__(self, name: str) -> None:
        super().__init__({"__name__": name}, name)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.entered: list[CodeType] = []

    def runcode(self, code: CodeType) -> None:
        self.entered.append(code)

    def showsyntaxerror(self, filename: str | None = None, **_: Any) -> None:
        error = sys.exc_info()[1]
        raise AssertionError(f"{self.filename} cannot be pasted: {error}") from error


async def paste(page: str, name: str) -> None:
    """Paste the snippets of a page into a prompt, which prints the values of expressions too, and check the outputs.

    Raises:
        AssertionError: A snippet is not complete line by line, or the outputs differ.
    """
    prompt = Prompt(name)
    for number, (source, expected) in enumerate(snippets(page), 1):
        title = f"{name}, snippet {number}, pasted"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            for line in [*source.splitlines(), ""]:
                prompt.push(line)
                while prompt.entered:
                    done = FunctionType(prompt.entered.pop(0), prompt.locals)()
                    if inspect.isawaitable(done):
                        await done
        if prompt.buffer:
            raise AssertionError(f"{title} is not complete")
        check(printed.getvalue(), expected.rstrip("\n") + "\n" if expected else "", title)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        asyncio.run(run(Path(argument).read_text(encoding="utf-8"), Path(argument).name))
