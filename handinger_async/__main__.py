"""The command line: give a worker an instruction, and watch it.

::

    python -m handinger_async "What's the weather today in Barcelona?"
    python -m handinger_async serve --port 8790

What the worker produced goes to standard output, all else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, get_args

from . import Budget, HandingerError, ServerSentEvent, Session, Worker, __version__, to_dict
from .http import DEFAULT_BASE_URL

#: Seconds between two looks at a worker whose stream has ended before it has.
_POLL = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments; those of the process where None.

    Returns:
        The exit status: 0, 1 after an error, 2 for a usage error, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["serve"]:
        from .testing.cli import serve_command

        return serve_command(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_run(options))
    except HandingerError as error:
        print(f"error: {_printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m handinger_async",
        description="Give a Handinger worker an instruction, watch it, and print what it produced.",
        epilog="With HANDINGER_API_KEY in the environment this is the real service (HANDINGER_BASE_URL overrides its "
        "address), without it one in memory. To serve that one over HTTP: python -m handinger_async serve --help",
    )
    parser.add_argument("instruction", help="what the worker is to do")
    parser.add_argument("--budget", choices=get_args(Budget), help="what it may cost")
    parser.add_argument("--continue", dest="worker_id", metavar="WORKER_ID", help="give it to an existing worker")
    parser.add_argument("--json", action="store_true", help="print the worker as JSON")
    parser.add_argument("--version", action="version", version=f"handinger-async {__version__}")
    return parser


async def _run(options: argparse.Namespace) -> None:
    async with _session() as session:
        workers = session.workers
        if options.worker_id:
            worker = await workers.continue_(options.worker_id, input=options.instruction, budget=options.budget)
        else:
            worker = await workers.create(input=options.instruction, budget=options.budget)
        _tell(f"worker {worker.id}")
        while True:
            await _watch(session, worker.id)
            worker = await workers.retrieve(worker.id)
            if not worker.running and worker.status != "pending":
                break
            await asyncio.sleep(_POLL)
    if options.json:
        print(json.dumps(to_dict(worker), ensure_ascii=False, indent=2))
    else:
        _show(worker)
    sys.stdout.flush()  # here, where a reader that has gone away can still be told from a mistake


def _session() -> Session:
    """Return a session with the real service, or with one in memory for want of a key."""
    if os.environ.get("HANDINGER_API_KEY"):
        return Session()
    from .testing import FakeHandinger
    from .transports.memory import MemoryTransport

    _tell("HANDINGER_API_KEY is not set: this is the in-memory service, and its answers are made up.")
    return Session(api_key="in-memory", base_url=DEFAULT_BASE_URL, transport=MemoryTransport(FakeHandinger()))


async def _watch(session: Session, worker_id: str) -> None:
    """Show the updates of a worker until its stream ends."""
    shown = ""
    async with session.workers.stream_updates(worker_id) as events:
        async for event in events:
            line = _describe(event)
            if line != shown:
                _tell(f"  {line}")
                shown = line


def _describe(event: ServerSentEvent) -> str:
    """Return one line for an update; what updates say is not documented, so anything may come."""
    try:
        update: Any = event.json()
    except ValueError:
        update = None
    if not isinstance(update, dict) or "status" not in update:
        return _one_line(event.data)
    text = _one_line(str(update.get("output_text") or ""))
    return f"{_one_line(str(update['status']))}: {text}" if text else _one_line(str(update["status"]))


def _show(worker: Worker) -> None:
    print(_printable(worker.output_text))
    if worker.files:
        print("\nFiles:")
        for file in worker.files:
            print(_printable(f"  {file.filename or file.url} ({file.media_type})"))
    spent = []
    if worker.costs is not None:
        costs = worker.costs
        total = costs.internal_cost_usd + costs.model_cost_usd + costs.sandbox_cost_usd + costs.tool_cost_usd
        spent.append(f"${total:.4f}")
    if worker.usage is not None:
        spent.append(f"{worker.usage.total_tokens} tokens in {worker.usage.steps} steps")
    if spent:
        print(f"\nCost: {', '.join(spent)}")


def _tell(line: str) -> None:
    print(_printable(line), file=sys.stderr, flush=True)


def _one_line(text: str, width: int = 100) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _printable(text: str) -> str:
    """Return ``text`` without control characters: what a worker writes must not steer the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


if __name__ == "__main__":
    sys.exit(main())
