"""The directive ``.. command-line::``: every verb of the command line with its options.

They are those of the tables that the command line itself is made from.
"""

import argparse
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from handinger_async.cli import arguments, serve, verbs
from handinger_async.cli.verbs import COMMON, VERBS, Argument, Verb

PROGRAM = "handinger-async"


def _of_parser(parser: argparse.ArgumentParser) -> Iterator[Argument]:
    for action in parser._actions:  # noqa: SLF001
        if action.dest != "help":
            settings: dict[str, Any] = {"metavar": action.metavar or action.dest.upper(), "help": action.help}
            if action.nargs == 0:
                settings = {"action": "store_true", "help": action.help}
            yield Argument(tuple(action.option_strings) or (str(action.metavar),), settings)


def _own_arguments(name: str, verb: Verb) -> Iterable[Argument]:
    if name == "serve":
        return _of_parser(serve._parser())  # noqa: SLF001
    if name == "completion":
        return [Argument(("shell",), {"metavar": "SHELL", "help": "bash, zsh or fish"})]
    return verb.arguments


def _options(given: Iterable[Argument]) -> Iterator[str]:
    for names, settings in given:
        value = settings.get("metavar")
        shown = names if names[0].startswith("-") else (value,)
        if value and shown is names:
            shown = tuple(f"{name} {value}" for name in names)
        yield from (f".. option:: {', '.join(map(str, shown))}", "", f"   {_sentence(settings['help'])}", "")


def _sentence(text: str) -> str:
    text = re.sub(r"[\\*|_]", r"\\\g<0>", text)
    text = re.sub(r"--\w[\w-]*", r"``\g<0>``", text)  # else the dashes would become one
    return f"{text[0].upper()}{text[1:].removesuffix('.')}."


def _verb(name: str, verb: Verb) -> Iterator[str]:
    yield from (name, "~" * len(name), "", f".. program:: {PROGRAM} {name}", "")
    yield from (_sentence(verb.summary), "")
    own = list(_own_arguments(name, verb))
    usage = f"{name} {arguments._usage(verb._replace(arguments=tuple(own)))}"  # noqa: SLF001
    yield from (".. code-block:: text", "", f"   {PROGRAM} {usage}", "")
    yield from _options(own)
    if verb.examples:
        yield from (".. code-block:: sh", "   :caption: Examples", "")
        yield from (f"   {PROGRAM} {example}" for example in verb.examples)
        yield ""


class CommandLine(SphinxDirective):
    """Describe every verb."""

    def run(self) -> list[nodes.Node]:
        """Return a section for the common options, and one for each verb."""
        for module in (arguments, serve, verbs):
            self.env.note_dependency(str(inspect.getsourcefile(module)))
        lines = ["Options of all verbs", "--------------------", "", "Not of ``serve`` and ``completion``.", ""]
        lines += [f".. program:: {PROGRAM}", "", *_options(COMMON), "Verbs", "-----", ""]
        for name, verb in VERBS.items():
            lines += _verb(name, verb)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
