"""``python -m handinger_async INSTRUCTION``: give a worker an instruction, follow it, and print its output.

The output of the worker goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, get_args

from .. import Budget, HandingerError, ServerSentEvent, Session, Worker, __version__, to_dict
from ..http import DEFAULT_BASE_URL

__all__ = ["run_command"]

#: Seconds between two requests for a worker that is running after its stream has ended.
_POLL = 1.0


def run_command(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: The arguments.

    Returns:
        The exit status: 0, 1 after an error, 130 after Ctrl-C.
    """
    options = _parser().parse_args(argv)
    try:
        asyncio.run(_run(options))
    except HandingerError as error:
        print(f"error: {_printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m handinger_async",
        description="Give a Handinger worker an instruction, follow it, and print its output.",
        epilog="With HANDINGER_API_KEY in the environment, it uses the real service (HANDINGER_BASE_URL overrides its "
        "address), otherwise an in-memory service. To serve that over HTTP: python -m handinger_async serve --help",
    )
    parser.add_argument("instruction", help="the instruction for the worker")
    parser.add_argument("--budget", choices=get_args(Budget), help="the budget of the run")
    parser.add_argument("--continue", dest="worker_id", metavar="WORKER_ID", help="instruct an existing worker")
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
        _log(f"worker {worker.id}")
        while True:
            await _follow(session, worker.id)
            worker = await workers.retrieve(worker.id)
            if not worker.running and worker.status != "pending":
                break
            await asyncio.sleep(_POLL)
    if options.json:
        print(json.dumps(to_dict(worker), ensure_ascii=False, indent=2))
    else:
        _show(worker)
    sys.stdout.flush()  # here, where a BrokenPipeError is still handled


def _session() -> Session:
    """Return a session with the real service, or without an API key one with an in-memory service."""
    if os.environ.get("HANDINGER_API_KEY"):
        return Session()
    from ..testing import FakeHandinger
    from ..transports.memory import MemoryTransport

    _log("HANDINGER_API_KEY is not set: this is the in-memory service, and its output is made up.")
    return Session(api_key="in-memory", base_url=DEFAULT_BASE_URL, transport=MemoryTransport(FakeHandinger()))


async def _follow(session: Session, worker_id: str) -> None:
    """Show the updates of a worker until its stream ends."""
    shown = ""
    async with session.workers.stream_updates(worker_id) as events:
        async for event in events:
            line = _describe(event)
            if line != shown:
                _log(f"  {line}")
                shown = line


def _describe(event: ServerSentEvent) -> str:
    """Return one line for an update. The content of updates is not documented, so any data is accepted."""
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


def _log(line: str) -> None:
    print(_printable(line), file=sys.stderr, flush=True)


def _one_line(text: str, width: int = 100) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _printable(text: str) -> str:
    """Return ``text`` without control characters, so that a worker's output cannot control the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
