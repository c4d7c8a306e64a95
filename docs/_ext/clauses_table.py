"""The directive ``.. clauses-table::``: every clause of the conformance suite for transports, with its claim."""

import inspect
import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from handinger_async.testing.conformance import CLAUSES
from handinger_async.testing.conformance._clauses import NETWORK_CLAUSES, Clause


def _rows(clauses: list[Clause]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "", "   * - Clause", "     - Claim")
    for clause in clauses:
        claim = re.sub("`+", "``", inspect.getdoc(clause) or "")  # without cross-references
        yield f"   * - ``{clause.__name__}``{' (network)' if clause in NETWORK_CLAUSES else ''}"
        yield f"     - {claim}"
    yield ""


class ClausesTable(SphinxDirective):
    """List every clause."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        for path in {inspect.getsourcefile(clause) for clause in CLAUSES}:
            self.env.note_dependency(str(path))
        return self.parse_text_to_nodes("\n".join(_rows(CLAUSES)))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_directive("clauses-table", ClausesTable)
    return {"parallel_read_safe": True}
