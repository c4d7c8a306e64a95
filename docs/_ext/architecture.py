"""``.. layers::`` draws the import contract of layers on the architecture page, the highest at the top.

It is made at each build, so it cannot differ from the code. ``docs/_static/plots.css`` has its looks.
"""

from html import escape

from docutils import nodes
from package import PYPROJECT, Contracts, read_contracts, source_file, summary
from sphinx.addnodes import only
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata


def draw(contracts: Contracts) -> str:
    """Return a list in HTML: an item for each layer, with its modules, whose titles are their purposes."""
    parts = ['<ol class="layers">']
    for layer in contracts.layers:
        parts.append("<li>")
        for module in layer.modules:
            kind = "core" if module in contracts.core else "edge"
            parts.append(f'<code class="{kind}" title="{escape(summary(module))}">{escape(module)}</code>')
        parts.append("</li>")
    parts.append("</ol>")
    return "\n".join(parts)


def as_text(contracts: Contracts) -> str:
    """Return the layers as lines of text, for builders without pictures."""
    return "\n".join("  ".join(layer.modules) for layer in contracts.layers)


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


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_directive("layers", Layers)
    return {"parallel_read_safe": True}
