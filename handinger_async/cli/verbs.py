"""The verbs of the command line, with their arguments and examples."""

from __future__ import annotations

from typing import Any, NamedTuple

from .values import duration, instant, pair, positive

__all__ = ["BUDGETS", "COMMON", "GROUPS", "VERBS", "Argument", "Verb"]

BUDGETS = ("low", "standard", "high", "unlimited")


class Argument(NamedTuple):
    """An argument: the names and the settings of ``ArgumentParser.add_argument``."""

    names: tuple[str, ...]
    settings: dict[str, Any]


class Verb(NamedTuple):
    """A verb of the command line.

    Args:
        function: Its module and function.
        summary: One line of help.
        arguments: Its arguments.
        examples: Lines of its help, without the name of the program.
        parses: The function parses its arguments itself.
    """

    function: str
    summary: str
    arguments: tuple[Argument, ...] = ()
    examples: tuple[str, ...] = ()
    parses: bool = False


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
_SETTINGS = (
    _arg("--instructions", metavar="TEXT", help="the instructions of every task; @FILE reads a file"),
    _arg("--title", metavar="TEXT", help="the title"),
    _arg("--summary", metavar="TEXT", help="a summary"),
    _arg("--visibility", choices=("public", "private"), metavar="WHO", help="public or private"),
    _SCHEMA,
)

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
        ('continue tsk_2Z-YWz "Now for three people."',),
    ),
    "wait": Verb("runs.wait", "wait for a run, and print its result", (_ID, _OUT, _TIMEOUT), ("wait tsk_2Z-YWz",)),
    "show": Verb("runs.show", "show the state of a task or a worker", (_ID, _OUT), ("show tsk_2Z-YWz --json",)),
    "watch": Verb(
        "watch.watch",
        "follow a run: its text as it grows, or the events of its stream",
        (
            _ID,
            _TIMEOUT,
            _arg("--events", action="store_true", help="show the events of the stream of a worker, one a line"),
            _arg("--after", metavar="EVENT", default="", help="begin after the event with this id; with --events"),
        ),
        ("watch tsk_2Z-YWz", "watch t_org_123_w_01HZ --after 12 --json"),
    ),
    "email": Verb("workers.email", "print the e-mail address of a worker", (_WORKER,), ("email wrk_vk81XU",)),
    "files list": Verb("files.list_files", "list the published files of a run", (_ID,), ("files list tsk_2Z-YWz",)),
    "files get": Verb(
        "files.get_files",
        "save published files, and print their paths",
        (
            _ID,
            _arg("paths", nargs="*", metavar="PATH", help="the files; without it, all of them"),
            _arg("--out", metavar="PATH", help="the directory, or the file; - is standard output (default: .)"),
        ),
        ("files get tsk_2Z-YWz --out tents", "files get wrk_vk81XU scratchpad/plan.md --out -"),
    ),
    "schedules list": Verb(
        "schedules.list_schedules",
        "list the schedules of a worker, in local time",
        (_WORKER,),
        ("schedules list wrk_vk81XU",),
    ),
    "schedules add": Verb(
        "schedules.add_schedule",
        "schedule an instruction",
        (
            _WORKER,
            _INSTRUCTION,
            _arg("--at", type=instant, metavar="TIME", help="once, at a time: in local time, if it has no zone"),
            _arg("--in", dest="delay", type=duration, metavar="TIME", help="once, after a time such as 10m"),
            _arg("--every", dest="interval", type=duration, metavar="TIME", help="again and again, such as 1h"),
            _arg("--cron", metavar="RULE", help="again and again, by a cron expression"),
            _BUDGET,
        ),
        (
            'schedules add wrk_vk81XU "News?" --at "2026-03-01 09:00"',
            'schedules add wrk_vk81XU "News?" --cron "0 9 * * 1"',
        ),
    ),
    "schedules cancel": Verb(
        "schedules.cancel_schedule",
        "cancel a schedule",
        (_WORKER, _arg("schedule_id", metavar="SCHEDULE", help="the id of the schedule")),
        ("schedules cancel wrk_vk81XU sch_01HZ",),
    ),
    "workers create": Verb(
        "workers.create_worker",
        "create a worker without running it, and print its id",
        (
            *_SETTINGS,
            _arg("--prompt", metavar="TEXT", help="a description that the service expands into instructions"),
        ),
        ("workers create --title Tents --instructions @tents.txt",),
    ),
    "workers update": Verb(
        "workers.update_worker",
        "change a worker",
        (_WORKER, *_SETTINGS, _arg("--no-schema", action="store_true", help="free text from now on")),
        ('workers update wrk_vk81XU --title "Light tents"',),
    ),
    "workers delete": Verb("workers.delete_worker", "delete a worker", (_WORKER,), ("workers delete wrk_vk81XU",)),
    "tasks show": Verb("tasks.show_task", "show the properties of a task", (_TASK,), ("tasks show tsk_2Z-YWz",)),
    "tasks turns": Verb(
        "tasks.list_turns", "list the messages and replies of a task", (_TASK,), ("tasks turns tsk_2Z-YWz",)
    ),
    "tasks delete": Verb("tasks.delete_task", "archive a task", (_TASK,), ("tasks delete tsk_2Z-YWz",)),
    "webhook show": Verb(
        "webhooks.show_webhook",
        "print the URL of the webhook of a worker",
        (_WORKER,),
        ("webhook show wrk_vk81XU",),
    ),
    "webhook set": Verb(
        "webhooks.set_webhook",
        "set the URL that receives the results of a worker",
        (_WORKER, _arg("url", metavar="URL", help="an HTTPS URL")),
        ("webhook set wrk_vk81XU https://example.com/hook",),
    ),
    "webhook clear": Verb("webhooks.clear_webhook", "remove the webhook", (_WORKER,), ("webhook clear wrk_vk81XU",)),
    "webhook executions": Verb(
        "webhooks.list_executions",
        "list the deliveries, the newest first",
        (_WORKER, _arg("--limit", type=positive, metavar="NUMBER", help="the number of deliveries; without it, all")),
        ("webhook executions wrk_vk81XU --limit 20",),
    ),
    "webhook token": Verb(
        "webhooks.show_token",
        "print the token of the webhook, a secret",
        (_WORKER, _arg("--new", action="store_true", help="make a new token first: the old one is invalid at once")),
        ("webhook token wrk_vk81XU --new",),
    ),
    "batch": Verb(
        "batches.batch",
        "run the instructions of a file: JSON lines in, JSON lines out",
        (
            _arg("path", metavar="FILE", help="a JSON string, or an object with input, on each line; - for a pipe"),
            _IN_WORKER,
            _BUDGET,
            _SCHEMA,
            _arg("--concurrency", type=positive, default=10, metavar="NUMBER", help="runs at a time (default: 10)"),
            _arg("--journal", metavar="PATH", help="goes on after an interruption (default: FILE.journal)"),
            _arg("--repeat-unknown", action="store_true", help="run again what may have been run already"),
            _TIMEOUT,
        ),
        ("batch questions.jsonl > answers.jsonl",),
    ),
    "api": Verb(
        "api.api",
        "call any endpoint, and print the body of its response",
        (
            _arg("method", metavar="METHOD", help="the HTTP method"),
            _arg("path", metavar="PATH", help="the path below the address of the service"),
            _arg("--data", metavar="JSON", help="the body; @FILE reads a file, - standard input"),
            _arg("--query", type=pair, action="append", default=[], metavar="NAME=VALUE", help="can be repeated"),
        ),
        ("""api POST /api/tasks --data '{"input": "Compare three tents."}'""",),
    ),
    "serve": Verb("serve.serve_command", "serve an in-memory service over HTTP, for tests", parses=True),
    "completion": Verb("completion.completion_command", "print a completion script for a shell", parses=True),
}

#: The summaries of the groups.
GROUPS = {
    "files": "the published files of a run",
    "schedules": "the future runs of a worker",
    "workers": "workers of the newer generation, from which tasks are started",
    "tasks": "tasks, the conversations with a worker",
    "webhook": "where the service reports the finished tasks of a worker",
}
