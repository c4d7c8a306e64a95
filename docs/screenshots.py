"""Take the screenshots of the page about the command line: ``python -m docs.screenshots``, on a system with terminals.

Each is what a pseudo-terminal shows while the command runs in it, drawn by rich.
"""

import io
import os
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.cli.terminal import Terminal, screen  # noqa: E402

IMAGES = ROOT / "docs" / "howto" / "images"

#: The width of the terminal: its letters are readable on a telephone.
COLUMNS = 60

#: Runs commands with one service, whose workers write a text in parts.
PROGRAM = """\
import sys
from handinger_async import Session
from handinger_async.cli import command, main
from handinger_async.testing import FakeHandinger, Step
from handinger_async.transports.memory import MemoryTransport
fake = FakeHandinger(api="today")
fake.script(
    Step(after=0.1),
    Step("Three tents under 1.5 kg, compared by weight and price:\\n\\n- Aspen 1: 1,120 g, 310 EUR\\n", after=0.2),
    Step("- Birch Light: 1,340 g, 250 EUR\\n", after=2.2),
    Step("- Cedar Solo: 1,490 g, 190 EUR\\n\\nThe Birch Light is the best buy.", after=0.1, files={
        "tents.csv": b"name,grams,eur\\n" * 300, "sources.md": b"# Sources\\n" * 40}),
)
command.Session = lambda **options: Session(api_key="key", transport=MemoryTransport(fake), **options)
sys.argv = ["handinger-async"]
main(["run", "Compare three tents under 1.5 kg.", "--out", "DIRECTORY"])
known = next(iter(fake.tasks))
print("$ handinger-async files list", known)
main(["files", "list", known])
"""


def draw(output: str, command: str) -> str:
    """Return an SVG of what a terminal shows after an output."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {command}"))
    console.print(Text.from_ansi("\n".join(screen(output, colours=True))))
    svg = console.export_svg(title="handinger-async", theme=MONOKAI, unique_id="terminal")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # fonts of another site
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def take(directory: Path, target: Path) -> None:
    """Take all screenshots.

    Args:
        directory: Where the command saves files.
        target: The directory for the images.
    """
    environment = {**os.environ, "HANDINGER_API_KEY": "key", "PYTHONPATH": str(ROOT)}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    program = PROGRAM.replace("DIRECTORY", directory.name)
    with Terminal("-c", program, environment=environment, columns=COLUMNS, cwd=directory.parent) as terminal:
        during = terminal.read_until("Aspen")
        terminal.read_all()
    command = f'handinger-async run "Compare three tents under 1.5 kg." --out {directory.name}'
    target.mkdir(exist_ok=True)
    (target / "run.svg").write_text(draw(during, command), encoding="utf-8")
    (target / "result.svg").write_text(draw(terminal.output, command), encoding="utf-8")


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as temporary:
        take(Path(temporary, "tents"), IMAGES)
