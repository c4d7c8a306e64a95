"""The command line: run instructions, and use every part of the service.

::

    handinger-async "What's the weather today in Barcelona?"
    handinger-async serve --port 8790

``python -m handinger_async`` is the same.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from .arguments import parse
from .output import Output, OutputError, UsageError, fill_standard_streams

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments; None for those of the process.

    Returns:
        The exit status: 0 done, 1 the service or the run failed, or the result could not be written, 2 the command line
        or the environment is wrong and nothing was started, 130 interrupted.
    """
    fill_standard_streams()
    try:
        parsed = parse(list(sys.argv[1:] if argv is None else argv))
        if parsed is None:
            return 0
        verb, options = parsed
        name, _, function = verb.function.partition(".")
        module = importlib.import_module(f".{name}", __name__)  # the library is imported here
        if verb.parses:
            status: int = getattr(module, function)(options)
            return status
        from .command import perform

        return perform(getattr(module, function), options)
    except UsageError as error:
        Output().error(str(error))
        return 2
    except OutputError as error:
        Output().error(str(error))
        return 1
    except KeyboardInterrupt:
        Output().say("interrupted")
        return 130
