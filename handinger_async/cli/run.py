"""``python -m handinger_async INSTRUCTION``: run an instruction, show its progress, and print its output.

The output of the worker goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import get_args

from .. import Budget, HandingerError, Outcome, Session, TaskWithTurns, Worker, __version__, to_dict
from ..models.outcomes import sorted_turns

__all__ = ["run_command"]


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
        description="Run an instruction on Handinger, show its progress, and print its output.",
        epilog="With HANDINGER_API_KEY in the environment, it uses the real service (HANDINGER_BASE_URL overrides its "
        "address), otherwise an in-memory service. To serve that over HTTP: python -m handinger_async serve --help",
    )
    parser.add_argument("instruction", help="the instruction for the worker")
    parser.add_argument("--budget", choices=get_args(Budget), help="the budget of the run")
    parser.add_argument("--continue", dest="worker_id", metavar="WORKER_ID", help="instruct an existing worker")
    parser.add_argument("--json", action="store_true", help="print the worker, or the task, as JSON")
    parser.add_argument("--version", action="version", version=f"handinger-async {__version__}")
    return parser


async def _run(options: argparse.Namespace) -> None:
    async with _session() as session:
        outcome = await session.run(
            options.instruction,
            worker_id=options.worker_id,
            budget=options.budget,
            on_start=_show_id,
            on_update=_show_update,
        )
    if options.json:
        state = outcome.worker or outcome.task
        print(json.dumps(to_dict(state), ensure_ascii=False, indent=2))
    else:
        _show(outcome)
    sys.stdout.flush()  # here, where a BrokenPipeError is still handled


def _session() -> Session:
    """Return a session with the real service, or without an API key one with an in-memory service."""
    if os.environ.get("HANDINGER_API_KEY"):
        return Session()
    from ..testing import FakeHandinger

    _log("HANDINGER_API_KEY is not set: this is the in-memory service, and its output is made up.")
    return FakeHandinger().session()


def _show_id(worker_id: str | None, task_id: str | None) -> None:
    """Show the id of the task, or on a service of the older generation that of the worker."""
    _log(f"task {task_id}" if task_id else f"worker {worker_id}")


def _show_update(state: TaskWithTurns | Worker) -> None:
    if isinstance(state, Worker):
        status, text = state.status, state.output_text
    else:
        turns = sorted_turns(state)
        status, text = state.task.status, turns[-1].output_text if turns else ""
    _log(f"  {_one_line(f'{status}: {text}' if text else status)}")


def _show(outcome: Outcome[None]) -> None:
    print(_printable(outcome.output_text))
    if outcome.files:
        print("\nFiles:")
        for file in outcome.files:
            print(_printable(f"  {file.filename or file.url} ({file.media_type})"))
    spent = list(_costs(outcome))
    if spent:
        print(f"\nCost: {', '.join(spent)}")


def _costs(outcome: Outcome[None]) -> Iterator[str]:
    """Yield what the service says about costs, which differs between its generations."""
    costs = outcome.worker.costs if outcome.worker else None
    if costs is not None:
        total = costs.internal_cost_usd + costs.model_cost_usd + costs.sandbox_cost_usd + costs.tool_cost_usd
        yield f"${total:.4f}"
    usage = outcome.usage
    if usage is None:
        return
    if usage.credits is not None:
        yield f"{usage.credits} credits"
    if usage.total_tokens is not None:
        yield f"{usage.total_tokens} tokens"
    if usage.duration_ms is not None:
        yield f"{usage.duration_ms / 1000:.1f} s"


def _log(line: str) -> None:
    print(_printable(line), file=sys.stderr, flush=True)


def _one_line(text: str, width: int = 100) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _printable(text: str) -> str:
    """Return ``text`` without control characters, so that a worker's output cannot control the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
