"""Parse the command line. The library is not imported for it, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from .output import Output, UsageError

__all__ = ["Parser", "add_common", "nearest", "program", "split"]

#: Options of every verb that take no value, so that they may stand before the verb.
_FLAGS = ("--json", "--quiet", "--verbose", "--demo")


def program() -> str:
    """Return the words that start this program, for messages."""
    return "python -m handinger_async" if sys.argv[0].endswith("__main__.py") else "handinger-async"


class Parser(argparse.ArgumentParser):
    """A parser whose messages are safe for terminals, and whose options cannot be abbreviated."""

    def __init__(self, **settings: Any) -> None:
        defaults = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**{**defaults, **settings})

    def print_help(self, file: object = None) -> None:
        """Write the help to standard output."""
        Output().result(self.format_help().rstrip("\n"))

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{message} (see {self.prog} --help)")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of every verb that calls the service."""
    parser.add_argument("--json", action="store_true", help="print JSON: one document, or one a line")
    parser.add_argument("--quiet", action="store_true", help="show ids and errors only, beside the result")
    parser.add_argument("--verbose", action="store_true", help="show each request to the service")
    parser.add_argument("--demo", action="store_true", help="use a service in memory, whose output is made up")


def split(arguments: Sequence[str], verbs: Sequence[str]) -> tuple[str, list[str]]:
    """Return the verb of a command line and its arguments.

    Args:
        arguments: The command line.
        verbs: All verbs.

    Returns:
        The verb, ``""`` if an instruction stands in its place; and the other arguments.
    """
    index = 0
    while index < len(arguments) and arguments[index] in _FLAGS:
        index += 1
    if index < len(arguments) and arguments[index] in verbs:
        return arguments[index], [*arguments[:index], *arguments[index + 1 :]]
    return "", list(arguments)


def nearest(word: str, verbs: Sequence[str]) -> str:
    """Return the message that refuses a word in the place of a verb."""
    found = get_close_matches(word.lower(), verbs, n=1, cutoff=0.0)
    return (
        f"{word!r} is not a verb; the nearest is {found[0]!r} (see {program()} --help). "
        f"To run it as an instruction: {program()} run {shlex.quote(word)}"
    )
