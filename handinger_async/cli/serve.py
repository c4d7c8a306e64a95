"""``python -m handinger_async serve``: the in-memory service over HTTP, for clients in any language."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..testing.fake import FakeHandinger
from ..testing.fault_specs import ABBREVIATIONS, OPERATION_NAMES, SYNTAX, parse_faults
from ..testing.faults import Fault, FaultyHandler
from ..transports.memory import Handler

if TYPE_CHECKING:
    from ..testing.server import Server

__all__ = ["serve_command"]


def serve_command(argv: Sequence[str]) -> int:
    """Run the command until Ctrl-C or SIGTERM.

    Args:
        argv: The arguments after ``serve``.

    Returns:
        The exit status: 0, or 1 if the address is not available.
    """
    options = _parser().parse_args(argv)
    fake = FakeHandinger(seed=options.seed, api_keys=options.api_key, start=datetime.now(UTC))
    handler: Handler = FaultyHandler(fake, *options.faults, seed=options.seed) if options.faults else fake
    from ..testing.server import Server  # here, since aiohttp is slow to import, and --help does not need it

    try:
        asyncio.run(_serve(Server(handler, options.host, options.port)))
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
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
        print(server.url, flush=True)
        print(
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
    names = ", ".join(OPERATION_NAMES)
    short = ", ".join(ABBREVIATIONS)
    parser = argparse.ArgumentParser(
        prog="python -m handinger_async serve",
        description="Serve an in-memory Handinger over HTTP. Its address is the first line of standard output.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8790, help="the port; 0 for a free one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="determines ids, delays and chance (default: %(default)s)")
    parser.add_argument(
        "--api-key", action="append", help="a key that authenticates; can be given several times (default: any key)"
    )
    parser.add_argument(
        "--faults",
        type=_faults,
        default=[],
        help=f"faults to inject, separated by commas: {SYNTAX.replace('%', '%%')}. KIND is refuse, drop, "
        "delay:SECONDS, trickle:BYTES, cut:BYTE, corrupt:BYTE, close, or a status code such as 503:RETRY_AFTER. "
        f"OPERATION is {names}; or short {short}",
    )
    return parser
