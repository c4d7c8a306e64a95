"""The command line: run a worker, or serve an in-memory Handinger service.

::

    python -m handinger_async "What's the weather today in Barcelona?"
    python -m handinger_async serve --port 8790
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .run import run_command

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments; None for those of the process.

    Returns:
        The exit status: 0, 1 after an error, 2 for a usage error, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["serve"]:
        from .serve import serve_command  # here, since the other command does not need it

        return serve_command(arguments[1:])
    return run_command(arguments)
