"""The verbs of the command line: their arguments and their help."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any

from .arguments import Parser, add_common, nearest, program, split
from .output import Output, UsageError
from .values import duration

__all__ = ["BUDGETS", "VERBS", "make_parser", "parse"]

BUDGETS = ("low", "standard", "high", "unlimited")

_OVERVIEW = """\
usage: {program} VERB ...            VERB --help shows its options
       {program} "INSTRUCTION" ...   short for: run "INSTRUCTION"

{verbs}

HANDINGER_API_KEY in the environment is the key, HANDINGER_BASE_URL the address of
the service. Without a key, --demo uses a service in memory.
Exit status: 0 done, 1 the service or the run failed, 2 usage, 130 interrupted.
Example: {program} --demo "What's the weather today in Barcelona?"\
"""

_INSTRUCTION = "the instruction; @FILE reads a file, - or a pipe standard input"
_ID = "the id of a task (tsk_...) or of a worker"


def _add_run_options(parser: ArgumentParser) -> None:
    parser.add_argument("--budget", choices=BUDGETS, metavar="LEVEL", help=f"the cost limit: {', '.join(BUDGETS)}")
    parser.add_argument("--file", action="append", default=[], metavar="PATH", help="upload a file; can be repeated")
    parser.add_argument("--schema", metavar="FILE", help="JSON Schema of the output, which is JSON then")
    _add_wait_options(parser)
    parser.add_argument("--detach", action="store_true", help="print the id and end as soon as the run has begun")


def _add_wait_options(parser: ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="save the published files in this directory")
    parser.add_argument("--timeout", type=duration, metavar="TIME", help="how long to wait, such as 90s or 10m")


def _add_run(parser: ArgumentParser) -> None:
    parser.add_argument("instruction", nargs="?", help=_INSTRUCTION)
    parser.add_argument("--worker", dest="worker_id", metavar="ID", help="the worker; without it, a new one")
    _add_run_options(parser)


def _add_continue(parser: ArgumentParser) -> None:
    parser.add_argument("id", help=_ID)
    parser.add_argument("instruction", nargs="?", help=_INSTRUCTION)
    _add_run_options(parser)


def _add_wait(parser: ArgumentParser) -> None:
    parser.add_argument("id", help=_ID)
    _add_wait_options(parser)


def _add_show(parser: ArgumentParser) -> None:
    parser.add_argument("id", help=_ID)
    parser.add_argument("--out", metavar="DIR", help="save the published files in this directory")


class Verb:
    """A verb of the command line.

    Args:
        function: Its module and function.
        summary: One line of help.
        add: Adds its arguments to a parser; None for one that parses its own.
        examples: Lines of its help, without the name of the program.
    """

    def __init__(
        self,
        function: str,
        summary: str,
        add: Callable[[ArgumentParser], None] | None,
        examples: Sequence[str] = (),
    ) -> None:
        self.function = function
        self.summary = summary
        self.add = add
        self.examples = examples


VERBS = {
    "run": Verb(
        "runs.run",
        "run an instruction, and print its result",
        _add_run,
        ['run "Compare three tents." --budget low --out tents', "run @task.txt --file data.csv --schema tent.json"],
    ),
    "continue": Verb(
        "runs.continue_",
        "go on with a task or a worker",
        _add_continue,
        ['continue tsk_2Z-YWz3hFq6VlW "Now for three people."'],
    ),
    "wait": Verb("runs.wait", "wait for a run, and print its result", _add_wait, ["wait tsk_2Z-YWz3hFq6VlW"]),
    "show": Verb("runs.show", "show the state of a task or a worker", _add_show, ["show tsk_2Z-YWz3hFq6VlW --json"]),
    "serve": Verb("serve", "serve an in-memory service over HTTP, for tests", None),
}


def overview() -> str:
    """Return the help of the whole program."""
    width = max(map(len, VERBS)) + 2
    verbs = "\n".join(f"  {name:{width}}{verb.summary}" for name, verb in VERBS.items())
    return _OVERVIEW.format(program=program(), verbs=verbs)


def make_parser(name: str) -> Parser:
    """Return the parser of a verb."""
    verb = VERBS[name]
    lines = "\n".join(f"  {program()} {example}" for example in verb.examples)
    parser = Parser(
        prog=f"{program()} {name}",
        description=f"{verb.summary[0].upper()}{verb.summary[1:]}.",
        epilog=f"examples:\n{lines}" if lines else None,
    )
    if verb.add is not None:
        verb.add(parser)
        add_common(parser)
    return parser


def parse(arguments: Sequence[str]) -> tuple[Verb, Any] | None:
    """Parse a command line.

    Args:
        arguments: The command line.

    Returns:
        The verb and its options, or its arguments if it parses its own; None if help was printed.

    Raises:
        UsageError: The command line is wrong.
    """
    if arguments[:1] == ["help"] and len(arguments) == 2 and arguments[1] in VERBS:
        arguments = [arguments[1], "--help"]
    if arguments and arguments[0] in ("-h", "--help", "help"):
        if arguments[0] == "help" and len(arguments) > 1:
            raise UsageError(nearest(arguments[1], [*VERBS]))
        Output().result(overview())
        return None
    if not arguments:
        raise UsageError(f"a verb or an instruction is missing (see {program()} --help)")
    if arguments[0] == "--version":
        from .. import __version__

        Output().result(f"handinger-async {__version__}")
        return None
    name, rest = split(arguments, [*VERBS])
    if VERBS[name or "run"].add is None:
        return VERBS[name], rest
    parser = make_parser(name or "run")
    if not name:
        _check_instruction(parser, rest)
    return VERBS[name or "run"], parser.parse_args(rest)


def _check_instruction(parser: Parser, arguments: Sequence[str]) -> None:
    """Refuse one word in the place of an instruction: it is more likely a mistyped verb, and a run costs money."""
    options: Namespace = parser.parse_known_args(arguments)[0]
    word = (options.instruction or "").strip()
    if word and len(word.split()) == 1 and word != "-" and not word.startswith("@"):
        raise UsageError(nearest(word, [*VERBS, "help"]))
