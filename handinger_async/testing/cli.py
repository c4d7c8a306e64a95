"""``python -m handinger_async serve``: the in-memory service over HTTP, for any client in any language."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..operations import (
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateWorker,
    ListSchedules,
    Operation,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from ..transports.memory import Handler
from .fake import FakeHandinger
from .faults import CloseConnection, Corrupt, Cut, Delay, Drop, Fault, FaultyHandler, Refuse, Status, Trickle

if TYPE_CHECKING:
    from .server import Server

__all__ = ["parse_faults", "serve_command"]


def serve_command(argv: Sequence[str]) -> int:
    """Run the command, until Ctrl-C or SIGTERM.

    Args:
        argv: The arguments after ``serve``.

    Returns:
        The exit status: 0, or 1 if the address cannot be listened at.
    """
    options = _parser().parse_args(argv)
    fake = FakeHandinger(seed=options.seed, api_keys=options.api_key, start=datetime.now(UTC))
    handler: Handler = FaultyHandler(fake, *options.faults, seed=options.seed) if options.faults else fake
    from .server import Server  # here, since aiohttp is slow to import, and --help does not need it

    try:
        asyncio.run(_serve(Server(handler, options.host, options.port)))
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def _serve(server: Server) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as a KeyboardInterrupt
            loop.add_signal_handler(number, stopped.set)
    async with server:
        print(server.url, flush=True)  # noqa: T201
        print(  # noqa: T201
            f"An in-memory Handinger. HANDINGER_BASE_URL={server.url} points a client at it; Ctrl-C stops it.",
            file=sys.stderr,
            flush=True,
        )
        await stopped.wait()


def _faults(text: str) -> list[Fault]:
    try:
        return parse_faults(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m handinger_async serve",
        description="Serve an in-memory Handinger over HTTP. Its address is the first line of standard output.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8790, help="the port; 0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="where ids, delays and chance come from (default: %(default)s)"
    )
    parser.add_argument("--api-key", action="append", help="a key to let in, once for each; any without it")
    parser.add_argument(
        "--faults",
        type=_faults,
        default=[],
        help="what goes wrong: KIND[:VALUE][@OPERATION][*TIMES][%%PERCENT], separated by commas; kinds are refuse, "
        "drop, delay:SECONDS, trickle:BYTES, cut:BYTE, corrupt:BYTE, close, and statuses such as 503:RETRY_AFTER",
    )
    return parser


# Faults as text #######################################################################################################

_OPERATIONS: dict[str, type[Operation[Any]]] = {
    "create": CreateWorker,
    "retrieve": RetrieveWorker,
    "continue": ContinueWorker,
    "stream": StreamWorkerUpdates,
    "email": RetrieveWorkerEmail,
    "file": RetrieveWorkerFile,
    "schedules": ListSchedules,
    "schedule": CreateSchedule,
    "cancel": CancelSchedule,
}

_KINDS: dict[str, Callable[..., Fault]] = {
    "refuse": lambda _, **common: Refuse(**common),
    "drop": lambda _, **common: Drop(**common),
    "delay": lambda seconds, **common: Delay(1.0 if seconds is None else seconds, **common),
    "trickle": lambda size, **common: Trickle(int(size or 1), **common),
    "cut": lambda at, **common: Cut(int(at or 0), **common),
    "corrupt": lambda at, **common: Corrupt(int(at or 0), **common),
    "close": lambda _, **common: CloseConnection(**common),
}

_FAULT = re.compile(
    r"(?P<kind>[a-z]+|[345]\d\d)(?::(?P<value>[\d.]+))?(?:@(?P<on>[a-z]+))?(?:\*(?P<times>\d+|all))?(?:%(?P<percent>\d+))?",
    re.ASCII,
)


def parse_faults(text: str) -> list[Fault]:
    """Return the faults that a text names, separated by commas.

    Each is ``KIND[:VALUE][@OPERATION][*TIMES][%PERCENT]``:

    - a kind is ``refuse``, ``drop``, ``delay:SECONDS``, ``trickle:BYTES``, ``cut:BYTE``, ``corrupt:BYTE``, ``close``,
      or a status such as ``503:RETRY_AFTER``;
    - an operation is ``create``, ``retrieve``, ``continue``, ``stream``, ``email``, ``file``, ``schedules``,
      ``schedule`` or ``cancel``; all of them where it is left out;
    - times is a number or ``all``; once where it is left out;
    - percent is how likely it is for each request.

    Args:
        text: Such as ``"503:1*2,drop@create,cut:120@stream*all%50"``.

    Returns:
        The faults.

    Raises:
        ConfigurationError: The text names something else.
    """
    return [_parse_fault(part.strip()) for part in text.split(",") if part.strip()]


def _parse_fault(text: str) -> Fault:
    found = _FAULT.fullmatch(text)
    if found is None or not (found["kind"].isdigit() or found["kind"] in _KINDS):
        kinds = ", ".join(_KINDS)
        raise ConfigurationError(
            f"{text!r} is not a fault: KIND[:VALUE][@OPERATION][*TIMES][%PERCENT], with {kinds}, 503"
        )
    if found["on"] and found["on"] not in _OPERATIONS:
        raise ConfigurationError(f"{text!r}: {found['on']!r} is not one of {', '.join(_OPERATIONS)}")
    try:
        value = float(found["value"]) if found["value"] else None
    except ValueError:
        raise ConfigurationError(f"{text!r}: {found['value']!r} is not a number") from None
    common: dict[str, Any] = {
        "on": _OPERATIONS.get(found["on"] or ""),
        "times": None if found["times"] == "all" else int(found["times"] or 1),
        "chance": int(found["percent"] or 100) / 100,
    }
    if found["kind"].isdigit():
        return Status(int(found["kind"]), retry_after=value, **common)
    return _KINDS[found["kind"]](value, **common)
