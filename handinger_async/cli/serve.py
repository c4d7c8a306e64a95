"""``handinger-async serve``: the in-memory service over HTTP, for clients in any language."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import APIConnectionError, ConfigurationError, shorten
from ..http import Request
from ..testing._service.requests import APIS
from ..testing.fake import FakeHandinger
from ..testing.fault_specs import ABBREVIATIONS, OPERATION_NAMES, SYNTAX, parse_faults
from ..testing.faults import Fault, FaultyHandler
from ..transports.memory import StreamingResponse
from .arguments import Parser, program
from .output import Output, UsageError

if TYPE_CHECKING:
    from ..testing.server import Server

__all__ = ["serve_command"]

#: The number of requests to keep, for the log.
_KEPT = 100


def serve_command(argv: Sequence[str]) -> int:
    """Run the command until Ctrl-C or SIGTERM.

    Args:
        argv: The arguments after ``serve``.

    Returns:
        The exit status: 0, or 1 if the address is not available.

    Raises:
        UsageError: The arguments are wrong.
        OutputError: The address cannot be written to standard output.
    """
    options = _parser().parse_args(argv)
    if not 0 <= options.port <= 65535:
        raise UsageError(f"the port must be from 0 to 65535, not {options.port}")
    handler = _LoggingHandler(options)
    from ..testing.server import Server  # here, since aiohttp is slow to import, and --help does not need it

    try:
        asyncio.run(_serve(Server(handler, options.host, options.port)))
    except OSError as error:
        reason = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror
        Output().error(f"cannot listen on {options.host}, port {options.port}: {reason}")
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
        output = Output()
        output.result(server.url)
        output.say(f"An in-memory Handinger. HANDINGER_BASE_URL={server.url} points a client at it; Ctrl-C stops it.")
        await stopped.wait()


class _LoggingHandler:
    """The service, with a line on standard error for each request and fault."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._fake = FakeHandinger(
            seed=options.seed,
            api_keys=options.api_key,
            start=datetime.now(UTC),
            lenient=options.lenient,
            json_streams=options.json_streams,
            api=options.api,
            deliver=_deliver,
        )
        self._faulty = FaultyHandler(self._fake, *options.faults, seed=options.seed)
        self._quiet = options.quiet

    async def __call__(self, request: Request) -> StreamingResponse:
        result = "no response"
        try:
            response = await self._faulty(request)
            result = str(response.status)
        except APIConnectionError as error:
            result = error.message
            raise
        finally:
            if not self._quiet:
                self._log(request, result)
            del self._fake.requests[:-_KEPT], self._faulty.injected[:-_KEPT]
        return response

    def _log(self, request: Request, result: str) -> None:
        faults = [type(fault).__name__ for injected, fault in self._faulty.injected if injected is request]
        by = f" ({', '.join(faults)})" if faults else ""
        Output().say(f"{request.method} {shorten(request.target)}: {result}{by}")


async def _deliver(request: Request) -> StreamingResponse:
    from ..testing.server import post_to_loopback  # here, since aiohttp is slow to import

    return await post_to_loopback(request)


def _faults(text: str) -> list[Fault]:
    try:
        return parse_faults(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(OPERATION_NAMES)
    short = ", ".join(ABBREVIATIONS)
    parser = Parser(
        prog=f"{program()} serve",
        description="Serve an in-memory Handinger over HTTP. Its address is the first line of standard output.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8790, help="the port; 0 for a free one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="determines ids, delays and chance (default: %(default)s)")
    parser.add_argument(
        "--api-key", action="append", help="a key that authenticates; can be given several times (default: any key)"
    )
    parser.add_argument(
        "--lenient", action="store_true", help="accept ids that nobody made: such a worker is made on the spot"
    )
    parser.add_argument(
        "--json-streams", action="store_true", help='respond to "stream": true with JSON, unless events are accepted'
    )
    parser.add_argument(
        "--api",
        choices=APIS,
        default="both",
        help="the operations to perform: of the older generation, of the newer one, or both (default: %(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="log no requests and faults to standard error")
    parser.add_argument(
        "--faults",
        type=_faults,
        default=[],
        help=f"faults to inject, separated by commas: {SYNTAX.replace('%', '%%')}. KIND is refuse, drop[:SECONDS], "
        "postpone:SECONDS, delay:SECONDS, trickle:BYTES, cut:BYTE, corrupt:BYTE, close, or a status code such as "
        f"503:RETRY_AFTER. OPERATION is {names}; or short {short}",
    )
    return parser
