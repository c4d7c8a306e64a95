"""Parse the command line. The library is not imported for it, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from .output import Output, UsageError
from .verbs import COMMON, GROUPS, VERBS, Verb

__all__ = ["Parser", "parse", "program"]

_OVERVIEW = """\
usage: {program} VERB ...            VERB --help shows its options
       {program} "INSTRUCTION" ...   short for: run "INSTRUCTION"

{verbs}

HANDINGER_API_KEY in the environment is the key, HANDINGER_BASE_URL the address of
the service. Without a key, --demo uses a service in memory.
Exit status: 0 done, 1 the service or the run failed, 2 usage, 130 interrupted.
Example: {program} --demo "What's the weather today in Barcelona?"\
"""
#: Options whose value names a file; and those, or an id, whose value cannot be empty.
_PATHS = frozenset({"schema", "out", "file", "journal", "path", "paths", "instruction"})
_NOT_EMPTY = _PATHS - {"instruction"} | {"id", "worker_id", "task_id", "schedule_id"}
_FLAGS = frozenset(argument.names[0] for argument in COMMON)


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


def parse(arguments: Sequence[str]) -> tuple[Verb, Any] | None:
    """Parse a command line.

    Args:
        arguments: The command line.

    Returns:
        The verb and its options, or its arguments if it parses its own; None if help was printed.

    Raises:
        UsageError: The command line is wrong.
    """
    output = Output()
    if not arguments:
        raise UsageError(f"a verb or an instruction is missing (see {program()} --help)")
    words = [argument for argument in arguments if argument not in _FLAGS]
    if words and words[0] == "help":
        arguments = words
    if arguments[0] == "help" and len(arguments) > 1:
        if not _split(arguments[1:])[0]:
            raise UsageError(_refuse(arguments[1], [*VERBS, *GROUPS]))
        arguments = [*arguments[1:], "--help"]
    if arguments[0] in ("-h", "--help", "help"):
        output.result(_overview())
        return None
    if arguments[0] == "--version":
        from .. import __version__

        output.result(f"handinger-async {__version__}")
        return None
    name, rest = _split(arguments)
    if name in GROUPS:
        if rest[:1] not in (["-h"], ["--help"]):
            raise UsageError(_refuse(f"{name} {rest[0]}" if rest else name, _members(name)))
        output.result(f"{name}: {GROUPS[name]}\n\n{_list(_members(name))}")
        return None
    verb = VERBS[name or "run"]
    if verb.parses:
        return verb, rest
    parser = _make_parser(name or "run")
    if not name:
        _check_instruction(parser, rest)
    options = parser.parse_args(rest)
    _check_values(parser, options)
    return verb, options


def _split(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the verb of a command line, and the other arguments.

    The verb is that of a group if what follows is no verb of it, and ``""`` if an instruction stands in its place.
    """
    start = 0
    while start < len(arguments) and arguments[start] in _FLAGS:
        start += 1
    for end in (start + 2, start + 1):
        name = " ".join(arguments[start:end])
        if name in VERBS or name in GROUPS:
            return name, [*arguments[:start], *arguments[end:]]
    return "", list(arguments)


def _check_instruction(parser: Parser, arguments: Sequence[str]) -> None:
    """Refuse one word in the place of an instruction: it is more likely a mistyped verb, and a run costs money."""
    word = (parser.parse_known_args(arguments)[0].instruction or "").strip()
    if word and len(word.split()) == 1 and word != "-" and not word.startswith("@"):
        run = f"{program()} run {shlex.quote(word)}"
        raise UsageError(f"{_refuse(word, [*VERBS, *GROUPS, 'help'])}. To run it as an instruction: {run}")


def _check_values(parser: Parser, options: argparse.Namespace) -> None:
    """Refuse values that cannot be meant, such as that of a variable that is not set."""
    for name, value in vars(options).items():
        for text in value if isinstance(value, list) else [value]:
            if text == "" and name in _NOT_EMPTY:
                parser.error(f"the value of {name.removesuffix('_id')} is empty")
            if isinstance(text, str) and name not in _PATHS and re.search("[\ud800-\udfff]", text):
                parser.error(f"the value of {name.removesuffix('_id')} is not UTF-8")


def _refuse(word: str, verbs: Iterable[str]) -> str:
    """Return the message that refuses a word in the place of a verb."""
    found = get_close_matches(word.lower(), list(verbs), n=1, cutoff=0.0)
    return f"{word!r} is not a verb; the nearest is {found[0]!r} (see {program()} --help)"


def _make_parser(name: str) -> Parser:
    verb = VERBS[name]
    lines = "\n".join(f"  {program()} {example}" for example in verb.examples)
    parser = Parser(
        prog=f"{program()} {name}",
        usage=f"{program()} {name} {_usage(verb)}",
        description=f"{verb.summary[0].upper()}{verb.summary[1:]}.",
        epilog=f"examples:\n{lines}",
    )
    for argument in (*verb.arguments, *COMMON):
        parser.add_argument(*argument.names, **argument.settings)
    return parser


def _usage(verb: Verb) -> str:
    """Return the arguments of a verb on one line; its options are listed below it."""
    given = [argument for argument in verb.arguments if not argument.names[0].startswith("-")]
    brackets = {None: "{}", "?": "[{}]", "*": "[{} ...]"}
    words = [brackets[each.settings.get("nargs")].format(each.settings["metavar"]) for each in given]
    return " ".join([*words, "[options]"])


def _overview() -> str:
    """Return the help of the whole program."""
    return _OVERVIEW.format(program=program(), verbs=_summaries())


def _summaries() -> str:
    """Return a line for each verb of one word, and one for each group."""
    lines: dict[str, str] = {}
    for name, verb in VERBS.items():
        group, _, member = name.partition(" ")
        lines[group] = " | ".join(filter(None, (lines.get(group), member))) if member else verb.summary
    width = max(map(len, lines)) + 2
    return "\n".join(f"  {name:{width}}{summary}" for name, summary in lines.items())


def _members(group: str) -> list[str]:
    return [name for name in VERBS if name.startswith(f"{group} ")]


def _list(names: Sequence[str]) -> str:
    width = max(map(len, names)) + 2
    return "\n".join(f"  {name:{width}}{VERBS[name].summary}" for name in names)
