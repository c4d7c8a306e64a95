"""The verbs of the command line, with their arguments and examples."""

from __future__ import annotations

from typing import Any, NamedTuple

from .values import duration

__all__ = ["BUDGETS", "COMMON", "GROUPS", "VERBS", "Argument", "Verb"]

BUDGETS = ("low", "standard", "high", "unlimited")


class Argument(NamedTuple):
    """An argument: the names and the settings of ``ArgumentParser.add_argument``."""

    names: tuple[str, ...]
    settings: dict[str, Any]


class Verb(NamedTuple):
    """A verb of the command line.

    Args:
        function: Its module and function; a module alone parses its arguments itself.
        summary: One line of help.
        arguments: Its arguments.
        examples: Lines of its help, without the name of the program.
    """

    function: str
    summary: str
    arguments: tuple[Argument, ...] = ()
    examples: tuple[str, ...] = ()


def _arg(*names: str, **settings: Any) -> Argument:
    return Argument(names, settings)


COMMON = (
    _arg("--json", action="store_true", help="print JSON: one document, or one a line"),
    _arg("--quiet", action="store_true", help="show ids and errors only, beside the result"),
    _arg("--verbose", action="store_true", help="show each request to the service"),
    _arg("--demo", action="store_true", help="use a service in memory, whose output is made up"),
)

_ID = _arg("id", metavar="ID", help="the id of a task (tsk_...) or of a worker")
_WORKER = _arg("worker_id", metavar="WORKER", help="the id of a worker")
_TASK = _arg("task_id", metavar="TASK", help="the id of a task")
_INSTRUCTION = _arg(
    "instruction",
    nargs="?",
    metavar="INSTRUCTION",
    help="the instruction; @FILE reads a file, - or a pipe standard input",
)
_BUDGET = _arg("--budget", choices=BUDGETS, metavar="LEVEL", help=f"the cost limit: {', '.join(BUDGETS)}")
_OUT = _arg("--out", metavar="DIR", help="save the published files in this directory")
_TIMEOUT = _arg("--timeout", type=duration, metavar="TIME", help="how long to wait, such as 90s or 10m")
_SCHEMA = _arg("--schema", metavar="FILE", help="JSON Schema of the output, which is JSON then")
_RUN = (
    _BUDGET,
    _arg("--file", action="append", default=[], metavar="PATH", help="upload a file; can be repeated"),
    _SCHEMA,
    _OUT,
    _TIMEOUT,
    _arg("--detach", action="store_true", help="print the id and end as soon as the run has begun"),
)
_IN_WORKER = _arg("--worker", dest="worker_id", metavar="ID", help="the worker; without it, a new one")

#: The verbs, in the order of the help. Those of two words belong to a group.
VERBS = {
    "run": Verb(
        "runs.run",
        "run an instruction, and print its result",
        (_INSTRUCTION, _IN_WORKER, *_RUN),
        ('run "Compare three tents." --budget low --out tents', "run @task.txt --file data.csv --schema tent.json"),
    ),
    "continue": Verb(
        "runs.continue_",
        "go on with a task or a worker",
        (_ID, _INSTRUCTION, *_RUN),
        ('continue tsk_2Z-YWz3hFq6VlW "Now for three people."',),
    ),
    "wait": Verb(
        "runs.wait", "wait for a run, and print its result", (_ID, _OUT, _TIMEOUT), ("wait tsk_2Z-YWz3hFq6VlW",)
    ),
    "show": Verb("runs.show", "show the state of a task or a worker", (_ID, _OUT), ("show tsk_2Z-YWz3hFq6VlW --json",)),
    "watch": Verb(
        "watch.watch",
        "follow a run: its text as it grows, or the events of its stream",
        (
            _ID,
            _TIMEOUT,
            _arg("--events", action="store_true", help="show the events of the stream of a worker, one a line"),
            _arg("--after", metavar="EVENT", default="", help="begin after the event with this id; with --events"),
        ),
        ("watch tsk_2Z-YWz3hFq6VlW", "watch t_org_123_w_01HZY2ZJQ8G7K42W2D7WF6V4GM --after 12 --json"),
    ),
    "email": Verb("workers.email", "print the e-mail address of a worker", (_WORKER,), ("email wrk_vk81XUHKHG-qr4",)),
    "files list": Verb(
        "files.list_files", "list the published files of a run", (_ID,), ("files list tsk_2Z-YWz3hFq6VlW",)
    ),
    "files get": Verb(
        "files.get_files",
        "save published files, and print their paths",
        (
            _ID,
            _arg("paths", nargs="*", metavar="PATH", help="the files; without it, all of them"),
            _arg("--out", metavar="PATH", help="the directory, or the file; - is standard output (default: .)"),
        ),
        ("files get tsk_2Z-YWz3hFq6VlW --out tents", "files get wrk_vk81XUHKHG-qr4 scratchpad/plan.md --out -"),
    ),
    "serve": Verb("serve", "serve an in-memory service over HTTP, for tests"),
}

#: The summaries of the groups.
GROUPS = {"files": "the published files of a run"}
