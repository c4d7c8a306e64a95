"""Directives for the architecture page: the layers as a picture, and the modules as a table.

``.. layers::`` draws the import contract of layers, the highest at the top. ``.. modules::`` lists every module with
the first line of its docstring. Both are made at each build, so they cannot differ from the code.
"""

import re
from html import escape

from docutils import nodes
from package import PYPROJECT, Contracts, Layer, modules_in, read_contracts, source_file, summary
from sphinx.addnodes import only
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

#: Pixels: the picture, a row, the gap between rows and between boxes, the margin for the arrow.
WIDTH, ROW, GAP, MARGIN = 720, 30, 8, 40


def draw(contracts: Contracts) -> str:
    """Return an SVG whose colours are those of the text around it, so that it suits light and dark pages."""
    height = len(contracts.layers) * (ROW + GAP) + GAP
    described = "; ".join(" and ".join(layer.modules) for layer in contracts.layers)
    parts = [
        f'<svg class="layers" viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg"',
        f' aria-label="Layers, each of which imports only lower ones. From the top: {escape(described)}"',
        ' style="width: 100%; max-width: 45rem; font-size: 14px" fill="currentColor" stroke="none">',
        _arrow(height),
    ]
    for number, layer in enumerate(contracts.layers):
        parts += _row(layer, contracts, GAP + number * (ROW + GAP))
    parts.append("</svg>")
    return "\n".join(parts)


def _arrow(height: int) -> str:
    x, top, tip = MARGIN / 2 - 6, GAP, height - GAP
    return (
        f'<g stroke="currentColor" stroke-width="1.5" fill="none"><path d="M{x} {top}V{tip}m-5 -8l5 8l5 -8"/></g>'
        f'<text transform="translate({x + 16} {height / 2}) rotate(-90)" text-anchor="middle">imports</text>'
    )


def _row(layer: Layer, contracts: Contracts, y: int) -> list[str]:
    left = MARGIN + GAP
    width = (WIDTH - left - GAP * len(layer.modules)) / len(layer.modules)
    parts = []
    for place, module in enumerate(layer.modules):
        core = module in contracts.core
        x = left + place * (width + GAP)
        parts.append(
            f'<g><title>{escape(summary(module))}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW}"'
            f' rx="4" stroke="currentColor" stroke-opacity="{0.9 if core else 0.5}"'
            f' fill-opacity="{0.14 if core else 0}"{"" if core else " stroke-dasharray=" + repr("4 3")}/>'
            f'<text x="{x + width / 2:.1f}" y="{y + ROW / 2 + 5:.1f}" text-anchor="middle" font-family="monospace">'
            f"{escape(module)}</text></g>"
        )
    return parts


def as_text(contracts: Contracts) -> str:
    """Return the layers as lines of text, for builders without pictures."""
    return "\n".join("  ".join(layer.modules) for layer in contracts.layers)


def _literals(text: str) -> str:
    """Return ``text`` with its references as literals: names outside of the reference pages have no target."""
    return re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", text)


class Layers(SphinxDirective):
    """Draw the layers of the import contract."""

    def run(self) -> list[nodes.Node]:
        """Return the picture for HTML, and a block of text for other builders."""
        self.env.note_dependency(str(PYPROJECT))
        contracts = read_contracts()
        for layer in contracts.layers:
            for module in layer.modules:
                self.env.note_dependency(str(source_file(module)))
        text = nodes.literal_block("", as_text(contracts))
        return [nodes.raw("", draw(contracts), format="html"), only("", text, expr="not html")]


class Modules(SphinxDirective):
    """List the modules of each layer, the highest first, with the first lines of their docstrings."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 35 65", "", "   * - Module", "     - Purpose"]
        for layer in read_contracts().layers:
            for top in layer.modules:
                for module in modules_in(top):
                    self.env.note_dependency(str(source_file(module)))
                    lines += [f"   * - ``{module}``", f"     - {_literals(summary(module))}"]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directives."""
    app.add_directive("layers", Layers)
    app.add_directive("modules", Modules)
    return {"parallel_read_safe": True}
